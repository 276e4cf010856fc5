// mainstay-shim's one object: the loop, its clients, the database, the running tool. One thread, no
// allocation.
//
// Each turn of the loop serves the deadline first, by looking at the clock and not at which event woke it,
// and gives every client a bounded number of frames: nothing that a client does can hold up the kill
// (test/integration/shim). The kill path (ServeDeadline -> KillAll -> Reap -> Finish) makes no file access
// but /proc, writes no log, allocates nothing.
#ifndef MAINSTAY_AGENT_SHIM_SHIM_H_
#define MAINSTAY_AGENT_SHIM_SHIM_H_

#include <sys/types.h>

#include "agent/shim/deadline.h"
#include "agent/shim/logs.h"
#include "agent/shim/options.h"
#include "lib/shim/wire.h"

namespace mainstay::shimd {

namespace wire = shim::wire;

inline constexpr int kMaxPeers = 8;
inline constexpr int kFramesPerTurn = 4;  // of one client
inline constexpr int kFrameBudget = 64;   // of one client per kBudgetPeriod; more is left unread until then
inline constexpr int64_t kBudgetPeriod = 50 * kMilli;

// A client, as long as its connection lives. `gen` tells it from an earlier one in the same slot.
struct Peer {
  int fd = -1;
  uint16_t gen = 0;
  bool hello = false;
  bool subscribed = false;
  bool wants_out = false;  // its tool output did not fit: wait for writability
  bool wants_log = false;  // the same for the database's log
  int budget = 0;
  uint32_t kill_seq = 0;  // kKill to be answered when nothing is left
  bool kill_waits = false;
  uint32_t interest = 0;  // of epoll
};

struct PeerRef {
  int index = -1;
  uint16_t gen = 0;
};

struct Database {
  pid_t pid = 0;         // main process, 0: reaped or never started
  bool pending = false;  // started and its end not yet reported
  uint32_t starts = 0;
  wire::StartKind kind = wire::StartKind::kStandby;
  int64_t started_at = 0;
  int exec_fd = -1;  // closes when exec happened; carries a StartFailure otherwise
  PeerRef starter;
  uint32_t start_seq = 0;
  bool failed = false;  // exec failed: its end is not an event; the starter is answered then, so that it may
                        // try again at once
  wire::Code failure = wire::Code::kOk;
  int32_t failure_errno = 0;
  bool stop_asked = false;
  wire::Cause cause = wire::Cause::kUnasked;
  int status = 0;
  int64_t exited_at = 0;
};

struct ToolRun {
  uint32_t id = 0;  // 0: none runs
  const ToolSpec* spec = nullptr;
  pid_t pid = 0;  // 0: reaped
  pid_t group = 0;
  int status = 0;
  int64_t active_at = 0;           // reaped, or its output last read
  int fd[2] = {-1, -1};            // stdout, stderr
  bool armed[2] = {false, false};  // in epoll for reading
  PeerRef owner;
  bool keep = false;
  int64_t deadline = kNever;
  int64_t kill_at = kNever;
  wire::ToolEnd end = wire::ToolEnd::kExited;
  size_t chunk_size = 0;  // output that did not fit into the owner's socket
};

class Shim {
 public:
  // Serves until told to end; returns the exit status. `options` must outlive it.
  int Run(const Options& options, wire::Mode mode, uint32_t protection_flags);

 private:
  // loop.cc
  void SetUp();
  void Turn();
  void UpdateTimer();
  void ServeDeadline(int64_t now);
  void ServeTimes(int64_t now);
  void ServeSignals();
  void Terminate(int64_t now);
  void ServeEvent(uint64_t tag, uint32_t events);

  // database.cc
  void StartDatabase(int peer, uint32_t seq, const wire::Start& request);
  void ReadExecPipe();
  void AnswerStart();
  wire::Code SignalDatabase(const wire::Signal& request);
  void KillEverything(wire::Cause cause);
  void Reap();
  void Finish(int64_t now);
  void ReportExit(int64_t now);
  bool Running() const { return db_.pending; }

  // toolrun.cc
  void StartTool(int peer, uint32_t seq, const char* payload, size_t size);
  wire::Code CancelTool(uint32_t id);
  void EndTool(wire::ToolEnd why, int64_t now);
  void ReadTool(int stream);
  bool FlushTool();
  void CloseToolStream(int stream);
  void MaybeFinishTool(int64_t now);
  void WatchTool(bool on);

  // logs.cc
  void OpenLog();
  void WatchLog(bool on);
  void ReadLog();
  void FlushLog();
  void ServeLogTime(int64_t now);
  void GoOnWithLog();
  bool MayWait();
  bool DispatchReadLog(int index, uint32_t seq);
  void LogReaderGone();
  void CloseLog();
  void SayOnError(const char* text);

  // server.cc
  void Listen();
  void Accept();
  void ServePeer(int index);
  bool Dispatch(int index, const wire::Header& header, const char* payload);
  bool DispatchState(int index, uint32_t seq);
  bool DispatchArm(int index, const wire::Header& header, const char* payload);
  bool DispatchDisarm(int index, const wire::Header& header, const char* payload);
  bool DispatchKill(int index, const wire::Header& header, const char* payload);
  void FillState(wire::State* out) const;
  bool Reply(int index, uint32_t seq, wire::Code code, const void* payload = nullptr, size_t size = 0);
  void Push(wire::Verb verb, const void* payload, size_t size, int except = -1);
  // 1 sent, 0 would block, -1 broken.
  int Send(int index, const wire::Header& header, const void* payload);
  void Drop(int index);
  void SetInterest(int index);
  bool Alive(PeerRef ref) const {
    return ref.index >= 0 && peers_[ref.index].fd >= 0 && peers_[ref.index].gen == ref.gen;
  }
  PeerRef RefOf(int index) const { return PeerRef{index, peers_[index].gen}; }

  const Options* options_ = nullptr;
  wire::Mode mode_ = wire::Mode::kContainer;
  uint32_t protection_ = 0;
  uint64_t nonce_ = 0;
  int epoll_ = -1, timer_ = -1, signals_ = -1, listener_ = -1, log_ = -1, null_ = -1;
  int64_t timer_set_ = kNever;

  Deadline deadline_{0};
  bool fencing_ = false;
  bool killing_ = false;  // kill again until nothing is left
  int64_t kill_again_ = kNever;
  wire::FencedEvent fence_{};  // the one going on, or the last
  uint32_t fences_ = 0;
  int64_t max_lateness_ = 0, max_emptying_ = 0;
  wire::ExitedEvent last_exit_{};

  Database db_;
  ToolRun tool_;
  uint32_t tool_ids_ = 0;
  wire::ToolDone last_tool_{};
  char tool_chunk_[wire::kMaxPayload];

  Peer peers_[kMaxPeers];
  int64_t refill_at_ = kNever;
  char frame_[sizeof(wire::Header) + wire::kMaxPayload + 1];

  // The database's output: `log_` is its end of the pipe (or the file of --log), log_pipe_ ours.
  LogRing ring_;
  int log_pipe_ = -1;
  bool log_watched_ = false;
  int64_t log_read_at_ = 0, log_again_ = kNever, log_wait_ = kLogPause;
  int log_high_ = 0, log_unread_ = 0;
  PeerRef log_reader_;
  ErrorOutput error_output_ = ErrorOutput::kNone;

  bool terminating_ = false, stop_sent_ = false, done_ = false;
  int64_t stop_at_ = kNever, kill_at_ = kNever;
  int64_t leave_at_ = 0;  // terminating, nothing left: how long an agent may still ask for pg_controldata
};

// How the loop tells its file descriptors apart in epoll's 64 bits.
enum class Source : uint8_t { kTimer, kSignals, kListener, kPeer, kExec, kTool, kLog };
inline uint64_t Tag(Source s, int index = 0, uint16_t gen = 0) {
  return static_cast<uint64_t>(s) | static_cast<uint64_t>(index) << 8 | static_cast<uint64_t>(gen) << 32;
}

}  // namespace mainstay::shimd

#endif  // MAINSTAY_AGENT_SHIM_SHIM_H_
