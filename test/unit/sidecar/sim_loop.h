// A loop and a worker with simulated time, for tests of what runs on the loop: the same run every time, and
// no waiting.
//
// Thread rules: one thread.
#ifndef MAINSTAY_TEST_UNIT_SIDECAR_SIM_LOOP_H_
#define MAINSTAY_TEST_UNIT_SIDECAR_SIM_LOOP_H_

#include <deque>
#include <functional>
#include <map>
#include <utility>

#include "agent/sidecar/loop.h"
#include "agent/sidecar/worker.h"

namespace mainstay::agent {

class SimLoop : public Loop, public Clock {
 public:
  SimLoop() : now_(BootClock().Now()) {}
  MonoTime Now() const override { return now_; }
  void Post(std::function<void()> task) override { At(now_, std::move(task)); }
  TimerId At(MonoTime when, std::function<void()> task) override {
    if (when.is_never()) return 0;
    const TimerId id = next_++;
    timers_.emplace(std::make_pair(std::max(when, now_), id), std::move(task));
    when_[id] = std::max(when, now_);
    return id;
  }
  void Cancel(TimerId id) override {
    const auto found = when_.find(id);
    if (found == when_.end()) return;
    timers_.erase({found->second, id});
    when_.erase(found);
  }
  // Runs everything up to `until`.
  void RunUntil(MonoTime until) {
    while (!timers_.empty() && timers_.begin()->first.first <= until) {
      auto node = timers_.extract(timers_.begin());
      now_ = std::max(now_, node.key().first);
      when_.erase(node.key().second);
      node.mapped()();
      ++turns_;
    }
    now_ = std::max(now_, until);
  }
  void RunFor(Duration d) { RunUntil(now_ + d); }
  // Until `condition` holds (looked at each ms). False: not within `bound`.
  bool RunUntilTrue(Duration bound, const std::function<bool()>& condition) {
    const MonoTime end = now_ + bound;
    while (!condition()) {
      if (now_ >= end) return false;
      RunFor(std::chrono::milliseconds(1));
    }
    return true;
  }
  uint64_t turns() const { return turns_; }

 private:
  MonoTime now_;
  std::map<std::pair<MonoTime, TimerId>, std::function<void()>> timers_;
  std::map<TimerId, MonoTime> when_;
  TimerId next_ = 1;
  uint64_t turns_ = 0;
};

// Runs each job `latency` after the one before it ended; Hang(true) holds all of them.
class SimWorker : public Worker {
 public:
  explicit SimWorker(SimLoop* loop, Duration latency = std::chrono::milliseconds(1), size_t bound = 4)
      : loop_(loop), latency_(latency), bound_(bound) {}
  bool Run(std::function<void()> job) override {
    if (dead_) return true;  // taken and never done: the process is gone
    if (jobs_.size() >= bound_) return false;
    jobs_.push_back(std::move(job));
    Next();
    return true;
  }
  void Hang(bool hung) {
    hung_ = hung;
    Next();
  }
  void Die() {
    dead_ = true;
    jobs_.clear();
  }
  void set_latency(Duration latency) { latency_ = latency; }
  int ran() const { return ran_; }

 private:
  void Next() {
    if (busy_ || hung_ || dead_ || jobs_.empty()) return;
    busy_ = true;
    loop_->At(loop_->Now() + latency_, [this] {
      busy_ = false;
      if (dead_ || hung_ || jobs_.empty()) return;
      std::function<void()> job = std::move(jobs_.front());
      jobs_.pop_front();
      ++ran_;
      job();
      Next();
    });
  }
  SimLoop* const loop_;
  Duration latency_;
  const size_t bound_;
  std::deque<std::function<void()>> jobs_;
  bool busy_ = false;
  bool hung_ = false;
  bool dead_ = false;
  int ran_ = 0;
};

}  // namespace mainstay::agent

#endif  // MAINSTAY_TEST_UNIT_SIDECAR_SIM_LOOP_H_
