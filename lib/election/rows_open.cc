// Rows of the holder: opening the database, and what is done when it fails.
#include <algorithm>

#include "lib/election/core_internal.h"

namespace mainstay::election {

bool Dead(const State& s) { return s.db.state == DbState::kDead || s.db.state == DbState::kStopped; }

void GiveUp(Context& c) {
  State& s = c.s;
  s.give_up = true;
  s.stopped_complete = false;
  s.open_failed = false;
  SetPhase(c, Phase::kStepdown);
  StartKill(c);
  s.next_attempt = c.now + LeaseWait(s);
}

namespace {

// ---- opening ----
bool BareOpen(const Context& c) { return !c.set().database && c.s.lead; }
bool FenceStands(const Context& c) {
  return c.s.lead && c.s.fence_until > c.now && c.s.fence_until >= c.s.permit_until - c.set().renew;
}
// A late create of this member, or lost data: there is a cluster already, and it must not become two.
bool SecondCluster(const Context& c) {
  const State& s = c.s;
  if (!s.view->cluster_id.empty() || !s.memory.cluster_id.empty()) return true;
  return std::any_of(s.peers.begin(), s.peers.end(), [&](const Peer& p) {
    return PeerFresh(s, p, c.now) && !p.report.empty && !p.report.system_id.empty();
  });
}
bool NeedsFound(const Context& c) {
  return c.set().database && c.s.db_known && c.s.db.empty && EngineIdle(c.s) && c.now >= c.s.engine_retry &&
         !c.s.open_failed && !SecondCluster(c);
}
void ActFound(Context& c) {
  Engine op;
  op.op = EngineOp::kFound;
  op.epoch = c.s.view->epoch;
  StartEngine(c, std::move(op));
}

bool AlreadyOpen(const Context& c) {
  const State& s = c.s;
  return c.set().database && FenceStands(c) && s.db_known && s.db.state == DbState::kRunning &&
         s.db.writable && EngineIdle(s) && s.open_epoch == 0 && s.memory.held == s.view->epoch;
}
void ActAlreadyOpen(Context& c) {
  State& s = c.s;
  s.open_epoch = s.view->epoch;
  s.standbys.clear();
  s.first_look = UINT64_MAX;
  // What the database was told before the agent restarted is not known: the first sync step sets it again.
  s.applied = OpeningSync(s);
  s.applied_key.clear();
  s.settled_at = UINT64_MAX;
  s.frozen = false;
}

bool CanOpen(const Context& c) {
  const State& s = c.s;
  return c.set().database && FenceStands(c) && s.db_known && !s.db.empty && EngineIdle(s) && !s.db.writable &&
         !s.open_failed && s.open_epoch == 0 && c.now >= s.engine_retry && !s.view->cluster_id.empty() &&
         !s.memory.fenced && !s.shutdown &&
         !s.sync_uncertain;  // a write of voters may still land: the names would be too loose for it
}
// A new cluster is named in the record before its first write, so that a record without a name has lost
// nothing.
bool Nameless(const Context& c) {
  return c.set().database && c.s.view->cluster_id.empty() && !c.s.db.system_id.empty() && MayWrite(c);
}
void ActName(Context& c) { Write(c, NextRecord(c), Purpose::kRenew); }
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
  if (op.op != EngineOp::kFreeze) s.tried_open = s.view->epoch;
  if (op.op != EngineOp::kFreeze)
    m.lineage = op.op == EngineOp::kPromote || m.lineage == 0 ? s.view->epoch : m.lineage;
  c.facts = op.op == EngineOp::kPromote  ? "promote at " + std::to_string(OwnPosition(s).offset)
            : op.op == EngineOp::kReopen ? "reopen in place"
                                         : "start as a standby first";
  if (!op.sync.names.empty())
    c.facts += ", " + std::to_string(op.sync.k) + " of " + std::to_string(op.sync.names.size()) +
               " standbys acknowledge";
  StartEngine(c, std::move(op));
}

bool IsOpen(const Context& c) { return c.s.open_epoch != 0 && EngineIdle(c.s); }
void ActPrimary(Context& c) {
  State& s = c.s;
  SetPhase(c, Phase::kPrimary);
  s.reopen = false;
  // A handover of an earlier reign is over; only a switchover that is still asked for has been rolled back.
  if (!s.admin.has_value() || s.admin->kind != AdminKind::kSwitchover) s.handover_step = 0;
  s.next_renew = c.now;  // the record shall say that this reign has a log of its own
  c.facts = "epoch " + std::to_string(s.view->epoch) + ", voters " + std::to_string(s.view->voters.size());
  c.out.push_back(Publish{Role::kPrimary, s.view->epoch});
  c.out.push_back(Notify{"", true, false});
  if (s.admin.has_value() && s.admin->kind == AdminKind::kFailover)
    AnswerPerson(c, AdminStatus::kDone, c.set().self.name + " is the primary now");
}

// Fenced or shutting down before the database was opened. A log that nothing was added to since it won the
// lock is known to its end: whoever has it all may lead next. (Without a sync set it won with those that
// could be asked; who could not may have more, and nothing was written over it yet.)
bool OpenUnwanted(const Context& c) {
  const State& s = c.s;
  const bool second = s.db_known && s.db.empty && SecondCluster(c);
  return (c.s.memory.fenced || c.s.shutdown || second) && c.set().database && EngineIdle(c.s) &&
         StoreIdle(c.s) && c.s.open_epoch == 0 && !c.s.db.writable;
}
void ActOpenUnwanted(Context& c) {
  State& s = c.s;
  if (!s.frozen || s.tried_open == s.view->epoch) {
    GiveUp(c);
    return;
  }
  s.stopped_complete = SyncMode(s);
  s.stopped_at = s.frozen_at;
  SetPhase(c, Phase::kReleasing);
}

// The process whose data won the lock is gone before it was opened: what comes back may be older.
bool DataGone(const State& s) {
  return s.set->volatile_data && Dead(s) && s.db_known && !s.db.unopened && s.memory.lineage != 0 &&
         s.open_epoch == 0;
}
bool OpenFailed(const Context& c) {
  return (c.s.open_failed || DataGone(c.s)) && EngineIdle(c.s) && c.s.lead;
}

// ---- the database failed ----
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
bool Crashed(const Context& c) {
  return c.set().database && c.s.open_epoch != 0 && Dead(c.s) && EngineIdle(c.s) && !c.s.view->paused;
}
// A lock that cannot be given up now helps no successor: while its store does not answer, a restart in place
// is faster.
bool CrashFailover(const Context& c) {
  return Crashed(c) &&
         ((SuccessorReady(c) && c.s.store_failures == 0) || c.s.reopen_tries >= 3 || c.set().volatile_data);
}
void ActCrashFailover(Context& c) {
  State& s = c.s;
  c.facts = c.set().volatile_data ? "its data died with it: whoever has most shall lead"
            : s.reopen_tries >= 3 ? "restarted in place 3 times already"
                                  : "enough voters are alive: " + std::to_string(s.view->voters.size());
  s.open_epoch = 0;
  s.db.writable = false;
  s.stopped_complete = false;
  s.reopen_tries = 0;
  SetPhase(c, Phase::kReleasing);
  s.next_attempt = c.now + c.set().freeze_wait * 2;
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
  return c.set().database && c.s.open_epoch != 0 && c.s.db.verdict == Verdict::kHung && EngineIdle(c.s) &&
         !c.s.view->paused;
}

}  // namespace

void AddOpenRows(std::vector<Row>* t) {
  t->push_back({"open.bare", In(Phase::kOpening), "no database, the lock is mine", "The lock is ours: lead.",
                "primary", false, BareOpen, ActPrimary});
  t->push_back({"open.found", In(Phase::kOpening), "there are no data anywhere",
                "Create a new database cluster; it stays closed until we may lead.", "", false, NeedsFound,
                ActFound});
  t->push_back(
      {"open.adopt", In(Phase::kOpening), "the database is still open under this epoch, and the fence stands",
       "The agent restarted beside a running primary: adopt it.", "", false, AlreadyOpen, ActAlreadyOpen});
  t->push_back({"open.done", In(Phase::kOpening), "the database accepts writes",
                "This member is the primary now.", "primary", false, IsOpen, ActPrimary});
  t->push_back({"open.unwanted", In(Phase::kOpening),
                "a shutdown or a fence was asked for, or there is a cluster already and no data of it here",
                "The database is not open yet and shall not be: give the lock up.", "releasing stepdown",
                false, OpenUnwanted, ActOpenUnwanted});
  t->push_back({"open.name", In(Phase::kOpening), "the record does not say which cluster it is of",
                "Write the new cluster's identifier into the record before opening it.", "", true, Nameless,
                ActName});
  t->push_back({"open.failed", In(Phase::kOpening),
                "the database could not be opened, or the process is gone whose data were to be opened",
                "The database could not be opened: give the lock up and let another member lead.", "stepdown",
                false, OpenFailed, GiveUp});
  t->push_back({"open.start", In(Phase::kOpening), "the lock is mine and the fence stands",
                "The lock is ours and the fence is armed: open the database for writes.", "", false, CanOpen,
                ActOpen});
  t->push_back({"primary.crash-failover", In(Phase::kPrimary),
                "every process of the database is gone, and its data with it, or enough voters are alive and "
                "the lock's store answers",
                "The database died, and its data with it or synchronous standbys are ready: give the lock up "
                "at once, that is faster and safer than a restart.",
                "releasing", false, CrashFailover, ActCrashFailover});
  t->push_back(
      {"primary.crash-reopen", In(Phase::kPrimary),
       "every process of the database is gone, and nobody is ready to take over or could",
       "The database died, and no standby is ready or could take the lock: restart it in place under "
       "the same lock.",
       "opening", false, Crashed, ActReopen});
  t->push_back({"primary.hung", In(Phase::kPrimary), "the database has not proven a write for too long",
                "The database is hung: it runs but cannot write. Kill it, then let a standby lead.",
                "stepdown", false, Hung, GiveUp});
}

}  // namespace mainstay::election
