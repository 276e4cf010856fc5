// Operations and probes of the database, one at a time on the engine's worker, seen from the loop.
//
// - The core's operation supersedes one that runs: that is cancelled and its end is told to nobody.
// - Kill does not queue: when the worker is busy or hangs, the shim is told directly, past it.
// - A probe follows each `probe_interval`, after each operation, and whenever something happened (ProbeNow).
// - Every operation has a deadline by its kind. A job that ignores its deadline is answered for (ok = false),
// the worker
//   counts as stuck: probes are then judged as failed without it, so a hung database is still found out.
// - The end of the database that nobody asked for is told at once (kDead), also in the middle of an
// operation.
//
// Thread rules: loop only; the engine is called on the worker only (Cancel from the loop).
#ifndef MAINSTAY_AGENT_SIDECAR_ENGINE_RUNNER_H_
#define MAINSTAY_AGENT_SIDECAR_ENGINE_RUNNER_H_

#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "agent/sidecar/loop.h"
#include "agent/sidecar/ports.h"
#include "agent/sidecar/worker.h"
#include "lib/election/action.h"
#include "lib/election/event.h"
#include "lib/engine/engine.h"
#include "lib/health/tracker.h"

namespace mainstay::agent {

const char* ToString(election::EngineOp op);  // "promote"

// How long each kind of operation may take.
struct EngineDeadlines {
  Duration probe = std::chrono::seconds(1);
  Duration found = std::chrono::minutes(5);
  Duration follow = std::chrono::hours(6);  // a clone is part of it
  Duration freeze = std::chrono::seconds(1);
  Duration promote = std::chrono::seconds(10);
  Duration reopen = std::chrono::minutes(5);  // crash recovery is part of it
  Duration set_sync = std::chrono::seconds(2);
  Duration stop = std::chrono::seconds(10);
  Duration kill = std::chrono::seconds(2);
  Duration checkpoint = std::chrono::seconds(10);
  Duration remember = std::chrono::seconds(2);
  Duration Of(election::EngineOp op) const;
};

enum class EngineTask : uint8_t { kReload, kRestart, kReinit };  // of administrators

class EngineRunner {
 public:
  struct Options {
    EngineDeadlines deadlines;
    Duration probe_interval = std::chrono::milliseconds(500);
    health::Thresholds health;
  };
  struct Sink {
    std::function<void(election::DbReport)> report;
    std::function<void(election::EngineDone, Duration took)> done;
    std::function<void(Duration took)> probed;
  };
  EngineRunner(Loop* loop, Worker* worker, engine::Engine* engine, FencePort* fence, Options options,
               Sink sink);

  void Start();  // begins to probe
  void Stop();   // no more probes; what runs is cancelled
  void Do(election::Engine op, std::string cluster_id);
  // Waits for its turn behind the core's operations, at most kMaxTasks; a core's operation cancels it.
  void DoTask(EngineTask task, MonoTime deadline, std::function<void(absl::Status)> done);
  void ProbeNow();

  // From the fence.
  void OnExit(const DatabaseExit& exit);
  void OnShim(const ShimFacts& facts);

  void SetProbe(Duration interval, Duration timeout, Duration hung_after);
  bool stuck() const { return stuck_; }
  const election::DbReport& last() const { return last_; }
  static constexpr size_t kMaxTasks = 4;

 private:
  enum class Kind : uint8_t { kProbe, kOp, kTask };
  struct Job {
    Kind kind = Kind::kProbe;
    uint64_t serial = 0;
    election::Engine op;
    std::string cluster_id;
    EngineTask task = EngineTask::kReload;
    std::function<void(absl::Status)> task_done;
    MonoTime began;
    MonoTime deadline;
    bool superseded = false;  // cancelled, its end is told to nobody
    bool answered = false;
  };
  struct Outcome {
    election::DbReport report;
    election::EngineDone done;
    absl::Status status;
  };
  static Outcome Execute(engine::Engine* engine, const Job& job);
  static void ExecuteOp(engine::Engine* engine, const Job& job, Outcome* out);

  void Dispatch();
  void Launch(Job job);
  void Finished(uint64_t serial, Outcome outcome);
  void FinishedProbe(const Job& job, election::DbReport report);
  void FinishedOp(const Job& job, election::EngineDone done);
  void Overdue(uint64_t serial);
  void Supersede();
  void KeepCancelling();
  void KillPast();
  void BoundWait(const election::Engine& op);
  void TickProbe();
  void Judge(election::DbReport report, MonoTime ended);
  static bool ExpectsExit(const Job& job);
  static bool MayStart(const Job& job);
  void AnswerOp(const election::Engine& op, bool ok, std::string detail);

  Loop* const loop_;
  Worker* const worker_;
  engine::Engine* const engine_;
  FencePort* const fence_;
  Options options_;
  const Sink sink_;

  std::optional<Job> current_;
  std::optional<Job> next_op_;
  std::deque<Job> tasks_;
  uint64_t serial_ = 0;
  bool stopped_ = true;
  bool stuck_ = false;
  bool probe_due_ = false;
  TimerId overdue_ = 0;
  TimerId next_probe_ = 0;
  TimerId recancel_ = 0;
  uint64_t kill_serial_ = 0;  // of a Kill told to the shim directly

  health::Tracker tracker_;
  election::DbReport last_;
  ShimFacts shim_;
  bool gone_ =
      false;  // by the shim's word nothing of the database runs, and nothing was begun that starts it
};

}  // namespace mainstay::agent

#endif  // MAINSTAY_AGENT_SIDECAR_ENGINE_RUNNER_H_
