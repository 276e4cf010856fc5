// Rows of the holder: renewing, the sync set, failsafe.
#include <algorithm>

#include "lib/election/core_internal.h"

namespace mainstay::election {

bool MayWrite(const Context& c) {
  const State& s = c.s;
  return StoreIdle(s) && (Permitted(s, c.now) || s.phase == Phase::kProbation) && !s.must_read && ViewMine(s);
}

bool Proven(const Context& c) {
  const State& s = c.s;
  if (!c.set().database || s.phase != Phase::kPrimary || s.view->paused) return true;
  return !Dead(s) && s.db.verdict != Verdict::kHung && c.now - s.db.at < c.set().validity;
}

namespace {

constexpr uint32_t kActing = In(Phase::kOpening, Phase::kPrimary, Phase::kHandover);

// ---- renewal ----
bool RenewDue(const Context& c) { return MayWrite(c) && c.now >= c.s.next_renew && Proven(c); }
void ActRenew(Context& c) { Write(c, NextRecord(c), Purpose::kRenew); }

// Something that others must know soon: a member came, its data or address changed, the system identifier
// became known.
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
  if (!c.set().failsafe || !c.set().database || !Permitted(s, c.now) || s.view == nullptr ||
      s.lock != LockView::kPresent)
    return false;
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
  const auto ask = [&](const Member& m) {
    if (m.name == c.set().self.name) return;
    s.promise_needed++;
    c.out.push_back(SendPromise{s.promise_ask, m.name, m.peer_address, s.view->epoch});
  };
  // Those tagged no_failover as well: the tag may be taken away while the record, which cannot be written
  // now, still has it, and then that member is a candidate that nobody asked.
  for (const Member& m : s.view->members) ask(m);
  // A write whose answer was lost may have made a member of anybody who reported: they can take over as well.
  for (const Peer& p : s.peers)
    if (s.view->FindMember(p.report.name) == nullptr) ask(p.report.self);
  if (s.promise_needed == 0) s.promise_ask = 0;
}

// ---- epoch raise ----
bool RaiseNeeded(const Context& c) {
  const State& s = c.s;
  if (!MayWrite(c) || s.phase != Phase::kPrimary || !EngineIdle(s) || c.now < s.renewed_at + c.set().retry)
    return false;
  for (const Peer& p : s.peers)
    if (PeerFresh(s, p, c.now) && p.report.promised > s.view->epoch && p.report.record_epoch <= s.view->epoch)
      return true;
  return false;
}
void ActRaise(Context& c) {
  Record r = NextRecord(c);
  // One more than was promised: a promise of that very epoch may have been given to one candidate alone.
  for (const Peer& p : c.s.peers) r.epoch = std::max(r.epoch, p.report.promised + 1);
  c.facts = "epoch " + std::to_string(c.s.view->epoch) + " -> " + std::to_string(r.epoch);
  c.s.memory.max_epoch = std::max(c.s.memory.max_epoch, r.epoch);
  Write(c, std::move(r), Purpose::kAcquire);
}

// ---- sync set ----
bool SyncBase(const Context& c) {
  const State& s = c.s;
  return c.set().database && Permitted(s, c.now) && ViewMine(s) && EngineIdle(s) && StoreIdle(s) &&
         !s.must_read && !s.sync_uncertain && c.now >= s.engine_retry && s.open_epoch != 0 && !s.shutdown &&
         s.db.state == DbState::kRunning;
}
bool SyncReapply(const Context& c) {
  return SyncBase(c) &&
         c.s.applied_key != SyncKey(c.set().self.name, c.s.view->epoch, c.s.applied, c.s.view->members);
}
void StartSetSync(Context& c, SyncNames names) {
  Engine op;
  op.op = EngineOp::kSetSync;
  op.epoch = c.s.view->epoch;
  op.sync = std::move(names);
  op.peers = SyncPeers(c.s);
  StartEngine(c, std::move(op));
}
bool SyncDatabase(const Context& c) {
  return SyncBase(c) && NextSyncStep(c.s, c.now).kind == SyncStep::kDatabase;
}
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
bool SyncRecord(const Context& c) {
  return SyncBase(c) && !SyncReapply(c) && NextSyncStep(c.s, c.now).kind == SyncStep::kRecord;
}
void ActSyncRecord(Context& c) {
  SyncStep step = NextSyncStep(c.s, c.now);
  Record r = NextRecord(c);
  r.voters = std::move(step.voters);
  r.freeze = step.freeze;
  r.durability = step.durability;
  c.facts = "voters " + NamesText(r.voters) + ", freeze " + std::to_string(r.freeze) + ", durability " +
            ToString(r.durability);
  Write(c, std::move(r), Purpose::kRenew);
}

}  // namespace

void AddPrimaryRows(std::vector<Row>* t) {
  t->push_back({"primary.raise", In(Phase::kPrimary),
                "a member promised a higher epoch to a takeover that did not come",
                "A takeover was begun and abandoned: raise the epoch so that its members may follow again.",
                "", false, RaiseNeeded, ActRaise});
  t->push_back({"sync.reapply", In(Phase::kPrimary), "epoch, or a standby's data, changed",
                "Name the standbys anew in the database.", "", true, SyncReapply,
                [](Context& c) { StartSetSync(c, c.s.applied); }});
  t->push_back({"sync.database", In(Phase::kPrimary), "the record allows other names than the database has",
                "Change which standbys acknowledge writes; done when every sender has read it.", "", false,
                SyncDatabase, ActSyncDatabase});
  t->push_back({"sync.record", In(Phase::kPrimary),
                "the sync set changed and the voters have everything acknowledged so far",
                "Write the new sync set into the record.", "", false, SyncRecord, ActSyncRecord});
  t->push_back({"primary.members", In(Phase::kPrimary), "a member came or changed",
                "Write the members into the record.", "", true, MembersChanged, ActRenew});
  t->push_back({"holder.renew", kActing | In(Phase::kProbation),
                "a renewal is due and the database proved that it writes", "Renew the lock.", "", true,
                RenewDue, ActRenew});
  t->push_back({"holder.failsafe", kActing, "the lock's store does not answer",
                "Ask every possible candidate to keep still, so that we may go on without the store.", "",
                true, FailsafeDue, ActFailsafe});
}

}  // namespace mainstay::election
