// How frozen positions are judged: who may take the lock with what is known (rules Q1-Q4, S5-S7;
// docs/SIMULATION.md).
#include <algorithm>
#include <utility>

#include "lib/election/core_internal.h"

namespace mainstay::election {
namespace {

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

// The best of those that satisfy `counts`; itself wins when it is the best. `by_lineage`: they are not known
// to be of one history. Lineages of data that live in a process tell the reign that they have a part of
// (DbReport::reign), so there the newest goes first, then the longest, as a Raft log's last term and index
// do: what an older reign wrote after the next one was opened counts for nothing.
Ruling Best(const State& s, const std::vector<FreezeAnswered>& answers, bool by_lineage,
            const std::vector<const FreezeAnswered*>& counted) {
  const FreezeAnswered* best = nullptr;
  const bool ranked = by_lineage || s.set->volatile_data;
  uint64_t longest = 0;
  std::pair<Epoch, uint64_t> newest;
  for (const FreezeAnswered* a : counted) {
    longest = std::max(longest, a->position.offset);
    newest = std::max(newest, {a->position.lineage, a->position.offset});
    // Lineage 0 with data: a new cluster that was never opened; good when nobody has more.
    if (NoFailover(s, a->from) || (a->position.lineage == 0 && a->position.offset == 0)) continue;
    if (best == nullptr || Better(s, *a, *best, ranked)) best = a;
  }
  if (best == nullptr) return {Judgement::kBlocked, "", "nobody who may lead has the data: " + Told(answers)};
  // (Offsets of different lineages cannot be compared: then the newest lineage must be had, and its end.)
  const bool stands = SyncMode(s) || !by_lineage;
  const bool behind = ranked ? stands && std::pair(best->position.lineage, best->position.offset) < newest
                             : best->position.offset < longest;
  if (behind)
    return {Judgement::kBlocked, "", "the longest log is on a member that must not lead: " + Told(answers)};
  if (Mistake(M::kNotBest)) return {Judgement::kTake, s.set->self.name, "any"};
  if (best->from == s.set->self.name) return {Judgement::kTake, best->from, Told(answers)};
  if (WaitedEnough(s, *best, ranked, counted))
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

// Another with a part of the same reign, whose data lost nothing, has no more than this member: it could lead
// without whoever cannot be asked, so this one may.
bool BesideWhole(const State& s, const std::vector<FreezeAnswered>& all) {
  return std::any_of(all.begin(), all.end(), [&](const FreezeAnswered& a) {
    return a.frozen && a.whole && a.from != s.set->self.name && OnLineage(s, a.position) &&
           a.position.lineage == s.frozen_at.lineage && a.position.offset <= s.frozen_at.offset &&
           !NoFailover(s, a.from);
  });
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
  if (ruling.judgement == Judgement::kTake && s.memory.rolled_back && s.view != nullptr && !forced &&
      !BesideWhole(s, all)) {
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
  for (const FreezeAnswered& a : all) {
    if (a.frozen || a.refusal.find("I lead") == std::string::npos) continue;
    if (s.attempt.cause == Cause::kSuspected && a.from == s.view->holder_name)
      return {Judgement::kBlocked, "", "the primary answers: " + a.refusal};
    if (a.position.lineage > s.view->epoch)  // an old record was put back over that of its reign
      return {Judgement::kBlocked, "", a.from + " leads under a later epoch than the record's: " + Told(all)};
  }
  if (SelfComplete(s))
    return {Judgement::kTake, s.set->self.name, "has every write of this reign (" + Told(all) + ")"};
  if (s.attempt.cause == Cause::kForced && s.forced_loss) return JudgeAny(s, all, over, true);
  return SyncMode(s) ? JudgeSync(s, all, over) : JudgeAny(s, all, over, false);
}

}  // namespace

const Ruling& Judge(const Context& c) {
  if (!c.verdict.has_value()) c.verdict = JudgeNow(c.s, c.now);
  return *c.verdict;
}

}  // namespace mainstay::election
