// MonoTime saturates instead of overflowing; BootClock goes forward.
#include "lib/base/time.h"

#include <gtest/gtest.h>
#include <time.h>

namespace mainstay {
namespace {

using namespace std::chrono_literals;

TEST(MonoTime, SaturatesAtBothEnds) {
  const MonoTime past, never = MonoTime::Never(), t = MonoTime::FromNanos(1000);
  EXPECT_EQ(past + 1h, past);
  EXPECT_EQ(never - 1h, never);
  EXPECT_EQ(t + Duration::max(), never);
  EXPECT_EQ((t + 1us).nanos(), 2000);
  EXPECT_EQ(MonoTime::FromNanos(5) - past, Duration::max());
  EXPECT_EQ(t - past, Duration::max());
  EXPECT_EQ(past - t, Duration::min());
  EXPECT_EQ(never - t, Duration(INT64_MAX - 1000));
  EXPECT_LT(past, t);
  EXPECT_LT(t, never);
}

TEST(BootClock, IsBoottimeAndGoesForward) {
  timespec ts{};
  ASSERT_EQ(clock_gettime(CLOCK_BOOTTIME, &ts), 0);
  const MonoTime before = MonoTime::FromNanos(int64_t{ts.tv_sec} * 1'000'000'000 + ts.tv_nsec);
  MonoTime last = before;
  for (int i = 0; i < 1000; ++i) {
    const MonoTime now = BootClock().Now();
    ASSERT_GE(now, last);
    last = now;
  }
  EXPECT_LT(last - before, 5s);
}

}  // namespace
}  // namespace mainstay
