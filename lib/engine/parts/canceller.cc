#include "lib/engine/parts/canceller.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <ctime>

namespace mainstay::engine {

Canceller::Canceller() : event_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}

void Canceller::Cancel() {
  cancelled_.store(true, std::memory_order_release);
  const uint64_t one = 1;
  if (write(event_.get(), &one, sizeof one) < 0) return;  // full: readable already
}

void Canceller::Clear() {
  cancelled_.store(false, std::memory_order_release);
  uint64_t count = 0;
  if (read(event_.get(), &count, sizeof count) < 0) return;  // empty already
}

absl::Status Canceller::Sleep(Duration pause, MonoTime deadline) const {
  if (cancelled()) return absl::CancelledError("cancelled");
  const Duration left = deadline - BootClock().Now();
  if (left <= Duration(0)) return absl::DeadlineExceededError("no time left");
  pause = std::min(pause, left);
  pollfd p{event_.get(), POLLIN, 0};
  const timespec ts{static_cast<time_t>(pause.count() / 1'000'000'000),
                    static_cast<long>(pause.count() % 1'000'000'000)};
  ppoll(&p, 1, &ts, nullptr);
  if (cancelled()) return absl::CancelledError("cancelled");
  return absl::OkStatus();
}

}  // namespace mainstay::engine
