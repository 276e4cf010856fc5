// When this member may try to take over, and how frozen positions are judged (rules Q1-Q4, S5-S7;
// docs/SIMULATION.md).
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

// The own data are of no reign: none, or a cluster that was founded only.
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

bool Better(const State& s, const FreezeAnswered& a, const FreezeAnswered& b, bool by_lineage) {
  if (by_lineage && a.position.lineage != b.position.lineage) return a.position.lineage > b.position.lineage;
  if (a.position.offset != b.position.offset) return a.position.offset > b.position.offset;
  auto priority = [&](const Name& n) {
    if (n == s.set->self.name) return s.set->self.priority;
    const Peer* p = FindPeer(s, n);
    return p == nullptr ? 0 : p->report.self.priority;
  };
  if (priority(a.from) != priority(b.from)) return priority(a.from) > priority(b.from);
  // The other may not know that the record is lost: whoever asks goes first.
  if (by_lineage && (a.from == s.set->self.name) != (b.from == s.set->self.name))
    return a.from == s.set->self.name;
  return a.from < b.from;
}

bool NoFailover(const State& s, const Name& n) {
  if (n == s.set->self.name) return s.set->self.no_failover;
  if (const Peer* p = FindPeer(s, n); p != nullptr) return p->report.self.no_failover;
  const Member* m = s.view == nullptr ? nullptr : s.view->FindMember(n);
  return m != nullptr && m->no_failover;
}

// All answers, the own one among them.
std::vector<FreezeAnswered> Answers(const State& s) {
  std::vector<FreezeAnswered> all = s.attempt.answers;
  if (s.attempt.self_frozen) {
    FreezeAnswered me;
    me.from = s.set->self.name;
    me.epoch = s.attempt.epoch;
    me.frozen = true;
    me.position = s.frozen_at;
    me.known = s.memory.known;
    all.push_back(std::move(me));
  }
  return all;
}

std::string Told(const std::vector<FreezeAnswered>& answers) {
  std::string out;
  for (const FreezeAnswered& a : answers) {
    if (!out.empty()) out += ", ";
    out += a.from;
    out += a.frozen
               ? " frozen at " + std::to_string(a.position.lineage) + ":" + std::to_string(a.position.offset)
               : " refused (" + a.refusal + ")";
  }
  return out.empty() ? "nobody answered" : out;
}

// Who has no more than this member and was let go first this often, and did not go (it may not reach the
// lock), is not waited for any longer: who asks has read the lock just now.
constexpr int kMostYields = 3;
bool WaitedEnough(const State& s, const FreezeAnswered& best, bool by_lineage,
                  const std::vector<const FreezeAnswered*>& counted) {
  if (s.yielded.times < kMostYields || s.yielded.to != best.from || s.yielded.version != s.version)
    return false;
  const Name& self = s.set->self.name;
  return !s.set->self.no_failover && std::any_of(counted.begin(), counted.end(), [&](const auto* a) {
    return a->from == self && a->position.offset == best.position.offset &&
           (!by_lineage || a->position.lineage == best.position.lineage);
  });
}

// The best of those that satisfy `counts`; itself wins when it is the best.
Ruling Best(const State& s, const std::vector<FreezeAnswered>& answers, bool by_lineage,
            const std::vector<const FreezeAnswered*>& counted) {
  const FreezeAnswered* best = nullptr;
  uint64_t longest = 0;
  std::pair<Epoch, uint64_t> newest;
  for (const FreezeAnswered* a : counted) {
    longest = std::max(longest, a->position.offset);
    newest = std::max(newest, {a->position.lineage, a->position.offset});
    // Lineage 0 with data: a new cluster that was never opened; good when nobody has more.
    if (NoFailover(s, a->from) || (a->position.lineage == 0 && a->position.offset == 0)) continue;
    if (best == nullptr || Better(s, *a, *best, by_lineage)) best = a;
  }
  if (best == nullptr) return {Judgement::kBlocked, "", "nobody who may lead has the data: " + Told(answers)};
  // (Offsets of different lineages cannot be compared: then the newest lineage must be had, and its end.)
  const bool behind = by_lineage
                          ? SyncMode(s) && std::pair(best->position.lineage, best->position.offset) < newest
                          : best->position.offset < longest;
  if (behind)
    return {Judgement::kBlocked, "", "the longest log is on a member that must not lead: " + Told(answers)};
  if (Mistake(M::kNotBest)) return {Judgement::kTake, s.set->self.name, "any"};
  if (best->from == s.set->self.name) return {Judgement::kTake, best->from, Told(answers)};
  if (WaitedEnough(s, *best, by_lineage, counted))
    return {Judgement::kTake, s.set->self.name,
            best->from + " did not go when let go first; " + Told(answers)};
  return {Judgement::kOther, best->from, Told(answers)};
}

Ruling JudgeLost(const State& s, const std::vector<FreezeAnswered>& all, bool over) {
  std::vector<const FreezeAnswered*> counted;
  std::vector<Name> known = s.memory.known;
  Insert(&known, s.set->self.name);
  if (NeverOpened(s))
    for (const Name& n : s.set->expected) Insert(&known, n);
  for (const FreezeAnswered& a : all) {
    if (!a.frozen) continue;
    counted.push_back(&a);
    for (const Name& n : a.known) Insert(&known, n);
  }
  std::string missing;
  for (const Name& n : known) {
    const bool in = std::any_of(counted.begin(), counted.end(), [&](const auto* a) { return a->from == n; });
    if (!in) missing += (missing.empty() ? "" : ", ") + n;
  }
  // A cluster that was never opened must not become a second one beside one that was.
  const bool needs_all = SyncMode(s) || NeverOpened(s);
  if (!missing.empty() && !over) return {Judgement::kWait, "", "waiting for " + missing};
  if (!missing.empty() && needs_all && !(s.attempt.cause == Cause::kForced))
    return {Judgement::kBlocked, "",
            "the record is lost and only all known members together know what was acknowledged; missing: " +
                missing + " (" + Told(all) + ")"};
  return Best(s, all, true, counted);
}

// Without voters nobody but the recorded holder can lead. Whoever asks all the same asks for its sake: each
// freeze makes the holder wait its turn, and with many askers its turn would never come unless they tell it
// to go first.
Ruling JudgeSole(const State& s, const std::vector<FreezeAnswered>& all, bool over) {
  const Name& holder = s.view->holder_name;
  const auto its = std::find_if(all.begin(), all.end(), [&](const auto& a) { return a.from == holder; });
  if (its == all.end() && !over && holder != s.set->self.name)
    return {Judgement::kWait, "", "waiting for " + holder};
  if (its != all.end() && its->frozen && holder != s.set->self.name && !NoFailover(s, holder) &&
      OnLineage(s, its->position))
    return {Judgement::kOther, holder, Told(all)};
  return {Judgement::kBlocked, "",
          "the record names no voters: only " + holder + " has every acknowledged write (" + Told(all) + ")"};
}

Ruling JudgeSync(const State& s, const std::vector<FreezeAnswered>& all, bool over) {
  const Record& r = *s.view;
  std::vector<const FreezeAnswered*> counted;
  size_t voters_heard = 0;
  for (const FreezeAnswered& a : all) {
    if (!r.HasVoter(a.from) && !Mistake(M::kIgnoreRecord)) continue;
    voters_heard++;
    if (a.frozen && OnLineage(s, a.position)) counted.push_back(&a);
  }
  int32_t need = r.freeze;
  if (Mistake(M::kFewer)) need--;
  if (Mistake(M::kIgnoreRecord)) need = 1;
  const bool enough = static_cast<int32_t>(counted.size()) >= need && need > 0;
  if (r.voters.empty() && !Mistake(M::kIgnoreRecord)) return JudgeSole(s, all, over);
  if (voters_heard < r.voters.size() && !over) return {Judgement::kWait, "", "waiting for the voters"};
  if (!enough) {
    return {Judgement::kBlocked, "",
            "an acknowledged write could be missing: " + std::to_string(counted.size()) + " of the " +
                std::to_string(r.freeze) + " voters needed are frozen (" + Told(all) + ")"};
  }
  return Best(s, all, false, counted);
}

// Every member of the record froze and told what it has (or that it has nothing).
bool EverybodyFrozen(const State& s, const std::vector<FreezeAnswered>& all) {
  return s.view != nullptr &&
         std::all_of(s.view->members.begin(), s.view->members.end(), [&](const Member& m) {
           return std::any_of(all.begin(), all.end(),
                              [&](const FreezeAnswered& a) { return a.from == m.name && a.frozen; });
         });
}

// Somebody who was not asked may have more than these data, which lost their end. Not who had stopped
// streaming before this member's reign came further than they reach.
Name MayBeAhead(const State& s, const std::vector<FreezeAnswered>& all) {
  const Record& r = *s.view;
  const bool watched = r.holder_name == s.set->self.name && s.tried_open == r.epoch;
  for (const Member& m : r.members) {
    if (m.name == s.set->self.name) continue;
    if (std::any_of(all.begin(), all.end(), [&](const auto& a) { return a.from == m.name && a.frozen; }))
      continue;
    const auto h =
        std::find_if(s.standbys.begin(), s.standbys.end(), [&](const auto& b) { return b.name == m.name; });
    // (Who came since the last report is not among them: between an opening and the first look anybody may.)
    const uint64_t reached = h == s.standbys.end() ? s.first_look : h->reached;
    if (!watched || s.frozen_at.offset < reached) return m.name;
  }
  return "";
}

Ruling JudgeAny(const State& s, const std::vector<FreezeAnswered>& all, bool over, bool any_lineage) {
  std::vector<const FreezeAnswered*> counted;
  for (const FreezeAnswered& a : all)
    if (a.frozen && (any_lineage || OnLineage(s, a.position))) counted.push_back(&a);
  if (s.attempt.answers.size() < s.attempt.asked && !over)
    return {Judgement::kWait, "", "waiting for the others"};
  // Data that lived in a process: those of the last reign may be nowhere any more (it ended before anybody
  // followed it). When everybody has been asked, the newest that are left are the best there ever will be.
  if (counted.empty() && s.set->volatile_data && EverybodyFrozen(s, all)) {
    for (const FreezeAnswered& a : all) counted.push_back(&a);
    any_lineage = true;
  }
  Ruling ruling = Best(s, all, any_lineage, counted);
  const bool forced = s.attempt.cause == Cause::kForced && s.forced_loss;
  if (ruling.judgement == Judgement::kTake && s.memory.rolled_back && s.view != nullptr && !forced) {
    if (const Name ahead = MayBeAhead(s, all); !ahead.empty())
      return {Judgement::kBlocked, "",
              "these data are what was saved before the database's process ended, and " + ahead +
                  " may have more: it is waited for (" + Told(all) + ")"};
  }
  return ruling;
}

Ruling JudgeNow(const State& s, MonoTime now) {
  if (!s.set->database) return {Judgement::kTake, s.set->self.name, "no data to compare"};
  const bool over = now >= s.attempt.started + s.set->freeze_wait;
  if (!s.attempt.self_frozen) {
    if (!s.attempt.verdict.empty()) return {Judgement::kBlocked, "", s.attempt.verdict};
    return {over ? Judgement::kBlocked : Judgement::kWait, "", "the own database is not frozen yet"};
  }
  const std::vector<FreezeAnswered> all = Answers(s);
  // A record without a cluster's name was made by a founder that opened nothing: it tells nothing of who has
  // what.
  const bool nameless = s.lock == LockView::kPresent && s.view->cluster_id.empty() && !UnopenedMine(s);
  if (s.attempt.cause == Cause::kLost || s.lock != LockView::kPresent || nameless)
    return JudgeLost(s, all, over);
  if (s.attempt.cause == Cause::kSuspected)
    for (const FreezeAnswered& a : all)
      if (a.from == s.view->holder_name && !a.frozen && a.refusal.find("I lead") != std::string::npos)
        return {Judgement::kBlocked, "", "the primary answers: " + a.refusal};
  if (SelfComplete(s))
    return {Judgement::kTake, s.set->self.name, "has every write of this reign (" + Told(all) + ")"};
  if (s.attempt.cause == Cause::kForced && s.forced_loss) return JudgeAny(s, all, over, true);
  return SyncMode(s) ? JudgeSync(s, all, over) : JudgeAny(s, all, over, false);
}

}  // namespace

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

const Ruling& Judge(const Context& c) {
  if (!c.verdict.has_value()) c.verdict = JudgeNow(c.s, c.now);
  return *c.verdict;
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
