// Rows that end a reign or keep a database from writing without the right to: they come before all others.
#include "lib/election/core_internal.h"

namespace mainstay::election {
namespace {

constexpr uint32_t kHolding = In(Phase::kProbation, Phase::kOpening, Phase::kPrimary, Phase::kHandover,
                                 Phase::kReleasing, Phase::kStepdown);

bool MayBeOpen(const State& s) {
  return s.open_epoch != 0 || s.db.writable ||
         (!EngineIdle(s) && (s.engine.op == EngineOp::kPromote || s.engine.op == EngineOp::kReopen));
}

// Leaves the reign without the lock: whatever may be open is killed, nothing is written to the lock (R3).
void Fall(Context& c) {
  State& s = c.s;
  const bool published = s.phase == Phase::kPrimary || s.phase == Phase::kHandover || s.open_epoch != 0;
  LoseLead(c);
  AnswerPerson(c, AdminStatus::kFailed, "the lock was lost meanwhile; see `mainstay why`");
  if (!c.set().database) {
    SetPhase(c, Phase::kReplica);
  } else if (MayBeOpen(s)) {
    SetPhase(c, Phase::kStepdown);
    StartKill(c);
  } else if (s.phase != Phase::kStepdown) {
    SetPhase(c, Phase::kReplica);
  }
  Retry(c, &s.next_attempt, 1);
  if (published) c.out.push_back(Publish{Role::kReplica, s.memory.max_epoch});
}

bool Foreign(const Context& c) {
  const State& s = c.s;
  if (!s.lead && s.phase != Phase::kProbation) return false;
  if (Mistake(M::kKeepActing)) return false;
  if (Mistake(M::kKeepLead) && Present(s) && s.view->release.released) return false;
  if (s.lock == LockView::kDamaged) return true;
  return Present(s) && s.view->holder != c.set().identity;
}

void ActForeign(Context& c) {
  c.facts = c.s.lock == LockView::kDamaged ? c.s.lock_problem
            : c.s.view->release.released
                ? "released by " + c.s.view->release.from
                : "held by " + c.s.view->holder_name + " under epoch " + std::to_string(c.s.view->epoch);
  Fall(c);
}

bool Expired(const Context& c) { return c.s.lead && c.now >= GiveUpAt(c.s); }
void ActExpired(Context& c) {
  c.facts = "last renewal sent " + Seconds(c.now - c.s.renewed_at) + " ago";
  const bool proven = Proven(c);
  Fall(c);
  // A database that could not prove itself is not the one to lead next: the others have the lease's duration.
  if (!proven) c.s.next_attempt = c.now + LeaseWait(c.s);
  c.s.must_read = true;  // R2: read before any write
  if (Mistake(M::kFastPath)) c.s.must_read = false;
}

bool ProbationGone(const Context& c) {
  return c.s.phase == Phase::kProbation && c.s.lock != LockView::kPresent;
}

// R8: inside its permission an asynchronous holder makes the missing record again at once, under a new epoch.
// With a sync set it must not (Q4): it goes on until its permission ends, and the lost-record path finds the
// next holder.
bool Recreate(const Context& c) {
  const State& s = c.s;
  // After a conflict the lock is looked at first: somebody else may have made it, and then this reign is
  // over.
  return Permitted(s, c.now) && s.lock == LockView::kAbsent && StoreIdle(s) && !s.must_read &&
         s.view != nullptr && c.now >= s.next_read &&
         (s.view->durability == Durability::kAsync || !c.set().database);
}
void ActRecreate(Context& c) {
  Record r = NextRecord(c);
  r.epoch = LostEpoch(c.s);
  c.s.memory.max_epoch = r.epoch;
  r.holder = c.set().identity;
  r.holder_name = c.set().self.name;
  c.facts = "epoch " + std::to_string(r.epoch);
  Write(c, std::move(r), Purpose::kAcquire);
}

bool ReplicaWritable(const Context& c) {
  const State& s = c.s;
  if (!c.set().database || s.lead || !s.db.writable || s.db.state != DbState::kRunning) return false;
  if (!EngineIdle(s) && s.engine.op == EngineOp::kKill) return false;
  if (s.phase == Phase::kJoining || (s.phase == Phase::kAcquiring && s.reopen)) return false;
  // A reign that may be unbroken (the agent restarted, its confirming write is not answered yet) is bounded
  // by the shim.
  if (ViewMine(s) && s.view->epoch == s.memory.held && s.fence_until > c.now) return false;
  return !(Present(s) && s.view->paused);
}
void ActReplicaWritable(Context& c) {
  c.facts = Present(c.s) ? "the holder is " + c.s.view->holder_name : "nobody holds the lock";
  StartKill(c);
}

bool StepdownDone(const Context& c) {
  const State& s = c.s;
  return EngineIdle(s) && (s.db.state == DbState::kStopped || s.db.state == DbState::kDead) && !s.db.writable;
}
void ActStepdownDone(Context& c) {
  State& s = c.s;
  const bool give_up = s.give_up && Permitted(s, c.now);
  s.give_up = false;
  if (give_up) {
    SetPhase(c, Phase::kReleasing);
  } else {
    LoseLead(c);
    SetPhase(c, s.memory.fenced ? Phase::kFenced : Phase::kReplica);
  }
}

bool StepdownRetry(const Context& c) { return EngineIdle(c.s) && c.now >= c.s.engine_retry; }

bool ReleaseNow(const Context& c) {
  const State& s = c.s;
  // R3, R6: only inside the permission, only over the own version, never as a create.
  if (Mistake(M::kReleasePost) && s.lock == LockView::kAbsent && s.view != nullptr) return StoreIdle(s);
  return StoreIdle(s) && ((Permitted(s, c.now) && ViewMine(s) && !s.must_read) || Mistake(M::kReleaseBlind));
}
void ActRelease(Context& c) {
  State& s = c.s;
  Record r = NextRecord(c);
  r.holder.clear();
  r.release.released = true;
  r.release.from = c.set().self.name;
  r.release.complete = s.stopped_complete;
  // A cluster that was founded and never opened is not this cluster yet: others may found theirs.
  if (s.db.unopened && r.cluster_id == s.db.system_id) r.cluster_id.clear();
  r.release.final = s.stopped_complete ? s.stopped_at : Position{};
  if (s.admin.has_value() && s.admin->kind == AdminKind::kSwitchover)
    r.pending = Pending{s.admin->id, s.admin->target};
  c.facts = s.stopped_complete ? "the log ends at " + std::to_string(s.stopped_at.offset)
                               : "the end of the log is not proven";
  Write(c, std::move(r), Purpose::kRelease);
  s.lead = false;  // sent is as good as given: it may land at any time
  s.permit_until = MonoTime();
}
bool Released(const Context& c) { return StoreIdle(c.s) && !c.s.lead; }
void ActReleased(Context& c) {
  State& s = c.s;
  c.out.push_back(Notify{"", true, false});
  c.out.push_back(Publish{Role::kReplica, s.memory.max_epoch});
  if (s.lock == LockView::kPresent && s.view->release.released) s.next_attempt = c.now + c.set().freeze_wait;
  SetPhase(c, s.memory.fenced ? Phase::kFenced : Phase::kReplica);
}

}  // namespace

void AddHolderRows(std::vector<Row>* t) {
  t->push_back({"holder.foreign", kHolding, "the lock was read and is not mine",
                "Somebody else holds or edited the lock: stop writing at once and follow.",
                "stepdown replica", false, Foreign, ActForeign});
  t->push_back({"holder.expired", kHolding, "my permission has run out",
                "The lock could not be renewed in time: stop writing before anybody else may start.",
                "stepdown replica", false, Expired, ActExpired});
  t->push_back({"holder.probation-broken", In(Phase::kProbation), "the record that I made is gone or damaged",
                "The missing record was made but did not stay: start over.", "replica", false, ProbationGone,
                [](Context& c) {
                  LoseLead(c);
                  SetPhase(c, Phase::kReplica);
                }});
  t->push_back({"holder.recreate", In(Phase::kPrimary, Phase::kOpening),
                "the lock is missing, asynchronous, inside my permission",
                "The lock was deleted: make it again under a new epoch and go on writing.", "", false,
                Recreate, ActRecreate});
  t->push_back({"any.writable",
                In(Phase::kReplica, Phase::kFreezing, Phase::kAcquiring, Phase::kFenced, Phase::kReleasing),
                "the own database accepts writes without the lock",
                "This database is writable but the lock is not ours: kill it; it comes back as a standby.",
                "", false, ReplicaWritable, ActReplicaWritable});
  t->push_back({"stepdown.done", In(Phase::kStepdown), "every database process is gone",
                "The database is stopped.", "releasing replica fenced", true, StepdownDone, ActStepdownDone});
  t->push_back({"stepdown.retry", In(Phase::kStepdown), "the database is not known to be stopped",
                "Kill the database again: it is not known to be stopped.", "", false, StepdownRetry,
                StartKill});
  t->push_back({"release.write", In(Phase::kReleasing), "the database is stopped and the lock is still mine",
                "Give the lock up, saying where the log ends, so that the next primary need not wait.", "",
                false, ReleaseNow, ActRelease});
  t->push_back({"release.done", In(Phase::kReleasing), "the lock was given up, or may have been",
                "The lock is given up: tell the others.", "replica fenced", true, Released, ActReleased});
}

}  // namespace mainstay::election
