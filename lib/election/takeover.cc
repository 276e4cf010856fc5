// When this member may try to take over, and what it writes then (rules Q1-Q4, S5-S7; docs/SIMULATION.md).
// How the others' answers are judged: judge.cc.
#include <algorithm>
#include <utility>

#include "lib/election/core_internal.h"

namespace mainstay::election {
namespace {

// How many reachable members would be preferred to this one: the better they are, the longer it lets them go
// first.
int Rank(const State& s, MonoTime now) {
  if (!s.set->database) {
    int rank = 0;
    for (const Peer& p : s.peers)
      rank += PeerFresh(s, p, now) && p.report.self.priority > s.set->self.priority ? 1 : 0;
    return rank;
  }
  const Position mine = OwnPosition(s);
  int rank = 0;
  for (const Peer& p : s.peers) {
    const PeerReport& r = p.report;
    if (!PeerFresh(s, p, now) || r.self.no_failover || r.empty || r.position.lineage < mine.lineage) continue;
    if (s.view != nullptr && r.name == s.view->holder_name && !s.view->release.complete) continue;
    if (r.position.offset != mine.offset          ? r.position.offset > mine.offset
        : r.self.priority != s.set->self.priority ? r.self.priority > s.set->self.priority
                                                  : r.name < s.set->self.name)
      rank++;
  }
  return rank;
}

// Every member that can be asked is as blind as this one.
bool OthersAgree(const State& s, MonoTime now) {
  const Duration limit = s.set->suspicion;
  for (const Peer& p : s.peers) {
    if (!PeerFresh(s, p, now)) continue;
    if (p.report.name == s.view->holder_name) {
      if (p.report.leads) return false;
      continue;
    }
    const Duration since = now - p.at;
    const Duration slack = limit / 8;
    if (p.report.record_epoch == s.view->epoch && p.report.record_age < limit - since - slack) return false;
    if (p.report.stream_age < limit - since - slack) return false;
  }
  return true;
}

std::optional<Cause> PresentCause(const State& s, MonoTime now, MonoTime* since) {
  const Record& r = *s.view;
  const bool own = r.release.from == s.set->self.name || r.holder_name == s.set->self.name;
  const bool wanted = Chosen(s);
  const MonoTime expiry = s.seen_at + LeaseWait(s);
  if (now < s.forced_until && (r.release.released || now >= expiry)) {
    *since = s.seen_at;
    return Cause::kForced;
  }
  // Pause keeps everybody from taking over; it does not keep the recorded primary, come back from a restart
  // of its node with the very data of this reign, from going on.
  const bool home = r.holder_name == s.set->self.name && s.memory.held == r.epoch && !r.release.released;
  if (r.paused && home && now >= expiry) {
    *since = expiry;
    return Cause::kExpired;
  }
  if (r.paused && !wanted) return std::nullopt;
  if (r.release.released) {
    *since = s.seen_at;
    if (!wanted && r.pending.has_value() && !r.pending->target.empty()) *since += s.set->freeze_wait;
    if (own && !wanted) *since += s.set->freeze_wait * 2;
    return Cause::kReleased;
  }
  const bool quorum =
      s.set->takeover == Takeover::kQuorum && SyncMode(s) && !r.voters.empty() && s.set->database;
  if (quorum && s.frozen && s.memory.promised > r.epoch) {
    *since = s.take_hint ? s.frozen_since : s.frozen_since + s.set->freeze_wait * 2;
    if (now >= *since) return Cause::kFrozen;
  }
  const MonoTime blind = std::max(s.seen_at, StreamAt(s)) + s.set->suspicion;
  if (quorum && r.HasVoter(s.set->self.name) && now >= blind && OthersAgree(s, now)) {
    *since = blind;
    return Cause::kSuspected;
  }
  if (now >= expiry) {
    *since = expiry;
    return Cause::kExpired;
  }
  return std::nullopt;
}

}  // namespace

// The record names this member, and nothing was streamed here since the freeze that won it: these are the
// data the reign was to begin with (it died between its compare-and-swap and the opening). Or this is the
// founder, come back before its new cluster was ever opened.
bool UnopenedMine(const State& s) {
  const Record& r = *s.view;
  const Memory& m = s.memory;
  if (r.holder_name != s.set->self.name || s.db.empty || !s.db_known) return false;
  if (m.rolled_back && !s.db.unopened) return false;  // not the data that won it any more
  // It froze for that epoch or a later one, and could only have followed a record newer than this since.
  if (m.promised >= r.epoch && m.detached && m.lineage > 0) return true;
  const bool founded = s.db.unopened || (m.lineage == 0 && m.held == 0 && !s.set->volatile_data);
  return founded && (r.cluster_id.empty() || r.cluster_id == s.db.system_id);
}

bool NeverOpened(const State& s) { return s.memory.lineage == 0 || s.db.unopened; }

bool SelfComplete(const State& s) {
  const Record& r = *s.view;
  if (UnopenedMine(s)) return true;
  const Position mine = OwnPosition(s);
  if (!OnLineage(s, mine)) return false;
  // The data of the holder itself: whatever was acknowledged in this reign was flushed here first.
  if (r.holder_name == s.set->self.name && s.memory.held == r.epoch) return true;
  return r.release.released && r.release.complete && mine.offset >= r.release.final.offset;
}

bool MayLead(const State& s, MonoTime now) {
  const Settings& set = *s.set;
  if (set.self.no_failover || s.memory.fenced || s.shutdown || s.lead) return false;
  if (now < s.promised_until || s.foreign) return false;
  if (Present(s) && s.view->epoch > 0 && set.database && s.view->FindMember(set.self.name) == nullptr)
    return false;
  if (!set.database) return true;
  if (s.db.empty || !s.db_known) return false;
  if (s.lock != LockView::kPresent) return true;
  // (With data that live in processes the last reign's may be gone; the judgement tells.)
  if (set.volatile_data) return true;
  return OnLineage(s, OwnPosition(s)) || UnopenedMine(s) || (now < s.forced_until && s.forced_loss);
}

std::optional<Cause> TakeoverCause(const State& s, MonoTime now, MonoTime* since) {
  std::optional<Cause> cause;
  if (s.lock == LockView::kAbsent || s.lock == LockView::kDamaged) {
    *since = s.seen_at + LeaseWait(s);
    // A bare election has no data to lose: creating at once is safe, because acting waits for L (R4).
    if (!s.set->database || Mistake(M::kCreateNow))
      *since = s.seen_at + (s.lock == LockView::kAbsent ? Duration{} : LeaseWait(s));
    if (now >= *since) cause = Cause::kLost;
  } else if (s.lock == LockView::kPresent) {
    cause = PresentCause(s, now, since);
  }
  if (!cause.has_value()) return cause;
  if (!s.take_hint && !Chosen(s)) *since += s.set->retry / 2 * Rank(s, now);
  return now >= *since ? cause : std::nullopt;
}

void StartAttempt(Context& c, Cause cause) {
  State& s = c.s;
  s.attempt = Attempt{};
  s.attempt.ask = s.next_id++;
  s.attempt.cause = cause;
  s.attempt.version = s.version;
  s.attempt.started = c.now;
  const Epoch recorded = s.view == nullptr ? 0 : s.view->epoch;
  Epoch epoch = std::max({recorded + 1, s.memory.record_epoch + 1, s.memory.max_epoch});
  const bool taken = !s.memory.promised_to.empty() && s.memory.promised_to != s.set->self.name;
  if (taken) epoch = s.memory.max_epoch + 1;
  if (cause == Cause::kLost) epoch = LostEpoch(s);
  s.attempt.epoch = epoch;
  s.take_hint = false;
  if (!c.set().database) return;
  std::vector<Name> ask = s.memory.known;
  if (cause == Cause::kLost && NeverOpened(s))
    for (const Name& n : c.set().expected) Insert(&ask, n);
  if (Present(s))
    for (const Member& m : s.view->members) Insert(&ask, m.name);
  for (const Name& n : ask) {
    if (n == c.set().self.name) continue;
    const Peer* p = FindPeer(s, n);
    const Member* m = s.view == nullptr ? nullptr : s.view->FindMember(n);
    std::string address = p != nullptr ? p->report.self.peer_address : m != nullptr ? m->peer_address : "";
    c.out.push_back(SendFreeze{s.attempt.ask, n, std::move(address), epoch, cause});
    s.attempt.asked++;
  }
  Memory& m = s.memory;
  const bool again = s.frozen && m.promised == epoch && s.saved.promised == epoch && cause != Cause::kLost;
  m.promised = epoch;
  m.max_epoch = std::max(m.max_epoch, epoch);
  m.promised_to = cause == Cause::kLost ? c.set().self.name : "";
  m.detached = true;
  s.following_epoch = 0;
  if (again) {
    s.attempt.self_frozen = true;
    return;
  }
  Engine op;
  op.op = EngineOp::kFreeze;
  op.epoch = epoch;
  StartEngine(c, std::move(op));
}

Record AcquiredRecord(const Context& c) {
  const State& s = c.s;
  Record r;
  if (s.view != nullptr) {
    r = NextRecord(c);
  } else {
    State& mutable_view = c.s;
    mutable_view.view = std::make_shared<const Record>();
    r = NextRecord(c);
    mutable_view.view.reset();
    r.durability = Wish(s);
  }
  r.holder = s.set->identity;
  r.holder_name = s.set->self.name;
  r.epoch = s.attempt.epoch;
  // The new reign's own log begins when its database opens (NextRecord raises the base then). Until that
  // nothing was acknowledged in it, and the members of the last reign are still the ones that count.
  if (s.attempt.cause == Cause::kLost || s.view == nullptr) r.base = s.memory.lineage;
  if (s.admin.has_value() && s.admin->kind == AdminKind::kResume) r.paused = false;
  r.voters.clear();
  r.freeze = 0;
  r.pending.reset();
  r.release = Release{};
  r.cluster_id = !s.db.system_id.empty() ? s.db.system_id : s.memory.cluster_id;
  r.history.push_back(HistoryEntry{r.epoch, r.holder_name, s.last_reason, 0});
  if (r.history.size() > kMaxHistory) r.history.erase(r.history.begin());
  return r;
}

}  // namespace mainstay::election
