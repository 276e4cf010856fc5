#include <algorithm>

#include "lib/election/core_internal.h"

namespace mainstay::election {

void SetPhase(Context& c, Phase phase) {
  if (c.s.phase == phase) return;
  c.s.phase = phase;
  c.s.phase_since = c.now;
}

void Retry(Context& c, MonoTime* at, int failures, Duration at_most) {
  const int shift = std::min(failures, 4);
  *at = c.now + std::min<Duration>(c.set().retry * (1 << shift), at_most);
}

void SendRead(Context& c) {
  State& s = c.s;
  s.store = StoreRequest{s.next_id++, StoreOp::kRead, Purpose::kRenew, c.now, nullptr};
  c.out.push_back(ReadLock{s.store.id});
}

namespace {

// Takes what the members last said of themselves (addresses, incarnation, tags) into the record; new ones
// join.
void MergeMembers(const Context& c, Record* r) {
  auto merge = [&](const Member& m) {
    if (m.name.empty()) return;
    auto it = std::lower_bound(r->members.begin(), r->members.end(), m.name,
                               [](const Member& a, const Name& n) { return a.name < n; });
    if (it != r->members.end() && it->name == m.name) {
      *it = m;
    } else if (r->members.size() < kMaxMembers) {
      r->members.insert(it, m);
    }
  };
  Member self = c.set().self;
  self.incarnation = c.set().identity;
  if (!c.s.db.data_nonce.empty()) self.data_nonce = c.s.db.data_nonce;
  merge(self);
  for (const Peer& p : c.s.peers) {
    // A member with foreign data is not of this cluster.
    if (!p.report.system_id.empty() && !r->cluster_id.empty() && p.report.system_id != r->cluster_id)
      continue;
    if (c.now - p.at > c.set().lease) continue;
    merge(p.report.self);
  }
}

}  // namespace

Record NextRecord(const Context& c) {
  Record r = *c.s.view;
  r.renewal++;
  r.cluster = c.set().cluster;
  r.lease = c.set().lease;
  if (r.cluster_id.empty()) r.cluster_id = c.s.db.system_id;
  if (c.s.lead && c.s.open_epoch == r.epoch) r.base = c.s.memory.lineage;
  MergeMembers(c, &r);
  return r;
}

void Write(Context& c, Record next, Purpose purpose) {
  State& s = c.s;
  if (s.view != nullptr) {
    const Record& v = *s.view;
    if (next.voters != v.voters || next.freeze != v.freeze || next.durability != v.durability)
      s.sync_uncertain = true;
    Record same = v;
    same.renewal = next.renewal;
    if (same != next || s.lock != LockView::kPresent) next.change = v.change + 1;
  }
  const bool create = s.lock == LockView::kAbsent;
  s.store = StoreRequest{s.next_id++, create ? StoreOp::kCreate : StoreOp::kUpdate, purpose, c.now,
                         std::make_shared<const Record>(next)};
  s.next_renew = c.now + c.set().renew;
  if (create) {
    c.out.push_back(CreateLock{s.store.id, std::move(next)});
  } else {
    c.out.push_back(UpdateLock{s.store.id, std::move(next), s.version});
  }
}

void StartEngine(Context& c, Engine op) {
  op.id = c.s.next_id++;
  op.memory = c.s.memory;
  c.s.engine = op;
  c.out.push_back(std::move(op));
}

void StartKill(Context& c) {
  if (c.s.engine.op == EngineOp::kKill && !EngineIdle(c.s)) return;
  Engine op;
  op.op = EngineOp::kKill;
  op.epoch = c.s.memory.max_epoch;
  StartEngine(c, std::move(op));
}

void Remember(Context& c, const Record& r) {
  Memory& m = c.s.memory;
  m.max_epoch = std::max(m.max_epoch, r.epoch);
  if (r.epoch < m.record_epoch ||
      (r.epoch == m.record_epoch && r.change <= m.record_change && m.record_change != 0))
    return;
  m.record_epoch = r.epoch;
  m.record_change = r.change;
  m.durability = r.durability;
  if (!r.cluster_id.empty()) m.cluster_id = r.cluster_id;
  m.known.clear();
  for (const Member& member : r.members) Insert(&m.known, member.name);
}

void Grant(Context& c, MonoTime sent_at) {
  State& s = c.s;
  // D3: the permission counts from before the request was sent, never from the answer.
  const MonoTime from = Mistake(M::kRespTime) ? c.now : sent_at;
  s.permit_until = std::max(s.permit_until, from + c.set().validity);
  if (!s.lead) return;
  if (s.permit_until > s.fence_asked) {
    s.fence_asked = s.permit_until;
    c.out.push_back(ArmFence{s.permit_until, s.view->epoch});
  }
}

void LoseLead(Context& c) {
  c.s.lead = false;
  c.s.permit_until = MonoTime();
  c.s.probation = false;
  c.s.probation_until = MonoTime::Never();
  c.s.give_up = false;
}

void AnswerPerson(Context& c, AdminStatus status, std::string message) {
  if (!c.s.admin.has_value()) return;
  c.out.push_back(AnswerAdmin{c.s.admin->id, status, std::move(message)});
  c.s.admin.reset();
}

}  // namespace mainstay::election
