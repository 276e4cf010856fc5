// How the recorded sync set (V voters, q to freeze) and the database's names (N, k acknowledge) move: one
// legal step at a time (rules S1-S4; the exhaustive model behind them is described in docs/SIMULATION.md).
#include <algorithm>

#include "lib/election/core_internal.h"

namespace mainstay::election {
namespace {

using Names = std::vector<Name>;

Names Union(const Names& a, const Names& b) {
  Names out;
  std::set_union(a.begin(), a.end(), b.begin(), b.end(), std::back_inserter(out));
  return out;
}

int32_t Size(const Names& n) { return static_cast<int32_t>(n.size()); }

bool Eligible(const State& s, const Name& name) {
  const Member* m = s.view->FindMember(name);
  return m != nullptr && !m->no_failover && name != s.set->self.name;
}

// The member itself knows that it streams under this epoch. The database of the primary sees that first; a
// primary lost in between would leave a voter behind that cannot say of which reign its data are (rule S6),
// so that its freeze counts for nothing.
bool KnowsItStreams(const State& s, const Name& name) {
  const Peer* p = FindPeer(s, name);
  return p != nullptr && p->report.can_vote && p->report.record_epoch == s.view->epoch;
}

// The standbys that should acknowledge: those that stream, and those that stopped so recently that it may
// pass.
Names Target(const State& s, MonoTime now) {
  Names out;
  for (const auto& h : s.standbys) {
    // Without the mark of its data in the record the database would be told a name under which nobody
    // answers.
    if (!Eligible(s, h.name) || s.view->FindMember(h.name)->data_nonce.empty()) continue;
    const bool in = s.view->HasVoter(h.name) || Contains(s.applied.names, h.name);
    if (!in && !KnowsItStreams(s, h.name)) continue;
    if (h.streaming || (in && !h.bad_since.is_never() && now - h.bad_since < s.set->sync_patience))
      out.push_back(h.name);
  }
  // A voter that the database has not reported yet (just opened) keeps its place for the same patience.
  for (const Name& v : s.view->voters) {
    const bool known =
        std::any_of(s.standbys.begin(), s.standbys.end(), [&](const auto& h) { return h.name == v; });
    if (!known && Eligible(s, v) && now - s.phase_since < s.set->sync_patience) Insert(&out, v);
  }
  return out;
}

Names Others(const State& s) {
  Names out;
  for (const Member& m : s.view->members)
    if (Eligible(s, m.name)) out.push_back(m.name);
  return out;
}

// S3: every q-subset of V has a member with everything acknowledged so far.
bool Covered(const State& s, const Names& voters, int32_t q) {
  if (Mistake(M::kNoCatchup)) return true;
  int32_t lacking = 0;
  for (const Name& v : voters) {
    auto it = std::find_if(s.standbys.begin(), s.standbys.end(), [&](const auto& h) { return h.name == v; });
    if (it == s.standbys.end() || !it->streaming || it->flushed < s.settled_at) lacking++;
  }
  return lacking < q;
}

SyncStep Database(Names names, int32_t k) {
  SyncStep step;
  step.kind = SyncStep::kDatabase;
  step.names = SyncNames{std::move(names), k};
  return step;
}

SyncStep RecordStep(Names voters, int32_t q, Durability d) {
  SyncStep step;
  step.kind = SyncStep::kRecord;
  step.voters = std::move(voters);
  step.freeze = q;
  step.durability = d;
  return step;
}

bool Is(const SyncNames& a, const Names& names, int32_t k) { return a.names == names && a.k == k; }

SyncStep ToAsync(const State& s) {
  const Record& r = *s.view;
  if (r.durability != Durability::kAsync) return RecordStep({}, 0, Durability::kAsync);
  if (!s.applied.names.empty()) return Database({}, 0);
  return {};
}

// Nobody to acknowledge: guarded goes on alone after the record says so, strict waits.
SyncStep ToAlone(const State& s, Durability wish) {
  const Record& r = *s.view;
  if (wish == Durability::kStrict) {
    if (!r.voters.empty()) return {};
    const Names all = Others(s);
    if (s.applied.names.empty() && !all.empty()) return Database(all, s.set->sync_count);
    if (r.durability != wish && !s.applied.names.empty()) return RecordStep({}, 0, wish);
    return {};
  }
  if (Mistake(M::kSoleFirst) || Mistake(M::kDropBeforeRecord)) {
    if (!s.applied.names.empty()) return Database({}, 0);
  }
  if (!r.voters.empty() || r.durability != wish) return RecordStep({}, 0, wish);
  if (!s.applied.names.empty()) return Database({}, 0);
  return {};
}

// Moves towards "k of `target` acknowledge" with voters = target.
SyncStep ToTarget(const State& s, const Names& target, int32_t k, Durability wish) {
  const Record& r = *s.view;
  const SyncNames& n = s.applied;
  if (Mistake(M::kGrowGucFirst) && !Is(n, target, k) && k >= 1) return Database(target, k);
  if (!Is(n, target, k) && SafeSets(k, r.freeze, r.voters, target)) return Database(target, k);
  if (!Is(n, target, k)) {
    // The record first (S2): wide enough for what is and for what shall be.
    Names wide = Union(r.voters, target);
    const int32_t q = Size(Union(wide, n.names)) - std::min(k, n.k) + 1;
    if (q > Size(wide) || n.k == 0) return {};
    if (wide == r.voters && q == r.freeze) return {};
    if (SafeSets(n.k, q, wide, n.names) && Covered(s, wide, q))
      return RecordStep(std::move(wide), q, r.durability);
    return {};
  }
  const int32_t q = Size(target) - k + 1;
  if (r.voters == target && r.freeze == q && r.durability == wish) return {};
  if (Covered(s, target, q)) return RecordStep(target, q, wish);
  return {};
}

}  // namespace

bool SafeSets(int32_t k, int32_t q, const Names& voters, const Names& names) {
  if (voters.empty()) return true;
  if (names.empty()) return false;
  return k + q > Size(Union(voters, names));
}

SyncStep NextSyncStep(const State& s, MonoTime now) {
  const Durability wish = Wish(s);
  if (wish == Durability::kAsync) return ToAsync(s);
  const Names target = Target(s, now);
  const int32_t want = s.set->sync_count;
  if (target.empty() || (wish == Durability::kStrict && Size(target) < want)) return ToAlone(s, wish);
  return ToTarget(s, target, std::min(want, Size(target)), wish);
}

SyncNames OpeningSync(const State& s) {
  const Record& r = *s.view;
  SyncNames out;
  if (Mistake(M::kStartLoose)) return out;
  if (r.durability == Durability::kAsync) return out;
  if (!r.voters.empty()) {  // R7: never looser than the record
    out.names = r.voters;
    out.k = RecordK(r);
    return out;
  }
  if (r.durability == Durability::kStrict) {
    out.names = Others(s);
    out.k = s.set->sync_count;
    // Nobody else is known yet: strict waits for a standby all the same, so it names one that does not exist.
    if (out.names.empty()) out.names.push_back("nobody");
  }
  return out;
}

std::vector<Member> SyncPeers(const State& s) {
  std::vector<Member> out;
  for (const Member& m : s.view->members)
    if (m.name != s.set->self.name) out.push_back(m);
  return out;
}

std::string SyncKey(const Name& self, Epoch epoch, const SyncNames& sync,
                    const std::vector<Member>& members) {
  std::string key = std::to_string(epoch) + "/" + std::to_string(sync.k);
  for (const Name& n : sync.names) {
    auto m = std::find_if(members.begin(), members.end(), [&](const Member& p) { return p.name == n; });
    key += " " + n + ":" + (m == members.end() ? "" : m->data_nonce);
  }
  // Who is a member at all decides which logs the database keeps (PostgreSQL: slots).
  for (const Member& p : members)
    if (p.name != self) key += "," + p.name;
  return key;
}

}  // namespace mainstay::election
