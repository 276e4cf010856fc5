// What must hold after every event, and what must become true when the faults are over.
#include <algorithm>
#include <cstdarg>

#include "test/sim/world.h"

namespace mainstay::sim {

using election::Durability;
using election::EngineOp;
using election::M;

World::EpochInfo& World::Info(Epoch e) {
  const size_t i = e < 0 ? 0 : static_cast<size_t>(e);
  if (i > 1000000) {
    Fail("epoch_jump", "epoch " + std::to_string(e));
    return epochs_.front();
  }
  if (i >= epochs_.size()) epochs_.resize(i + 16);
  return epochs_[i];
}

void World::Fail(const char* invariant, std::string detail) {
  if (!violation_.invariant.empty()) return;
  violation_ = {invariant, std::move(detail), now_};
  Trace(-1, "VIOLATION %s: %s", invariant, violation_.detail.c_str());
  done_ = true;
}

// Acknowledgements of this epoch may never be lost.
bool World::Protected(Epoch epoch) const {
  const size_t i = static_cast<size_t>(epoch);
  return epoch >= floor_ && i < epochs_.size() && epochs_[i].known &&
         epochs_[i].durability != Durability::kAsync;
}

// At most one member can acknowledge at an instant. Under async the deadline bounds it, so it may fail only
// when a shim was paused across its deadline.
void World::CheckAckers() {
  dirty_ = false;
  int first = -1;
  for (int m = 0; m < plan_.members; m++) {
    Database& d = nodes_[m].db;
    const bool can = CanAck(m);
    if (can && !d.was_acker && Protected(d.epoch)) CheckHeads(m, "can acknowledge");
    d.was_acker = can;
    if (!can) continue;
    if (first < 0) {
      first = m;
      continue;
    }
    const int old = nodes_[first].db.epoch < d.epoch ? first : m;
    const int young = old == first ? m : first;
    first = young;
    const Node& o = nodes_[old];
    if (!Protected(o.db.epoch)) {
      if (o.db.paused) continue;  // it acknowledges nothing at this instant
      const bool late = o.shim.armed && o.shim.deadline <= now_;
      if (late && (o.shim.paused || o.shim.pause_end >= o.shim.deadline)) continue;
      if (forced_until_ >= now_ && plan_.takeover == 0) continue;
    }
    Fail("two_ackers", o.name + " under epoch " + std::to_string(o.db.epoch) + " and " + nodes_[young].name +
                           " under epoch " + std::to_string(nodes_[young].db.epoch) +
                           " can both acknowledge writes");
    return;
  }
}

// Every acknowledged write is in this member's log.
void World::CheckHeads(int m, const char* when) {
  const Database& d = nodes_[m].db;
  for (const Log& h : heads_) {
    if (logs_.Contains(d.log, h)) continue;
    Fail("lost_write", nodes_[m].name + " " + when + " at " + std::to_string(d.log.branch) + "/" +
                           std::to_string(d.log.end) + " without the acknowledged " +
                           std::to_string(h.branch) + "/" + std::to_string(h.end));
    return;
  }
}

void World::CheckOpen(int m) {
  const Node& n = nodes_[m];
  if (plan_.Mistake() != M::kNoShim) {
    if (!n.shim.armed)
      Fail("open_unfenced", n.name + " opens its database without a deadline");
    else if (n.shim.epoch != n.db.epoch)
      Fail("open_unfenced", n.name + " opens its database under a deadline of another epoch");
  }
  if (record_ != nullptr && present_ && !damaged_ && record_->epoch == n.db.epoch &&
      record_->holder_name == n.name && Protected(n.db.epoch))
    CheckHeads(m, "opens its database");
}

// Data that die with their process are acknowledged by whoever has them (WAIT): of those whose answer the new
// primary had, nobody whose process lived on may have more of the last reign that any of them has a part of.
void World::CheckPassedOver(int m, Epoch epoch) {
  const Node& n = nodes_[m];
  if (plan_.volatile_data == 0 || record_ == nullptr || !present_ || damaged_ || restored_ > 0) return;
  if (record_->holder_name != n.name || record_->epoch != epoch || forced_until_ >= now_) return;
  const auto& attempt = n.state.attempt;
  if (attempt.epoch != epoch || attempt.cause == election::Cause::kForced) return;
  const auto others = [&](const auto& each) {
    for (const election::FreezeAnswered& a : attempt.answers) {
      const int k = Index(a.from);
      if (!a.frozen || k < 0 || k == m || (plan_.no_failover >> k & 1) != 0) continue;
      const Database& d = nodes_[k].db;
      const election::Member* member = record_->FindMember(a.from);
      if (d.running && !d.lost_end && d.system == n.db.system && member != nullptr && !member->no_failover)
        each(k);
    }
  };
  Epoch last = Reign(m);
  others([&](int k) { last = std::max(last, Reign(k)); });
  const Log reign{Info(last).branch, INT64_MAX};
  if (reign.branch == 0) return;
  const Log mine = logs_.Common(n.db.log, reign);
  others([&](int k) {
    const Log theirs = logs_.Common(nodes_[k].db.log, reign);
    if (theirs.branch == reign.branch && (mine.branch != reign.branch || theirs.end > mine.end))
      Fail("passed_over", n.name + " opens its database with " + std::to_string(mine.end) +
                              " of the log of epoch " + std::to_string(last) + ", " + nodes_[k].name +
                              " has " + std::to_string(theirs.end));
  });
}

// S1: at every step k + q > |V u N|, for the primary of the record's epoch.
void World::CheckSets(const char* when) {
  if (record_ == nullptr || !present_ || damaged_ || record_->voters.empty()) return;
  const Record& r = *record_;
  const int m = Index(r.holder_name);
  uint32_t v = 0;
  for (const auto& name : r.voters) {
    const int i = Index(name);
    if (i == m || i < 0)
      Fail("voters", "the holder votes for itself");
    else
      v |= 1u << i;
  }
  if (r.freeze < 1 || r.freeze > static_cast<int32_t>(r.voters.size()))
    return Fail("voters", "freeze " + std::to_string(r.freeze) + " of " + std::to_string(r.voters.size()));
  const Database& d = nodes_[m].db;
  if (!d.running || !d.writable || d.epoch != r.epoch) return;
  for (const SyncConfig* c : {&d.cfg, &d.old_cfg}) {
    if (c == &d.old_cfg && !OldCounts(m)) continue;
    const int sum = static_cast<int>(__builtin_popcount((v | c->names) & 0x7f));
    if (c->epoch == r.epoch && c->k + r.freeze <= sum && Protected(r.epoch))
      return Fail("s1", std::string(when) + ": k " + std::to_string(c->k) + " + q " +
                            std::to_string(r.freeze) + " <= " + std::to_string(sum) + " of " +
                            nodes_[m].name);
  }
}

void World::CheckEngine(int m, const election::Engine& op) {
  const Node& n = nodes_[m];
  const bool opens = op.op == EngineOp::kPromote || op.op == EngineOp::kReopen;
  const bool acts = opens || op.op == EngineOp::kFound || op.op == EngineOp::kFollow;
  if (acts && n.durable.fenced && n.state.memory.fenced)
    Fail("acts_fenced", n.name + " starts its database although it is fenced");
  if (opens && op.memory.max_epoch < op.epoch)
    Fail("memory", n.name + " opens under an epoch that its memory does not have");
  if (op.memory.promised < n.durable.promised &&
      (opens || op.op == EngineOp::kFreeze || op.op == EngineOp::kRemember))
    Fail("promise_falls", n.name + " forgets a promise: " + std::to_string(n.durable.promised) + " to " +
                              std::to_string(op.memory.promised));
}

void World::CheckStep(int m, const election::Event& event, Epoch open_before, bool lead_before,
                      MonoTime permit_before) {
  const Node& n = nodes_[m];
  const election::State& s = n.state;
  if (s.permit_until > permit_before) {
    const auto* done = std::get_if<election::StoreDone>(&event);
    const bool write = done != nullptr && done->op != election::StoreOp::kRead &&
                       done->outcome == election::StoreOutcome::kOk;
    const int64_t sent = std::max(n.store_sent_ok, n.promise_sent);
    if (!write && !std::holds_alternative<election::PromiseAnswered>(event)) {
      return Fail("read_grant", n.name + "'s permission grew without an acknowledged write of its own");
    }
    if (s.permit_until.nanos() > sent + s.set->validity.count())
      return Fail("permit", n.name + "'s permission is longer than H from its request");
  }
  // R5: a record made by a late create is held for L before it is acted on, unless the fence never lapsed.
  const int64_t lease = std::chrono::nanoseconds(s.set->lease).count();
  if (!lead_before && s.lead && late_by_ == m && now_ - late_at_ < lease * 99 / 100 &&
      !(n.shim.armed && n.shim.deadline > now_))
    return Fail("late_create", n.name + " leads at once under a record that a late create of its own made");
  const Record* seen = nullptr;
  if (const auto* d = std::get_if<election::StoreDone>(&event);
      d != nullptr && d->op == election::StoreOp::kRead && d->record)
    seen = &*d->record;
  if (seen != nullptr && s.lead && seen->holder != s.set->identity && s.open_epoch != 0 &&
      seen->epoch > std::max(s.open_epoch, s.memory.held) && seen->epoch >= restored_)
    return Fail("acts_on_foreign", n.name + " goes on as primary although it read that " + seen->holder_name +
                                       " holds the lock");
  (void)open_before;
  // With lease takeover nobody else may have a permission (quorum takeover is safe without that).
  if (plan_.takeover != 1 || !s.lead || s.permit_until <= Local(m, now_) || forced_until_ >= now_) return;
  for (const Node& o : nodes_) {
    if (o.index == m || !o.agent_up || !o.state.lead || o.state.permit_until <= Local(o.index, now_))
      continue;
    if (std::min(s.view->epoch, o.state.view->epoch) < restored_) continue;
    return Fail("two_permits", n.name + " and " + o.name + " both have a running permission");
  }
}

// One primary that acknowledges, everybody streams from it, and the record says so.
bool World::Good(std::string* why) const {
  int p = -1;
  for (int m = 0; m < plan_.members; m++) {
    if (!nodes_[m].db.running || !nodes_[m].db.writable) continue;
    if (p >= 0) return *why = "two primaries", false;
    p = m;
  }
  if (p < 0) return *why = "no primary", false;
  if (!present_ || damaged_) return *why = "no record", false;
  const Database& d = nodes_[p].db;
  const Record& r = *record_;
  if (r.holder_name != nodes_[p].name || r.epoch != d.epoch || r.release.released)
    return *why = "the record names another", false;
  int left = 0;
  for (int m = 0; m < plan_.members; m++) {
    const election::Member* member = r.FindMember(nodes_[m].name);
    if (m != p && (gone_ >> m & 1) == 0 && member != nullptr && !member->no_failover) left++;
  }
  // (Strict waits for as many as are asked for; with fewer members left, for ever.)
  const bool waits = r.durability == Durability::kStrict && left < plan_.sync_count;
  if (!waits && !CanAck(p)) return *why = nodes_[p].name + " cannot acknowledge", false;
  size_t voters = 0;
  for (int m = 0; m < plan_.members; m++) {
    if (m == p || !nodes_[m].member || (gone_ >> m & 1) != 0) continue;
    const Database& s = nodes_[m].db;
    if (!s.running || !s.rx || s.conn_to != p || !d.tx[m].up || !d.tx[m].streaming || s.conn_epoch != d.epoch)
      return *why = nodes_[m].name + " does not stream from " + nodes_[p].name + " under its epoch", false;
    const election::Member* member = r.FindMember(nodes_[m].name);
    if (member == nullptr) return *why = nodes_[m].name + " is not in the record", false;
    if (member->no_failover) continue;
    voters++;
    if (!waits && r.durability != Durability::kAsync && !r.HasVoter(nodes_[m].name))
      return *why = nodes_[m].name + " is no voter", false;
  }
  if (r.durability != Durability::kAsync && (d.cfg.k < 1 && voters > 0)) return *why = "k is 0", false;
  return true;
}

// Do the promises allow the others to go on without these members? By what the record says and what is on the
// disks, not by what the core makes of it.
bool World::MayGoOnWithout(uint32_t gone) const {
  if (record_ == nullptr || !present_ || damaged_ || restored_ > 0 || record_->cluster_id.empty())
    return false;
  const Record& r = *record_;
  const auto left = [&](const election::Name& name) -> const Node* {
    const int m = Index(name);
    if (m < 0 || m >= plan_.members || (gone >> m & 1) != 0) return nullptr;
    const Database& d = nodes_[m].db;
    const election::Member* member = r.FindMember(name);
    const bool same =
        member != nullptr && d.exists && !d.broken && r.cluster_id == "s" + std::to_string(d.system);
    return same && logs_.Contains(d.log, d.consistent) ? &nodes_[m] : nullptr;
  };
  if (r.durability != Durability::kAsync || !r.voters.empty()) {
    // Any q voters have a member with everything that was acknowledged. (Another disk than the record's does
    // not vote.)
    int32_t have = 0;
    for (const auto& v : r.voters) {
      const Node* n = left(v);
      have += n != nullptr && r.FindMember(v)->data_nonce == "d" + std::to_string(n->db.nonce) ? 1 : 0;
    }
    return !r.voters.empty() && have >= r.freeze;
  }
  // Somebody who was with the last reign and may lead. One that may not, and has more, is waited for.
  bool any = false;
  for (const election::Member& member : r.members) {
    const Node* n = left(member.name);
    if (n == nullptr) continue;
    if (member.no_failover || (plan_.no_failover >> n->index & 1) != 0) return false;
    const Database& d = n->db;
    const Epoch lineage = (n->agent_up ? n->state.memory : n->durable).lineage;
    // (Volatile data of one that is being shut down are as good as gone.)
    const bool stays = plan_.volatile_data == 0 || (d.running && !n->leaving);
    any = any || (!d.lost_end && stays && lineage >= r.base && lineage <= r.epoch && lineage > 0);
  }
  return any;
}

// The primary, and with it some more but a majority, if the others may go on without them.
bool World::KillForGood() {
  if (plan_.gone == 0 || gone_ != 0 || record_ == nullptr) return false;
  const int holder = Index(record_->holder_name);
  if (holder < 0 || holder >= plan_.members) return false;
  uint32_t wanted = 1u << holder;
  for (int64_t i = 1; i < std::min(plan_.gone, (plan_.members - 1) / 2); i++) {
    const int m = static_cast<int>(fault_.Below(static_cast<uint32_t>(plan_.members)));
    if (MayGoOnWithout(wanted | 1u << m)) wanted |= 1u << m;
  }
  if (!MayGoOnWithout(wanted)) return false;
  gone_ = wanted;
  stats_.gone++;
  for (int m = 0; m < plan_.members; m++) {
    if ((gone_ >> m & 1) == 0) continue;
    Trace(m, "FAULT it dies for good");
    KillNode(m);
  }
  return true;
}

void World::CheckLive() {
  std::string why;
  if (Good(&why)) {
    if (good_since_ < 0) good_since_ = now_;
    if (now_ - good_since_ >= 5 * kSec) {  // and it stays so
      stats_.converge_ns = std::max(stats_.converge_ns, good_since_ - live_since_);
      good_since_ = -1;
      if (!KillForGood()) {
        done_ = true;
        return;
      }
      live_since_ = now_;  // once more, without its primary
    }
  } else {
    if (good_since_ >= 0) Trace(-1, "WORLD was well, but now: %s", why.c_str());
    good_since_ = -1;
    if (now_ - live_since_ > live_bound_)
      return Fail("liveness",
                  why + " " + std::to_string((now_ - live_since_) / kSec) + " s after the last fault");
  }
  // Two clusters, because an old lock was put back by hand: people do as the agent tells them, and
  // re-initialise the member of the one that is not the record's.
  if (restored_ > 0 && (now_ - live_since_) / kSec == 30 && present_ && !damaged_ &&
      !record_->cluster_id.empty()) {
    for (int m = 0; m < plan_.members; m++) {
      Node& n = nodes_[m];
      if (!n.db.exists || n.db.writable || record_->cluster_id == "s" + std::to_string(n.db.system)) continue;
      Trace(m, "PEOPLE re-initialise a member of another cluster");
      KillNode(m);
      const uint32_t gen = n.db.gen + 1, tries = n.db.conn_try + 1;
      n.db = {};
      n.db.gen = gen, n.db.conn_try = tries;
      n.durable = {};
      ReviveNode(m);
    }
  }
  // A member that must not lead has what nobody else has: `mainstay why` says so, and people decide.
  if (plan_.no_failover != 0 && good_since_ < 0 && (now_ - live_since_) / kSec == 30 && Primary() >= 0) {
    bool writable = false;
    for (const Node& n : nodes_) writable = writable || (n.db.running && n.db.writable);
    for (int m = 0; m < plan_.members && !writable; m++) {
      if ((plan_.no_failover >> m & 1) == 0 || !nodes_[m].agent_up) continue;
      Trace(m, "PEOPLE let it lead");
      Deliver(m, election::TagsChanged{}, 0, nodes_[m].agent_gen);
    }
  }
  // People put right what they did: nobody stays fenced, the cluster is not paused.
  if ((now_ - live_since_) / kSec % 5 == 1) {
    for (int m = 0; m < plan_.members; m++) {
      if ((fenced_ >> m & 1) == 0) continue;
      election::AdminAsked a;
      a.kind = election::AdminKind::kUnfence;
      a.target = nodes_[m].name;
      Admin(m, a);
    }
    if (record_ != nullptr && record_->paused) {
      election::AdminAsked a;
      a.kind = election::AdminKind::kResume;
      for (int m = 0; m < plan_.members; m++) Admin(m, a);
    }
  }
  Push(now_ + kSec, Ev::kPhase, -1);
}

}  // namespace mainstay::sim
