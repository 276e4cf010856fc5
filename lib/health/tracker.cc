#include "lib/health/tracker.h"

#include <algorithm>

namespace mainstay::health {

using election::DbState;
using election::Verdict;

void Tracker::Reset() {
  verdict_ = Verdict::kUnknown;
  state_ = DbState::kUnknown;
  silence_ = Duration(0);
  failed_ = slow_ = good_ = 0;
}

Verdict Tracker::Add(const Sample& sample) {
  // A probe that could not even learn the state says nothing about another state: it counts as a failure of
  // the last one.
  const DbState state = sample.state == DbState::kUnknown ? state_ : sample.state;
  if (state != DbState::kRunning) {
    Reset();
    state_ = state;
    last_ = sample.ended;
    return verdict_;
  }
  if (state_ != DbState::kRunning) {
    Reset();
    state_ = state;
    last_ = sample.began;
  }
  if (sample.verdict == Verdict::kOk || sample.verdict == Verdict::kSaturated) {
    Proved(sample);
  } else {
    Failed(sample);
  }
  last_ = std::max(last_, sample.ended);
  return verdict_;
}

void Tracker::Failed(const Sample& sample) {
  ++failed_;
  good_ = slow_ = 0;
  // Looked at: the probe itself, and at most two intervals before it.
  const Duration gap = sample.began > last_ ? sample.began - last_ : Duration(0);
  const Duration own = sample.ended > std::max(sample.began, last_)
                           ? sample.ended - std::max(sample.began, last_)
                           : Duration(0);
  silence_ += std::min(gap, 2 * thresholds_.interval) + std::min(own, thresholds_.hung_after / 2);
  if (silence_ >= thresholds_.hung_after && failed_ >= thresholds_.hung_probes) {
    verdict_ = Verdict::kHung;
  } else if (verdict_ == Verdict::kOk && silence_ >= thresholds_.hung_after / 2) {
    verdict_ = Verdict::kSaturated;  // told early, acted on by nobody
  }
}

void Tracker::Proved(const Sample& sample) {
  silence_ = Duration(0);
  failed_ = 0;
  if (sample.verdict == Verdict::kSaturated) {
    ++slow_;
    good_ = 0;
    if (verdict_ == Verdict::kUnknown || verdict_ == Verdict::kHung || slow_ >= thresholds_.saturated_after) {
      verdict_ = Verdict::kSaturated;  // it writes: no longer hung, at once
    }
    return;
  }
  ++good_;
  slow_ = 0;
  if (verdict_ == Verdict::kHung) {
    // One proof ends "hung", but a database that limps from hang to hang is not called ok at the first good
    // answer.
    verdict_ = Verdict::kSaturated;
  } else if (verdict_ == Verdict::kUnknown || good_ >= thresholds_.recover_after) {
    verdict_ = Verdict::kOk;
  }
}

}  // namespace mainstay::health
