#include "lib/base/time.h"

#include <time.h>

namespace mainstay {
namespace {

class BoottimeClock : public Clock {
 public:
  MonoTime Now() const override {
    timespec ts{};
    // Cannot fail on Linux with a valid pointer and this clock id (kernel 2.6.39 and later).
    clock_gettime(CLOCK_BOOTTIME, &ts);
    return MonoTime::FromNanos(int64_t{ts.tv_sec} * 1'000'000'000 + ts.tv_nsec);
  }
};

}  // namespace

const Clock& BootClock() {
  static const BoottimeClock* const clock = new BoottimeClock();  // never destroyed: used by late threads
  return *clock;
}

}  // namespace mainstay
