// The frames between mainstay-shim and its clients (the agent): what is sent over the unix SOCK_SEQPACKET
// socket.
//
// One packet is one frame: a Header and at most kMaxPayload bytes. All numbers are in the machine's own byte
// order (both ends share a kernel); times are CLOCK_BOOTTIME nanoseconds. A request carries a sequence number
// that its one kReply repeats. After a kSubscribe the shim also pushes events (sequence 0). Anything that
// does not parse closes the connection.
//
// Header-only, no allocation, no exceptions, nothing but the C library's headers: the shim compiles it too.
// Thread rules: plain functions on plain memory.
#ifndef MAINSTAY_LIB_SHIM_WIRE_H_
#define MAINSTAY_LIB_SHIM_WIRE_H_

#include <stddef.h>
#include <stdint.h>
#include <string.h>

namespace mainstay::shim::wire {

inline constexpr uint32_t kMagic = 0x3148534dU;  // "MSH1"
inline constexpr uint8_t kProtocol =
    1;  // both ends must have the same; the shim's answer to kHello tells its own
inline constexpr size_t kMaxPayload = 8192;

enum class Verb : uint8_t {
  // Requests. Each is answered by exactly one kReply (kRunTool: kReply when it runs, then kToolOutput...,
  // then kToolDone).
  kHello = 1,       // Hello -> reply payload Welcome; must be the first
  kState = 2,       // no payload -> reply payload State
  kArm = 3,         // Arm: set or extend the deadline
  kStart = 4,       // Start -> reply payload Started, once exec happened or failed
  kSignal = 5,      // Signal: to the database's main process
  kKill = 6,        // Kill: SIGKILL everything; the reply comes when nothing is left
  kRunTool = 7,     // RunTool + strings -> reply payload ToolStarted
  kCancelTool = 8,  // CancelTool
  kSubscribe = 9,   // no payload: from now on push events
  kReadLog = 10,    // no payload: from now on push the database's output, to this client alone
  kDisarm = 11,     // Disarm: the database writes no more but goes on; only for engines that can
  // Answers and events.
  kReply = 128,
  kArmed = 129,        // event: ArmedEvent
  kExited = 130,       // event: ExitedEvent
  kFenced = 131,       // event: FencedEvent
  kTerminating = 132,  // event: Terminating; the shim was asked to end (SIGTERM)
  kToolOutput = 133,   // ToolOutput + bytes, to the tool's owner
  kToolDone = 134,     // ToolDone, to the tool's owner
  kLogChunk = 135,     // LogChunk + bytes, to the client that reads the log
};

// Why a request was refused. Every value has its sentence in ToString.
enum class Code : uint32_t {
  kOk = 0,
  kVersion = 1,     // other protocol version
  kShorter = 2,     // a deadline may only be extended
  kEpoch = 3,       // the epoch is lower than one seen before
  kLate = 4,        // the deadline is in the past already
  kClock = 5,       // the sender's clock or units do not fit: sent in the future, until - sent != remaining,
                    // beyond the horizon
  kFencing = 6,     // the deadline passed; everything is being killed
  kRunning = 7,     // refused while database processes exist
  kNotRunning = 8,  // there is no database process
  kNotArmed = 9,    // starting as a primary needs an armed deadline of the same epoch
  kNoStandbySignal = 10,  // starting as a standby needs standby.signal in the data directory
  kBusy = 11,             // another tool runs
  kNotAllowed = 12,       // tool, option or path not on the allow-list; detail = index of the argument
  kStale = 13,            // the start counter is not the expected one
  kExec = 14,             // fork, exec or a directory failed; detail = errno
  kTerminating = 15,      // the shim is ending
  kNoTool = 16,           // that tool does not run
  kNoLog = 17,            // the database writes its log to a file (--log)
};

inline const char* ToString(Code c) {
  switch (c) {
    case Code::kOk:
      return "ok";
    case Code::kVersion:
      return "the shim speaks another protocol version: use the same release for both containers";
    case Code::kShorter:
      return "the deadline may only be extended";
    case Code::kEpoch:
      return "the epoch is lower than one the shim has seen";
    case Code::kLate:
      return "the deadline is in the past";
    case Code::kClock:
      return "the sender's clock or units differ from the shim's, or the deadline is beyond the horizon";
    case Code::kFencing:
      return "the deadline passed and everything is being killed";
    case Code::kRunning:
      return "database processes are running";
    case Code::kNotRunning:
      return "no database process is running";
    case Code::kNotArmed:
      return "a start as primary needs an armed deadline of the same epoch";
    case Code::kNoStandbySignal:
      return "a start as standby needs standby.signal in the data directory";
    case Code::kBusy:
      return "another tool is running";
    case Code::kNotAllowed:
      return "the tool, its option or its path is not on the allow-list";
    case Code::kStale:
      return "the database was started anew since";
    case Code::kExec:
      return "the program could not be started";
    case Code::kTerminating:
      return "the shim is ending";
    case Code::kNoTool:
      return "that tool is not running";
    case Code::kNoLog:
      return "the database writes its log to a file (the shim's --log)";
  }
  return "unknown code";
}

struct Header {
  uint32_t magic;
  uint8_t version;
  Verb verb;
  uint16_t length;  // of the payload
  uint32_t seq;     // of the request; 0 in events
  Code code;        // in kReply; 0 otherwise
};
static_assert(sizeof(Header) == 16);

struct Hello {
  uint32_t version;
  uint32_t pad;
};
struct Welcome {
  uint64_t nonce;    // drawn when the shim started: another nonce is another shim (and no database of the old
                     // one lives)
  uint32_t version;  // the shim's protocol version
  uint32_t starts;   // how often it started the database
};

// A deadline: at `until` everything is killed. The three times are redundant on purpose: units and clocks are
// checked.
struct Arm {
  int64_t until;  // CLOCK_BOOTTIME ns
  int64_t epoch;
  int64_t sent;       // CLOCK_BOOTTIME ns when the sender wrote this
  int64_t remaining;  // until - sent, in ns
};

// The agent saw the database give up writing (Redis: a replica of nobody): the deadline that was to end that
// is over. Refused (kEpoch) unless `epoch` is the one that was armed, so that a late request of an earlier
// reign cannot take away the next one's fence.
struct Disarm {
  int64_t epoch;
};

enum class StartKind : uint32_t {
  kStandby = 1,  // needs standby.signal; clears a deadline left over while nothing ran
  kPrimary =
      2,  // needs an armed deadline with the same epoch: a former primary opened again under its own lease
  kIsolated = 3,  // writable but unreachable (listen_addresses = '', private socket directory): to set up a
                  // new cluster
};
struct Start {
  StartKind kind;
  uint32_t expect_starts;  // refused (kStale) unless it is the start counter; kAnyStart: do not check
  int64_t epoch;           // kPrimary only
};
inline constexpr uint32_t kAnyStart = 0xffffffffU;
struct Started {
  uint32_t starts;  // the new start counter
  int32_t pid;      // in the shim's PID namespace
  int32_t detail;   // errno when code is kExec
  uint32_t pad;
};

enum class SignalKind : uint32_t {
  kFast = 1,       // SIGINT: disconnect clients, clean shutdown
  kImmediate = 2,  // SIGQUIT: abandon
  kReload = 3,     // SIGHUP
};
struct Signal {
  SignalKind kind;
  uint32_t expect_starts;
};
struct Kill {
  uint32_t expect_starts;
  uint32_t pad;
};

enum class Tool : uint8_t {
  kInitdb = 1,
  kBasebackup = 2,
  kRewind = 3,
  kControldata = 4,
  kWaldump = 5,
  kChecksums = 6,
  kPostgresC = 7,  // postgres -D dir -C name
  kVerifybackup = 8,
  // Directory work by the shim itself, as the database's user, in a process of its own (a hung disk never
  // blocks the shim).
  kSwapData = 32,     // args: NEW: <data> and NEW change places atomically, then the old one becomes
                      // <data>.old-<unix seconds>
  kRemoveStale = 33,  // args: DIR: remove the tree DIR, a sibling of the data directory named <data>.<suffix>
};
enum ToolFlags : uint8_t {
  kKeepRunning =
      1,  // goes on when the client disconnects (its end stays visible in State); otherwise it is killed then
};
inline constexpr size_t kMaxToolArgs = 48;
// Followed by `argc` + 1 strings, each ended by a NUL: the path for PGPASSFILE ("" = none), then the
// arguments.
struct RunTool {
  Tool tool;
  uint8_t flags;
  uint16_t argc;
  uint32_t pad;
  int64_t deadline;  // CLOCK_BOOTTIME ns: the tool is killed then
};
struct ToolStarted {
  uint32_t id;     // of this run; rises
  int32_t detail;  // kExec: errno; kNotAllowed: index of the argument, -1 the tool itself, -2 the passfile
};
struct CancelTool {
  uint32_t id;  // 0: whichever runs
  uint32_t pad;
};
struct ToolOutput {  // followed by the bytes
  uint32_t id;
  uint32_t stream;  // 1 stdout, 2 stderr
};
inline constexpr size_t kMaxToolChunk = kMaxPayload - sizeof(ToolOutput);
enum class ToolEnd : uint32_t {
  kExited = 0,
  kCancelled = 1,
  kDeadline = 2,
  kKilledWithDatabase = 3,
  kOwnerGone = 4
};
struct ToolDone {
  uint32_t id;
  ToolEnd end;
  int32_t wait_status;  // as waitpid(2)
  uint32_t pad;
};

// What the database (and whatever it started) wrote to standard output and error, in the order of the pipe
// and cut anywhere. Followed by the bytes, which may be none.
struct LogChunk {
  uint64_t lost_bytes;  // what had to be dropped directly before these bytes
  uint32_t lost_lines;  // line breaks in it
  uint32_t stream;      // LogStream
};
enum LogStream : uint32_t {
  kOutput = 1,  // standard output and error
};
inline constexpr size_t kMaxLogChunk = kMaxPayload - sizeof(LogChunk);

enum class Cause : uint32_t {
  kUnasked = 0,  // nobody asked: a crash (or a stop by hand)
  kSignal = 1,   // after kFast or kImmediate
  kKill = 2,     // after kKill
  kFence = 3,    // the deadline
  kTerm = 4,     // the shim was told to end
};
struct ArmedEvent {
  int64_t until;
  int64_t epoch;
};
// Pushed when the main process ended and no process at all is left: from then on nothing of it can
// acknowledge anything.
struct ExitedEvent {
  uint32_t starts;
  Cause cause;
  int32_t wait_status;  // of the main process
  uint32_t pad;
  int64_t exited_at;  // main process reaped
  int64_t empty_at;   // last process reaped
};
// Pushed when everything is dead after a deadline (after the kExited, if a database ran).
struct FencedEvent {
  int64_t deadline;
  int64_t epoch;
  int64_t killed_at;  // just after the first SIGKILL of all
  int64_t empty_at;
};
struct Terminating {
  int64_t stop_at;  // when the shim itself asks the database for a fast shutdown
  int64_t kill_at;  // when it kills
};

enum class Mode : uint8_t { kContainer = 1, kNamespace = 2, kSession = 3 };
enum class Phase : uint8_t {
  kIdle = 0,      // no database process
  kStarting = 1,  // forked, exec not yet seen
  kRunning = 2,   // main process lives
  kEmptying = 3,  // main process ended or kill was sent; some processes are left
};
enum StateFlags : uint32_t {
  kLocked = 1,        // mlockall succeeded
  kRealtime = 2,      // SCHED_FIFO
  kOomProtected = 4,  // oom_score_adj was lowered
  kStopAsked = 8,     // a fast or immediate shutdown was asked for
  kIsTerminating = 16,
};
struct State {
  uint64_t nonce;
  int64_t now;         // the shim's CLOCK_BOOTTIME when it answered
  int64_t until;       // armed deadline, 0 when none
  int64_t epoch;       // highest epoch seen
  int64_t started_at;  // last start of the database, 0 never
  uint32_t starts;
  int32_t pid;  // main process, 0 none
  Phase phase;
  Mode mode;
  uint16_t pad1;
  StartKind kind;         // of the last start
  uint32_t flags;         // StateFlags
  uint32_t tool_id;       // the running tool, 0 none
  uint32_t last_tool_id;  // the last one that ended
  ToolEnd last_tool_end;
  int32_t last_tool_status;
  uint32_t pad2;
  ExitedEvent last_exit;   // starts = 0: none yet
  FencedEvent last_fence;  // deadline = 0: none yet
  uint32_t fences;         // how often a deadline passed
  uint32_t clients;
  int64_t max_lateness;  // worst killed_at - deadline
  int64_t max_emptying;  // worst empty_at - killed_at
};
static_assert(sizeof(State) == 168 && sizeof(ExitedEvent) == 32 && sizeof(RunTool) == 16 &&
                  sizeof(LogChunk) == 16,
              "no hidden padding");

// ---- reading and writing; used by both ends and the fuzz target ----

inline Header MakeHeader(Verb verb, uint32_t seq, size_t length, Code code = Code::kOk) {
  return Header{kMagic, kProtocol, verb, static_cast<uint16_t>(length), seq, code};
}

// Checks a packet of `size` bytes. Returns false (and the connection must be closed) unless it is one whole
// frame.
inline bool ParseHeader(const void* data, size_t size, Header* out) {
  if (size < sizeof(Header) || size > sizeof(Header) + kMaxPayload) return false;
  memcpy(out, data, sizeof(Header));
  return out->magic == kMagic && out->length == size - sizeof(Header);
}

// The payload as T; false unless it has exactly the size of T.
template <typename T>
bool ParsePayload(const void* payload, size_t size, T* out) {
  if (size != sizeof(T)) return false;
  memcpy(out, payload, sizeof(T));
  return true;
}

struct ToolRequest {
  RunTool head;
  const char* passfile;                // "" none
  const char* args[kMaxToolArgs + 1];  // head.argc of them, then a null pointer; point into the payload
};
// False unless the payload is a RunTool with exactly argc + 1 strings and nothing behind them.
inline bool ParseRunTool(const char* payload, size_t size, ToolRequest* out) {
  if (size < sizeof(RunTool)) return false;
  memcpy(&out->head, payload, sizeof(RunTool));
  if (out->head.argc > kMaxToolArgs) return false;
  const char* at = payload + sizeof(RunTool);
  const char* end = payload + size;
  for (size_t i = 0; i <= out->head.argc; ++i) {
    if (at == end) return false;
    const void* nul = memchr(at, 0, static_cast<size_t>(end - at));
    if (nul == nullptr) return false;
    if (i == 0) {
      out->passfile = at;
    } else {
      out->args[i - 1] = at;
    }
    at = static_cast<const char*>(nul) + 1;
  }
  out->args[out->head.argc] = nullptr;
  return at == end;
}

// False unless the payload is a LogChunk and what it may be followed by.
inline bool ParseLogChunk(const char* payload, size_t size, LogChunk* head, const char** bytes,
                          size_t* count) {
  if (size < sizeof(LogChunk) || size > kMaxPayload) return false;
  memcpy(head, payload, sizeof(LogChunk));
  *bytes = payload + sizeof(LogChunk);
  *count = size - sizeof(LogChunk);
  return head->stream == kOutput && head->lost_lines <= head->lost_bytes;
}

}  // namespace mainstay::shim::wire

#endif  // MAINSTAY_LIB_SHIM_WIRE_H_
