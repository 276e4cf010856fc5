// Health: from single probes to a verdict one may act on. Pure: time comes in, nothing goes out.
//
//   Tracker t({.hung_after = 5s, .interval = 500ms});
//   report.verdict = t.Add({.began = began, .ended = now, .state = report.state, .verdict = report.verdict});
//
// Three verdicts (docs/ARCHITECTURE.md): ok, saturated (slow or out of connections, but it writes: never a
// reason to stop) and hung (running, and no proof of writing for `hung_after`). Hung needs silence that was
// *looked at*: time in which nobody probed (the agent was paused, the machine slept) counts as at most two
// intervals, so a pause of the agent is not taken for a fault of the database. A state other than running
// starts afresh: starting and recovery are not "hung".
//
// Thread rules: plain value, one thread.
#ifndef MAINSTAY_LIB_HEALTH_TRACKER_H_
#define MAINSTAY_LIB_HEALTH_TRACKER_H_

#include "lib/base/time.h"
#include "lib/election/event.h"

namespace mainstay::health {

struct Thresholds {
  Duration hung_after = std::chrono::seconds(5);
  Duration interval = std::chrono::milliseconds(500);  // wished distance of probes
  int hung_probes = 2;                                 // at least this many failed in a row, too
  int saturated_after = 2;                             // slow ones in a row until it is called saturated
  int recover_after = 2;                               // good ones in a row until it is called ok again
};

// One probe. `verdict` is its own outcome: kOk and kSaturated are proofs of writing (or, on a standby, of
// answering); kHung and kUnknown are not.
struct Sample {
  MonoTime began;
  MonoTime ended;
  election::DbState state = election::DbState::kUnknown;
  election::Verdict verdict = election::Verdict::kUnknown;
};

class Tracker {
 public:
  explicit Tracker(Thresholds thresholds) : thresholds_(thresholds) {}

  // Takes a probe and gives the verdict. Samples are to come in order.
  election::Verdict Add(const Sample& sample);
  // Of the last sample.
  election::Verdict verdict() const { return verdict_; }
  // Forgets everything: the database was started, stopped or changed its role by an operation.
  void Reset();
  // How long it was looked at without a proof.
  Duration silence() const { return silence_; }
  void set_thresholds(Thresholds thresholds) { thresholds_ = thresholds; }

 private:
  void Failed(const Sample& sample);
  void Proved(const Sample& sample);

  Thresholds thresholds_;
  election::Verdict verdict_ = election::Verdict::kUnknown;
  election::DbState state_ = election::DbState::kUnknown;
  MonoTime last_;       // until when silence_ was counted
  Duration silence_{};  // looked at without a proof
  int failed_ = 0;      // in a row
  int slow_ = 0;        // in a row
  int good_ = 0;        // in a row
};

}  // namespace mainstay::health

#endif  // MAINSTAY_LIB_HEALTH_TRACKER_H_
