#include "test/sim/world.h"

#include <algorithm>

namespace mainstay::sim {

int32_t Branches::New(Log from) {
  from = Normal(from);
  all_.push_back({from.branch, from.end});
  return static_cast<int32_t>(all_.size()) - 1;
}

// A point at or below the fork belongs to the parent.
Log Branches::Normal(Log log) const {
  while (log.branch != 0 && all_[log.branch].parent != 0 && log.end <= all_[log.branch].fork)
    log.branch = all_[log.branch].parent;
  return log;
}

bool Branches::Contains(Log log, Log point) const {
  point = Normal(point);
  if (point.branch == 0) return true;
  uint64_t limit = log.end;
  for (int32_t b = log.branch; b != 0; b = all_[b].parent) {
    if (b == point.branch) return point.end <= limit;
    limit = std::min(limit, all_[b].fork);
  }
  return false;
}

Log Branches::Common(Log a, Log b) const {
  for (int32_t x = a.branch; x != 0; a.end = std::min(a.end, all_[x].fork), x = all_[x].parent) {
    uint64_t limit = b.end;
    for (int32_t y = b.branch; y != 0; limit = std::min(limit, all_[y].fork), y = all_[y].parent)
      if (x == y) return Normal({x, std::min(a.end, limit)});
  }
  return {};
}

World::World(const Plan& plan, FILE* trace) : plan_(plan), trace_(trace) {
  const uint64_t seed = static_cast<uint64_t>(plan.seed);
  net_ = Rng(seed, 1), store_ = Rng(seed, 2), eng_ = Rng(seed, 3), db_ = Rng(seed, 4), fault_ = Rng(seed, 5);
  Build();
}

void World::Build() {
  const bool fast = plan_.fast != 0;
  heartbeat_ = fast ? 250 * kMs : 750 * kMs;
  probe_ = fast ? 200 * kMs : 500 * kMs;
  store_timeout_ = fast ? 800 * kMs : 2500 * kMs;
  rpc_timeout_ = fast ? 400 * kMs : 1000 * kMs;
  nodes_.resize(static_cast<size_t>(plan_.members));
  queue_.reserve(4096);
  for (int m = 0; m < plan_.members; m++) {
    Node& n = nodes_[m];
    n.index = m;
    n.name = std::string(1, static_cast<char>('a' + m));
    n.rate = (fault_.Unit() * 2 - 1) * static_cast<double>(plan_.rate_ppm) * 1e-6;
    n.offset = fault_.Between(10, 100000) * kSec;
    if (m < plan_.initial) {
      n.member = n.node_up = true;
      Push(fault_.Between(0, 500) * kMs, Ev::kAgentStart, m);
    }
  }
  struck_.assign(plan_.faults.size(), -1);
  struck_n_.assign(plan_.faults.size(), -1);
  for (size_t i = 0; i < plan_.faults.size(); i++)
    Push(plan_.faults[i].at_ms * kMs, Ev::kFault, -1, -1, 0, static_cast<int32_t>(i));
  Push(plan_.faults_ms * kMs, Ev::kPhase, -1);
}

void World::Push(int64_t t, Ev kind, int m, int n, uint32_t gen, int32_t slot, int64_t x) {
  Item it;
  it.t = std::max(t, now_);
  it.seq = seq_++;
  it.kind = kind;
  it.m = static_cast<int8_t>(m);
  it.n = static_cast<int8_t>(n);
  it.gen = gen;
  it.slot = slot;
  it.x = x;
  queue_.push_back(it);
  std::push_heap(queue_.begin(), queue_.end());
}

MonoTime World::Local(int m, int64_t t) const {
  const Node& n = nodes_[m];
  return MonoTime::FromNanos(n.offset + t + static_cast<int64_t>(static_cast<double>(t) * n.rate));
}

int64_t World::Real(int m, MonoTime local) const {
  if (local.is_never()) return kForever;
  if (local.is_past()) return 0;
  const Node& n = nodes_[m];
  const int64_t since = local.nanos() - n.offset;
  return static_cast<int64_t>(static_cast<double>(since) / (1.0 + n.rate)) + 1;
}

int32_t World::Slot(election::Event&& event) {
  if (pool_free_.empty()) {
    pool_.push_back(std::move(event));
    return static_cast<int32_t>(pool_.size()) - 1;
  }
  const int32_t s = pool_free_.back();
  pool_free_.pop_back();
  pool_[s] = std::move(event);
  return s;
}

void World::Deliver(int m, election::Event&& event, int64_t delay, uint32_t gen) {
  Push(now_ + delay, Ev::kDeliver, m, -1, gen, Slot(std::move(event)));
}

// Events of a paused process wait for it.
bool World::Defer(const Item& it) {
  if (it.m < 0) return false;
  Node& n = nodes_[it.m];
  if (it.kind <= Ev::kRun) {
    if (!n.agent_paused) return false;
    n.deferred.push_back(it);
  } else if (it.kind <= Ev::kShimTimer) {
    if (!n.shim.paused) return false;
    n.shim_deferred.push_back(it);
  } else if (it.kind <= Ev::kSettle) {
    if (!n.db.paused) return false;
    n.db_deferred.push_back(it);
  } else {
    return false;
  }
  return true;
}

void World::Run(uint64_t max_steps) {
  while (!done_ && !queue_.empty() && stats_.steps < max_steps) {
    std::pop_heap(queue_.begin(), queue_.end());
    Item it = queue_.back();
    queue_.pop_back();
    now_ = it.t;
    if (Defer(it)) continue;
    stats_.events++;
    Dispatch(it);
    if (dirty_) CheckAckers();
  }
  stats_.sim_ns = now_;
  Mix(static_cast<uint64_t>(now_));
  Mix(stats_.steps);
}

// One case or one profile a line is what makes these readable.
// clang-format off
void World::Dispatch(Item& it) {
  const int m = it.m;
  switch (it.kind) {
    case Ev::kWake:
    case Ev::kDeliver:
    case Ev::kStoreTimeout:
    case Ev::kRpcTimeout: Receive(m, it); break;
    case Ev::kHeartbeat:
      if (it.gen == nodes_[m].agent_gen && nodes_[m].agent_up) {
        Heartbeat(m);
        Push(now_ + heartbeat_, Ev::kHeartbeat, m, -1, it.gen);
      }
      break;
    case Ev::kProbe: Probe(m, it.gen, it.slot == 1); break;
    case Ev::kRun: RunActions(m); break;
    case Ev::kEngine:
      if (nodes_[m].engine.active && nodes_[m].engine.gen == it.gen) EngineStage(m);
      break;
    case Ev::kEngineTimeout:
      if (nodes_[m].engine.active && nodes_[m].engine.gen == it.gen) EngineLate(m);
      break;
    case Ev::kShimArm: ShimArm(m, it.x, it.slot); break;
    case Ev::kShimTimer: ShimTimer(m, it.gen); break;
    case Ev::kWrite: Write(m, it.gen); break;
    case Ev::kWal: WalArrive(m, it); break;
    case Ev::kWalReply: WalReply(m, it); break;
    case Ev::kWalClosed: WalClosed(it); break;
    case Ev::kConnect: Connect(m, it.gen); break;
    case Ev::kRxCheck: RxCheck(m, it.gen); break;
    case Ev::kTxCheck: TxCheck(m, it.n, it.gen); break;
    case Ev::kSettle: Settle(m, it.n, it.gen); break;
    case Ev::kStoreArrive: StoreArrive(it.slot); break;
    case Ev::kAgentStart: StartAgent(m); break;
    case Ev::kNodeGone:
      if (live_phase_ || !nodes_[m].agent_up || nodes_[m].agent_gen != it.gen) break;
      KillNode(m);
      Push(now_ + (1 + it.slot / 4) * kMs, Ev::kNodeBack, m);
      break;
    case Ev::kNodeBack: ReviveNode(m); break;
    case Ev::kFault: Strike(it.slot); break;
    case Ev::kFaultEnd: End(plan_.faults[it.slot], it.m, it.n); break;
    case Ev::kWatch: NotifyWatchers(); break;
    case Ev::kPhase:
      if (!live_phase_) {
        HealAll();
      } else {
        CheckLive();
      }
      break;
  }
}
// clang-format on

}  // namespace mainstay::sim
