// What the plan does to the cluster.
#include <algorithm>

#include "test/sim/world.h"

namespace mainstay::sim {

using election::AdminKind;
using K = FaultKind;

int World::Primary() const {
  int best = -1;
  for (int m = 0; m < plan_.members; m++) {
    const Node& n = nodes_[m];
    if (n.node_up && n.db.running && n.db.writable && (best < 0 || n.db.epoch > nodes_[best].db.epoch))
      best = m;
  }
  if (best < 0 && record_ != nullptr) best = Index(record_->holder_name);
  return best < 0 ? 0 : best;
}

int World::Resolve(const Fault& f) const {
  const int p = Primary();
  switch (f.target) {
    case kVoterTarget:
      if (record_ != nullptr && !record_->voters.empty())
        return Index(record_->voters[f.r % record_->voters.size()]);
      [[fallthrough]];
    case kOtherTarget:
      return plan_.members < 2 ? p
                               : (p + 1 + static_cast<int>(f.r % static_cast<uint32_t>(plan_.members - 1))) %
                                     static_cast<int>(plan_.members);
    case kPrimaryTarget:
    case kMomentTarget:
      return p;
    default:
      return f.target;
  }
}

// A moment was reached: the faults armed for it strike.
void World::Reached(Moment moment, int m) {
  if (live_phase_) return;
  for (size_t i = 0; i < armed_.size(); i++) {
    const Fault& f = plan_.faults[armed_[i]];
    if (f.trigger != moment) continue;
    const int index = armed_[i];
    armed_.erase(armed_.begin() + static_cast<long>(i));
    struck_[index] = static_cast<int8_t>(f.target == kMomentTarget ? m : Resolve(f));
    Push(now_ + f.delay_ms * kMs, Ev::kFault, -1, -1, 1, index);
    return;  // one at a time
  }
}

void World::Strike(int index) {
  if (live_phase_) return;
  const Fault& f = plan_.faults[index];
  if (f.trigger != Moment::none && struck_[index] < 0) {
    armed_.push_back(index);
    return;
  }
  const int m = struck_[index] >= 0 ? struck_[index] : Resolve(f);
  int n = static_cast<int>((f.r >> 8) % static_cast<uint32_t>(plan_.members));
  if (n == m) n = (n + 1) % static_cast<int>(plan_.members);
  struck_[index] = static_cast<int8_t>(m);
  struck_n_[index] = static_cast<int8_t>(n);
  stats_.faults++;
  Trace(m, "FAULT %s for %d ms (other %s)", ToString(f.kind), f.dur_ms, nodes_[n].name.c_str());
  Begin(f, m, n);
  if (f.dur_ms > 0) Push(now_ + f.dur_ms * kMs, Ev::kFaultEnd, m, n, 0, index);
}

void World::Pause(int m, int what, int64_t ns) {
  Node& n = nodes_[m];
  if (n.pauses[what]++ == 0) {
    if (what == 0) n.agent_paused = true;
    if (what == 1) n.shim.paused = true;
    if (what == 2) n.db.paused = n.db.running, n.db.paused_at = now_;
  }
  (void)ns;
}

void World::Resume(int m, int what) {
  Node& n = nodes_[m];
  if (n.pauses[what] == 0 || --n.pauses[what] > 0) return;
  std::vector<Item>* waiting = &n.deferred;
  if (what == 0) n.agent_paused = false;
  if (what == 1) n.shim.paused = false, n.shim.pause_end = now_, waiting = &n.shim_deferred;
  if (what == 2) n.db.paused = false, waiting = &n.db_deferred;
  std::vector<Item> items = std::move(*waiting);
  waiting->clear();
  for (Item& it : items) {
    it.t = now_;
    it.seq = seq_++;
    queue_.push_back(it);
    std::push_heap(queue_.begin(), queue_.end());
  }
  dirty_ = true;
}

void World::KillNode(int m) {
  Node& n = nodes_[m];
  if (!n.node_up) return;
  n.node_up = false;  // before the database: a dead machine tells nobody
  StopAgent(m);
  KillDb(m, false);
  n.db.dead = false;
  n.shim.armed = n.shim.paused = n.agent_paused = false;
  n.shim.term = n.shim.epoch = 0;
  n.nonce = 0;  // the next shim is another incarnation
  n.shim.timer++;
  for (int w = 0; w < 3; w++) n.pauses[w] = 0;
  n.shim_deferred.clear();
  n.db_deferred.clear();
  dirty_ = true;
}

void World::ReviveNode(int m) {
  Node& n = nodes_[m];
  if (n.node_up || (gone_ >> m & 1) != 0) return;
  n.node_up = n.member = true;
  Trace(m, "NODE is up");
  Push(now_ + 20 * kMs, Ev::kAgentStart, m);
}

void World::Begin(const Fault& f, int m, int n) {
  switch (f.kind) {
    case K::cut_pair:
    case K::isolate:
    case K::cut_store:
    case K::store_down:
    case K::store_slow:
    case K::store_mute:
    case K::store_zombie:
    case K::watch_broken:
    case K::delete_lock:
    case K::edit_lock:
    case K::restore_lock:
    case K::net_bad:
    case K::wal_slow:
    case K::engine_bad:
      return BeginNet(f, m, n);
    case K::switchover:
    case K::failover:
    case K::failover_force:
    case K::pause:
    case K::resume:
    case K::durability:
    case K::fence:
    case K::forget:
    case K::shutdown:
    case K::tags:
      return BeginAdmin(f, m);
    default:
      return BeginMember(f, m, f.dur_ms * kMs);
  }
}

void World::BeginMember(const Fault& f, int m, int64_t dur) {
  Node& n = nodes_[m];
  if (f.kind == K::add_member) return ReviveNode(m);
  if (!n.node_up) return;
  switch (f.kind) {
    case K::agent_pause:
      Pause(m, 0, dur);
      break;
    case K::shim_pause:
      Pause(m, 1, dur);
      break;
    case K::db_pause:
      Pause(m, 2, dur);
      break;
    case K::machine_pause:
      for (int w = 0; w < 3; w++) Pause(m, w, dur);
      break;
    case K::agent_crash:
      StopAgent(m);
      Push(now_ + std::min<int64_t>(dur, 20 * kSec), Ev::kAgentStart, m);
      break;
    case K::crash_mid:
    case K::pause_mid:
      n.trip = 1 + static_cast<int>(f.r % 4);
      n.trip_crash = f.kind == K::crash_mid;
      n.trip_ms = f.dur_ms;
      break;
    case K::db_crash:
      KillDb(m, true);
      break;
    case K::node_death:
      KillNode(m);
      break;
    case K::wipe: {
      // One member loses its disk in a run, and never the only one that may hold all data.
      if (wiped_ >= 0 && wiped_ != m) return;
      if (record_ == nullptr || (Index(record_->holder_name) == m && record_->voters.empty())) return;
      wiped_ = m;
      // Nor one that is taking over: a late compare-and-swap would name it, and people would have to force a
      // failover.
      for (StoreCall& call : calls_)
        if (call.used && call.m == m) call.used = false;
      KillNode(m);
      const uint32_t gen = n.db.gen + 1, tries = n.db.conn_try + 1;
      n.db = {};
      n.db.gen = gen, n.db.conn_try = tries;
      n.durable = {};
      break;
    }
    default:
      break;
  }
}

void World::BeginNet(const Fault& f, int m, int n) {
  const uint32_t how = f.r >> 16;
  const bool agents = how % 4 != 0, dbs = how % 4 != 1, in = how / 4 % 4 != 0, out = how / 4 % 4 != 1;
  switch (f.kind) {
    case K::cut_pair:
      if (agents) cut_agent_[m][n] += out, cut_agent_[n][m] += in;
      if (dbs) cut_db_[m][n] += out, cut_db_[n][m] += in;
      break;
    case K::isolate:
      for (int i = 0; i < plan_.members; i++) {
        if (i == m) continue;
        if (agents) cut_agent_[m][i] += out, cut_agent_[i][m] += in;
        if (dbs) cut_db_[m][i] += out, cut_db_[i][m] += in;
      }
      if (how / 16 % 4 != 0) cut_store_[m][0] += out, cut_store_[m][1] += in;
      break;
    case K::cut_store:
      cut_store_[m][0] += out, cut_store_[m][1] += in;
      break;
    case K::store_down:
      store_down_++;
      break;
    case K::store_slow:
      store_slow_++;
      break;
    case K::store_mute:
      store_mute_[m]++;
      break;
    case K::store_zombie:
      store_zombie_[m]++;
      break;
    case K::watch_broken:
      watch_broken_[m]++;
      break;
    case K::delete_lock:
      DeleteLock();
      break;
    case K::edit_lock:
      EditLock(f.r);
      break;
    case K::restore_lock:
      RestoreLock(f.r);
      break;
    case K::net_bad:
      net_bad_++;
      break;
    case K::wal_slow:
      wal_slow_[m]++;
      break;
    case K::engine_bad:
      engine_bad_[m]++;
      break;
    default:
      break;
  }
}

// One case or one profile a line is what makes these readable.
// clang-format off
void World::End(const Fault& f, int m, int n) {
  if (live_phase_) return;  // everything was healed already
  const uint32_t how = f.r >> 16;
  const bool agents = how % 4 != 0, dbs = how % 4 != 1, in = how / 4 % 4 != 0, out = how / 4 % 4 != 1;
  Trace(m, "FAULT %s ends", ToString(f.kind));
  switch (f.kind) {
    case K::agent_pause: Resume(m, 0); break;
    case K::shim_pause: Resume(m, 1); break;
    case K::db_pause: Resume(m, 2); break;
    case K::machine_pause: Resume(m, 2), Resume(m, 0), Resume(m, 1); break;  // the database may run before the shim does
    case K::pause_mid:
      if (nodes_[m].trip > 0 && !nodes_[m].trip_crash) nodes_[m].trip = 0;
      else Resume(m, 0);
      break;
    case K::node_death: case K::wipe: ReviveNode(m); break;
    case K::cut_pair:
      if (agents) cut_agent_[m][n] -= out, cut_agent_[n][m] -= in;
      if (dbs) cut_db_[m][n] -= out, cut_db_[n][m] -= in;
      break;
    case K::isolate:
      for (int i = 0; i < plan_.members; i++) {
        if (i == m) continue;
        if (agents) cut_agent_[m][i] -= out, cut_agent_[i][m] -= in;
        if (dbs) cut_db_[m][i] -= out, cut_db_[i][m] -= in;
      }
      if (how / 16 % 4 != 0) cut_store_[m][0] -= out, cut_store_[m][1] -= in;
      break;
    case K::cut_store: cut_store_[m][0] -= out, cut_store_[m][1] -= in; break;
    case K::store_down: store_down_--; break;
    case K::store_slow: store_slow_--; break;
    case K::store_mute: store_mute_[m]--; break;
    case K::store_zombie: store_zombie_[m]--; break;
    case K::watch_broken: watch_broken_[m]--; break;
    case K::net_bad: net_bad_--; break;
    case K::wal_slow: wal_slow_[m]--; break;
    case K::engine_bad: engine_bad_[m]--; break;
    default: break;
  }
}
// clang-format on

void World::Admin(int m, election::AdminAsked asked) {
  asked.id = "r" + std::to_string(next_admin_++);
  if (nodes_[m].agent_up) Deliver(m, std::move(asked), net_.Delay(kMs), nodes_[m].agent_gen);
}

void World::BeginAdmin(const Fault& f, int m) {
  election::AdminAsked a;
  const int other = static_cast<int>((f.r >> 20) % static_cast<uint32_t>(plan_.members));
  const bool named = (f.r & 2) != 0;
  switch (f.kind) {
    case K::switchover:
      a.kind = AdminKind::kSwitchover;
      if (named) a.target = nodes_[other].name;
      m = (f.r & 1) != 0 ? Primary() : m;
      break;
    case K::failover_force:
      a.force = true;
      forced_until_ = now_ + 60 * kSec;
      [[fallthrough]];
    case K::failover:
      a.kind = AdminKind::kFailover;
      if (named) a.target = nodes_[other].name;
      break;
    case K::pause:
      a.kind = AdminKind::kPause, m = Primary();
      break;
    case K::resume:
      a.kind = AdminKind::kResume, m = Primary();
      break;
    case K::durability:
      a.kind = AdminKind::kSetDurability, a.durability = static_cast<election::Durability>(f.r % 3),
      m = Primary();
      break;
    case K::fence:
      a.kind = AdminKind::kFence, a.target = nodes_[m].name;
      fenced_ |= 1u << m;
      break;
    case K::forget: {  // only of somebody who is gone
      if (nodes_[other].node_up) return;
      a.kind = AdminKind::kForget, a.target = nodes_[other].name, m = Primary();
      break;
    }
    case K::tags: {
      election::TagsChanged t;
      t.no_failover = (f.r & 4) != 0 && plan_.members > 2;
      t.priority = (f.r & 8) != 0 ? 200 : 100;
      if (nodes_[m].agent_up) Deliver(m, t, 0, nodes_[m].agent_gen);
      return;
    }
    case K::shutdown:
      if (!nodes_[m].agent_up) return;
      Deliver(m, election::ShutdownAsked{}, 0,
              nodes_[m].agent_gen);  // the pod goes when its grace period is over
      nodes_[m].leaving = true;
      Push(now_ + (plan_.fast != 0 ? 8 : 25) * kSec, Ev::kNodeGone, m, -1, nodes_[m].agent_gen, f.dur_ms);
      return;
    default:
      return;
  }
  Admin(m, std::move(a));
}

// The faults are over: everything is put right, and the cluster gets a bounded time to be well.
void World::HealAll() {
  live_phase_ = true;
  Trace(-1, "WORLD heals: all faults end");
  store_down_ = store_slow_ = net_bad_ = 0;
  for (int a = 0; a < kMaxNodes; a++) {
    store_mute_[a] = store_zombie_[a] = watch_broken_[a] = cut_store_[a][0] = cut_store_[a][1] =
        wal_slow_[a] = engine_bad_[a] = 0;
    for (int b = 0; b < kMaxNodes; b++) cut_agent_[a][b] = cut_db_[a][b] = 0;
  }
  plan_.msg_loss_pm = plan_.msg_slow_pm = plan_.store_lost_pm = plan_.store_mute_pm = plan_.store_zombie_pm =
      plan_.store_409_pm = 0;
  plan_.store_slow_pm = plan_.engine_fail_pm = plan_.wal_slow_pm = 0;
  if (plan_.live != 0) KillForGood();
  for (int m = 0; m < plan_.members; m++) {
    if ((gone_ >> m & 1) != 0) continue;
    Node& n = nodes_[m];
    for (int w = 2; w >= 0; w--) {
      n.pauses[w] = std::min(n.pauses[w], 1);
      Resume(m, w);
    }
    n.trip = 0;
    election::TagsChanged tags;
    // (Nobody takes the only member that has all data out of the running.)
    tags.no_failover =
        (plan_.no_failover >> m & 1) != 0 && (record_ == nullptr || record_->holder_name != n.name);
    if (n.agent_up) Deliver(m, tags, 0, n.agent_gen);
    if (n.leaving) KillNode(m);
    if (!n.node_up)
      ReviveNode(m);
    else if (!n.agent_up)
      Push(now_, Ev::kAgentStart, m);
  }
  if (plan_.live == 0) {
    done_ = true;
    return;
  }
  const int64_t lease = (plan_.fast != 0 ? 3 : 10) * kSec;
  live_since_ = now_;
  // See docs/SIMULATION.md: six leases, and for each member the time of a clone and three starts.
  live_bound_ =
      6 * lease + plan_.members * (plan_.clone_ms + plan_.rewind_ms + 3 * plan_.start_ms) * kMs + 40 * kSec;
  Push(now_ + kSec, Ev::kPhase, -1);
}

}  // namespace mainstay::sim
