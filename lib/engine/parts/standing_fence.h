// What an engine knows of the shim's deadline, and the check before it opens a database for writes: that the
// fence stands for this epoch.
//
// Thread rules: the engine's worker.
#ifndef MAINSTAY_LIB_ENGINE_PARTS_STANDING_FENCE_H_
#define MAINSTAY_LIB_ENGINE_PARTS_STANDING_FENCE_H_

#include <optional>

#include "absl/status/status.h"
#include "lib/base/time.h"
#include "lib/election/record.h"
#include "lib/engine/parts/canceller.h"
#include "lib/shim/client.h"

namespace mainstay::engine {

class StandingFence {
 public:
  // Of every state that the shim tells.
  void Notice(const shim::State& state) {
    if (state.armed.has_value()) armed_ = state.armed;
  }
  // The shim forgets its deadline when the database ends, gave up writing, or starts as a standby, and what
  // the election knows of the fence can be older than that. The deadline it held is still what the election
  // asked for, so the same moment (never a later one) is armed again; otherwise a renewal is waited for,
  // looked for every `look`. One that is armed for this epoch now stays until it kills or is extended, so
  // this comes right before a start as primary and before a promotion. FailedPrecondition: none came within 3
  // s.
  absl::Status AwaitArmed(shim::Client* shim, const Canceller& canceller, election::Epoch epoch,
                          Duration look, MonoTime deadline);

 private:
  std::optional<shim::Armed> armed_;  // the last deadline that the shim was seen to hold
};

}  // namespace mainstay::engine

#endif  // MAINSTAY_LIB_ENGINE_PARTS_STANDING_FENCE_H_
