// The loop. The order within a turn is the promise: deadline, signals and reaping, other times, then clients.
#include <fcntl.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <initializer_list>

#include "agent/shim/procs.h"
#include "agent/shim/shim.h"

namespace mainstay::shimd {
namespace {

constexpr int kEventsPerTurn = 16;

int64_t Earlier(int64_t a, int64_t b) { return a < b ? a : b; }

}  // namespace

void Shim::SetUp() {
  sigset_t mask;
  sigemptyset(&mask);
  for (int sig : {SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGCHLD}) sigaddset(&mask, sig);
  sigprocmask(SIG_BLOCK, &mask, nullptr);
  signal(SIGPIPE, SIG_IGN);
  if (getrandom(&nonce_, sizeof nonce_, GRND_NONBLOCK) != sizeof nonce_) {
    nonce_ = static_cast<uint64_t>(BootNow()) ^ static_cast<uint64_t>(getpid()) << 48;
  }
  null_ = open("/dev/null", O_RDWR | O_CLOEXEC);
  if (null_ < 0) Die("cannot open /dev/null");
  if (options_->log[0] != 0) {
    log_ = open(options_->log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0640);
    if (log_ < 0) Die("--log: cannot open ", options_->log);
  }
  epoll_ = epoll_create1(EPOLL_CLOEXEC);
  timer_ = timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK);
  signals_ = signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
  if (epoll_ < 0 || timer_ < 0 || signals_ < 0) Die("epoll, timerfd or signalfd failed");
  epoll_event event{EPOLLIN, {.u64 = Tag(Source::kTimer)}};
  epoll_ctl(epoll_, EPOLL_CTL_ADD, timer_, &event);
  event.data.u64 = Tag(Source::kSignals);
  epoll_ctl(epoll_, EPOLL_CTL_ADD, signals_, &event);
  if (log_ < 0) OpenLog();
  deadline_.set_horizon(options_->horizon);
}

int Shim::Run(const Options& options, wire::Mode mode, uint32_t protection_flags) {
  options_ = &options;
  mode_ = mode;
  protection_ = protection_flags;
  SetUp();
  Listen();
  while (!done_) Turn();
  CloseLog();
  unlink(options_->socket);
  return 0;
}

// Due now: kill first, everything else later. Looks at the clock itself, so a timer that fires early or late,
// or an event that came instead of it, changes nothing: not due yet means that UpdateTimer arms it again.
void Shim::ServeDeadline(int64_t now) {
  if (fencing_ || !deadline_.Due(now)) return;
  fencing_ = true;
  KillEverything(wire::Cause::kFence);
  const int64_t killed_at = BootNow();
  fence_ = wire::FencedEvent{deadline_.until(), deadline_.epoch(), killed_at, 0};
  ++fences_;
  if (killed_at - fence_.deadline > max_lateness_) max_lateness_ = killed_at - fence_.deadline;
}

void Shim::Turn() {
  UpdateTimer();
  epoll_event events[kEventsPerTurn];
  const int n = epoll_wait(epoll_, events, kEventsPerTurn, -1);
  ServeDeadline(BootNow());
  ServeSignals();
  Reap();
  ServeTimes(BootNow());
  for (int i = 0; i < n; ++i) {
    ServeDeadline(BootNow());
    ServeEvent(events[i].data.u64, events[i].events);
  }
  ServeDeadline(BootNow());
  Reap();
  MaybeFinishTool(BootNow());
}

void Shim::ServeEvent(uint64_t tag, uint32_t events) {
  const int index = static_cast<int>(tag >> 8 & 0xff);
  switch (static_cast<Source>(tag & 0xff)) {
    case Source::kTimer: {
      uint64_t count;
      if (read(timer_, &count, sizeof count) > 0) timer_set_ = kNever;
      break;
    }
    case Source::kSignals:
      break;  // read in every turn
    case Source::kListener:
      Accept();
      break;
    case Source::kExec:
      ReadExecPipe();
      break;
    case Source::kTool:
      ReadTool(index);
      break;
    case Source::kLog:
      ReadLog();
      break;
    case Source::kPeer: {
      if (!Alive(PeerRef{index, static_cast<uint16_t>(tag >> 32)})) break;
      if ((events & EPOLLOUT) != 0) {
        FlushTool();
        GoOnWithLog();
      }
      if ((events & EPOLLIN) != 0) {
        ServePeer(index);
      } else if ((events & (EPOLLHUP | EPOLLERR)) != 0) {
        Drop(index);
      }
      break;
    }
  }
}

void Shim::ServeSignals() {
  signalfd_siginfo info;
  while (read(signals_, &info, sizeof info) == static_cast<ssize_t>(sizeof info)) {
    switch (info.ssi_signo) {
      case SIGTERM:
      case SIGINT:
        Terminate(BootNow());
        break;
      case SIGQUIT:
        Terminate(BootNow());
        SignalDatabase({wire::SignalKind::kImmediate, wire::kAnyStart});
        stop_sent_ = true;
        break;
      case SIGHUP:
        SignalDatabase({wire::SignalKind::kReload, wire::kAnyStart});
        break;
      default:
        break;  // SIGCHLD: Reap runs in every turn
    }
  }
}

// Announces the end to the agent (which may use term-wait for a switchover), then stops, then kills.
void Shim::Terminate(int64_t now) {
  if (terminating_) return;
  terminating_ = true;
  stop_at_ = now + options_->term_wait;
  kill_at_ = stop_at_ + options_->stop_timeout;
  const wire::Terminating event{stop_at_, kill_at_};
  Push(wire::Verb::kTerminating, &event, sizeof event);
  if (!Running()) KillEverything(wire::Cause::kTerm);  // nothing, or a tool
}

void Shim::ServeTimes(int64_t now) {
  if (killing_ && now >= kill_again_) {
    KillAll(mode_);
    kill_again_ = now + 5 * kMilli;
  }
  if (!killing_ && kill_again_ == 0) kill_again_ = kNever;
  if (terminating_ && !stop_sent_ && now >= stop_at_) {
    stop_sent_ = true;
    SignalDatabase({wire::SignalKind::kFast, wire::kAnyStart});
  }
  if (terminating_ && now >= kill_at_) {
    kill_at_ = kNever;
    KillEverything(wire::Cause::kTerm);
  }
  if (tool_.id != 0 && now >= tool_.deadline) EndTool(wire::ToolEnd::kDeadline, now);
  if (tool_.id != 0 && tool_.pid != 0 && now >= tool_.kill_at) {
    kill(-tool_.group, SIGKILL);
    tool_.kill_at = now + kSecond;
  }
  MaybeFinishTool(now);
  ServeLogTime(now);
  if (now >= refill_at_) {
    refill_at_ = kNever;
    for (int i = 0; i < kMaxPeers; ++i) {
      peers_[i].budget = kFrameBudget;
      SetInterest(i);
    }
  }
}

// One timer for everything that waits for a time; set again only when the earliest one changed.
void Shim::UpdateTimer() {
  int64_t next = kNever;
  if (deadline_.armed() && !fencing_) next = Earlier(next, deadline_.until());
  if (killing_ || kill_again_ == 0) next = Earlier(next, kill_again_);
  if (terminating_) next = Earlier(next, Earlier(stop_sent_ ? kNever : stop_at_, kill_at_));
  if (terminating_ && leave_at_ != 0 && !Running()) next = Earlier(next, leave_at_);
  if (tool_.id != 0) {
    next = Earlier(next, tool_.pid != 0 ? Earlier(tool_.deadline, tool_.kill_at) : kNever);
    if (tool_.pid == 0 && !killing_)
      next = Earlier(next, tool_.chunk_size != 0 ? tool_.deadline : tool_.active_at + 200 * kMilli);
  }
  next = Earlier(next, Earlier(refill_at_, log_again_));
  if (next == timer_set_ && next != kNever) return;
  timer_set_ = next;
  itimerspec spec{};
  if (next != kNever) {
    // 0 would disarm: 1 ns past boot is "at once" as well.
    const int64_t at = next > 0 ? next : 1;
    spec.it_value.tv_sec = at / kSecond;
    spec.it_value.tv_nsec = at % kSecond;
  }
  timerfd_settime(timer_, TFD_TIMER_ABSTIME, &spec, nullptr);
}

}  // namespace mainstay::shimd
