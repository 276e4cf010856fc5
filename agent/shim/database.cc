// The database: starting it, signalling it, killing and reaping everything.
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <initializer_list>

#include "agent/shim/procs.h"
#include "agent/shim/shim.h"

namespace mainstay::shimd {
namespace {

constexpr int64_t kKillAgain = 5 * kMilli;
constexpr int64_t kLastQuestion = kSecond;
constexpr int kReapsPerTurn = 256;

struct StartFailure {
  wire::Code code;
  int32_t error;
};

constexpr size_t kMaxArgs = 2 * kMaxSets + 16;

// redis-server <data>.conf [--name value]... and last, so that it wins over the file and over --set: a
// replica of nobody, in its data directory, in the foreground. Only the agent's word opens it.
void RedisArguments(const Options& o, const char** argv) {
  static char conf[1100];
  static char names[kMaxSets][160];
  size_t n = 0;
  argv[n++] = "redis-server";
  Text(conf, sizeof conf).Add(o.paths.data_dir).Add(".conf");
  argv[n++] = conf;
  for (size_t i = 0; i < o.set_count; ++i) {
    const char* eq = strchr(o.sets[i], '=');
    const size_t len = static_cast<size_t>(eq - o.sets[i]);
    if (len + 3 > sizeof names[i]) _exit(127);
    memcpy(names[i], "--", 2);
    memcpy(names[i] + 2, o.sets[i], len);
    names[i][len + 2] = 0;
    argv[n++] = names[i];
    argv[n++] = eq + 1;
  }
  for (const char* fixed : {"--daemonize", "no", "--dir", o.paths.data_dir, "--replicaof", "127.0.0.1", "1"})
    argv[n++] = fixed;
  argv[n] = nullptr;
}

// postgres -D data [-c set]... and, when isolated, what makes it unreachable (last, so that it wins).
void PostgresArguments(const Options& o, wire::StartKind kind, const char** argv) {
  static char private_dir[1100];
  size_t n = 0;
  argv[n++] = "postgres";
  argv[n++] = "-D";
  argv[n++] = o.paths.data_dir;
  for (size_t i = 0; i < o.set_count; ++i) {
    argv[n++] = "-c";
    argv[n++] = o.sets[i];
  }
  if (kind == wire::StartKind::kIsolated) {
    Text(private_dir, sizeof private_dir).Add("unix_socket_directories=").Add(o.private_socket_dir);
    argv[n++] = "-c";
    argv[n++] = "listen_addresses=";
    argv[n++] = "-c";
    argv[n++] = private_dir;
  }
  argv[n] = nullptr;
}

// A PID namespace of ours shows the machine's /proc, where the broker's own number is another process or
// none: RabbitMQ reads its memory there, and does not boot without. So it gets a /proc of its own.
bool GiveProc() {
  return unshare(CLONE_NEWNS) == 0 && mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 &&
         mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, nullptr) == 0;
}

// In the child. All file access of a start happens here: a hung volume must not hang the shim.
[[noreturn]] void ExecDatabase(const Options& o, wire::Mode mode, pid_t shim, wire::StartKind kind,
                               int fail_fd, int null, int log) {
  auto fail = [&](wire::Code code, int error) {
    StartFailure f{code, error};
    if (write(fail_fd, &f, sizeof f) < 0) _exit(126);
    _exit(127);
  };
  setsid();
  if (o.engine == Engine::kRabbitmq && mode == wire::Mode::kNamespace && !GiveProc())
    fail(wire::Code::kExec, errno);
  if (!BecomeDatabaseUser(o, mode, shim)) fail(wire::Code::kExec, errno);
  if (dup2(null, 0) < 0 || (log >= 0 && (dup2(log, 1) < 0 || dup2(log, 2) < 0)))
    fail(wire::Code::kExec, errno);
  // RabbitMQ makes its data directory itself.
  if (chdir(o.engine == Engine::kRabbitmq ? o.paths.parent : o.paths.data_dir) != 0)
    fail(wire::Code::kExec, errno);
  struct stat st;
  if (o.engine == Engine::kPostgresql && kind == wire::StartKind::kStandby &&
      stat("standby.signal", &st) != 0)
    fail(wire::Code::kNoStandbySignal, errno);
  const char* argv[kMaxArgs] = {};
  const char* program = "/rabbitmq-server";
  if (o.engine == Engine::kRedis) {
    RedisArguments(o, argv);
    program = "/redis-server";
  } else if (o.engine == Engine::kPostgresql) {
    PostgresArguments(o, kind, argv);
    program = "/postgres";
  }
  char path[1100];
  Text(path, sizeof path).Add(o.bin_dir).Add(program);
  argv[0] = path;  // it looks for its files beside itself, not beside another version in PATH
  execve(path, const_cast<char* const*>(argv), const_cast<char* const*>(o.env));
  fail(wire::Code::kExec, errno);
  _exit(127);
}

}  // namespace

void Shim::StartDatabase(int peer, uint32_t seq, const wire::Start& request) {
  using wire::Code;
  const wire::Started none{db_.starts, 0, 0, 0};
  auto refuse = [&](Code code, int error = 0) {
    wire::Started s = none;
    s.detail = error;
    Reply(peer, seq, code, &s, sizeof s);
  };
  const int64_t now = BootNow();
  // It knows one way to start these: Redis closed, RabbitMQ without a deadline.
  if (options_->engine != Engine::kPostgresql && request.kind != wire::StartKind::kStandby)
    return refuse(Code::kNotAllowed);
  if (fencing_ || deadline_.Due(now)) return refuse(Code::kFencing);
  if (terminating_) return refuse(Code::kTerminating);
  if (Running() || killing_) return refuse(Code::kRunning);
  if (tool_.id != 0 && tool_.spec->needs_stopped) return refuse(Code::kBusy);
  if (request.expect_starts != wire::kAnyStart && request.expect_starts != db_.starts)
    return refuse(Code::kStale);
  if (request.kind == wire::StartKind::kPrimary && !deadline_.Permits(request.epoch, now))
    return refuse(Code::kNotArmed);
  int fds[2];
  if (pipe2(fds, O_CLOEXEC) != 0) return refuse(Code::kExec, errno);
  const pid_t self = getpid();
  const pid_t pid = fork();
  if (pid == 0) ExecDatabase(*options_, mode_, self, request.kind, fds[1], null_, log_);
  const int error = errno;
  close(fds[1]);
  if (pid < 0) {
    close(fds[0]);
    return refuse(Code::kExec, error);
  }
  if (request.kind != wire::StartKind::kPrimary && deadline_.armed()) {
    deadline_.Clear();  // left over from an arm while nothing ran: it would kill a mere standby
    wire::ArmedEvent event{0, deadline_.epoch()};
    Push(wire::Verb::kArmed, &event, sizeof event);
  }
  Database next;
  next.pid = pid;
  next.pending = true;
  next.starts = db_.starts + 1;
  next.kind = request.kind;
  next.started_at = now;
  next.exec_fd = fds[0];
  next.starter = RefOf(peer);
  next.start_seq = seq;
  db_ = next;
  epoll_event event{EPOLLIN, {.u64 = Tag(Source::kExec)}};
  epoll_ctl(epoll_, EPOLL_CTL_ADD, fds[0], &event);
}

// The pipe closed (exec happened) or says why not. Never blocks: called when it is readable or the child is
// dead.
void Shim::ReadExecPipe() {
  if (db_.exec_fd < 0) return;
  StartFailure failure{wire::Code::kOk, 0};
  db_.failed = read(db_.exec_fd, &failure, sizeof failure) == static_cast<ssize_t>(sizeof failure);
  close(db_.exec_fd);
  db_.exec_fd = -1;
  db_.failure = failure.code;
  db_.failure_errno = failure.error;
  if (!db_.failed) AnswerStart();
}

void Shim::AnswerStart() {
  if (!Alive(db_.starter)) return;
  const wire::Started started{db_.starts, db_.failed ? 0 : db_.pid, db_.failure_errno, 0};
  if (!Reply(db_.starter.index, db_.start_seq, db_.failure, &started, sizeof started))
    Drop(db_.starter.index);
}

wire::Code Shim::SignalDatabase(const wire::Signal& request) {
  if (db_.pid == 0) return wire::Code::kNotRunning;
  if (request.expect_starts != wire::kAnyStart && request.expect_starts != db_.starts)
    return wire::Code::kStale;
  // The main process is not reaped yet, so the number cannot belong to another process.
  const bool postgres = options_->engine == Engine::kPostgresql;
  switch (request.kind) {
    case wire::SignalKind::kFast:
      db_.stop_asked = true;
      // A second SIGINT would make redis-server end without saving.
      kill(db_.pid, postgres ? SIGINT : SIGTERM);
      break;
    case wire::SignalKind::kImmediate:
      db_.stop_asked = true;
      kill(db_.pid, postgres ? SIGQUIT : SIGKILL);
      break;
    case wire::SignalKind::kReload:
      if (!postgres) return wire::Code::kNotAllowed;
      kill(db_.pid, SIGHUP);
      break;
    default:
      return wire::Code::kNotAllowed;
  }
  return wire::Code::kOk;
}

void Shim::KillEverything(wire::Cause cause) {
  KillAll(mode_);
  if (db_.pid != 0) db_.cause = cause;
  if (tool_.id != 0 && tool_.end == wire::ToolEnd::kExited && tool_.pid != 0)
    tool_.end = wire::ToolEnd::kKilledWithDatabase;
  killing_ = true;
  kill_again_ = BootNow() + kKillAgain;
}

void Shim::Reap() {
  bool empty = false;
  for (int i = 0; i < kReapsPerTurn; ++i) {
    int status = 0;
    const pid_t pid = waitpid(-1, &status, WNOHANG);
    if (pid == 0) break;
    if (pid < 0) {
      empty = errno == ECHILD;
      break;
    }
    if (pid == db_.pid) {
      ReadExecPipe();
      db_.pid = 0;
      db_.status = status;
      db_.exited_at = BootNow();
    } else if (pid == tool_.pid) {
      tool_.pid = 0;
      tool_.status = status;
      tool_.active_at = BootNow();
    }
    if (i == kReapsPerTurn - 1) kill_again_ = 0;  // more may wait: come back at once
  }
  if (empty) return Finish(BootNow());
  if (killing_) return;
  // What a dead postmaster leaves behind may still acknowledge to its clients, for more than a second: end
  // it. The same for what a finished tool left.
  if (db_.pending && db_.pid == 0) return KillEverything(db_.cause);
  if (!db_.pending && tool_.id == 0) KillEverything(wire::Cause::kKill);
}

void Shim::ReportExit(int64_t now) {
  db_.pending = false;
  deadline_.Clear();  // nothing is left that it could kill
  if (db_.failed) return AnswerStart();
  wire::Cause cause = db_.cause;
  if (cause == wire::Cause::kUnasked && db_.stop_asked) cause = wire::Cause::kSignal;
  last_exit_ = wire::ExitedEvent{db_.starts, cause, db_.status, 0, db_.exited_at, now};
  Push(wire::Verb::kExited, &last_exit_, sizeof last_exit_);
}

// No child is left.
void Shim::Finish(int64_t now) {
  if (fencing_ && !NoStrangers(mode_, *options_)) return;  // kill_again_ comes back to it
  const bool fenced = fencing_;
  killing_ = false;
  fencing_ = false;
  kill_again_ = kNever;
  if (db_.pending) {
    // A primary that its agent stopped: the agent may now ask where the log ends, which makes the handover
    // short.
    if (terminating_ && !stop_sent_ && !fenced && db_.stop_asked && deadline_.armed())
      leave_at_ = now + kLastQuestion;
    ReportExit(now);
  }
  if (fenced) {
    deadline_.Clear();
    fence_.empty_at = now;
    if (now - fence_.killed_at > max_emptying_) max_emptying_ = now - fence_.killed_at;
    Push(wire::Verb::kFenced, &fence_, sizeof fence_);
  }
  for (int i = 0; i < kMaxPeers; ++i) {
    if (peers_[i].fd < 0 || !peers_[i].kill_waits) continue;
    peers_[i].kill_waits = false;
    if (!Reply(i, peers_[i].kill_seq, wire::Code::kOk)) Drop(i);
  }
  if (terminating_ && tool_.id == 0 && now >= leave_at_) done_ = true;
}

}  // namespace mainstay::shimd
