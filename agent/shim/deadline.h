// The fence's deadline and the rules by which it may move. Pure: the caller brings the time.
//
// Rules (each one is a test in test/unit/shim/deadline_test.cc):
//   - it may only be extended, and only by the same or a higher epoch than any seen before;
//   - units and clocks are checked: until - sent == remaining, sent is not in the future, until is within the
//   horizon;
//   - once it has passed nothing can extend it any more: whatever comes later finds everything dead;
//   - it ends (Clear) when nothing is left that it could kill, or (Disarm) when the agent that armed it saw
//   the database give up writing, under the same epoch.
#ifndef MAINSTAY_AGENT_SHIM_DEADLINE_H_
#define MAINSTAY_AGENT_SHIM_DEADLINE_H_

#include <stdint.h>

#include "lib/shim/wire.h"

namespace mainstay::shimd {

class Deadline {
 public:
  // The farthest deadline accepted from now on, in ns: guards against wrong units.
  explicit constexpr Deadline(int64_t horizon) : horizon_(horizon) {}
  void set_horizon(int64_t ns) { horizon_ = ns; }

  shim::wire::Code Arm(const shim::wire::Arm& arm, int64_t now, bool fencing) {
    using shim::wire::Code;
    int64_t remaining = 0;
    // A deadline that is due counts as passed even when the loop has not looked at the clock yet.
    if (fencing || Due(now)) return Code::kFencing;
    if (arm.sent > now || __builtin_sub_overflow(arm.until, arm.sent, &remaining) ||
        remaining != arm.remaining)
      return Code::kClock;
    if (arm.until > now && arm.until - now > horizon_) return Code::kClock;
    if (arm.epoch <= 0 || arm.epoch < epoch_) return Code::kEpoch;
    if (arm.until <= now) return Code::kLate;
    if (armed() && arm.until < until_) return Code::kShorter;
    until_ = arm.until;
    epoch_ = arm.epoch;
    return Code::kOk;
  }
  // The database gave up writing by itself.
  shim::wire::Code Disarm(int64_t epoch, int64_t now, bool fencing) {
    using shim::wire::Code;
    if (fencing || Due(now)) return Code::kFencing;
    if (epoch != epoch_) return Code::kEpoch;
    Clear();
    return Code::kOk;
  }
  bool Due(int64_t now) const { return armed() && now >= until_; }
  bool armed() const { return until_ != 0; }
  // May a former primary be opened again under `epoch`?
  bool Permits(int64_t epoch, int64_t now) const { return armed() && now < until_ && epoch == epoch_; }
  // Nothing runs any more. The highest epoch is kept.
  void Clear() { until_ = 0; }

  int64_t until() const { return until_; }  // 0: not armed
  int64_t epoch() const { return epoch_; }  // highest seen

 private:
  int64_t horizon_;
  int64_t until_ = 0;
  int64_t epoch_ = 0;
};

}  // namespace mainstay::shimd

#endif  // MAINSTAY_AGENT_SHIM_DEADLINE_H_
