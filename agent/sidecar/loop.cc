#include "agent/sidecar/loop.h"

#include <sys/timerfd.h>

#include <algorithm>
#include <boost/asio/post.hpp>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "lib/base/log.h"

namespace mainstay::agent {
namespace {

int MakeTimerFd() {
  const int fd = timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK);
  if (fd < 0) {
    Log(LogLevel::kError, "loop", "no timerfd on CLOCK_BOOTTIME: without it no deadline can be kept",
        {{"error", std::strerror(errno)}});
    std::abort();
  }
  return fd;
}

}  // namespace

AsioLoop::AsioLoop(boost::asio::io_context& io)
    : io_(io), timerfd_(io, MakeTimerFd()), turned_at_(BootClock().Now().nanos()) {
  Wait();
}

AsioLoop::~AsioLoop() {
  boost::system::error_code ignored;
  timerfd_.close(ignored);
}

MonoTime AsioLoop::Now() const { return BootClock().Now(); }

void AsioLoop::Post(std::function<void()> task) { boost::asio::post(io_, std::move(task)); }

TimerId AsioLoop::At(MonoTime when, std::function<void()> task) {
  if (when.is_never()) return 0;
  const TimerId id = next_id_++;
  timers_.emplace(Key(when, id), std::move(task));
  when_.emplace(id, when);
  if (!firing_ && when < armed_) Rearm();
  return id;
}

void AsioLoop::Cancel(TimerId id) {
  const auto found = when_.find(id);
  if (found == when_.end()) return;
  const MonoTime when = found->second;
  timers_.erase(Key(when, id));
  when_.erase(found);
  // Nearly every call is answered before its time-out: setting the timerfd anew costs a hundredth of the turn
  // of the loop that it would ring for.
  if (!firing_ && when == armed_) Rearm();
}

void AsioLoop::Wait() {
  timerfd_.async_wait(
      boost::asio::posix::stream_descriptor::wait_read, [this](boost::system::error_code error) {
        if (error) return;
        uint64_t expirations = 0;
        // Drained so that the descriptor is quiet again; EAGAIN (it was re-armed meanwhile) is fine.
        [[maybe_unused]] const ssize_t n = ::read(timerfd_.native_handle(), &expirations, sizeof expirations);
        Fire();
        Wait();
      });
}

void AsioLoop::Fire() {
  const MonoTime now = Now();
  turned_at_.store(now.nanos(), std::memory_order_relaxed);
  armed_ = MonoTime::Never();
  firing_ = true;
  // Only those due now: a task that sets a timer for "at once" gets it in the next turn, so sockets are not
  // starved.
  std::vector<std::function<void()>> due;
  while (!timers_.empty() && timers_.begin()->first.first <= now) {
    auto node = timers_.extract(timers_.begin());
    max_lag_ = std::max(max_lag_, now - node.key().first);
    when_.erase(node.key().second);
    due.push_back(std::move(node.mapped()));
  }
  for (auto& task : due) task();
  firing_ = false;
  Rearm();
}

void AsioLoop::Rearm() {
  armed_ = timers_.empty() ? MonoTime::Never() : timers_.begin()->first.first;
  itimerspec spec{};  // all zeros: never
  if (!timers_.empty()) {
    const int64_t ns = std::max<int64_t>(1, armed_.nanos());
    spec.it_value.tv_sec = ns / 1'000'000'000;
    spec.it_value.tv_nsec = ns % 1'000'000'000;
  }
  timerfd_settime(timerfd_.native_handle(), TFD_TIMER_ABSTIME, &spec, nullptr);
}

Duration AsioLoop::TakeMaxLag() { return std::exchange(max_lag_, Duration(0)); }

}  // namespace mainstay::agent
