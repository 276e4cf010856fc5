#include "lib/engine/parts/standing_fence.h"

#include <algorithm>
#include <chrono>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "lib/base/result.h"

namespace mainstay::engine {

absl::Status StandingFence::AwaitArmed(shim::Client* shim, const Canceller& canceller, election::Epoch epoch,
                                       Duration look, MonoTime deadline) {
  const MonoTime patience = std::min(deadline, BootClock().Now() + std::chrono::seconds(3));
  for (bool again = false;; again = true) {
    MAINSTAY_ASSIGN_OR_RETURN(const shim::State state, shim->GetState(deadline));
    Notice(state);
    const MonoTime now = BootClock().Now();
    if (state.armed.has_value() && state.armed->epoch == epoch && state.armed->until > now)
      return absl::OkStatus();
    if (!again && armed_.has_value() && armed_->epoch == epoch && armed_->until > now &&
        shim->Arm(armed_->until, epoch, deadline).ok())
      continue;
    if (now >= patience)
      return absl::FailedPreconditionError(absl::StrCat("the shim holds no deadline for epoch ", epoch,
                                                        ": not opened (the fence must stand first)"));
    MAINSTAY_RETURN_IF_ERROR(canceller.Sleep(look, deadline));
  }
}

}  // namespace mainstay::engine
