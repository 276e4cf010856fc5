// Running one tool of the image at a time and streaming its output to the client that asked, as fast as that
// client reads.
#include <fcntl.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/shim/procs.h"
#include "agent/shim/shim.h"

namespace mainstay::shimd {
namespace {

constexpr int64_t kGrace = kSecond;            // SIGTERM to SIGKILL
constexpr int64_t kLastOutput = 200 * kMilli;  // after the end, for a pipe that somebody else holds open

// In the child.
[[noreturn]] void ExecTool(const Options& o, wire::Mode mode, pid_t shim, const ToolSpec& spec,
                           const wire::ToolRequest& request, int null, int out, int err) {
  setpgid(0, 0);
  if (dup2(null, 0) < 0 || dup2(out, 1) < 0 || dup2(err, 2) < 0) _exit(126);
  if (!BecomeDatabaseUser(o, mode, shim)) {
    Complain("cannot become the database's user");
    _exit(126);
  }
  if (spec.tool == wire::Tool::kSwapData) _exit(SwapData(o.paths, request.args[0]));
  if (spec.tool == wire::Tool::kRemoveStale) _exit(RemoveStale(o.paths, request.args[0]));
  if (chdir(o.paths.parent) != 0) {
    Complain("cannot enter ", o.paths.parent);
    _exit(126);
  }
  // By its whole name: PostgreSQL's programs look for their files beside themselves, and would find another
  // version's by a bare name that PATH has, too.
  char path[1100];
  Text(path, sizeof path).Add(o.bin_dir).Add("/").Add(spec.program);
  const char* argv[wire::kMaxToolArgs + 2] = {path};
  memcpy(argv + 1, request.args, sizeof(char*) * request.head.argc);
  argv[request.head.argc + 1] = nullptr;
  const char* env[kMaxEnv + 2];
  memcpy(env, o.env, sizeof(char*) * o.env_count);
  size_t n = o.env_count;
  char passfile[1100];
  if (request.passfile[0] != 0) {
    Text(passfile, sizeof passfile).Add("PGPASSFILE=").Add(request.passfile);
    env[n++] = passfile;
  }
  env[n] = nullptr;
  execve(path, const_cast<char* const*>(argv), const_cast<char* const*>(env));
  Complain("cannot execute ", path);
  _exit(127);
}

bool HasChildren() {
  siginfo_t info;
  return waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0;
}

bool MakePipe(int fds[2]) {
  if (pipe2(fds, O_CLOEXEC) != 0) return false;
  return fcntl(fds[0], F_SETFL, O_NONBLOCK) == 0;
}

}  // namespace

void Shim::StartTool(int peer, uint32_t seq, const char* payload, size_t size) {
  using wire::Code;
  wire::ToolRequest request;
  if (!wire::ParseRunTool(payload, size, &request)) return Drop(peer);
  auto refuse = [&](Code code, int detail = 0) {
    wire::ToolStarted s{tool_.id, detail};
    if (!Reply(peer, seq, code, &s, sizeof s)) Drop(peer);
  };
  const ToolSpec* spec = FindTool(request.head.tool);
  const bool foreign = options_->engine != Engine::kPostgresql && request.head.tool < wire::Tool::kSwapData;
  if (spec == nullptr || foreign) return refuse(Code::kNotAllowed, -1);
  if (request.passfile[0] != 0 && !CheckValue(Value::kPath, options_->paths, request.passfile))
    return refuse(Code::kNotAllowed, -2);
  const int bad = CheckArguments(*spec, options_->paths, request.args, request.head.argc);
  if (bad != kAllowed) return refuse(Code::kNotAllowed, bad);
  const int64_t now = BootNow();
  if (fencing_ || killing_ || deadline_.Due(now)) return refuse(Code::kFencing);
  if (terminating_ && (now >= leave_at_ || request.head.tool != wire::Tool::kControldata))
    return refuse(Code::kTerminating);
  if (tool_.id != 0) return refuse(Code::kBusy);
  if (spec->needs_stopped && Running()) return refuse(Code::kRunning);
  if (request.head.deadline <= now) return refuse(Code::kLate);
  int out[2], err[2];
  if (!MakePipe(out)) return refuse(Code::kExec, errno);
  if (!MakePipe(err)) {
    close(out[0]), close(out[1]);
    return refuse(Code::kExec, errno);
  }
  const pid_t self = getpid();
  const pid_t pid = fork();
  if (pid == 0) ExecTool(*options_, mode_, self, *spec, request, null_, out[1], err[1]);
  const int error = errno;
  close(out[1]), close(err[1]);
  if (pid < 0) {
    close(out[0]), close(err[0]);
    return refuse(Code::kExec, error);
  }
  setpgid(pid, pid);  // in both processes: whoever is first
  tool_ = ToolRun{};
  tool_.id = ++tool_ids_;
  tool_.spec = spec;
  tool_.pid = tool_.group = pid;
  tool_.fd[0] = out[0];
  tool_.fd[1] = err[0];
  tool_.owner = RefOf(peer);
  tool_.keep = (request.head.flags & wire::kKeepRunning) != 0;
  tool_.deadline = request.head.deadline;
  WatchTool(true);
  wire::ToolStarted started{tool_.id, 0};
  if (!Reply(peer, seq, Code::kOk, &started, sizeof started)) Drop(peer);
}

void Shim::WatchTool(bool on) {
  for (int i = 0; i < 2; ++i) {
    if (tool_.fd[i] < 0 || tool_.armed[i] == on) continue;
    epoll_event event{EPOLLIN, {.u64 = Tag(Source::kTool, i)}};
    epoll_ctl(epoll_, on ? EPOLL_CTL_ADD : EPOLL_CTL_DEL, tool_.fd[i], &event);
    tool_.armed[i] = on;
  }
}

void Shim::CloseToolStream(int i) {
  if (tool_.fd[i] < 0) return;
  close(tool_.fd[i]);  // leaves epoll with it
  tool_.fd[i] = -1;
  tool_.armed[i] = false;
}

// Sends output that waited for the owner to read. False: still waiting.
bool Shim::FlushTool() {
  if (tool_.chunk_size == 0) return true;
  if (Alive(tool_.owner)) {
    const int index = tool_.owner.index;
    const int sent = Send(index, wire::MakeHeader(wire::Verb::kToolOutput, 0, tool_.chunk_size), tool_chunk_);
    if (sent == 0) {
      peers_[index].wants_out = true;
      SetInterest(index);
      WatchTool(false);  // the tool waits as well: its pipe fills up
      return false;
    }
    peers_[index].wants_out = false;
    SetInterest(index);
    if (sent < 0) {
      tool_.chunk_size = 0;
      Drop(index);
      return true;
    }
  }
  tool_.chunk_size = 0;
  WatchTool(true);
  return true;
}

void Shim::ReadTool(int stream) {
  if (tool_.id == 0 || tool_.fd[stream] < 0 || tool_.chunk_size != 0) return;
  wire::ToolOutput head{tool_.id, static_cast<uint32_t>(stream + 1)};
  const ssize_t n = read(tool_.fd[stream], tool_chunk_ + sizeof head, wire::kMaxToolChunk);
  if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (n <= 0) return CloseToolStream(stream);
  tool_.active_at = BootNow();
  memcpy(tool_chunk_, &head, sizeof head);
  tool_.chunk_size = sizeof head + static_cast<size_t>(n);
  FlushTool();
}

wire::Code Shim::CancelTool(uint32_t id) {
  if (tool_.id == 0 || (id != 0 && id != tool_.id)) return wire::Code::kNoTool;
  EndTool(wire::ToolEnd::kCancelled, BootNow());
  return wire::Code::kOk;
}

// Asks the tool to end; ServeTimes kills it after the grace.
void Shim::EndTool(wire::ToolEnd why, int64_t now) {
  if (tool_.id == 0 || tool_.pid == 0 || tool_.kill_at != kNever) return;
  tool_.end = why;
  tool_.kill_at = now + kGrace;
  tool_.deadline = kNever;
  kill(-tool_.group, SIGTERM);
}

// Reports the end once the process is reaped and its output is through (or hopeless).
void Shim::MaybeFinishTool(int64_t now) {
  if (tool_.id == 0 || tool_.pid != 0) return;
  if (tool_.fd[0] >= 0 || tool_.fd[1] >= 0 || tool_.chunk_size != 0) {
    // An owner who does not read holds its tool's end back until the tool's own deadline.
    const bool overdue = now >= tool_.deadline || tool_.kill_at != kNever;
    if (!overdue && (tool_.chunk_size != 0 || now < tool_.active_at + kLastOutput)) return;
    // Silent for long enough, or we were not running ourselves: look once more before giving it up.
    for (int i = 0; i < 2; ++i) {
      if (tool_.chunk_size == 0) ReadTool(i);
    }
    if (!overdue && tool_.active_at >= now) return;
  }
  kill(-tool_.group, SIGKILL);  // what it left behind in its group
  if (!Running() && HasChildren()) {
    // What left the group dies too, and the end is told after that: so the client's next request finds
    // nothing in its way.
    if (!killing_) KillEverything(wire::Cause::kKill);
    return;
  }
  CloseToolStream(0);
  CloseToolStream(1);
  last_tool_ = wire::ToolDone{tool_.id, tool_.end, tool_.status, 0};
  const PeerRef owner = tool_.owner;
  tool_ = ToolRun{};
  leave_at_ = now;  // that was the last question
  if (!Alive(owner)) return;
  peers_[owner.index].wants_out = false;
  SetInterest(owner.index);
  if (Send(owner.index, wire::MakeHeader(wire::Verb::kToolDone, 0, sizeof last_tool_), &last_tool_) != 1)
    Drop(owner.index);
}

}  // namespace mainstay::shimd
