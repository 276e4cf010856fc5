// The driver of the core in one member: what agent/sidecar does with threads, done here with events.
#include <algorithm>

#include "test/sim/world.h"

namespace mainstay::sim {

using election::M;
using election::StoreOutcome;

void World::StartAgent(int m) {
  Node& n = nodes_[m];
  if (!n.node_up || n.agent_up) return;
  auto s = std::make_shared<election::Settings>();
  const bool fast = plan_.fast != 0;
  // The incarnation is the shim's run: an agent that restarts beside a living shim is the same one and may
  // adopt its database.
  if (n.nonce == 0) n.nonce = next_nonce_++;
  s->cluster = "c";
  s->identity = plan_.Mistake() == M::kDupId
                    ? std::string("x_u_1")
                    : n.name + "_u" + std::to_string(m) + "_" + std::to_string(n.nonce);
  s->self.name = n.name;
  s->self.incarnation = s->identity;
  s->self.peer_address = n.name + ":1";
  s->self.db_address = n.name + ":2";
  s->self.priority = (plan_.priority >> m & 1) != 0 ? 200 : 100;
  s->self.no_failover = (plan_.no_failover >> m & 1) != 0;
  for (int i = 0; i < plan_.initial; i++)
    if (i != m) s->expected.push_back(nodes_[i].name);
  if (fast) {
    using std::chrono::milliseconds;
    s->lease = milliseconds(3000), s->validity = milliseconds(2000), s->fence = milliseconds(900);
    s->renew = milliseconds(500), s->suspicion = milliseconds(1000), s->freeze_wait = milliseconds(400);
    s->sync_patience = milliseconds(400), s->handover = milliseconds(5000), s->retry = milliseconds(100);
  }
  s->durability = static_cast<election::Durability>(plan_.durability);
  s->volatile_data = plan_.volatile_data != 0;
  s->takeover = static_cast<election::Takeover>(plan_.takeover);
  s->sync_count = static_cast<int32_t>(plan_.sync_count);
  s->failsafe = plan_.failsafe != 0;
  n.settings = s;
  n.agent_up = true;
  n.leaving = false;
  n.agent_gen++;
  n.store_id = 0;
  n.store_sent_ok = n.promise_sent = INT64_MIN / 2;
  n.rpcs.clear();
  n.actions.clear();
  n.deferred.clear();
  n.trip = 0;
  n.state = election::Start(n.settings, n.durable, Local(m, now_));
  if (m == 0 && started_ != nullptr) {
    if (n.agent_gen == 1)
      started_(m, n.settings, n.durable, Local(m, now_));
    else
      stepped_ = nullptr;
  }
  Trace(m, "AGENT starts as %s", s->identity.c_str());
  if (n.shim.armed) Deliver(m, election::FenceArmed{Local(m, n.shim.deadline), n.shim.epoch}, 0, n.agent_gen);
  Push(now_, Ev::kWake, m, -1, ++n.wake_gen);
  Push(now_ + fault_.Between(0, heartbeat_), Ev::kHeartbeat, m, -1, n.agent_gen);
  Push(now_ + kMs, Ev::kProbe, m, -1, n.agent_gen);
}

void World::StopAgent(int m) {
  Node& n = nodes_[m];
  if (!n.agent_up) return;
  Trace(m, "AGENT dies");
  EndStop(m);
  EndCopy(m);
  n.agent_up = n.agent_paused = false;
  n.pauses[0] = 0;
  n.agent_gen++;
  n.wake_gen++;
  n.engine.active = false;
  n.engine.gen++;
  for (const Item& it : n.deferred)
    if (it.kind == Ev::kDeliver) pool_free_.push_back(it.slot);
  n.deferred.clear();
  n.actions.clear();
  const bool forget = plan_.Mistake() == M::kSupLost || (plan_.Mistake() == M::kForget && !n.node_up);
  if (forget) n.durable.detached = false, n.durable.promised = 0, n.durable.promised_to.clear();
}

void World::Receive(int m, Item& it) {
  Node& n = nodes_[m];
  switch (it.kind) {
    case Ev::kWake:
      if (n.agent_up && it.gen == n.wake_gen) StepAgent(m, election::Tick{});
      return;
    case Ev::kStoreTimeout:
      if (n.agent_up && it.gen == n.agent_gen && n.store_id == static_cast<uint64_t>(it.x)) {
        election::StoreDone d;
        d.id = n.store_id;
        d.op = static_cast<election::StoreOp>(it.slot);
        d.problem = "time-out";
        n.store_id = 0;
        StepAgent(m, d);
      }
      return;
    case Ev::kRpcTimeout: {
      if (!n.agent_up || it.gen != n.agent_gen) return;
      election::Event e = it.slot != 0 ? election::Event(election::PromiseAnswered{})
                                       : election::Event(election::FreezeAnswered{});
      AnswerRpc(it.n, m, std::move(e), static_cast<uint64_t>(it.x));
      return;
    }
    default:
      break;
  }
  election::Event event = std::move(pool_[it.slot]);
  pool_free_.push_back(it.slot);
  if (!n.agent_up || (it.gen != 0 && it.gen != n.agent_gen)) return;
  if (auto* d = std::get_if<election::StoreDone>(&event)) {
    if (d->id != n.store_id) return;  // it timed out
    n.store_id = 0;
    if (d->outcome == StoreOutcome::kOk && d->op != election::StoreOp::kRead)
      n.store_sent_ok = std::max(n.store_sent_ok, n.store_sent);
  }
  if (!TakeAnswer(m, event)) return;
  StepAgent(m, event);
}

// Each question is answered once: an answer after the time-out (or a second one) is nobody's.
bool World::TakeAnswer(int m, const election::Event& event) {
  Node& n = nodes_[m];
  uint64_t ask = 0;
  const std::string* from = nullptr;
  if (const auto* f = std::get_if<election::FreezeAnswered>(&event)) ask = f->ask, from = &f->from;
  if (const auto* p = std::get_if<election::PromiseAnswered>(&event)) ask = p->ask, from = &p->from;
  if (from == nullptr) return true;
  const bool promise = std::holds_alternative<election::PromiseAnswered>(event);
  for (size_t i = 0; i < n.rpcs.size(); i++) {
    if (n.rpcs[i].ask != ask || n.rpcs[i].promise != promise || nodes_[n.rpcs[i].to].name != *from) continue;
    n.rpcs.erase(n.rpcs.begin() + static_cast<long>(i));
    return true;
  }
  return false;
}

void World::StepAgent(int m, const election::Event& event) {
  Node& n = nodes_[m];
  const MonoTime now = Local(m, now_);
  stats_.steps++;
  n.burst = now_ - n.last_step < kMs / 10 ? n.burst + 1 : 0;
  n.last_step = now_;
  if (n.burst > 2000) return Fail("spin", "member " + n.name + " steps without end");
  if (trace_ != nullptr) TraceEvent(m, event);
  if (m == 0 && stepped_ != nullptr) stepped_(event, now);
  const bool lead = n.state.lead;
  const MonoTime permit = n.state.permit_until;
  const Epoch open = n.state.open_epoch;
  election::Result r = election::Step(std::move(n.state), event, now);
  n.state = std::move(r.state);
  Mix(static_cast<uint64_t>(now_) * 8 + static_cast<uint64_t>(m));
  Mix(event.index() * 64 + r.actions.size() * 16 + static_cast<uint64_t>(n.state.phase));
  CheckStep(m, event, open, lead, permit);
  if (lead && !n.state.lead) Reached(Moment::lost_lock, m);
  n.wake_gen++;
  if (!r.wake.is_never()) Push(std::max(Real(m, r.wake), now_ + 50 * kUs), Ev::kWake, m, -1, n.wake_gen);
  if (n.actions.empty()) {
    n.actions = std::move(r.actions);
  } else {
    for (auto& a : r.actions) n.actions.push_back(std::move(a));
  }
  RunActions(m);
}

// True: the process stops before this action.
bool World::Trip(int m, const election::Action& action) {
  Node& n = nodes_[m];
  if (n.trip == 0 || std::holds_alternative<election::Decision>(action) ||
      std::holds_alternative<election::Publish>(action))
    return false;
  if (--n.trip > 0) return false;
  if (n.trip_crash) {
    const int64_t back = n.trip_ms * kMs;
    StopAgent(m);
    Push(now_ + back, Ev::kAgentStart, m);
  } else {
    Trace(m, "AGENT pauses between two actions for %lld ms", static_cast<long long>(n.trip_ms));
    Pause(m, 0, n.trip_ms * kMs);
    Push(n.agent_paused ? now_ : now_, Ev::kRun, m);
  }
  return true;
}

void World::RunActions(int m) {
  Node& n = nodes_[m];
  std::vector<election::Action> list = std::move(n.actions);
  n.actions.clear();
  for (size_t i = 0; i < list.size() && n.agent_up; i++) {
    if (Trip(m, list[i])) {
      if (n.agent_up)
        n.actions.assign(std::make_move_iterator(list.begin() + static_cast<long>(i)),
                         std::make_move_iterator(list.end()));
      return;
    }
    Execute(m, list[i]);
    if (n.agent_paused && i + 1 < list.size()) {  // a fault struck at the moment that this action reached
      n.actions.assign(std::make_move_iterator(list.begin() + static_cast<long>(i) + 1),
                       std::make_move_iterator(list.end()));
      Push(now_, Ev::kRun, m);
      return;
    }
  }
}

void World::Execute(int m, election::Action& action) {
  Node& n = nodes_[m];
  if (trace_ != nullptr) TraceAction(m, action);
  if (auto* read = std::get_if<election::ReadLock>(&action)) {
    SendStore(m, read->id, election::StoreOp::kRead, nullptr, 0);
  } else if (auto* create = std::get_if<election::CreateLock>(&action)) {
    SendStore(m, create->id, election::StoreOp::kCreate,
              std::make_shared<const Record>(std::move(create->record)), 0);
  } else if (auto* update = std::get_if<election::UpdateLock>(&action)) {
    SendStore(m, update->id, election::StoreOp::kUpdate,
              std::make_shared<const Record>(std::move(update->record)),
              strtoull(update->if_version.c_str() + (update->if_version.empty() ? 0 : 1), nullptr, 10));
  } else if (auto* arm = std::get_if<election::ArmFence>(&action)) {
    if (Info(arm->epoch).owner < 0) {
      Info(arm->epoch).owner = static_cast<int8_t>(m);
    } else if (Info(arm->epoch).owner != m && arm->epoch >= restored_) {
      Fail("epoch_twice", "epoch " + std::to_string(arm->epoch) + " was granted to " +
                              nodes_[Info(arm->epoch).owner].name + " and to " + n.name);
    }
    Push(now_ + net_.Delay(100 * kUs), Ev::kShimArm, m, -1, n.agent_gen, static_cast<int32_t>(arm->epoch),
         arm->until.nanos());
  } else if (auto* engine = std::get_if<election::Engine>(&action)) {
    StartEngine(m, std::move(*engine));
  } else if (auto* freeze = std::get_if<election::SendFreeze>(&action)) {
    Ask(m, freeze->ask, Index(freeze->to), freeze->epoch, false, freeze->cause);
    Reached(Moment::freeze_sent, m);
  } else if (auto* promise = std::get_if<election::SendPromise>(&action)) {
    n.promise_sent = Local(m, now_).nanos();
    Ask(m, promise->ask, Index(promise->to), promise->epoch, true, election::Cause::kSuspected);
  } else if (auto* fa = std::get_if<election::AnswerFreeze>(&action)) {
    if (fa->answer.frozen && n.durable.promised < fa->answer.epoch)
      Fail("promise_not_durable", n.name + " answered a freeze before its promise was durable");
    const uint64_t ask = fa->answer.ask;
    AnswerRpc(m, Index(fa->to), std::move(fa->answer), ask | 1ull << 63);
  } else if (auto* pa = std::get_if<election::AnswerPromise>(&action)) {
    const uint64_t ask = pa->answer.ask;
    AnswerRpc(m, Index(pa->to), std::move(pa->answer), ask | 1ull << 63);
  } else if (auto* notify = std::get_if<election::Notify>(&action)) {
    election::PeerReport report = election::Describe(n.state, Local(m, now_));
    report.lock_changed = notify->lock_changed;
    report.take = notify->take;
    for (int i = 0; i < plan_.members; i++)
      if (i != m && (notify->to.empty() || notify->to == nodes_[i].name)) Message(m, i, report);
  } else if (auto* reply = std::get_if<election::AnswerAdmin>(&action)) {
    AdminReply(m, *reply);
  }
}

void World::AdminReply(int, const election::AnswerAdmin&) {}

void World::Heartbeat(int m) {
  const election::PeerReport report = election::Describe(nodes_[m].state, Local(m, now_));
  for (int i = 0; i < plan_.members; i++)
    if (i != m && nodes_[i].member) Message(m, i, report);
}

// A message between agents: lost, late, doubled, out of order.
void World::Message(int from, int to, const election::Event& event) {
  if (cut_agent_[from][to] > 0) return;
  const int64_t loss = plan_.msg_loss_pm + (net_bad_ > 0 ? 200 : 0),
                slow = plan_.msg_slow_pm + (net_bad_ > 0 ? 100 : 0);
  for (int copies = 1 + (net_.Chance(plan_.msg_dup_pm) ? 1 : 0); copies > 0; copies--) {
    if (net_.Chance(loss)) continue;
    int64_t d = net_.Delay(plan_.msg_us * kUs);
    if (net_.Chance(slow)) d += net_.Between(0, 3000) * kMs;
    election::Event copy = event;
    Deliver(to, std::move(copy), d, 0);
  }
}

void World::Ask(int m, uint64_t ask, int to, Epoch epoch, bool promise, election::Cause cause) {
  Node& n = nodes_[m];
  if (to < 0 || to >= plan_.members) return Fail("protocol", n.name + " asks an unknown member");
  n.rpcs.push_back({ask, static_cast<int8_t>(to), promise, epoch});
  Push(now_ + rpc_timeout_, Ev::kRpcTimeout, m, to, n.agent_gen, promise ? 1 : 0, static_cast<int64_t>(ask));
  if (cut_agent_[m][to] > 0 || !nodes_[to].node_up) return;  // nobody refuses: the time-out answers
  if (!nodes_[to].agent_up) {
    if (cut_agent_[to][m] > 0) return;
    Push(now_ + 2 * plan_.msg_us * kUs, Ev::kRpcTimeout, m, to, n.agent_gen, promise ? 1 : 0,
         static_cast<int64_t>(ask));
    return;
  }
  if (promise) {
    Message(m, to, election::PromiseAsked{ask, n.name, epoch});
  } else {
    Message(m, to, election::FreezeAsked{ask, n.name, epoch, cause});
  }
}

// The answer of member `from` to `to`'s question, or (bit 63 not set) its time-out. Each question is answered
// once.
void World::AnswerRpc(int from, int to, election::Event&& event, uint64_t ask) {
  constexpr uint64_t kRemote = 1ull << 63;
  Node& n = nodes_[to];
  const bool promise = std::holds_alternative<election::PromiseAnswered>(event);
  if ((ask & kRemote) != 0) {
    if (cut_agent_[from][to] > 0 || net_.Chance(plan_.msg_loss_pm + (net_bad_ > 0 ? 200 : 0))) return;
    int64_t d = net_.Delay(plan_.msg_us * kUs);
    if (net_.Chance(plan_.msg_slow_pm)) d += net_.Between(0, 3000) * kMs;
    // The answer belongs to the connection of the agent that asked; one that comes after the time-out is
    // dropped there.
    for (const Rpc& r : n.rpcs)
      if (r.ask == (ask & ~kRemote) && r.to == from && r.promise == promise) {
        if (promise) std::get<election::PromiseAnswered>(event).from = nodes_[from].name;
        Deliver(to, std::move(event), d, n.agent_gen);
        return;
      }
    return;
  }
  for (size_t i = 0; i < n.rpcs.size(); i++) {
    if (n.rpcs[i].ask != ask || n.rpcs[i].to != from || n.rpcs[i].promise != promise) continue;
    const Epoch epoch = n.rpcs[i].epoch;
    n.rpcs.erase(n.rpcs.begin() + static_cast<long>(i));
    if (promise) {
      StepAgent(to, election::PromiseAnswered{ask, nodes_[from].name, epoch, false});
    } else {
      election::FreezeAnswered a;
      a.ask = ask, a.from = nodes_[from].name, a.epoch = epoch, a.refusal = "no answer";
      StepAgent(to, a);
    }
    return;
  }
}

void World::Probe(int m, uint32_t gen, bool once) {
  Node& n = nodes_[m];
  if (!n.agent_up || gen != n.agent_gen) return;
  Deliver(m, Report(m), eng_.Delay(2 * kMs), n.agent_gen);
  if (!once) Push(now_ + probe_, Ev::kProbe, m, -1, gen);
}

// The shim or the engine saw something: probe at once, besides the regular ones.
void World::ProbeSoon(int m) {
  if (nodes_[m].agent_up) Push(now_ + eng_.Delay(kMs), Ev::kProbe, m, -1, nodes_[m].agent_gen, 1);
}

}  // namespace mainstay::sim
