// Rows of the holder: opening the database, renewing, the sync set, handing over.
#include <algorithm>

#include "lib/election/core_internal.h"

namespace mainstay::election {
namespace {

constexpr uint32_t kActing = In(Phase::kOpening, Phase::kPrimary, Phase::kHandover);

// ---- opening ----
bool BareOpen(const Context& c) { return !c.set().database && c.s.lead; }
bool FenceStands(const Context& c) { return c.s.lead && c.s.fence_until > c.now && c.s.fence_until >= c.s.permit_until - c.set().renew; }
bool NeedsFound(const Context& c) {
  return c.set().database && c.s.db_known && c.s.db.empty && EngineIdle(c.s) && c.now >= c.s.engine_retry && !c.s.open_failed;
}
void ActFound(Context& c) {
  Engine op;
  op.op = EngineOp::kFound;
  op.epoch = c.s.view->epoch;
  StartEngine(c, std::move(op));
}

bool AlreadyOpen(const Context& c) {
  const State& s = c.s;
  return c.set().database && FenceStands(c) && s.db_known && s.db.state == DbState::kRunning && s.db.writable && EngineIdle(s) &&
         s.open_epoch == 0 && s.memory.held == s.view->epoch;
}
void ActAlreadyOpen(Context& c) {
  State& s = c.s;
  s.open_epoch = s.view->epoch;
  s.standbys.clear();
  // What the database was told before the agent restarted is not known: the first sync step sets it again.
  s.applied = OpeningSync(s);
  s.applied_key.clear();
  s.settled_at = UINT64_MAX;
  s.frozen = false;
}

bool CanOpen(const Context& c) {
  const State& s = c.s;
  return c.set().database && FenceStands(c) && s.db_known && !s.db.empty && EngineIdle(s) && !s.db.writable && !s.open_failed &&
         s.open_epoch == 0 && c.now >= s.engine_retry;
}
void ActOpen(Context& c) {
  State& s = c.s;
  Engine op;
  op.epoch = s.view->epoch;
  const bool stopped = s.db.state == DbState::kStopped || s.db.state == DbState::kDead;
  if (s.reopen && (stopped || s.memory.lineage == 0)) {
    op.op = EngineOp::kReopen;
  } else if (s.db.state == DbState::kRunning) {
    op.op = EngineOp::kPromote;
  } else {
    op.op = EngineOp::kFreeze;  // a stopped standby is started first, following nobody
  }
  op.sync = OpeningSync(s);
  op.peers = SyncPeers(s);
  Memory& m = s.memory;
  m.held = s.view->epoch;
  m.promised = std::max(m.promised, s.view->epoch);
  m.promised_to.clear();
  m.detached = true;
  if (op.op != EngineOp::kFreeze) m.lineage = op.op == EngineOp::kPromote || m.lineage == 0 ? s.view->epoch : m.lineage;
  c.facts = op.op == EngineOp::kPromote  ? "promote at " + std::to_string(OwnPosition(s).offset)
            : op.op == EngineOp::kReopen ? "reopen in place"
                                         : "start as a standby first";
  if (!op.sync.names.empty()) c.facts += ", " + std::to_string(op.sync.k) + " of " + std::to_string(op.sync.names.size()) + " standbys acknowledge";
  StartEngine(c, std::move(op));
}

bool IsOpen(const Context& c) { return c.s.open_epoch != 0 && EngineIdle(c.s); }
void ActPrimary(Context& c) {
  State& s = c.s;
  SetPhase(c, Phase::kPrimary);
  s.reopen = false;
  c.facts = "epoch " + std::to_string(s.view->epoch) + ", voters " + std::to_string(s.view->voters.size());
  Name former;
  const auto& h = s.view->history;
  if (h.size() >= 2) former = h[h.size() - 2].holder;
  c.out.push_back(Publish{Role::kPrimary, s.view->epoch, former == c.set().self.name ? "" : former});
  c.out.push_back(Notify{"", true, false});
  if (s.admin.has_value() && s.admin->kind == AdminKind::kFailover) AnswerPerson(c, AdminStatus::kDone, c.set().self.name + " is the primary now");
}

void GiveUp(Context& c) {
  State& s = c.s;
  s.give_up = true;
  s.stopped_complete = false;
  s.open_failed = false;
  SetPhase(c, Phase::kStepdown);
  StartKill(c);
  s.next_attempt = c.now + LeaseWait(s);
}
bool OpenFailed(const Context& c) { return c.s.open_failed && EngineIdle(c.s) && c.s.lead; }

// ---- the database failed ----
bool Dead(const State& s) { return s.db.state == DbState::kDead || s.db.state == DbState::kStopped; }
// Enough voters are alive to take over at once.
bool SuccessorReady(const Context& c) {
  const State& s = c.s;
  if (s.view->voters.empty() || s.view->paused || !c.set().database) return false;
  int32_t ready = 0;
  for (const Name& v : s.view->voters) {
    const Peer* p = FindPeer(s, v);
    if (p != nullptr && PeerFresh(s, *p, c.now) && p->report.can_vote) ready++;
  }
  return ready >= s.view->freeze;
}
bool Crashed(const Context& c) { return c.set().database && c.s.open_epoch != 0 && Dead(c.s) && EngineIdle(c.s) && !c.s.view->paused; }
bool CrashFailover(const Context& c) { return Crashed(c) && (SuccessorReady(c) || c.s.reopen_tries >= 3); }
void ActCrashFailover(Context& c) {
  State& s = c.s;
  c.facts = s.reopen_tries >= 3 ? "restarted in place 3 times already" : "enough voters are alive: " + std::to_string(s.view->voters.size());
  s.open_epoch = 0;
  s.db.writable = false;
  s.stopped_complete = false;
  s.reopen_tries = 0;
  SetPhase(c, Phase::kReleasing);
  s.next_attempt = c.now + c.set().freeze_wait * 2;
  if (!Mistake(M::kReleaseBeforeStop)) return;
}
void ActReopen(Context& c) {
  State& s = c.s;
  s.open_epoch = 0;
  s.db.writable = false;
  s.open_failed = false;
  s.reopen = true;
  if (c.now - s.reopen_since > c.set().lease * 6) {
    s.reopen_since = c.now;
    s.reopen_tries = 0;
  }
  s.reopen_tries++;
  c.facts = "try " + std::to_string(s.reopen_tries);
  SetPhase(c, Phase::kOpening);
}
bool Hung(const Context& c) {
  return c.set().database && c.s.open_epoch != 0 && c.s.db.verdict == Verdict::kHung && EngineIdle(c.s) && !c.s.view->paused;
}

// ---- renewal ----
bool Proven(const Context& c) {
  const State& s = c.s;
  if (!c.set().database || s.phase != Phase::kPrimary || s.view->paused) return true;
  return !Dead(s) && s.db.verdict != Verdict::kHung && c.now - s.db.at < c.set().validity;
}
bool MayWrite(const Context& c) {
  const State& s = c.s;
  return StoreIdle(s) && (Permitted(s, c.now) || s.phase == Phase::kProbation) && !s.must_read && ViewMine(s);
}
bool RenewDue(const Context& c) { return MayWrite(c) && c.now >= c.s.next_renew && Proven(c); }
void ActRenew(Context& c) { Write(c, NextRecord(c), Purpose::kRenew); }

// Something that others must know soon: a member came, its data or address changed, the system identifier became known.
bool MembersChanged(const Context& c) {
  const State& s = c.s;
  if (!MayWrite(c) || s.phase != Phase::kPrimary) return false;
  if (c.now < s.renewed_at + c.set().retry) return false;
  if (s.view->cluster_id.empty() && !s.db.system_id.empty()) return true;
  for (const Peer& p : s.peers) {
    if (!PeerFresh(s, p, c.now) || p.report.self.name.empty()) continue;
    if (!p.report.system_id.empty() && p.report.system_id != s.view->cluster_id) continue;
    const Member* m = s.view->FindMember(p.report.name);
    if (m == nullptr ? s.view->members.size() < kMaxMembers : !(*m == p.report.self)) return true;
  }
  return false;
}

// ---- failsafe ----
bool FailsafeDue(const Context& c) {
  const State& s = c.s;
  if (!c.set().failsafe || !c.set().database || !Permitted(s, c.now) || s.view == nullptr || s.lock != LockView::kPresent) return false;
  if (s.store_failures == 0 && StoreIdle(s)) return false;
  if (c.now - s.renewed_at < c.set().renew + c.set().retry) return false;
  return Proven(c) && c.now >= s.promise_sent + c.set().renew / 2;
}
void ActFailsafe(Context& c) {
  State& s = c.s;
  s.promise_ask = s.next_id++;
  s.promise_sent = c.now;
  s.promise_from.clear();
  s.promise_needed = 0;
  for (const Member& m : s.view->members) {
    if (m.name == c.set().self.name || m.no_failover) continue;
    s.promise_needed++;
    c.out.push_back(SendPromise{s.promise_ask, m.name, m.peer_address, s.view->epoch});
  }
  if (s.promise_needed == 0) s.promise_ask = 0;
}

// ---- epoch raise ----
bool RaiseNeeded(const Context& c) {
  const State& s = c.s;
  if (!MayWrite(c) || s.phase != Phase::kPrimary || !EngineIdle(s) || c.now < s.renewed_at + c.set().retry) return false;
  for (const Peer& p : s.peers)
    if (PeerFresh(s, p, c.now) && p.report.promised > s.view->epoch && p.report.record_epoch <= s.view->epoch) return true;
  return false;
}
void ActRaise(Context& c) {
  Record r = NextRecord(c);
  for (const Peer& p : c.s.peers) r.epoch = std::max(r.epoch, p.report.promised);
  c.facts = "epoch " + std::to_string(c.s.view->epoch) + " -> " + std::to_string(r.epoch);
  c.s.memory.max_epoch = std::max(c.s.memory.max_epoch, r.epoch);
  Write(c, std::move(r), Purpose::kAcquire);
}

// ---- sync set ----
bool SyncBase(const Context& c) {
  const State& s = c.s;
  return c.set().database && Permitted(s, c.now) && ViewMine(s) && EngineIdle(s) && StoreIdle(s) && !s.must_read && !s.sync_uncertain &&
         c.now >= s.engine_retry && s.open_epoch != 0 && !s.shutdown && s.db.state == DbState::kRunning;
}
bool SyncReapply(const Context& c) { return SyncBase(c) && c.s.applied_key != SyncKey(c.s, c.s.applied); }
void StartSetSync(Context& c, SyncNames names) {
  Engine op;
  op.op = EngineOp::kSetSync;
  op.epoch = c.s.view->epoch;
  op.sync = std::move(names);
  op.peers = SyncPeers(c.s);
  StartEngine(c, std::move(op));
}
bool SyncDatabase(const Context& c) { return SyncBase(c) && NextSyncStep(c.s, c.now).kind == SyncStep::kDatabase; }
std::string NamesText(const std::vector<Name>& names) {
  std::string out;
  for (const Name& n : names) out += (out.empty() ? "" : ",") + n;
  return out.empty() ? "nobody" : out;
}
void ActSyncDatabase(Context& c) {
  SyncStep step = NextSyncStep(c.s, c.now);
  c.facts = "acknowledge: " + std::to_string(step.names.k) + " of " + NamesText(step.names.names);
  StartSetSync(c, std::move(step.names));
}
bool SyncRecord(const Context& c) { return SyncBase(c) && NextSyncStep(c.s, c.now).kind == SyncStep::kRecord; }
void ActSyncRecord(Context& c) {
  SyncStep step = NextSyncStep(c.s, c.now);
  Record r = NextRecord(c);
  r.voters = std::move(step.voters);
  r.freeze = step.freeze;
  r.durability = step.durability;
  c.facts = "voters " + NamesText(r.voters) + ", freeze " + std::to_string(r.freeze) + ", durability " + ToString(r.durability);
  Write(c, std::move(r), Purpose::kRenew);
}

// ---- people ----
bool AdminIs(const State& s, AdminKind kind) { return s.admin.has_value() && s.admin->kind == kind; }
bool PauseAsked(const Context& c) {
  const State& s = c.s;
  return MayWrite(c) && ((AdminIs(s, AdminKind::kPause) && !s.view->paused) || (AdminIs(s, AdminKind::kResume) && s.view->paused));
}
void ActPause(Context& c) {
  Record r = NextRecord(c);
  r.paused = c.s.admin->kind == AdminKind::kPause;
  Write(c, std::move(r), Purpose::kRenew);
}
bool PauseDone(const Context& c) {
  const State& s = c.s;
  if (!StoreIdle(s) || !Present(s) || s.must_read) return false;
  return (AdminIs(s, AdminKind::kPause) && s.view->paused) || (AdminIs(s, AdminKind::kResume) && !s.view->paused);
}
void ActPauseDone(Context& c) {
  const bool paused = c.s.view->paused;
  c.facts = paused ? "paused" : "resumed";
  AnswerPerson(c, AdminStatus::kDone, paused ? "paused: nobody takes over until `mainstay resume`; the fence stays armed" : "resumed");
  c.out.push_back(Notify{"", true, false});
}
bool DurabilityDone(const Context& c) {
  return AdminIs(c.s, AdminKind::kSetDurability) && Present(c.s) && c.s.view->durability == c.s.admin->durability && StoreIdle(c.s);
}
bool ForgetAsked(const Context& c) {
  const State& s = c.s;
  return AdminIs(s, AdminKind::kForget) && MayWrite(c) && EngineIdle(s) && !s.view->HasVoter(s.admin->target) &&
         !Contains(s.applied.names, s.admin->target) && s.view->FindMember(s.admin->target) != nullptr;
}
void ActForget(Context& c) {
  const Name gone = c.s.admin->target;
  c.s.peers.erase(std::remove_if(c.s.peers.begin(), c.s.peers.end(), [&](const Peer& p) { return p.report.name == gone; }), c.s.peers.end());
  Record r = NextRecord(c);
  r.members.erase(std::remove_if(r.members.begin(), r.members.end(), [&](const Member& m) { return m.name == gone; }), r.members.end());
  c.facts = gone;
  Write(c, std::move(r), Purpose::kRenew);
}
bool ForgetDone(const Context& c) {
  return AdminIs(c.s, AdminKind::kForget) && StoreIdle(c.s) && Present(c.s) && c.s.view->FindMember(c.s.admin->target) == nullptr;
}

// ---- handing over ----
bool GoAsked(const State& s) { return s.shutdown || s.memory.fenced; }
// A standby that could lead: streaming and caught up but for the last moments.
Name BestSuccessor(const State& s) {
  Name best;
  uint64_t flushed = 0;
  for (const auto& h : s.standbys) {
    const Member* m = s.view->FindMember(h.name);
    if (m == nullptr || m->no_failover || !h.streaming) continue;
    if (best.empty() || h.flushed > flushed) {
      best = h.name;
      flushed = h.flushed;
    }
  }
  return best;
}
bool StandbyStreams(const State& s, const Name& name) {
  return std::any_of(s.standbys.begin(), s.standbys.end(), [&](const auto& h) { return h.name == name && h.streaming; });
}
bool SwitchoverImpossible(const Context& c) {
  const State& s = c.s;
  if (!AdminIs(s, AdminKind::kSwitchover) || !c.set().database) return false;
  return s.admin->target.empty() ? BestSuccessor(s).empty() : !StandbyStreams(s, s.admin->target);
}
bool SwitchoverAsked(const Context& c) {
  const State& s = c.s;
  return (AdminIs(s, AdminKind::kSwitchover) || GoAsked(s)) && EngineIdle(s) && StoreIdle(s) && Permitted(s, c.now) && !s.must_read;
}
void ActHandover(Context& c) {
  State& s = c.s;
  s.handover_step = 0;
  if (s.admin.has_value() && s.admin->kind == AdminKind::kSwitchover && s.admin->target.empty()) s.admin->target = BestSuccessor(s);
  c.facts = s.shutdown ? "shutting down" : s.memory.fenced ? "fenced" : "to " + (s.admin.has_value() ? s.admin->target : "anybody");
  SetPhase(c, Phase::kHandover);
  if (!c.set().database) {
    s.stopped_complete = true;
    SetPhase(c, Phase::kReleasing);
    return;
  }
  Engine op;
  op.op = EngineOp::kCheckpoint;
  op.epoch = s.view->epoch;
  StartEngine(c, std::move(op));
}
bool HandoverStop(const Context& c) {
  return c.s.handover_step == 0 && EngineIdle(c.s) && Permitted(c.s, c.now) && (StoreIdle(c.s) || Mistake(M::kReleaseBeforeStop));
}
void ActHandoverStop(Context& c) {
  c.s.handover_step = 1;
  if (Mistake(M::kReleaseBeforeStop)) {
    c.s.stopped_complete = false;
    SetPhase(c, Phase::kReleasing);
    return;
  }
  Engine op;
  op.op = EngineOp::kStop;
  op.epoch = c.s.view->epoch;
  StartEngine(c, std::move(op));
}
bool HandoverStopped(const Context& c) {
  return c.s.handover_step == 1 && EngineIdle(c.s) && c.s.db.state == DbState::kStopped && c.s.open_epoch == 0;
}
void ActHandoverStopped(Context& c) {
  c.facts = c.s.stopped_complete ? "clean, the log ends at " + std::to_string(c.s.stopped_at.offset) : "not clean";
  SetPhase(c, Phase::kReleasing);
}
bool HandoverFailed(const Context& c) {
  return c.s.handover_step == 1 && EngineIdle(c.s) && !(c.s.db.state == DbState::kStopped && c.s.open_epoch == 0);
}

}  // namespace

void AddPrimaryRows(std::vector<Row>* t) {
  t->push_back({"open.bare", In(Phase::kOpening), "no database, the lock is mine", "The lock is ours: lead.", "primary", false, BareOpen, ActPrimary});
  t->push_back({"open.found", In(Phase::kOpening, Phase::kProbation), "there are no data anywhere",
                "Create a new database cluster; it stays closed until we may lead.", "", false, NeedsFound, ActFound});
  t->push_back({"open.adopt", In(Phase::kOpening), "the database is still open under this epoch, and the fence stands",
                "The agent restarted beside a running primary: adopt it.", "", false, AlreadyOpen, ActAlreadyOpen});
  t->push_back({"open.done", In(Phase::kOpening), "the database accepts writes", "This member is the primary now.", "primary", false, IsOpen, ActPrimary});
  t->push_back({"open.start", In(Phase::kOpening), "the lock is mine and the fence stands",
                "The lock is ours and the fence is armed: open the database for writes.", "", false, CanOpen, ActOpen});
  t->push_back({"open.failed", In(Phase::kOpening), "the database could not be opened",
                "The database could not be opened: give the lock up and let another member lead.", "stepdown", false, OpenFailed, GiveUp});
  t->push_back({"primary.crash-failover", In(Phase::kPrimary), "every process of the database is gone and enough voters are alive",
                "The database died and synchronous standbys are ready: give the lock up at once, that is faster than a restart.", "releasing", false, CrashFailover, ActCrashFailover});
  t->push_back({"primary.crash-reopen", In(Phase::kPrimary), "every process of the database is gone and nobody is ready to take over",
                "The database died and no standby is ready: restart it in place under the same lock.", "opening", false, Crashed, ActReopen});
  t->push_back({"primary.hung", In(Phase::kPrimary), "the database has not proven a write for too long",
                "The database is hung: it runs but cannot write. Kill it, then let a standby lead.", "stepdown", false, Hung, GiveUp});
  t->push_back({"primary.raise", In(Phase::kPrimary), "a member promised a higher epoch to a takeover that did not come",
                "A takeover was begun and abandoned: raise the epoch so that its members may follow again.", "", false, RaiseNeeded, ActRaise});
  t->push_back({"admin.pause-done", In(Phase::kPrimary), "the record says so", "Pause was changed on request.", "", false, PauseDone, ActPauseDone});
  t->push_back({"admin.pause", In(Phase::kPrimary), "an administrator asked", "Write pause or resume into the record.", "", true, PauseAsked, ActPause});
  t->push_back({"admin.durability-done", In(Phase::kPrimary), "the record says so", "The durability asked for is in force.", "", false, DurabilityDone,
                [](Context& c) { AnswerPerson(c, AdminStatus::kDone, std::string("durability is ") + ToString(c.s.view->durability) + " now"); }});
  t->push_back({"admin.forget-done", In(Phase::kPrimary), "the record says so", "The member is no longer in the record.", "", true, ForgetDone,
                [](Context& c) { AnswerPerson(c, AdminStatus::kDone, "forgotten: " + c.s.admin->target); }});
  t->push_back({"admin.forget", In(Phase::kPrimary), "an administrator asked, and it is no voter", "Take the member out of the record.", "", false, ForgetAsked, ActForget});
  t->push_back({"switchover.refuse", In(Phase::kPrimary), "the target does not stream", "Nobody could take over without a loss: refuse the switchover.", "", false, SwitchoverImpossible,
                [](Context& c) { AnswerPerson(c, AdminStatus::kRefused, "the target is not a streaming standby now; see `mainstay status`"); }});
  t->push_back({"handover.start", In(Phase::kPrimary), "a switchover, a shutdown or a fence was asked for",
                "Hand over in good order: checkpoint first, so that the stop is short.", "handover releasing", false, SwitchoverAsked, ActHandover});
  t->push_back({"handover.stop", In(Phase::kHandover), "the checkpoint is done (or failed)", "Stop the database cleanly.", "", false, HandoverStop, ActHandoverStop});
  t->push_back({"handover.stopped", In(Phase::kHandover), "the database is stopped", "The database is stopped: give the lock up to the successor.", "releasing", false, HandoverStopped, ActHandoverStopped});
  t->push_back({"handover.failed", In(Phase::kHandover), "the database did not stop", "The clean stop failed: kill the database.", "stepdown", false, HandoverFailed, GiveUp});
  t->push_back({"sync.reapply", In(Phase::kPrimary), "epoch, or a standby's data, changed", "Name the standbys anew in the database.", "", true, SyncReapply,
                [](Context& c) { StartSetSync(c, c.s.applied); }});
  t->push_back({"sync.database", In(Phase::kPrimary), "the record allows other names than the database has",
                "Change which standbys acknowledge writes; done when every sender has read it.", "", false, SyncDatabase, ActSyncDatabase});
  t->push_back({"sync.record", In(Phase::kPrimary), "the sync set changed and the voters have everything acknowledged so far",
                "Write the new sync set into the record.", "", false, SyncRecord, ActSyncRecord});
  t->push_back({"primary.members", In(Phase::kPrimary), "a member came or changed", "Write the members into the record.", "", true, MembersChanged, ActRenew});
  t->push_back({"holder.renew", kActing | In(Phase::kProbation), "a renewal is due and the database proved that it writes",
                "Renew the lock.", "", true, RenewDue, ActRenew});
  t->push_back({"holder.failsafe", kActing, "the lock's store does not answer", "Ask every possible candidate to keep still, so that we may go on without the store.", "", true, FailsafeDue, ActFailsafe});
}

}  // namespace mainstay::election
