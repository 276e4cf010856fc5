#include <algorithm>
#include <cstdio>

#include "lib/election/core_internal.h"

namespace mainstay::election {

bool StoreIdle(const State& s) { return s.store.id == 0; }
bool EngineIdle(const State& s) { return s.engine.id == 0; }
bool Present(const State& s) { return s.lock == LockView::kPresent && s.view != nullptr; }
bool ViewMine(const State& s) { return Present(s) && s.view->holder == s.set->identity; }
bool Permitted(const State& s, MonoTime now) { return s.lead && now < s.permit_until; }

MonoTime GiveUpAt(const State& s) {
  return s.set->volatile_data ? s.permit_until - s.set->fence / 4 : s.permit_until;
}

bool SyncMode(const State& s) {
  if (s.view != nullptr && s.lock == LockView::kPresent) return s.view->durability != Durability::kAsync;
  return s.memory.durability != Durability::kAsync;
}

Durability Wish(const State& s) { return s.wish.value_or(s.set->durability); }

Epoch DataLineage(const Memory& m) { return m.lineage == 0 ? 0 : std::max(m.lineage, m.held); }

Position OwnPosition(const State& s) {
  if (s.frozen) return s.frozen_at;
  Position p;
  p.lineage = DataLineage(s.memory);
  p.offset = s.db.offset;
  p.timeline = s.db.timeline;
  return p;
}

const Peer* FindPeer(const State& s, const Name& name) {
  auto it = std::lower_bound(s.peers.begin(), s.peers.end(), name);
  return it != s.peers.end() && it->report.name == name ? &*it : nullptr;
}

bool PeerFresh(const State& s, const Peer& p, MonoTime now) { return now - p.at < s.set->suspicion; }

bool OnLineage(const State& s, const Position& p) {
  if (s.view == nullptr) return false;
  if (Mistake(M::kLineage)) return true;
  return p.lineage >= s.view->base && p.lineage <= s.view->epoch && p.lineage > 0;
}

bool Worthless(const State& s) { return s.db_known && EngineIdle(s) && (s.db.empty || s.db.unopened); }

// With a sync set a lost record is made again only when every known member was asked, and each promises an
// epoch once. Without one somebody who cannot be asked may have had an epoch that was deleted before this
// member read it: members skip to the next block of epochs, and each has its own place in a block, so that no
// two of them give out the same one.
Epoch LostEpoch(const State& s) {
  if (SyncMode(s) && s.set->database) return s.memory.max_epoch + 1;
  constexpr Epoch kBlock = 256;
  uint32_t place = 2166136261u;  // FNV-1a
  for (const char ch : s.set->self.name) place = (place ^ static_cast<uint8_t>(ch)) * 16777619u;
  return (s.memory.max_epoch / kBlock + 1) * kBlock + place % kBlock;
}

MonoTime StreamAt(const State& s) { return s.db.stream_at; }

Duration LeaseWait(const State& s) {
  Duration wait = s.set->lease;
  // An edited or foreign duration may only make us wait longer, within reason (an hour).
  if (s.view != nullptr) wait = std::max(wait, std::min<Duration>(s.view->lease, std::chrono::hours(1)));
  if (Mistake(M::kTooShort)) wait = s.set->validity / 2;
  return wait;
}

int32_t RecordK(const Record& r) {
  if (r.voters.empty()) return 0;
  return static_cast<int32_t>(r.voters.size()) - r.freeze + 1;
}

std::string Seconds(Duration d) {
  if (d == Duration::max()) return "ever";
  char buf[32];
  std::snprintf(buf, sizeof buf, "%.2fs", static_cast<double>(d.count()) / 1e9);
  return buf;
}

void Insert(std::vector<Name>* names, const Name& name) {
  auto it = std::lower_bound(names->begin(), names->end(), name);
  if (it == names->end() || *it != name) names->insert(it, name);
}

bool Contains(const std::vector<Name>& names, const Name& name) {
  return std::binary_search(names.begin(), names.end(), name);
}

// A fence that was acted on must survive a restart of the agent: it is made durable first. A disk that does
// not take it must not keep the database running.
bool FenceKept(const State& s) { return s.saved.fenced || s.engine_failures > 0; }

// A switchover handed the lock over to this member: the others wait for it, it waits for nobody.
bool Chosen(const State& s) {
  return Present(s) && s.view->release.released && s.view->pending.has_value() &&
         s.view->pending->target == s.set->self.name;
}

const char* ToString(Phase phase) {
  switch (phase) {
    case Phase::kJoining:
      return "joining";
    case Phase::kReplica:
      return "replica";
    case Phase::kFreezing:
      return "freezing";
    case Phase::kAcquiring:
      return "acquiring";
    case Phase::kProbation:
      return "probation";
    case Phase::kOpening:
      return "opening";
    case Phase::kPrimary:
      return "primary";
    case Phase::kHandover:
      return "handover";
    case Phase::kStepdown:
      return "stepdown";
    case Phase::kReleasing:
      return "releasing";
    case Phase::kFenced:
      return "fenced";
  }
  return "?";
}

}  // namespace mainstay::election
