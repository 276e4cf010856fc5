// The loop: the one thread that owns all state of the agent. Timers on CLOCK_BOOTTIME and a mailbox for
// everybody else.
//
//   loop.Post([this] { ... });                              // any thread
//   TimerId t = loop.At(loop.Now() + 500ms, [this] {...});  // loop thread; once
//
// Boost.Asio's own timers run on CLOCK_MONOTONIC, which stands still in a suspend; so AsioLoop has one
// timerfd on BOOTTIME for all timers. Tests bring a loop with simulated time (test/unit/sidecar/sim_loop.h).
//
// Thread rules: Post and Now from any thread; everything else on the loop's thread only. Callbacks must not
// block.
#ifndef MAINSTAY_AGENT_SIDECAR_LOOP_H_
#define MAINSTAY_AGENT_SIDECAR_LOOP_H_

#include <atomic>
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <cstdint>
#include <functional>
#include <map>
#include <utility>

#include "lib/base/time.h"

namespace mainstay::agent {

using TimerId = uint64_t;  // 0: none

class Loop {
 public:
  virtual ~Loop() = default;
  virtual MonoTime Now() const = 0;
  virtual void Post(std::function<void()> task) = 0;
  // Runs `task` once at `when` (at once when that is past). Never: never.
  virtual TimerId At(MonoTime when, std::function<void()> task) = 0;
  // Fine for timers that ran already and for 0.
  virtual void Cancel(TimerId id) = 0;
};

class AsioLoop : public Loop {
 public:
  // Aborts the process when there is no timerfd: nothing would be safe.
  explicit AsioLoop(boost::asio::io_context& io);
  ~AsioLoop() override;
  AsioLoop(const AsioLoop&) = delete;
  AsioLoop& operator=(const AsioLoop&) = delete;

  MonoTime Now() const override;
  void Post(std::function<void()> task) override;
  TimerId At(MonoTime when, std::function<void()> task) override;
  void Cancel(TimerId id) override;

  // When a timer last ran (any thread), and how late the latest-running one was since the last call (loop
  // thread).
  MonoTime turned_at() const { return MonoTime::FromNanos(turned_at_.load(std::memory_order_relaxed)); }
  Duration TakeMaxLag();

 private:
  using Key = std::pair<MonoTime, TimerId>;
  void Wait();
  void Fire();
  void Rearm();

  boost::asio::io_context& io_;
  boost::asio::posix::stream_descriptor timerfd_;
  std::map<Key, std::function<void()>> timers_;
  std::map<TimerId, MonoTime> when_;
  TimerId next_id_ = 1;
  MonoTime armed_ = MonoTime::Never();
  bool firing_ = false;
  Duration max_lag_{};
  std::atomic<int64_t> turned_at_;
};

}  // namespace mainstay::agent

#endif  // MAINSTAY_AGENT_SIDECAR_LOOP_H_
