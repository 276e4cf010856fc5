// Rows of the holder: what people ask for, and handing over in good order.
#include <algorithm>

#include "lib/election/core_internal.h"

namespace mainstay::election {
namespace {

// ---- people ----
bool AdminIs(const State& s, AdminKind kind) { return s.admin.has_value() && s.admin->kind == kind; }
bool PauseAsked(const Context& c) {
  const State& s = c.s;
  return MayWrite(c) && ((AdminIs(s, AdminKind::kPause) && !s.view->paused) ||
                         (AdminIs(s, AdminKind::kResume) && s.view->paused));
}
void ActPause(Context& c) {
  Record r = NextRecord(c);
  r.paused = c.s.admin->kind == AdminKind::kPause;
  Write(c, std::move(r), Purpose::kRenew);
}
bool PauseDone(const Context& c) {
  const State& s = c.s;
  if (!StoreIdle(s) || !Present(s) || s.must_read) return false;
  return (AdminIs(s, AdminKind::kPause) && s.view->paused) ||
         (AdminIs(s, AdminKind::kResume) && !s.view->paused);
}
void ActPauseDone(Context& c) {
  const bool paused = c.s.view->paused;
  c.facts = paused ? "paused" : "resumed";
  AnswerPerson(
      c, AdminStatus::kDone,
      paused ? "paused: nobody takes over until `mainstay resume`; the fence stays armed" : "resumed");
  c.out.push_back(Notify{"", true, false});
}
bool DurabilityDone(const Context& c) {
  return AdminIs(c.s, AdminKind::kSetDurability) && Present(c.s) &&
         c.s.view->durability == c.s.admin->durability && StoreIdle(c.s);
}
bool ForgetAsked(const Context& c) {
  const State& s = c.s;
  return AdminIs(s, AdminKind::kForget) && MayWrite(c) && EngineIdle(s) &&
         !s.view->HasVoter(s.admin->target) && !Contains(s.applied.names, s.admin->target) &&
         s.view->FindMember(s.admin->target) != nullptr;
}
void ActForget(Context& c) {
  const Name gone = c.s.admin->target;
  c.s.peers.erase(std::remove_if(c.s.peers.begin(), c.s.peers.end(),
                                 [&](const Peer& p) { return p.report.name == gone; }),
                  c.s.peers.end());
  Record r = NextRecord(c);
  r.members.erase(
      std::remove_if(r.members.begin(), r.members.end(), [&](const Member& m) { return m.name == gone; }),
      r.members.end());
  c.facts = gone;
  Write(c, std::move(r), Purpose::kRenew);
}
bool ForgetDone(const Context& c) {
  return AdminIs(c.s, AdminKind::kForget) && StoreIdle(c.s) && Present(c.s) &&
         c.s.view->FindMember(c.s.admin->target) == nullptr;
}

// ---- handing over ----
bool GoAsked(const State& s) { return s.shutdown || (s.memory.fenced && FenceKept(s)); }
// The member itself said lately that it streams this reign's log, and that it sees the lock renewed: what it
// does not know of itself yet, or what an agent that hangs does not say, would make it refuse the lock that
// is handed over to it; and who does not reach the lock's store (back from an outage, say, and it still waits
// to ask again) would not take it in time.
// "" : it is ready; else why not.
std::string Unready(const Context& c, const Name& name) {
  if (!c.set().database) return "";
  const Peer* p = FindPeer(c.s, name);
  if (p == nullptr || !PeerFresh(c.s, *p, c.now)) return name + " does not answer";
  if (!p->report.can_vote || p->report.record_epoch != c.s.view->epoch)
    return name + " does not say that it streams the log of epoch " + std::to_string(c.s.view->epoch);
  const Duration blind = p->report.record_age + (c.now - p->at);
  if (blind > c.set().suspicion) return name + " has not seen the lock renewed for " + Seconds(blind);
  return "";
}
bool Ready(const Context& c, const Name& name) { return Unready(c, name).empty(); }
// A standby that could lead: streaming and caught up but for the last moments.
Name BestSuccessor(const Context& c, bool ready) {
  const State& s = c.s;
  Name best;
  uint64_t flushed = 0;
  for (const auto& h : s.standbys) {
    const Member* m = s.view->FindMember(h.name);
    if (m == nullptr || m->no_failover || !h.streaming || (ready && !Ready(c, h.name))) continue;
    if (best.empty() || h.flushed > flushed) {
      best = h.name;
      flushed = h.flushed;
    }
  }
  return best;
}
bool StandbyStreams(const State& s, const Name& name) {
  return std::any_of(s.standbys.begin(), s.standbys.end(),
                     [&](const auto& h) { return h.name == name && h.streaming; });
}
bool SwitchoverImpossible(const Context& c) {
  const State& s = c.s;
  if (!AdminIs(s, AdminKind::kSwitchover) || s.handover_step != 0 || !c.set().database) return false;
  return s.admin->target.empty() ? BestSuccessor(c, false).empty() : !StandbyStreams(s, s.admin->target);
}
bool SwitchoverAsked(const Context& c) {
  const State& s = c.s;
  const bool asked = AdminIs(s, AdminKind::kSwitchover) && s.handover_step == 0 &&
                     (!c.set().database || (s.admin->target.empty() ? !BestSuccessor(c, true).empty()
                                                                    : Ready(c, s.admin->target)));
  // (Not while the lock's store does not answer: the lock could not be given up.)
  const bool reached = GoAsked(s) || s.store_failures == 0;
  return (asked || GoAsked(s)) && reached && EngineIdle(s) && StoreIdle(s) && Permitted(s, c.now) &&
         !s.must_read;
}
void ActHandover(Context& c) {
  State& s = c.s;
  s.handover_step = 0;
  if (s.admin.has_value() && s.admin->kind == AdminKind::kSwitchover && s.admin->target.empty())
    s.admin->target = BestSuccessor(c, c.set().database);
  c.facts = s.shutdown        ? "shutting down"
            : s.memory.fenced ? "fenced"
                              : "to " + (s.admin.has_value() ? s.admin->target : "anybody");
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
  return c.s.handover_step == 0 && EngineIdle(c.s) && Permitted(c.s, c.now) &&
         (StoreIdle(c.s) || Mistake(M::kReleaseBeforeStop));
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
  return c.s.handover_step == 1 && EngineIdle(c.s) && c.s.db.state == DbState::kStopped &&
         c.s.open_epoch == 0;
}
void ActHandoverStopped(Context& c) {
  c.facts =
      c.s.stopped_complete ? "clean, the log ends at " + std::to_string(c.s.stopped_at.offset) : "not clean";
  SetPhase(c, Phase::kReleasing);
}
bool HandoverFailed(const Context& c) {
  return c.s.handover_step == 1 && EngineIdle(c.s) &&
         !(c.s.db.state == DbState::kStopped && c.s.open_epoch == 0);
}

}  // namespace

std::string SwitchoverWaitsFor(const Context& c) {
  const State& s = c.s;
  if (!AdminIs(s, AdminKind::kSwitchover) || s.phase != Phase::kPrimary || s.handover_step != 0) return "";
  if (s.store_failures > 0) return "the lock's store does not answer";
  const Name target = s.admin->target.empty() ? BestSuccessor(c, false) : s.admin->target;
  return target.empty() ? "" : Unready(c, target);
}

void AddAdminRows(std::vector<Row>* t) {
  t->push_back({"admin.pause-done", In(Phase::kPrimary), "the record says so",
                "Pause was changed on request.", "", false, PauseDone, ActPauseDone});
  t->push_back({"admin.pause", In(Phase::kPrimary), "an administrator asked",
                "Write pause or resume into the record.", "", true, PauseAsked, ActPause});
  t->push_back({"admin.durability-done", In(Phase::kPrimary), "the record says so",
                "The durability asked for is in force.", "", false, DurabilityDone, [](Context& c) {
                  AnswerPerson(c, AdminStatus::kDone,
                               std::string("durability is ") + ToString(c.s.view->durability) + " now");
                }});
  t->push_back({"admin.forget-done", In(Phase::kPrimary), "the record says so",
                "The member is no longer in the record.", "", true, ForgetDone,
                [](Context& c) { AnswerPerson(c, AdminStatus::kDone, "forgotten: " + c.s.admin->target); }});
  t->push_back({"admin.forget", In(Phase::kPrimary), "an administrator asked, and it is no voter",
                "Take the member out of the record.", "", false, ForgetAsked, ActForget});
  t->push_back({"switchover.refuse", In(Phase::kPrimary), "the target does not stream",
                "Nobody could take over without a loss: refuse the switchover.", "", false,
                SwitchoverImpossible, [](Context& c) {
                  AnswerPerson(c, AdminStatus::kRefused,
                               "the target is not a streaming standby now; see `mainstay status`");
                }});
  t->push_back(
      {"handover.start", In(Phase::kPrimary),
       "a shutdown or a fence was asked for, or a switchover, and the successor says that it is ready",
       "Hand over in good order: checkpoint first, so that the stop is short.", "handover releasing", false,
       SwitchoverAsked, ActHandover});
  t->push_back({"handover.stop", In(Phase::kHandover), "the checkpoint is done (or failed)",
                "Stop the database cleanly.", "", false, HandoverStop, ActHandoverStop});
  t->push_back({"handover.stopped", In(Phase::kHandover), "the database is stopped",
                "The database is stopped: give the lock up to the successor.", "releasing", false,
                HandoverStopped, ActHandoverStopped});
  t->push_back({"handover.failed", In(Phase::kHandover), "the database did not stop",
                "The clean stop failed: kill the database.", "stepdown", false, HandoverFailed, GiveUp});
}

}  // namespace mainstay::election
