#include "agent/sidecar/journal.h"

#include <cstring>
#include <utility>

#include "agent/sidecar/engine_runner.h"
#include "lib/base/log.h"
#include "lib/base/strings.h"
#include "lib/base/wall_clock.h"

namespace mainstay::agent {

using audit::Outcome;
using audit::Stage;
using election::EngineOp;
using election::StoreOp;
using election::StoreOutcome;

const char* ToString(election::Role role) {
  switch (role) {
    case election::Role::kUnknown:
      return "unknown";
    case election::Role::kReplica:
      return "replica";
    case election::Role::kPrimary:
      return "primary";
    case election::Role::kFenced:
      return "fenced";
  }
  return "?";
}

const char* ToString(StoreOp op) {
  switch (op) {
    case StoreOp::kRead:
      return "read";
    case StoreOp::kCreate:
      return "create";
    case StoreOp::kUpdate:
      return "update";
  }
  return "?";
}

const char* ToString(StoreOutcome o) {
  switch (o) {
    case StoreOutcome::kOk:
      return "ok";
    case StoreOutcome::kConflict:
      return "conflict";
    case StoreOutcome::kNotFound:
      return "notfound";
    case StoreOutcome::kUnknown:
      return "unknown";
    case StoreOutcome::kUnreadable:
      return "unreadable";
  }
  return "?";
}

const char* ToString(election::DbState state) {
  switch (state) {
    case election::DbState::kUnknown:
      return "unknown";
    case election::DbState::kStopped:
      return "stopped";
    case election::DbState::kStarting:
      return "starting";
    case election::DbState::kRunning:
      return "running";
    case election::DbState::kDead:
      return "dead";
  }
  return "?";
}

const char* ToString(election::Verdict verdict) {
  switch (verdict) {
    case election::Verdict::kOk:
      return "ok";
    case election::Verdict::kSaturated:
      return "saturated";
    case election::Verdict::kHung:
      return "hung";
    case election::Verdict::kUnknown:
      return "unknown";
  }
  return "?";
}

audit::Event Journal::Event(Stage stage, const char* action, std::string msg) const {
  audit::Event event;
  event.stage = stage;
  event.action = action;
  event.msg = std::move(msg);
  event.reason = last_row_;
  switch (stage) {
    case Stage::kStarted:
      event.outcome = Outcome::kUnknown;
      break;
    case Stage::kCompleted:
      event.outcome = Outcome::kSuccess;
      break;
    case Stage::kFailed:
      event.outcome = Outcome::kFailure;
      event.level = "warn";
      break;
  }
  return event;
}

audit::LeaseFacts Journal::Lease(const election::State& state) const {
  audit::LeaseFacts lease;
  lease.lock = lock_;
  if (state.view != nullptr) lease.holder = state.view->holder;
  lease.resource_version = state.version;
  return lease;
}

void Journal::Write(const audit::Event& event) {
  if (log_ != nullptr) log_->Write(event);
}

void Journal::Begin(Pair* pair, uint64_t of, audit::Event event) {
  Abandon(pair, "superseded");
  pair->of = of;
  pair->began = BootClock().Now();
  pair->event = std::move(event);
  if (log_ != nullptr) pair->event.id = log_->Write(pair->event);
}

void Journal::End(Pair* pair, audit::Event event) {
  event.id = pair->event.id;
  *pair = Pair();
  Write(event);
}

void Journal::Abandon(Pair* pair, const char* why) {
  if (!pair->open()) return;
  audit::Event event = std::move(pair->event);
  event.stage = Stage::kFailed;
  event.outcome = Outcome::kUnknown;
  event.level = "warn";
  event.error = audit::Problem{"ABANDONED", why};
  event.took = BootClock().Now() - pair->began;
  *pair = Pair();
  Write(event);
}

void Journal::Close(const char* why) {
  for (Pair* pair : {&lock_pair_, &engine_pair_}) Abandon(pair, why);
  for (auto& [action, pair] : life_pairs_) Abandon(&pair, why);
}

// ---- decisions ----

void Journal::Decide(const election::Decision& decision, election::Epoch epoch) {
  last_row_ = decision.row;
  ++decided_;
  instruments_->decisions.Add({decision.row});
  rpc::DecisionView view;
  view.row = decision.row;
  view.sentence = decision.sentence;
  view.facts = Cut(decision.facts, 1024);
  view.epoch = epoch;
  view.unix_ms = UnixMillis();
  decisions_.push_back(std::move(view));
  if (decisions_.size() > rpc::kMaxDecisions) decisions_.pop_front();
  Log(LogLevel::kInfo, "election", decision.sentence,
      {{"row", decision.row}, {"facts", decision.facts}, {"epoch", epoch}});
  audit::Event event = Event(Stage::kCompleted, "decision", decision.sentence);
  if (!decision.facts.empty()) {
    event.msg += " (";
    event.msg += decision.facts;
    event.msg += ")";
  }
  audit::Standing standing;
  standing.role = ToString(role_);
  standing.epoch = epoch;
  event.before = standing;
  Write(event);
}

// ---- the lock ----

void Journal::LockSent(const election::State& state, const election::Record& next) {
  if (state.store.purpose == election::Purpose::kRenew) return;
  const bool acquire = state.store.purpose == election::Purpose::kAcquire;
  audit::Event event =
      Event(Stage::kStarted, acquire ? "lease.acquire" : "lease.release",
            acquire ? "Take the lock under epoch " + std::to_string(next.epoch) : "Give the lock up");
  event.lease = Lease(state);
  audit::Standing before;
  before.role = ToString(role_);
  before.epoch = state.view == nullptr ? 0 : state.view->epoch;
  event.before = before;
  Begin(&lock_pair_, state.store.id, std::move(event));
}

void Journal::LockLost(const election::State& state) {
  audit::Event event = Event(Stage::kFailed, "lease.lost", "The right to write ended");
  if (state.view != nullptr && state.view->holder != state.set->identity)
    event.msg += state.view->holder.empty() ? ": nobody holds the lock"
                                            : ": " + state.view->holder + " holds the lock";
  event.lease = Lease(state);
  audit::Standing before;
  before.role = ToString(role_);
  before.epoch = role_epoch_;
  event.before = before;
  Write(event);
  Log(LogLevel::kWarn, "store", "the right to write ended", {{"row", last_row_}});
}

// Whose history this member's data are of decides who may lead next: told whenever it changes.
void Journal::History(const DataHistory& before, const election::State& state) {
  const election::Memory& m = state.memory;
  if (DataHistory(m) == before) return;
  Log(LogLevel::kInfo, "election", "the data's history",
      {{"epoch", m.lineage},
       {"before", before.lineage},
       {"held", m.held},
       {"rolled_back", m.rolled_back},
       {"offset", state.db.offset}});
}

void Journal::LockDone(const election::State& before, const election::StoreDone& done, Duration took) {
  instruments_->lock_requests.Add({ToString(done.op), ToString(done.outcome)});
  if (done.id != before.store.id || before.store.id == 0) return;
  const bool ok = done.outcome == StoreOutcome::kOk;
  if (done.op == StoreOp::kRead) {
    if (!ok && done.outcome != StoreOutcome::kNotFound) {
      static LogLimiter limiter(std::chrono::seconds(5));
      if (uint64_t held = 0; limiter.Allow(BootClock().Now(), &held)) {
        Log(LogLevel::kWarn, "store", "the lock could not be read",
            {{"outcome", ToString(done.outcome)},
             {"problem", done.problem},
             {"took", took},
             {"suppressed", held}});
      }
    }
    return;
  }
  if (before.store.purpose == election::Purpose::kRenew) {
    instruments_->renew_seconds.Observe(took);
    if (!ok) instruments_->renew_failures.Add({ToString(done.outcome)});
    if (ok && !told_renew_failed_) return;
    if (ok == !told_renew_failed_) return;  // told already
    told_renew_failed_ = !ok;
    audit::Event event = Event(ok ? Stage::kCompleted : Stage::kFailed, "lease.renew",
                               ok ? "The lock is renewed again" : "The lock could not be renewed");
    if (!ok) event.error = audit::Problem{ToString(done.outcome), done.problem};
    if (done.outcome == StoreOutcome::kUnknown) event.outcome = Outcome::kUnknown;
    event.lease = Lease(before);
    event.took = took;
    Write(event);
    Log(ok ? LogLevel::kInfo : LogLevel::kWarn, "store",
        ok ? "the lock is renewed again" : "the lock could not be renewed",
        {{"outcome", ToString(done.outcome)}, {"problem", done.problem}, {"took", took}});
    return;
  }
  const bool acquire = before.store.purpose == election::Purpose::kAcquire;
  if (acquire && ok) ++instruments_->transitions;
  audit::Event event =
      Event(ok ? Stage::kCompleted : Stage::kFailed, acquire ? "lease.acquire" : "lease.release",
            std::string(acquire ? "Take the lock: " : "Give the lock up: ") + ToString(done.outcome));
  if (done.outcome == StoreOutcome::kUnknown) event.outcome = Outcome::kUnknown;
  if (!ok) event.error = audit::Problem{ToString(done.outcome), done.problem};
  event.lease = Lease(before);
  event.took = took;
  audit::Standing after;
  after.role = ToString(role_);
  after.epoch = before.store.record == nullptr ? 0 : before.store.record->epoch;
  event.after = after;
  lock_pair_.of == done.id ? End(&lock_pair_, std::move(event)) : Write(event);
  Log(ok ? LogLevel::kInfo : LogLevel::kWarn, "store", acquire ? "lock taken?" : "lock given up?",
      {{"outcome", ToString(done.outcome)}, {"problem", done.problem}, {"took", took}});
}

// ---- the database ----

namespace {

// The operations that change what this member is: "" for the others.
const char* RoleAction(EngineOp op) {
  switch (op) {
    case EngineOp::kFound:
      return "database.found";
    case EngineOp::kFollow:
      return "role.rejoin";
    case EngineOp::kPromote:
      return "role.promote";
    case EngineOp::kReopen:
      return "role.reopen";
    case EngineOp::kStop:
      return "role.demote";
    case EngineOp::kKill:
      return "role.kill";
    case EngineOp::kFreeze:
      return "role.freeze";
    case EngineOp::kSetSync:
      return "database.sync";
    case EngineOp::kCheckpoint:
    case EngineOp::kRemember:
      return "";
  }
  return "";
}

std::string Names(const election::SyncNames& sync) {
  std::string out = std::to_string(sync.k) + " of (";
  for (const auto& name : sync.names) out += (out.back() == '(' ? "" : ", ") + name;
  return out + ")";
}

}  // namespace

void Journal::EngineBegun(const election::State& state, const election::Engine& op) {
  Abandon(&engine_pair_, "superseded");
  last_op_epoch_ = op.epoch;
  last_op_detail_.clear();
  if (op.op == EngineOp::kFollow) last_op_detail_ = "of " + op.leader.name + " at " + op.leader.db_address;
  if (op.op == EngineOp::kPromote || op.op == EngineOp::kReopen || op.op == EngineOp::kSetSync) {
    last_op_detail_ = "acknowledged by " + Names(op.sync);
  }
  Log(LogLevel::kInfo, "engine", "begin",
      {{"operation", ToString(op.op)}, {"epoch", op.epoch}, {"detail", last_op_detail_}});
  const char* action = RoleAction(op.op);
  if (*action == '\0') return;
  audit::Event event = Event(Stage::kStarted, action, std::string(ToString(op.op)) + " " + last_op_detail_);
  audit::Standing before;
  before.role = ToString(role_);
  before.epoch = op.epoch;
  before.timeline = state.db.timeline;
  before.offset = state.db.offset;
  event.before = before;
  Begin(&engine_pair_, op.id, std::move(event));
}

void Journal::EngineEnded(const election::State& state, const election::EngineDone& done, Duration took) {
  if (done.id != state.engine.id) {
    if (done.id == engine_pair_.of) Abandon(&engine_pair_, "superseded");
    return;
  }
  instruments_->engine_operations.Add({ToString(done.op), done.ok ? "ok" : "failed"});
  instruments_->operation_seconds.Observe(ToString(done.op), took);
  if (done.op == EngineOp::kStop && state.phase == election::Phase::kHandover)
    instruments_->switchover_seconds.Observe(took);
  Log(done.ok ? LogLevel::kInfo : LogLevel::kWarn, "engine", done.ok ? "end" : "failed",
      {{"operation", ToString(done.op)},
       {"took", took},
       {"detail", done.detail},
       {"offset", done.offset},
       {"timeline", done.timeline}});
  const char* action = RoleAction(done.op);
  if (*action == '\0') return;
  audit::Event event = Event(done.ok ? Stage::kCompleted : Stage::kFailed, action,
                             std::string(ToString(done.op)) + " " + last_op_detail_);
  audit::Standing after;
  after.role = ToString(role_);
  after.epoch = last_op_epoch_;
  after.timeline = done.timeline != 0 ? done.timeline : state.db.timeline;
  after.offset = done.offset;
  event.after = after;
  event.took = took;
  if (!done.ok) event.error = audit::Problem{"FAILED", done.detail};
  engine_pair_.of == done.id ? End(&engine_pair_, std::move(event)) : Write(event);
}

void Journal::Exited(const DatabaseExit& exit, election::Epoch epoch) {
  const char* how = exit.kind == ExitKind::kUnasked  ? "The database ended and nobody asked for it"
                    : exit.kind == ExitKind::kFenced ? "The deadline passed: the shim killed the database"
                                                     : "The database ended as asked";
  Log(exit.kind == ExitKind::kAsked ? LogLevel::kInfo : LogLevel::kWarn, "shim", how,
      {{"detail", exit.detail}});
  if (exit.kind == ExitKind::kFenced) {
    ++instruments_->fence_kills;
    instruments_->fence_seconds.Observe(exit.latency);
  }
  audit::Event event = Event(exit.kind == ExitKind::kUnasked ? Stage::kFailed : Stage::kCompleted,
                             exit.kind == ExitKind::kFenced ? "fence.kill" : "database.exit",
                             std::string(how) + (exit.detail.empty() ? "" : ": " + exit.detail));
  event.reason = exit.kind == ExitKind::kUnasked  ? "database-died"
                 : exit.kind == ExitKind::kFenced ? "deadline"
                                                  : last_row_;
  audit::Standing before;
  before.role = ToString(role_);
  before.epoch = epoch;
  event.before = before;
  if (exit.kind == ExitKind::kFenced) event.took = exit.latency;
  Write(event);
}

void Journal::ShimChanged(const ShimFacts& facts, bool other_shim) {
  Log(facts.connected ? LogLevel::kInfo : LogLevel::kWarn, "shim",
      facts.connected ? "connected" : "connection lost: it still holds its deadline",
      {{"database_runs", facts.running}, {"another_shim", other_shim}});
  audit::Event event = Event(facts.connected ? Stage::kCompleted : Stage::kFailed,
                             facts.connected ? "shim.connected" : "shim.lost",
                             !facts.connected ? "The shim does not answer: it holds its deadline by itself"
                             : other_shim     ? "Another shim answers: the database of the one before is gone"
                                              : "The shim answers");
  event.reason = "";
  event.actor.type = "system";
  Write(event);
}

// ---- the rest ----

void Journal::Role(election::Role role, election::Epoch epoch) {
  if (role == role_) return;
  instruments_->role_changes.Add({ToString(role_), ToString(role), last_row_});
  instruments_->last_transition_unix_ms = UnixMillis();
  audit::Event event =
      Event(Stage::kCompleted, "role.change",
            std::string("This member is ") + ToString(role) + " now, it was " + ToString(role_));
  audit::Standing before;
  before.role = ToString(role_);
  before.epoch = role_epoch_;
  audit::Standing after;
  after.role = ToString(role);
  after.epoch = epoch;
  event.before = before;
  event.after = after;
  role_ = role;
  role_epoch_ = epoch;
  Write(event);
  Log(LogLevel::kInfo, "role", "changed", {{"role", ToString(role)}, {"epoch", epoch}});
}

void Journal::AdminEnded(const std::string& verb, const std::string& id, election::AdminStatus status,
                         const std::string& message) {
  instruments_->admin_calls.Add({verb, rpc::ToString(status)});
  const bool good = status == election::AdminStatus::kDone || status == election::AdminStatus::kAccepted;
  Log(good ? LogLevel::kInfo : LogLevel::kWarn, "admin", message,
      {{"verb", verb}, {"id", id}, {"status", rpc::ToString(status)}});
}

void Journal::Configured(const std::string& changes, bool ok) {
  Log(ok ? LogLevel::kInfo : LogLevel::kError, "config",
      ok ? "configuration read again" : "configuration not taken over",
      {{"changes", changes.empty() ? "none" : changes}});
  audit::Event event = Event(ok ? Stage::kCompleted : Stage::kFailed, "config.change",
                             changes.empty() ? "Nothing changed" : changes);
  event.reason = "admin-request";
  event.actor.type = "system";
  Write(event);
}

void Journal::Life(const char* action, Stage stage, const std::string& msg) {
  audit::Event event = Event(stage, action, msg);
  event.actor.type = "system";
  Pair& pair = life_pairs_[action];
  if (stage == Stage::kStarted) {
    Begin(&pair, 0, std::move(event));
  } else {
    if (pair.open()) event.took = BootClock().Now() - pair.began;
    End(&pair, std::move(event));
  }
  Log(LogLevel::kInfo, "agent", msg);
}

}  // namespace mainstay::agent
