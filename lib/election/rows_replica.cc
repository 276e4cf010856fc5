// Rows of a member that does not hold the lock: joining, following, re-acquiring an own record, taking over.
#include <algorithm>

#include "lib/election/core_internal.h"

namespace mainstay::election {
namespace {

// ---- joining ----
bool Joined(const Context& c) { return c.s.lock != LockView::kUnread && c.s.db_known && StoreIdle(c.s); }
void ActJoin(Context& c) {
  SetPhase(c, c.s.memory.fenced ? Phase::kFenced : Phase::kReplica);
  c.facts = Present(c.s) ? "holder " + c.s.view->holder_name + ", epoch " + std::to_string(c.s.view->epoch)
            : c.s.lock == LockView::kAbsent ? "there is no record"
                                            : c.s.lock_problem;
  c.out.push_back(Publish{Role::kReplica, c.s.memory.max_epoch});
}

// ---- the record names this incarnation, but this agent does not lead: it restarted, or its permission
// lapsed ----
bool OwnRecord(const Context& c) {
  const State& s = c.s;
  const bool fast = Mistake(M::kFastPath) && s.lock == LockView::kAbsent && s.view != nullptr &&
                    s.view->holder == s.set->identity;
  // (Data that lost their end are not this reign's any more: they take part like everybody's when it is
  // over.)
  if (s.memory.rolled_back) return false;
  return (ViewMine(s) || fast) && !s.lead && StoreIdle(s) && !s.must_read && s.db_known && !s.memory.fenced &&
         !s.shutdown && c.now >= s.next_attempt &&
         s.memory.promised <= std::max(s.view->epoch, s.memory.held);
}
// So many voters say that they promised nobody a later epoch that nobody can have taken over from this
// record: who did has frozen others than these. The record alone does not tell: an old one may have been put
// back by hand (or by what keeps manifests as they were) over that of a new primary.
bool NobodyTookOver(const Context& c) {
  const Record& r = *c.s.view;
  int32_t faithful = 0;
  for (const Name& voter : r.voters) {
    const Peer* p = FindPeer(c.s, voter);
    faithful += p != nullptr && PeerFresh(c.s, *p, c.now) && p->report.promised <= r.epoch &&
                p->report.record_epoch <= r.epoch && !p->report.leads;
  }
  return faithful > static_cast<int32_t>(r.voters.size()) - r.freeze || r.voters.empty();
}
bool HeldInSync(const Context& c) {
  const State& s = c.s;
  return (s.view->epoch == s.memory.held || s.view->epoch == s.tried_epoch) && c.set().database &&
         s.view->durability != Durability::kAsync;
}
// The permission never lapsed (the shim's deadline still stands), or the version is that of the last
// acknowledged write, or the record has a sync set, which protects by itself: the next acknowledged write
// confirms it.
bool Unbroken(const Context& c) {
  const State& s = c.s;
  const bool known = s.view->epoch == s.memory.held || s.view->epoch == s.tried_epoch;
  if (Mistake(M::kOwnName) || Mistake(M::kFastPath)) return true;
  if (!s.acked_version.empty() && s.version == s.acked_version) return true;
  if (known && s.fence_until > c.now) return true;
  return HeldInSync(c) && NobodyTookOver(c);
}
bool Resume(const Context& c) { return OwnRecord(c) && Unbroken(c); }
void ActResume(Context& c) {
  State& s = c.s;
  const bool running = s.db.state == DbState::kRunning && s.db.writable && s.fence_until > c.now &&
                       s.view->epoch == s.memory.held;
  Record r = NextRecord(c);
  // A reign that goes on keeps its epoch; one that lapsed begins anew, over the same data.
  if (!running && s.view->epoch != s.tried_epoch) r.epoch = std::max(s.view->epoch, s.memory.max_epoch) + 1;
  s.reopen = s.memory.lineage >= s.view->base;
  c.facts = running ? "the database still runs under the fence" : "epoch " + std::to_string(r.epoch);
  SetPhase(c, Phase::kAcquiring);
  Write(c, std::move(r), Purpose::kAcquire);
}
// (The voters are asked as soon as they are known: that is given a moment.)
bool OwnStrange(const Context& c) {
  if (!OwnRecord(c) || Unbroken(c)) return false;
  return !HeldInSync(c) || c.now >= c.s.phase_since + c.set().suspicion;
}
void ActOwnStrange(Context& c) {
  State& s = c.s;
  s.probation = true;
  s.reopen = s.memory.lineage >= s.view->base;
  Record r = NextRecord(c);
  r.epoch = std::max(s.view->epoch, s.memory.max_epoch) + 1;
  SetPhase(c, Phase::kAcquiring);
  Write(c, std::move(r), Purpose::kAcquire);
}

// ---- following ----
bool SameLeader(const Member& a, const Member& b) {
  return a.name == b.name && a.db_address == b.db_address && a.data_nonce == b.data_nonce;
}
bool FollowDue(const Context& c) {
  const State& s = c.s;
  if (!c.set().database || !Present(s) || s.view->release.released || !EngineIdle(s) ||
      c.now < s.engine_retry)
    return false;
  if (s.view->holder_name == c.set().self.name || s.memory.fenced || s.shutdown) return false;
  // Q1: whoever froze or was promoted streams from nobody before it has read a record of another holder, of
  // that epoch or later.
  if (s.view->epoch < s.memory.promised && !Mistake(M::kNoSup)) return false;
  if (!s.memory.promised_to.empty() && s.view->epoch == s.memory.promised &&
      s.view->durability != Durability::kAsync && s.memory.promised_to != s.view->holder_name)
    return false;
  const Member* leader = s.view->FindMember(s.view->holder_name);
  if (leader == nullptr || s.db.writable) return false;
  const bool down = s.db.state == DbState::kStopped || s.db.state == DbState::kDead || s.db.empty;
  return down || s.following_epoch != s.view->epoch || !SameLeader(s.following, *leader);
}
void ActFollow(Context& c) {
  State& s = c.s;
  const Member leader = *s.view->FindMember(s.view->holder_name);
  s.memory.detached = false;
  s.frozen = false;
  s.following = leader;
  s.following_epoch = s.view->epoch;
  Engine op;
  op.op = EngineOp::kFollow;
  op.epoch = s.view->epoch;
  op.leader = leader;
  c.facts = leader.name + " at " + leader.db_address + ", epoch " + std::to_string(s.view->epoch);
  StartEngine(c, std::move(op));
}

// ---- founding: no record and no data here ----
// No record, or one whose cluster was never opened (it has no identifier) and whose maker is gone.
bool NoCluster(const Context& c) {
  const State& s = c.s;
  if (s.lock == LockView::kAbsent) return true;
  if (s.lock == LockView::kDamaged) return !s.foreign && c.now >= s.seen_at + LeaseWait(s);
  return Present(s) && s.view->cluster_id.empty() &&
         (s.view->release.released || c.now >= s.seen_at + LeaseWait(s));
}
bool FoundDue(const Context& c) {
  const State& s = c.s;
  if (!c.set().database || !NoCluster(c) || !s.db.empty || !StoreIdle(s) || s.must_read || s.shutdown)
    return false;
  if (s.memory.fenced || c.set().self.no_failover || c.now < s.next_attempt || c.now < s.promised_until ||
      !s.memory.cluster_id.empty())
    return false;
  std::vector<Name> ask = s.memory.known;
  for (const Name& n : c.set().expected) Insert(&ask, n);
  size_t empty = 0;
  for (const Peer& p : s.peers) {
    if (!PeerFresh(s, p, c.now)) continue;
    if (!p.report.empty) return false;  // somebody has data: they make the record
    empty += Contains(ask, p.report.name) ? 1 : 0;
  }
  const size_t others = ask.size() - (Contains(ask, c.set().self.name) ? 1 : 0);
  // Whoever the configuration or an earlier record names was asked and has nothing. A record that went
  // missing had a holder, which may be opening its database this moment: it is given L.
  const bool waited = c.now - s.seen_at >= LeaseWait(s);
  if (empty >= others) return (others > 0 && s.memory.max_epoch == 0) || waited;
  // Or this member has never heard of a cluster, more than half of the members have nothing, and nobody else
  // came for L. (A damaged record may be of a cluster whose members cannot be asked just now.)
  return s.lock != LockView::kDamaged && s.memory.max_epoch == 0 && (empty + 1) * 2 > others + 1 && waited;
}
void ActFoundRecord(Context& c) {
  State& s = c.s;
  s.attempt = Attempt{};
  s.attempt.epoch = s.memory.max_epoch + 1;
  s.memory.max_epoch = s.attempt.epoch;
  s.probation = s.lock == LockView::kAbsent && !Mistake(M::kCreateNow);
  s.reopen = true;
  SetPhase(c, Phase::kAcquiring);
  Record r = AcquiredRecord(c);
  r.durability = Wish(s);
  Write(c, std::move(r), Purpose::kAcquire);
}

// ---- nothing is left of the cluster ----
// Data that lived in processes, and every member of the record says itself that it has none any more: nobody
// can come back with them, so nothing is lost by beginning anew. One member that cannot be asked is enough to
// wait.
bool AllGone(const Context& c) {
  const State& s = c.s;
  if (!c.set().database || !c.set().volatile_data || !Present(s)) return false;
  // (Without a name: somebody began anew, and did not get so far. Who never heard of a cluster founds one.)
  if (s.view->cluster_id.empty() && s.memory.cluster_id.empty()) return false;
  if (!s.db_known || !s.db.empty || !EngineIdle(s) || !StoreIdle(s) || s.must_read || s.shutdown)
    return false;
  if (s.memory.fenced || c.set().self.no_failover || c.now < s.next_attempt || c.now < s.promised_until)
    return false;
  if (c.now < s.seen_at + LeaseWait(s) || s.view->paused) return false;
  return std::all_of(s.view->members.begin(), s.view->members.end(), [&](const Member& m) {
    const Peer* p = FindPeer(s, m.name);
    return m.name == c.set().self.name || (p != nullptr && PeerFresh(s, *p, c.now) && p->report.empty);
  });
}
void ActBeginAnew(Context& c) {
  State& s = c.s;
  s.attempt = Attempt{};
  s.attempt.epoch = s.memory.max_epoch + 1;
  s.memory.max_epoch = s.attempt.epoch;
  s.memory.cluster_id.clear();
  s.probation = false;
  s.reopen = true;
  c.facts = "cluster " + s.view->cluster_id + ", members " + std::to_string(s.view->members.size());
  SetPhase(c, Phase::kAcquiring);
  Record r = AcquiredRecord(c);
  r.cluster_id.clear();
  r.base = 0;
  r.durability = Wish(s);
  Write(c, std::move(r), Purpose::kAcquire);
}

// ---- nobody who can be asked has data to lead with: told once for each version of the record ----
bool NobodyToLead(const Context& c) {
  const State& s = c.s;
  if (!c.set().database || !Present(s) || !s.db_known || !s.db.empty || s.shutdown || s.memory.fenced)
    return false;
  if (s.view->cluster_id.empty() || s.view->holder_name == c.set().self.name || s.nobody_told == s.version)
    return false;
  // (Seen by this process: the others have had their time to be heard.)
  if (c.now < s.seen_at + LeaseWait(s)) return false;
  return std::none_of(s.peers.begin(), s.peers.end(),
                      [&](const Peer& p) { return PeerFresh(s, p, c.now) && !p.report.empty; });
}
void ActNobodyToLead(Context& c) {
  c.s.nobody_told = c.s.version;
  for (const Member& m : c.s.view->members) {
    if (m.name == c.set().self.name) continue;
    const Peer* p = FindPeer(c.s, m.name);
    const bool asked = p != nullptr && PeerFresh(c.s, *p, c.now);
    c.facts += (c.facts.empty() ? "" : ", ") + m.name + (asked ? " has no data" : " cannot be asked");
  }
}

// ---- taking over ----
bool Trigger(const Context& c) {
  const State& s = c.s;
  if (c.now < s.next_attempt && !(s.take_hint && s.frozen)) return false;
  return StoreIdle(s) && MayLead(s, c.now);
}
// A look at the lock after the cause arose: a silent watch must not make a takeover.
bool Confirmed(const State& s, Cause cause, MonoTime since) {
  if (cause == Cause::kReleased) return !s.must_read;
  return s.read_at >= since && !s.must_read;
}
bool ConfirmFirst(const Context& c) {
  const State& s = c.s;
  MonoTime since;
  if (!Trigger(c) || c.now < s.next_read) return false;
  const std::optional<Cause> cause = TakeoverCause(s, c.now, &since);
  return cause.has_value() && !Confirmed(s, *cause, since);
}
bool MayTry(const Context& c, bool suspected_only) {
  const State& s = c.s;
  MonoTime since;
  if (!Trigger(c) || s.must_read) return false;
  if (c.set().database && !EngineIdle(s) && s.engine.op != EngineOp::kFollow &&
      s.engine.op != EngineOp::kRemember)
    return false;
  const std::optional<Cause> cause = TakeoverCause(s, c.now, &since);
  if (!cause.has_value() || !Confirmed(s, *cause, since)) return false;
  return suspected_only == (*cause == Cause::kSuspected || *cause == Cause::kFrozen);
}
void Try(Context& c) {
  State& s = c.s;
  MonoTime since;
  const Cause cause = TakeoverCause(s, c.now, &since).value_or(Cause::kExpired);
  switch (cause) {
    case Cause::kReleased:
      c.facts = "released by " + s.view->release.from;
      break;
    case Cause::kExpired:
      c.facts = "unchanged for " + Seconds(c.now - s.seen_at);
      break;
    case Cause::kSuspected:
    case Cause::kFrozen:
      c.facts = "lock silent for " + Seconds(c.now - s.seen_at) + ", stream silent for " +
                Seconds(c.now - StreamAt(s));
      break;
    case Cause::kLost:
      c.facts = s.lock == LockView::kAbsent ? "the record is missing for " + Seconds(c.now - s.seen_at)
                                            : s.lock_problem;
      break;
    case Cause::kForced:
      c.facts = "an administrator asked";
      break;
  }
  s.attempts++;
  SetPhase(c, Phase::kFreezing);
  StartAttempt(c, cause);
}
bool TryQuorum(const Context& c) { return MayTry(c, true); }
bool TryLease(const Context& c) { return MayTry(c, false); }

bool HintStale(const Context& c) {
  return c.s.take_hint && Present(c.s) && c.s.view->epoch >= c.s.memory.promised;
}

// ---- fenced by an administrator ----
bool FenceNow(const Context& c) { return c.s.memory.fenced && !c.s.lead && StoreIdle(c.s); }
bool FencedRuns(const Context& c) {
  const State& s = c.s;
  const bool down = s.db.state == DbState::kStopped || s.db.state == DbState::kDead;
  return c.set().database && !down && EngineIdle(s) && c.now >= s.engine_retry && FenceKept(s);
}
void ActFencedStop(Context& c) {
  Engine op;
  op.op = EngineOp::kStop;
  op.epoch = c.s.memory.max_epoch;
  StartEngine(c, std::move(op));
}
bool Unfenced(const Context& c) { return !c.s.memory.fenced && EngineIdle(c.s); }

// ---- requests that wait for the world ----
bool SwitchoverSeen(const Context& c) {
  const State& s = c.s;
  return s.admin.has_value() && s.admin->kind == AdminKind::kSwitchover && Present(s) &&
         !s.view->release.released && s.view->holder_name != c.set().self.name;
}
void ActSwitchoverSeen(Context& c) {
  const Name now = c.s.view->holder_name;
  const Name target = c.s.admin->target;
  const bool good = target.empty() || now == target;
  c.facts = now;
  AnswerPerson(
      c, good ? AdminStatus::kDone : AdminStatus::kFailed,
      good ? now + " is the primary now" : target + " did not take over; " + now + " is the primary");
}
bool SwitchoverBack(const Context& c) {
  const State& s = c.s;
  return s.phase == Phase::kPrimary && s.admin.has_value() && s.admin->kind == AdminKind::kSwitchover &&
         s.handover_step != 0;
}
bool AdminLate(const Context& c) { return c.s.admin.has_value() && c.now >= c.s.admin_deadline; }

void AddSwitchoverRows(std::vector<Row>* t) {
  t->push_back({"switchover.done", In(Phase::kReplica), "the record names the new primary",
                "The switchover is done.", "", false, SwitchoverSeen, ActSwitchoverSeen});
  t->push_back(
      {"switchover.rolled-back", In(Phase::kPrimary), "nobody took over, and this member leads again",
       "The successor did not take over: the old primary leads again, nothing was lost.", "", false,
       SwitchoverBack, [](Context& c) {
         c.s.handover_step = 0;
         AnswerPerson(c, AdminStatus::kFailed,
                      "nobody took over in time; " + c.set().self.name + " leads again, nothing was lost");
       }});
}

// Of a member without data.
void AddEmptyRows(std::vector<Row>* t) {
  t->push_back({"replica.found", In(Phase::kReplica),
                "there is no record, and nobody who could be asked has data",
                "There is no cluster yet: make the record, and hold it for the lease duration before opening "
                "a database.",
                "acquiring", false, FoundDue, ActFoundRecord});
  t->push_back({"replica.begin-anew", In(Phase::kReplica),
                "data that lived in processes, and every member of the record says that it has none",
                "Nothing is left of the cluster: begin a new one.", "acquiring", false, AllGone,
                ActBeginAnew});
  t->push_back({"replica.nobody", In(Phase::kReplica),
                "the lock is free, this member has no data, and nobody who can be asked has any",
                "There is no safe candidate: wait for a member that has data.", "", false, NobodyToLead,
                ActNobodyToLead});
}

}  // namespace

void AddReplicaRows(std::vector<Row>* t) {
  constexpr uint32_t replica = In(Phase::kReplica);
  AddSwitchoverRows(t);
  t->push_back({"admin.late", kAnyPhase, "a request was not done in time",
                "The request could not be carried out in time.", "", false, AdminLate, [](Context& c) {
                  if (c.s.admin->kind == AdminKind::kFailover || c.s.admin->kind == AdminKind::kResume)
                    c.s.forced_until = MonoTime();
                  c.s.wish.reset();
                  std::string why = SwitchoverWaitsFor(c);
                  if (why.empty()) why = c.s.attempt.verdict;
                  AnswerPerson(
                      c, AdminStatus::kFailed,
                      "not done in time" + (why.empty() ? std::string("; see `mainstay why`") : ": " + why));
                }});
  t->push_back({"join.resume", In(Phase::kJoining, Phase::kReplica),
                "the record names this incarnation and the reign is unbroken",
                "The lock is still ours: confirm it by a write before acting on it.", "acquiring", false,
                Resume, ActResume});
  t->push_back({"join.own-strange", In(Phase::kJoining, Phase::kReplica),
                "the record names this incarnation, but not by its last acknowledged write",
                "A late write may have made this record: hold it for the lease duration before acting.",
                "acquiring", false, OwnStrange, ActOwnStrange});
  t->push_back({"join.ready", In(Phase::kJoining), "the lock and the own database are known",
                "The lock was read and the database probed: join.", "replica fenced", false, Joined,
                ActJoin});
  t->push_back({"replica.fence", replica, "an administrator fenced this member",
                "Stop the database and keep it stopped until unfenced.", "fenced", false, FenceNow,
                [](Context& c) {
                  SetPhase(c, Phase::kFenced);
                  c.out.push_back(Publish{Role::kFenced, c.s.memory.max_epoch});
                }});
  t->push_back({"fenced.stop", In(Phase::kFenced), "the database runs",
                "This member is fenced: stop its database.", "", false, FencedRuns, ActFencedStop});
  t->push_back({"fenced.lifted", In(Phase::kFenced), "the fence was lifted",
                "The fence was lifted: join again.", "replica", false, Unfenced, [](Context& c) {
                  SetPhase(c, Phase::kReplica);
                  c.s.must_read = true;
                  c.out.push_back(Publish{Role::kReplica, c.s.memory.max_epoch});
                }});
  t->push_back({"replica.hint-stale", replica, "the lock has moved on", "Somebody else took over meanwhile.",
                "", true, HintStale, [](Context& c) { c.s.take_hint = false; }});
  t->push_back(
      {"replica.suspect", replica,
       "lock and stream are silent, everybody who can be asked agrees, and the lock was looked at again",
       "The primary is suspected: freeze enough of its synchronous standbys that it can acknowledge nothing "
       "more.",
       "freezing", false, TryQuorum, Try});
  t->push_back(
      {"replica.candidate", replica, "the lock is free: released, expired, lost, or an administrator asked",
       "The lock is free: ask every member for its frozen position.", "freezing", false, TryLease, Try});
  t->push_back({"replica.confirm", replica, "a takeover seems due",
                "Look at the lock once more before doing anything.", "", true, ConfirmFirst, SendRead});
  AddEmptyRows(t);
  t->push_back({"replica.follow", replica, "the record names another holder", "Follow the primary.", "",
                false, FollowDue, ActFollow});
}

}  // namespace mainstay::election
