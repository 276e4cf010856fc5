// How the agent talks to mainstay-shim, the process that starts, kills and fences the database
// (docs/SHIM.md).
//
// Client     blocking calls, each with its own deadline: for the engine's worker.
// FenceLink  non-blocking: for the agent's event loop, which extends the deadline and gets the shim's events.
//
// Both connect (again) by themselves when needed; the first call after a lost connection may fail with
// kUnavailable. Times are MonoTime (CLOCK_BOOTTIME), the same clock in shim and agent. Errors (absl::Status,
// the shim's own sentence in the message):
//   kUnavailable        no shim there, or the connection broke: it is unknown whether the request was carried
//   out kDeadlineExceeded   no answer in time: unknown as well kFailedPrecondition refused because of the
//   present state (RefusalCode tells which rule) kInvalidArgument    not on the allow-list, or wrong units
//   kAborted            lost a race: lower epoch, another start, fencing
//   kCancelled          Cancel() was called
//   kInternal           exec failed
//
// Users and files. The shim runs as root or as the database's user; the database and all tools run as the
// database's user
// (--user). The agent must run as that same user (one machine: `postgres`; Kubernetes: one runAsUser for both
// containers), so what it writes below the data directory's parent (configuration, standby.signal, PGPASSFILE
// with mode 0600, Memory) is readable by the database, and what initdb and pg_basebackup create (mode 0700)
// is writable for the agent. The data directory must be a subdirectory of its volume (not the mount point),
// because it is swapped by rename:
//   <parent>/data                the data directory (--data-dir)
//   <parent>/data.<suffix>       where clones are built ("data.new") and old ones are kept ("data.old-<unix
//   seconds>") <parent>/...                 the agent's own files; every path in a tool's argument must be
//   below <parent>
#ifndef MAINSTAY_LIB_SHIM_CLIENT_H_
#define MAINSTAY_LIB_SHIM_CLIENT_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "lib/base/time.h"
#include "lib/shim/wire.h"

namespace mainstay::shim {

using Epoch = int64_t;  // election::Epoch; this room does not know the election
using wire::Cause;
using wire::Phase;
using wire::SignalKind;
using wire::StartKind;
using wire::Tool;
using wire::ToolEnd;

// The rule by which the shim refused, when `status` came from a refusal of the shim.
std::optional<wire::Code> RefusalCode(const absl::Status& status);

// ---- facts ----

// The database ended and no process of it is left. cause == kUnasked is the positive evidence of a crash.
struct Exited {
  uint32_t starts = 0;  // which start ended
  Cause cause = Cause::kUnasked;
  int wait_status = 0;  // of the main process, as waitpid(2)
  MonoTime exited_at;   // main process reaped
  MonoTime empty_at;    // last process reaped
  bool clean() const { return wait_status == 0; }
};
// A deadline passed and everything is dead.
struct Fenced {
  MonoTime deadline;
  Epoch epoch = 0;
  MonoTime killed_at;
  MonoTime empty_at;
};
// The shim holds this deadline now (the answer to Arm, also to other clients' Arms). `until` in the distant
// past: there is no deadline any more, because a standby was started (an Exited or Fenced ends it without
// this event).
struct Armed {
  MonoTime until;
  Epoch epoch = 0;
};
// The shim was told to end (container stop): at stop_at it asks for a fast shutdown, at kill_at it kills.
struct Terminating {
  MonoTime stop_at;
  MonoTime kill_at;
};

struct State {
  uint64_t nonce = 0;   // another nonce = another shim: the old database is gone
  uint32_t starts = 0;  // with nonce: identifies the running database (re-adoption)
  Phase phase = Phase::kIdle;
  StartKind kind = StartKind::kStandby;  // of the last start
  wire::Mode mode = wire::Mode::kContainer;
  int pid = 0;  // main process in the shim's PID namespace; 0 none
  MonoTime started_at;
  std::optional<Armed> armed;
  Epoch epoch = 0;       // highest seen
  uint32_t flags = 0;    // wire::StateFlags
  uint32_t tool_id = 0;  // running tool, 0 none
  uint32_t last_tool_id = 0;
  ToolEnd last_tool_end = ToolEnd::kExited;
  int last_tool_status = 0;
  std::optional<Exited> last_exit;
  std::optional<Fenced> last_fence;
  uint32_t fences = 0;
  Duration max_lateness{};  // worst first kill after a deadline
  Duration max_emptying{};  // worst time from that kill to the last process reaped

  bool running() const { return phase != Phase::kIdle; }
};

// ---- blocking ----

struct ToolRequest {
  Tool tool = Tool::kControldata;
  // Checked one by one by the shim (table in docs/SHIM.md). Long options as "--name=value" or "--name",
  // "value"; short ones separate ("-D", "/x"). No passwords: use `passfile`.
  std::vector<std::string> args;
  std::string passfile;  // PGPASSFILE; below the data directory's parent (or a --path of the shim)
  bool keep_running =
      false;  // pg_rewind: a half-done rewind destroys the directory, so it may outlive the agent
};
struct ToolResult {
  ToolEnd end = ToolEnd::kExited;
  int wait_status = 0;
  std::string out;  // the last kMaxToolText bytes of stdout
  std::string err;  // the last kMaxToolText bytes of stderr
  bool ok() const { return end == ToolEnd::kExited && wait_status == 0; }
  // "exit code 1", "signal 9", "cancelled", ... for messages.
  std::string Describe() const;
};
inline constexpr size_t kMaxToolText = 256 * 1024;
// Called with each piece of output while the tool runs (stream 1 stdout, 2 stderr), e.g. for pg_basebackup's
// progress.
using OutputFn = std::function<void(int stream, absl::string_view text)>;

// One thread at a time, except Cancel().
class Client {
 public:
  explicit Client(std::string socket_path);
  ~Client();
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  // Connects if not connected. Every other call does so too.
  absl::Status Connect(MonoTime deadline);

  absl::StatusOr<State> GetState(MonoTime deadline);

  // Sets or extends the fence's deadline. Usually FenceLink does that; here for tests and tools.
  absl::Status Arm(MonoTime until, Epoch epoch, MonoTime deadline);

  // Starts the database; returns the start counter once the program was executed (not: once it accepts
  // connections).
  //   kStandby   needs <data>/standby.signal
  //   kPrimary   needs an armed deadline of exactly `epoch`
  //   kIsolated  writable, but listens nowhere; socket only in the shim's --private-socket-dir (default: the
  //   data's parent)
  // Refused while a database runs, or a tool that needs the data directory for itself.
  absl::StatusOr<uint32_t> Start(StartKind kind, Epoch epoch, MonoTime deadline);

  // Signals the main process. `starts` from Start/GetState guards against hitting a newer database; nullopt:
  // any.
  absl::Status Signal(SignalKind kind, std::optional<uint32_t> starts, MonoTime deadline);

  // Fast shutdown; waits until no process is left. Not gone at `deadline`: kDeadlineExceeded, nothing is
  // killed (call Kill). OK with the Exited of that start; a database that does not run gives its last Exited
  // (or starts = 0).
  absl::StatusOr<Exited> Stop(MonoTime deadline);

  // The database gave up writing and goes on as a standby (the caller saw it): the deadline armed under
  // `epoch` is over. kFailedPrecondition: an engine that cannot do that. kAborted: armed under another epoch.
  absl::Status Disarm(Epoch epoch, MonoTime deadline);

  // SIGKILL to everything (tools too), waits until nothing is left. OK when there was nothing.
  absl::Status Kill(MonoTime deadline);

  // Waits until start `starts` has ended.
  absl::StatusOr<Exited> WaitExit(uint32_t starts, MonoTime deadline);

  // Runs one tool of the database's image and waits for it. The tool is ended at `deadline` or on Cancel()
  // (SIGTERM, a second later SIGKILL; the call may take 2.5 s past `deadline` to see that). A tool that
  // failed is not an error of the call: look at the result. While a database's main process ends, every
  // running tool is killed too (kKilledWithDatabase): try again.
  absl::StatusOr<ToolResult> RunTool(const ToolRequest& request, const OutputFn& on_output,
                                     MonoTime deadline);

  // `new_dir` (absolute, <data>.<suffix>) becomes the data directory, atomically and fsynced; the old one, if
  // any, is kept as <data>.old-<unix seconds>, whose path is returned ("" when there was none). Only while no
  // database runs.
  absl::StatusOr<std::string> SwapDataDir(const std::string& new_dir, MonoTime deadline);
  // Removes the tree `dir` (absolute, <data>.<suffix>, never <data> itself). OK when it is not there.
  absl::Status RemoveStale(const std::string& dir, MonoTime deadline);

  // Any thread: the running call, and every later one until ClearCancel(), returns kCancelled (a tool is
  // killed).
  void Cancel();
  void ClearCancel();

  // Of the last successful Connect. 0: never connected.
  uint64_t nonce() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

// ---- the agent's loop ----

struct Refused {  // the answer to an Arm that the shim refused
  MonoTime until;
  Epoch epoch = 0;
  wire::Code code = wire::Code::kOk;
};
struct Connected {
  State state;
};  // (re)connected: what runs there now. The first event of each connection.
struct Disconnected {
  std::string why;
};  // the fence's state is unknown from here on; the shim still holds its deadline
// After Disconnected, once: nobody listens at the socket any more, so the shim that was connected has ended.
// Where it was PID 1 of its namespace (`namespaced`) the kernel ends every process of its database with it
// (pid_namespaces(7)); told as the kernel begins to, a moment before the last one is gone.
struct Ended {
  bool namespaced = false;
};
using FenceEvent = std::variant<Connected, Disconnected, Armed, Refused, Exited, Fenced, Terminating, Ended>;

// Never blocks: a unix socket that is full counts as a lost connection. One thread.
// Use: watch fd() for reading; call OnReadable() when readable and, while fd() is -1, at next_try(): every
// 200 ms, and more often just after a loss, to see whether the shim ended. fd() may change after either call,
// -1 = not connected.
class FenceLink {
 public:
  explicit FenceLink(std::string socket_path, const Clock& clock = BootClock());
  ~FenceLink();
  FenceLink(const FenceLink&) = delete;
  FenceLink& operator=(const FenceLink&) = delete;

  int fd() const;
  MonoTime next_try() const;  // when OnReadable may connect again, while fd() is -1
  // Sends "kill everything at `until` unless extended". The confirmation is the Armed event with the same
  // values: only that permits promotion. Returns kUnavailable when it could not be sent.
  absl::Status Arm(MonoTime until, Epoch epoch);
  // Asks for a Connected event with fresh facts.
  absl::Status Refresh();
  std::vector<FenceEvent> OnReadable();

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace mainstay::shim

#endif  // MAINSTAY_LIB_SHIM_CLIENT_H_
