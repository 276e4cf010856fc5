#include "lib/engine/parts/shim_word.h"

#include <algorithm>
#include <utility>

namespace mainstay::engine {

constexpr Duration kPatience = std::chrono::milliseconds(300);

absl::StatusOr<shim::State> ShimWord::Ask(shim::Client* shim, MonoTime deadline) {
  const MonoTime now = BootClock().Now();
  absl::StatusOr<shim::State> state = shim->GetState(std::min(deadline, now + kPatience));
  if (state.ok()) {
    if (std::exchange(silent_, false)) Log(LogLevel::kInfo, "shim", "it answers again");
    last_ = *state;
    return state;
  }
  if (!absl::IsDeadlineExceeded(state.status()) || !last_.has_value() || !last_->running()) return state;
  silent_ = true;
  if (uint64_t held = 0; limiter_.Allow(now, &held)) {
    Log(LogLevel::kError, "shim",
        "it does not answer: nobody can fence this database now but its lock and its standbys",
        {{"error", state.status()}});
  }
  return *last_;
}

}  // namespace mainstay::engine
