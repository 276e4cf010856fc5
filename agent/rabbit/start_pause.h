// When a broker that ended by itself is started again: after a pause that grows, so that one that cannot run
// costs nothing and is not hidden. A run of five minutes forgets the ones before.
//
// Thread rules: plain value.
#ifndef MAINSTAY_AGENT_RABBIT_START_PAUSE_H_
#define MAINSTAY_AGENT_RABBIT_START_PAUSE_H_

#include <algorithm>

#include "lib/base/time.h"

namespace mainstay::agent {

class StartPause {
 public:
  void Saw(bool running, MonoTime now) {
    if (running && !ran_) started_ = now;
    if (ran_ && !running) {
      if (now - started_ >= kSettled) pause_ = Duration::zero();
      Failed(now);
    }
    ran_ = running;
  }
  // It could not be started.
  void Failed(MonoTime now) {
    pause_ = pause_ == Duration::zero() ? kFirst : std::min(pause_ * 2, kLongest);
    next_ = now + pause_;
  }
  bool Due(MonoTime now) const { return now >= next_; }

 private:
  static constexpr Duration kFirst = std::chrono::seconds(1);
  static constexpr Duration kLongest = std::chrono::seconds(60);
  static constexpr Duration kSettled = std::chrono::minutes(5);

  bool ran_ = false;
  MonoTime started_, next_;
  Duration pause_{};
};

}  // namespace mainstay::agent

#endif  // MAINSTAY_AGENT_RABBIT_START_PAUSE_H_
