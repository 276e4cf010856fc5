#include "agent/sidecar/engine_runner.h"

#include <algorithm>
#include <utility>

#include "lib/base/log.h"
#include "lib/base/strings.h"

namespace mainstay::agent {

using election::DbReport;
using election::DbState;
using election::EngineDone;
using election::EngineOp;
using std::chrono::milliseconds;

EngineRunner::EngineRunner(Loop* loop, Worker* worker, engine::Engine* engine, FencePort* fence,
                           Options options, Sink sink)
    : loop_(loop),
      worker_(worker),
      engine_(engine),
      fence_(fence),
      options_(options),
      sink_(std::move(sink)),
      tracker_(options.health) {}

void EngineRunner::Start() {
  stopped_ = false;
  ProbeNow();
}

void EngineRunner::Stop() {
  stopped_ = true;
  probe_due_ = false;
  loop_->Cancel(next_probe_);
  next_op_.reset();
  tasks_.clear();
  Supersede();
}

void EngineRunner::SetProbe(Duration interval, Duration timeout, Duration hung_after) {
  options_.probe_interval = interval;
  options_.deadlines.probe = timeout;
  options_.health.interval = interval;
  options_.health.hung_after = hung_after;
  tracker_.set_thresholds(options_.health);
}

// ---- what is to be done ----

void EngineRunner::Do(election::Engine op, std::string cluster_id) {
  Job job;
  job.kind = Kind::kOp;
  job.op = std::move(op);
  job.cluster_id = std::move(cluster_id);
  next_op_ = std::move(job);
  if (current_.has_value()) {
    if (next_op_->op.op == EngineOp::kKill) KillPast();
    if (stuck_ && next_op_->op.op != EngineOp::kKill) {
      const election::Engine refused = std::exchange(next_op_, std::nullopt)->op;
      AnswerOp(refused, false, "the engine's thread hangs in an earlier operation");
      return;
    }
    const EngineOp wanted = next_op_->op.op;
    const bool patient =
        wanted == EngineOp::kRemember || wanted == EngineOp::kSetSync || wanted == EngineOp::kCheckpoint;
    // House-keeping never cuts off what an administrator asked for (a restart): it waits until that ends, by
    // its own deadline.
    if (current_->kind == Kind::kTask && patient) return;
    if (current_->kind == Kind::kProbe) {
      // Usually done in a few ms: worth waiting for. Not when the database hangs.
      const uint64_t serial = current_->serial;
      loop_->At(loop_->Now() + milliseconds(30), [this, serial] {
        if (current_.has_value() && current_->serial == serial) Supersede();
      });
    } else {
      Supersede();
    }
    BoundWait(next_op_->op);
  }
  Dispatch();
}

// What runs may ignore its cancellation: the one that waits for it is answered for as well.
void EngineRunner::BoundWait(const election::Engine& op) {
  const Duration patience = std::min<Duration>(options_.deadlines.Of(op.op), std::chrono::seconds(5));
  loop_->At(loop_->Now() + patience + std::chrono::seconds(1), [this, id = op.id] {
    if (!next_op_.has_value() || next_op_->op.id != id) return;
    const election::Engine refused = std::exchange(next_op_, std::nullopt)->op;
    if (current_.has_value()) stuck_ = true;
    AnswerOp(refused, false, "the engine's thread did not become free: an earlier operation hangs");
    TickProbe();
  });
}

void EngineRunner::DoTask(EngineTask task, MonoTime deadline, std::function<void(absl::Status)> done) {
  if (tasks_.size() >= kMaxTasks) {
    done(absl::ResourceExhaustedError("other requests wait for this database already: try again later"));
    return;
  }
  Job job;
  job.kind = Kind::kTask;
  job.task = task;
  job.deadline = deadline;
  job.task_done = std::move(done);
  tasks_.push_back(std::move(job));
  Dispatch();
}

void EngineRunner::ProbeNow() {
  if (stopped_) return;
  probe_due_ = true;
  Dispatch();
}

// Cancels what runs. Again and again until it returned: a Cancel that comes before the worker has begun is
// lost.
void EngineRunner::Supersede() {
  if (!current_.has_value() || current_->superseded) return;
  current_->superseded = true;
  if (current_->task_done) {
    std::exchange(current_->task_done,
                  nullptr)(absl::AbortedError("an operation of the election went first"));
  }
  KeepCancelling();
}

void EngineRunner::KeepCancelling() {
  loop_->Cancel(recancel_);
  recancel_ = 0;
  if (!current_.has_value() || !current_->superseded) return;
  engine_->Cancel();
  recancel_ = loop_->At(loop_->Now() + milliseconds(100), [this] { KeepCancelling(); });
}

// The worker is busy: nothing that it does may delay a kill. The engine's own Kill follows when the worker is
// free (what it did in between must not live on); when it does not become free in time, the shim's word is
// the answer.
void EngineRunner::KillPast() {
  const uint64_t id = next_op_->op.id;
  kill_serial_ = id;
  fence_->Kill(options_.deadlines.kill, [this, id](bool killed) {
    if (kill_serial_ != id || !next_op_.has_value() || next_op_->op.id != id) return;
    // Give the cancelled operation a moment to return.
    loop_->At(loop_->Now() + milliseconds(200), [this, id, killed] {
      if (!next_op_.has_value() || next_op_->op.id != id) return;
      const election::Engine op = std::exchange(next_op_, std::nullopt)->op;
      AnswerOp(
          op, killed,
          killed ? "killed by the shim; the engine's thread hangs" : "the shim did not confirm the kill");
    });
  });
}

void EngineRunner::AnswerOp(const election::Engine& op, bool ok, std::string detail) {
  EngineDone done;
  done.id = op.id;
  done.op = op.op;
  done.ok = ok;
  done.detail = std::move(detail);
  // Not from within Do: the core's Step that asked for it has to be over first.
  loop_->Post([this, done = std::move(done)] { sink_.done(done, Duration(0)); });
}

// ---- the worker's turn ----

void EngineRunner::Dispatch() {
  if (current_.has_value()) return;
  if (next_op_.has_value()) {
    Job job = *std::exchange(next_op_, std::nullopt);
    Duration bound = options_.deadlines.Of(job.op.op);
    // A standby that does not run is started first.
    if (job.op.op == EngineOp::kFreeze && last_.state != DbState::kRunning) bound = options_.deadlines.reopen;
    job.deadline = loop_->Now() + bound;
    Launch(std::move(job));
  } else if (!tasks_.empty()) {
    Job job = std::move(tasks_.front());
    tasks_.pop_front();
    if (loop_->Now() >= job.deadline) {
      job.task_done(absl::DeadlineExceededError("it was not begun in time: nothing was done"));
      Dispatch();
      return;
    }
    Launch(std::move(job));
  } else if (probe_due_ && !stopped_) {
    probe_due_ = false;
    Job job;
    job.deadline = loop_->Now() + options_.deadlines.probe;
    Launch(std::move(job));
  }
}

void EngineRunner::Launch(Job job) {
  job.serial = ++serial_;
  job.began = loop_->Now();
  loop_->Cancel(overdue_);
  overdue_ = loop_->At(job.deadline + std::max<Duration>(milliseconds(250), options_.deadlines.probe / 2),
                       [this, serial = job.serial] { Overdue(serial); });
  if (job.kind == Kind::kProbe) {
    loop_->Cancel(next_probe_);
    next_probe_ = loop_->At(job.began + options_.probe_interval, [this] { TickProbe(); });
  }
  current_ = job;
  current_->op.peers.clear();
  auto shared = std::make_shared<Job>(std::move(job));
  shared->task_done = nullptr;
  const bool queued = worker_->Run([this, shared] {
    auto outcome = std::make_shared<Outcome>(Execute(engine_, *shared));
    loop_->Post([this, serial = shared->serial, outcome] { Finished(serial, std::move(*outcome)); });
  });
  if (!queued) {
    loop_->Post([this, serial = shared->serial, op = shared->op] {
      Outcome outcome;
      outcome.status = absl::UnavailableError("the engine's thread is gone");
      outcome.done.id = op.id;
      outcome.done.op = op.op;
      outcome.done.detail = "the engine's thread is gone";
      Finished(serial, std::move(outcome));
    });
  }
}

// ---- what came of it ----

void EngineRunner::Finished(uint64_t serial, Outcome outcome) {
  if (!current_.has_value() || current_->serial != serial) return;
  Job job = *std::exchange(current_, std::nullopt);
  // The shim tells of ends, not of starts: a thread that hangs after this one must not pass for a stopped
  // database, or the lock would be given up beside one that writes.
  if (MayStart(job)) gone_ = false;
  loop_->Cancel(std::exchange(overdue_, 0));
  loop_->Cancel(std::exchange(recancel_, 0));
  if (stuck_) {
    stuck_ = false;
    Log(LogLevel::kWarn, "engine", "the engine's thread is back", {{"after", loop_->Now() - job.began}});
  }
  // The next operation goes first: what the core makes of this answer comes after it anyway.
  switch (job.kind) {
    case Kind::kProbe:
      if (!job.superseded && !job.answered) FinishedProbe(job, std::move(outcome.report));
      break;
    case Kind::kOp:
      if (!job.superseded && !job.answered) FinishedOp(job, std::move(outcome.done));
      probe_due_ = !stopped_;
      break;
    case Kind::kTask:
      if (job.task_done) job.task_done(outcome.status);
      tracker_.Reset();
      probe_due_ = !stopped_;
      break;
  }
  Dispatch();
}

void EngineRunner::FinishedProbe(const Job& job, DbReport report) {
  const MonoTime now = loop_->Now();
  report.at = job.began;
  // No answer says nothing of the standbys. "None streams" would take them out of the sync set, and then
  // nobody could take over from a database that hangs.
  const bool mute =
      report.verdict == election::Verdict::kUnknown || report.verdict == election::Verdict::kHung;
  if (mute && report.writable && last_.writable && report.standbys.empty()) report.standbys = last_.standbys;
  if (sink_.probed) sink_.probed(now - job.began);
  // The shim tells of ends, not of starts.
  if (report.state == DbState::kRunning || report.state == DbState::kStarting) gone_ = false;
  Judge(std::move(report), now);
}

void EngineRunner::Judge(DbReport report, MonoTime ended) {
  report.verdict = tracker_.Add({report.at, ended, report.state, report.verdict});
  // Engines tell of traffic while there is a stream; that it broke does not unmake what was seen of it.
  // Suspicion wants both lock and stream silent for S.
  report.stream_at = std::max(report.stream_at, last_.stream_at);
  last_ = report;
  sink_.report(std::move(report));
}

void EngineRunner::FinishedOp(const Job& job, EngineDone done) {
  const MonoTime now = loop_->Now();
  switch (job.op.op) {
    case EngineOp::kSetSync:
    case EngineOp::kCheckpoint:
      // A database that does not answer an operation was looked at, too.
      if (!done.ok && now >= job.deadline) {
        tracker_.Add({job.began, now, last_.state, election::Verdict::kUnknown});
      }
      break;
    case EngineOp::kRemember:
      break;
    default:
      tracker_.Reset();
      break;  // started, stopped or changed its role: judged afresh
  }
  sink_.done(std::move(done), now - job.began);
}

void EngineRunner::Overdue(uint64_t serial) {
  if (!current_.has_value() || current_->serial != serial || current_->answered) return;
  current_->answered = true;
  stuck_ = true;
  const char* what = current_->kind == Kind::kProbe ? "probe"
                     : current_->kind == Kind::kOp  ? ToString(current_->op.op)
                                                    : "request";
  Log(LogLevel::kError, "engine",
      "the engine's thread does not return: the database or its file system hangs",
      {{"in", what}, {"for", loop_->Now() - current_->began}});
  const bool told = current_->superseded;
  const Job job = *current_;
  if (current_->task_done) {
    std::exchange(current_->task_done,
                  nullptr)(absl::DeadlineExceededError("no end in time; it may still happen"));
  }
  Supersede();
  if (job.kind == Kind::kOp && !told)
    AnswerOp(job.op, false, "no end within its deadline; the engine's thread hangs");
  if (next_op_.has_value() && next_op_->op.op != EngineOp::kKill) {
    const election::Engine refused = std::exchange(next_op_, std::nullopt)->op;
    AnswerOp(refused, false, "the engine's thread hangs in an earlier operation");
  }
  TickProbe();
}

void EngineRunner::TickProbe() {
  if (stopped_) return;
  if (!stuck_) {
    ProbeNow();
    return;
  }
  loop_->Cancel(next_probe_);
  next_probe_ = loop_->At(loop_->Now() + options_.probe_interval, [this] { TickProbe(); });
  DbReport report = last_;
  const MonoTime now = loop_->Now();
  report.at = now;
  report.verdict = election::Verdict::kUnknown;
  if (gone_ && !(current_.has_value() && MayStart(*current_))) report.state = DbState::kStopped;
  Judge(std::move(report), now);
}

// ---- the shim's word ----

void EngineRunner::OnExit(const DatabaseExit& exit) {
  gone_ = true;
  // A probe that is under way may have seen the database alive: its answer is older than this fact.
  if (current_.has_value() && current_->kind == Kind::kProbe) current_->answered = true;
  if (!current_.has_value() || !ExpectsExit(*current_)) {
    DbReport report = last_;
    report.at = loop_->Now();
    report.state = exit.kind == ExitKind::kUnasked ? DbState::kDead : DbState::kStopped;
    report.writable = false;
    report.standbys.clear();
    report.streaming_from.clear();
    Judge(std::move(report), loop_->Now());
  }
  ProbeNow();
}

void EngineRunner::OnShim(const ShimFacts& facts) {
  const bool news = facts.connected != shim_.connected || facts.running != shim_.running;
  shim_ = facts;
  gone_ = facts.connected && !facts.running;
  if (news && !stuck_) ProbeNow();
}

}  // namespace mainstay::agent
