#include "agent/sidecar/view.h"

#include <algorithm>
#include <set>
#include <utility>

#include "absl/strings/str_join.h"
#include "lib/base/strings.h"

namespace mainstay::agent {

using election::Name;
using election::Phase;
using election::Role;
using election::State;

namespace {

rpc::LockHealth Health(const State& s) {
  if (s.store_failures > 0) return rpc::LockHealth::kUnreachable;
  switch (s.lock) {
    case election::LockView::kUnread:
      return rpc::LockHealth::kUnknown;
    case election::LockView::kPresent:
      return rpc::LockHealth::kOk;
    case election::LockView::kAbsent:
      return rpc::LockHealth::kMissing;
    case election::LockView::kDamaged:
      return rpc::LockHealth::kUnreadable;
  }
  return rpc::LockHealth::kUnknown;
}

Name Leader(const State& s, MonoTime now) {
  if (s.lead && now < s.permit_until && s.phase == Phase::kPrimary) return s.set->self.name;
  for (const election::Peer& p : s.peers) {
    if (p.report.leads && now - p.at < s.set->suspicion) return p.report.name;
  }
  // Nobody says so now; the record does, as long as it runs.
  if (s.view != nullptr && s.lock == election::LockView::kPresent && !s.view->release.released &&
      now - s.seen_at < s.view->lease) {
    return s.view->holder_name;
  }
  return "";
}

rpc::MemberView Self(const State& s, const engine::Details& details, const ViewExtras& extras, MonoTime now) {
  rpc::MemberView m;
  m.name = s.set->self.name;
  m.role = extras.role;
  m.state = s.db.state;
  m.timeline = s.db.timeline;
  m.offset = s.db.offset;
  m.priority = s.set->self.priority;
  m.no_failover = s.set->self.no_failover;
  m.heard_at = now;
  m.peer_address = s.set->self.peer_address;
  m.db_address = s.set->self.db_address;
  m.detail = details.activity;
  return m;
}

rpc::MemberView Other(const State& s, const Name& name, MonoTime now) {
  rpc::MemberView m;
  m.name = name;
  for (const election::Peer& p : s.peers) {
    if (p.report.name != name) continue;
    const election::PeerReport& r = p.report;
    m.heard_at = p.at;
    m.timeline = r.position.timeline;
    m.offset = r.position.offset;
    m.priority = r.self.priority;
    m.no_failover = r.self.no_failover;
    m.peer_address = r.self.peer_address;
    m.db_address = r.self.db_address;
    if (now - p.at >= s.set->suspicion) {
      m.detail = "silent";
      continue;  // what it said is too old for its state
    }
    m.state = r.db_running ? election::DbState::kRunning : election::DbState::kStopped;
    m.role = r.leads ? Role::kPrimary : Role::kReplica;
    if (r.empty) m.detail = "no data yet";
  }
  return m;
}

void FillFromRecord(const State& s, rpc::MemberView* m) {
  if (s.view == nullptr) return;
  m->voter = s.view->HasVoter(m->name);
  const election::Member* member = s.view->FindMember(m->name);
  if (member == nullptr) return;
  m->in_record = true;
  if (m->heard_at.is_past()) {
    m->priority = member->priority;
    m->no_failover = member->no_failover;
    m->peer_address = member->peer_address;
    m->db_address = member->db_address;
    m->detail = "not heard of";
  }
}

void FillMembers(const State& s, const engine::Details& details, const ViewExtras& extras, MonoTime now,
                 rpc::StatusView* v) {
  std::set<Name> names = {s.set->self.name};
  for (const Name& name : s.set->expected) names.insert(name);
  for (const election::Peer& p : s.peers) names.insert(p.report.name);
  if (s.view != nullptr) {
    for (const election::Member& m : s.view->members) names.insert(m.name);
  }
  uint64_t head = 0;
  for (const Name& name : names) {
    rpc::MemberView m = name == s.set->self.name ? Self(s, details, extras, now) : Other(s, name, now);
    FillFromRecord(s, &m);
    m.sync =
        s.lead && std::find(s.applied.names.begin(), s.applied.names.end(), name) != s.applied.names.end();
    if (name == v->leader) head = m.offset;
    v->members.push_back(std::move(m));
  }
  // The primary knows its standbys' positions better than their last report does.
  for (rpc::MemberView& m : v->members) {
    for (const election::Standby& standby : s.db.standbys) {
      if (s.lead && standby.name == m.name && standby.streaming)
        m.offset = std::max(m.offset, standby.flushed);
    }
    if (head != 0 && m.offset != 0) m.lag_bytes = m.offset >= head ? 0 : head - m.offset;
  }
}

void FillWarnings(const State& s, const ViewExtras& extras, MonoTime now, rpc::StatusView* v) {
  auto warn = [v](std::string text) { v->warnings.push_back(std::move(text)); };
  if (!extras.shim.connected && s.set->database) {
    warn(
        "The shim does not answer: the database cannot be started, stopped or fenced by this agent. Look at "
        "its container's log.");
  }
  if (extras.engine_stuck)
    warn("The engine's thread hangs: look at the database's log and at its file system.");
  if (s.store_failures > 0) {
    warn("The lock does not answer (" + std::to_string(s.store_failures) +
         " requests in a row): " + extras.store_problem);
  }
  if (s.lock == election::LockView::kDamaged) {
    warn("The lock is unreadable: " + s.lock_problem +
         ". Nobody is elected until it is repaired or deleted.");
  }
  if (v->paused) warn("Paused: nobody takes over. `mainstay resume` ends it.");
  if (v->fenced) warn("This member is fenced: its database stays stopped until `mainstay unfence`.");
  if (v->durability.wished != v->durability.in_force && s.view != nullptr) {
    warn(std::string("Durability in force is ") + ToString(v->durability.in_force) + ", wished is " +
         ToString(v->durability.wished) + ".");
  }
  if (v->durability.in_force == election::Durability::kGuarded && s.view != nullptr &&
      s.view->voters.empty() && s.lead) {
    warn("No standby acknowledges writes: a failover now would need an administrator. Bring a standby back.");
  }
  if (v->leader.empty() && s.lock == election::LockView::kAbsent && s.db.empty && !s.set->expected.empty()) {
    warn(
        "There is no cluster yet. It is founded when more than half of the members are there and have no "
        "data: " +
        s.set->self.name + ", " + absl::StrJoin(s.set->expected, ", ") + ".");
  } else if (v->leader.empty() && s.lock != election::LockView::kUnread) {
    warn("There is no primary." +
         (s.attempt.verdict.empty() ? std::string() : " Not taken over: " + s.attempt.verdict + "."));
  }
  if (s.db.verdict == election::Verdict::kHung)
    warn("The database is hung: it runs but does not prove that it writes.");
  if (s.lead && s.fence_until < now + s.set->renew) {
    warn("The fence is not armed as it should be: the shim has not confirmed the last deadlines.");
  }
}

rpc::DatabaseView Database(const State& s, const engine::Details& details, const ViewExtras& extras) {
  rpc::DatabaseView db;
  db.state = s.db.state;
  db.writable = s.db.writable;
  db.verdict = s.db.verdict;
  db.empty = s.db.empty;
  db.system_id = s.db.system_id;
  db.version = details.version;
  db.offset = s.db.offset;
  db.replay_offset = details.replay_offset;
  db.lost_bytes = details.lost_bytes;
  db.timeline = s.db.timeline;
  db.streaming_from = s.db.streaming_from;
  db.activity = details.activity;
  db.pending_restart = details.pending_restart;
  db.start_unix_ms = details.start_unix_ms;
  db.replayed_unix_ms = details.replayed_unix_ms;
  db.replay_paused = details.replay_paused;
  db.former_timelines = extras.former_timelines;
  for (const auto& r : details.replicas)
    db.replicas.push_back({r.name, r.state, r.flushed, r.replayed, r.sync});
  db.probed_at = s.db.at;
  return db;
}

}  // namespace

rpc::StatusView BuildView(const State& s, const Journal& journal, const engine::Details& details,
                          const ViewExtras& extras, MonoTime now) {
  rpc::StatusView v;
  v.cluster = s.set->cluster;
  v.member = s.set->self.name;
  v.identity = s.set->identity;
  v.engine = extras.engine;
  v.agent_version = extras.agent_version;
  v.role = extras.role;
  v.phase = election::ToString(s.phase);
  v.epoch = s.view != nullptr ? s.view->epoch : s.memory.max_epoch;
  v.leader = Leader(s, now);
  v.lock.where = extras.lock;
  v.lock.health = Health(s);
  v.lock.problem = s.lock == election::LockView::kDamaged ? s.lock_problem
                   : s.store_failures > 0                 ? extras.store_problem
                                                          : "";
  v.lock.version = s.version;
  if (s.view != nullptr) v.lock.record_changed_at = s.seen_at;
  if (s.lead) v.lock.permitted_until = s.permit_until;
  v.lock.renewal = s.view != nullptr ? s.view->renewal : 0;
  v.database = Database(s, details, extras);
  v.durability.wished = s.wish.value_or(s.set->durability);
  v.durability.in_force = s.view != nullptr ? s.view->durability : s.memory.durability;
  v.durability.sync_count = s.set->sync_count;
  if (s.view != nullptr) {
    v.durability.voters = s.view->voters;
    v.durability.freeze = s.view->freeze;
    v.paused = s.view->paused;
    v.pending = s.view->pending;
    v.history = s.view->history;
  }
  if (s.lead) v.durability.sync = s.applied;
  v.fenced = s.memory.fenced;
  v.shim_connected = extras.shim.connected;
  v.losses = extras.losses;
  v.decisions.assign(journal.decisions().begin(), journal.decisions().end());
  v.started_at = extras.started_at;
  FillMembers(s, details, extras, now, &v);
  FillWarnings(s, extras, now, &v);
  return v;
}

std::string ViewKey(const State& s, const ViewExtras& extras, uint64_t decisions) {
  std::string key;
  key.reserve(128);
  auto add = [&key](uint64_t n) {
    key += std::to_string(n);
    key += ' ';
  };
  add(static_cast<uint64_t>(s.phase));
  add(static_cast<uint64_t>(extras.role));
  add(static_cast<uint64_t>(s.lock));
  add(static_cast<uint64_t>(s.db.state));
  add(static_cast<uint64_t>(s.db.verdict));
  add((s.db.writable ? 1 : 0) + (s.db.empty ? 2 : 0) + (s.lead ? 4 : 0) + (s.memory.fenced ? 8 : 0) +
      (extras.shim.connected ? 16 : 0) + (extras.engine_stuck ? 32 : 0) + (s.store_failures > 0 ? 64 : 0) +
      (s.view != nullptr && s.view->paused ? 128 : 0));
  add(decisions);
  if (s.view != nullptr) {
    add(static_cast<uint64_t>(s.view->epoch));
    add(static_cast<uint64_t>(s.view->change));
  }
  for (const election::Peer& p : s.peers)
    add((p.report.leads ? 1 : 0) + (p.report.db_running ? 2 : 0) + (p.report.empty ? 4 : 0));
  key += s.db.streaming_from;
  return key;
}

// ---- the board ----

std::shared_ptr<const rpc::StatusView> ViewBoard::Get() const {
  std::lock_guard<std::mutex> lock(mutex_);
  return view_;
}

void ViewBoard::Put(rpc::StatusView view) {
  view.serial = ++serial_;
  auto next = std::make_shared<const rpc::StatusView>(std::move(view));
  {
    std::lock_guard<std::mutex> lock(mutex_);
    view_.swap(next);
  }
  std::lock_guard<std::mutex> lock(subscribers_mutex_);
  for (auto& [id, changed] : subscribers_) changed();
}

uint64_t ViewBoard::Subscribe(std::function<void()> changed) {
  std::lock_guard<std::mutex> lock(subscribers_mutex_);
  subscribers_.emplace(next_, std::move(changed));
  return next_++;
}

void ViewBoard::Unsubscribe(uint64_t subscription) {
  std::lock_guard<std::mutex> lock(subscribers_mutex_);
  subscribers_.erase(subscription);
}

}  // namespace mainstay::agent
