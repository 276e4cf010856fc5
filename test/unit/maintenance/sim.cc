// The agents, their leader, the faults and what must hold.
#include "test/unit/maintenance/sim.h"

#include <algorithm>
#include <cstdio>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace mainstay::maintenance::sim {
namespace {

constexpr int kFaulty = 250, kCalm = 400;
constexpr int kQueues = 3;

}  // namespace

World::World(uint32_t seed, bool trace) : rng_(seed), seed_(seed), trace_(trace) {
  const int n = 3 + static_cast<int>(Pick(3));
  for (int i = 1; i <= n; ++i) {
    Node node;
    node.name = absl::StrCat("n", i);
    node.node = absl::StrCat("rabbit@h", i);
    node.disk = Id("disk");
    nodes_.push_back(std::move(node));
  }
  faults_until_ = kFaulty;
}

std::string World::Id(const char* what) { return absl::StrCat(what, ++ids_); }

void World::Say(const std::string& line) {
  if (trace_) std::printf("%4d %s\n", tick_, line.c_str());
}

void World::Fail(const std::string& what) {
  if (failure_.empty()) failure_ = absl::StrCat("seed ", seed_, ", tick ", tick_, ": ", what);
}

// ---- the members' agents ----

void World::Carry(Node* n, const Act& act) {
  if (act.kind != Act::Kind::kNothing) Say(absl::StrCat(n->name, " ", act.row, ": ", act.sentence));
  const bool cut = tick_ < faults_until_ && Chance(0.05);  // the agent is killed in the middle of it
  switch (act.kind) {
    case Act::Kind::kNothing:
    case Act::Kind::kForceBoot:
      return;
    case Act::Kind::kStart:
      n->begun = act.begun;
      if (cut) break;
      StartBroker(n, act.join);
      return;
    case Act::Kind::kStop: {
      if (n->ready && n->wish != "" && memory_ && memory_->token && memory_->token->name == n->name) ++stops_;
      EndBroker(n);
      n->by_hand = true;
      if (!memory_ || !memory_->removal) n->wish.clear();
      return;
    }
    case Act::Kind::kDrain:
      n->drained_here = true;
      if (cut) break;
      n->draining = true;
      return;
    case Act::Kind::kRevive:
      n->draining = n->drained_here = false;
      return;
    case Act::Kind::kWipe:
      n->data = false;
      n->data_cluster.clear();
      n->at_shutdown.clear();
      if (cut) break;
      n->disk = Id("disk");
      n->begun = Begun::kNo;
      return;
    case Act::Kind::kMark:
      n->marker = act.marker;
      return;
    case Act::Kind::kRewish:
      n->wish = Id("wish");
      return;
  }
  n->agent = false;
}

void World::TurnAgent(Node* n) {
  if (!n->agent) return;
  Own own;
  own.facts = FactsOf(*n);
  own.drained_here = n->drained_here;
  own.memory_known = !(tick_ < faults_until_ && Chance(0.1));
  if (own.memory_known) own.memory = memory_;
  if (own.memory && own.memory->founding) n->seen_founding = own.memory->founding->nonce;
  Carry(n, Decide(own));
}

// ---- the leader ----

void World::Write(Memory next, int64_t version) {
  if (version != version_) return Say("  conflict");
  memory_ = std::move(next);
  ++version_;
}

bool World::Call(const Step& step) {
  switch (step.kind) {
    case Step::Kind::kForget:
      return Forget(step.node);
    case Step::Kind::kAddReplica:
      return AddReplica(step);
    case Step::Kind::kDeleteReplica:
      return DeleteReplica(step);
    default:
      return true;
  }
}

void World::CarryLead(const Step& step, int64_t version) {
  if (step.kind != Step::Kind::kWait)
    Say(absl::StrCat("   lead ", nodes_[leader_].name, " ", step.row, ": ", step.sentence));
  const bool faulty = tick_ < faults_until_;
  switch (step.kind) {
    case Step::Kind::kWait:
    case Step::Kind::kRefuse:
      return;
    case Step::Kind::kYield:
      leader_ = Pick(nodes_.size());
      epoch_ = std::max(epoch_, memory_ ? memory_->epoch : 0) + 1;
      return;
    case Step::Kind::kRecord:
      if (faulty && Chance(0.1)) return;  // lost on its way
      return Write(*step.next, version);
    default:
      break;
  }
  if (!nodes_[leader_].ready) return;  // its own broker must carry it out
  if (faulty && Chance(0.1)) return;   // lost
  if (faulty && Chance(0.1)) {
    late_ = {step, version};  // under way while its leader is gone
    leader_ = Pick(nodes_.size());
    ++epoch_;
    return;
  }
  if (!Call(step)) return;
  if (faulty && Chance(0.1)) return;  // done, and nobody knows
  if (step.next) Write(*step.next, version);
}

void World::TurnLeader() {
  if (late_) {
    Call(late_->first);
    late_.reset();
  }
  if (!nodes_[leader_].agent) {
    if (Chance(0.3)) {
      leader_ = Pick(nodes_.size());
      ++epoch_;
    }
    return;
  }
  const bool faulty = tick_ < faults_until_;
  if (faulty && Chance(0.1)) return;
  View v;
  v.self = nodes_[leader_].name;
  v.epoch = epoch_;
  v.nonce = Id("nonce");
  std::string shape;
  for (const Node& n : nodes_) {
    MemberFacts f = FactsOf(n);
    shape += f.ready() ? '1' : '0';
    if (faulty && n.name != v.self && old_.count(n.name) > 0 && Chance(0.2))
      f = old_[n.name];  // of a turn ago
    if (!n.agent || (faulty && n.name != v.self && Chance(0.1))) {
      f = MemberFacts{.name = n.name, .node = n.node};
    }
    v.members.push_back(std::move(f));
  }
  calm_ = shape == shape_ ? calm_ + 1 : 0;
  shape_ = shape;
  v.calm = std::chrono::seconds(calm_ * 10);
  v.queues_known = nodes_[leader_].ready;
  for (const auto& [name, q] : queues_) {
    QueueFacts f{.vhost = "/", .name = name, .members = {q.members.begin(), q.members.end()}};
    for (const std::string& m : q.members) {
      if (!ByNode(m)->ready || ByNode(m)->draining) continue;
      f.online.push_back(m);
      if (q.lag.count(m) > 0 && q.lag.at(m) > 0) f.behind.push_back(m);
    }
    if (HasLeader(q)) f.leader = f.online[0];
    v.queues.push_back(std::move(f));
  }
  const std::optional<Memory> memory = memory_;
  const int64_t version = version_;
  CarryLead(Plan(v, memory, Settings{}), version);
}

// ---- faults ----

void World::LoseDisk() {
  // One that the others can do without: they serve, are confirmed, and have all that it has.
  Node& n = nodes_[Pick(nodes_.size())];
  for (const Node& o : nodes_) {
    if (!o.ready || o.marker.empty()) return;
  }
  for (const auto& [name, q] : queues_) {
    for (const auto& [node, lag] : q.lag)
      if (lag > 0 && node != n.node) return;
    if (q.members.count(n.node) > 0 && q.members.size() < 3) return;
    if (Online(q) < q.members.size()) return;
  }
  Say(absl::StrCat("FAULT ", n.name, " loses its disk"));
  EndBroker(&n);
  const bool by_hand = n.by_hand;
  Node blank;
  blank.name = n.name;
  blank.node = n.node;
  blank.disk = Id("disk");
  blank.by_hand = by_hand;
  n = std::move(blank);
}

void World::Faults() {
  for (Node& n : nodes_)
    if (!n.agent && Chance(0.3)) n.agent = true;
  if (tick_ >= faults_until_) {
    for (Node& n : nodes_) n.agent = true;
    return;
  }
  Node& n = nodes_[Pick(nodes_.size())];
  if (Chance(0.06)) n.agent = false;
  if (Chance(0.03)) {
    leader_ = Pick(nodes_.size());
    ++epoch_;
  }
  const bool someone_blank =
      std::any_of(nodes_.begin(), nodes_.end(), [](const Node& o) { return o.marker.empty(); });
  const auto ready = std::count_if(nodes_.begin(), nodes_.end(), [](const Node& o) { return o.ready; });
  const bool half_way = n.process && n.marker.empty();
  if (Chance(0.05) && n.process && (half_way || !someone_blank || ready > 1)) {
    if (!(n.ready && ready <= 1 && someone_blank)) {
      Say(absl::StrCat("FAULT ", n.name, "'s broker is killed"));
      EndBroker(&n);
    }
  }
  if (Chance(0.01) && !someone_blank) {
    Say("FAULT all brokers are killed");
    std::set<std::string> all;
    for (const Node& o : nodes_)
      if (o.ready) all.insert(o.node);
    for (Node& o : nodes_) {
      const bool was = o.ready;
      EndBroker(&o);
      if (was) o.at_shutdown = all;
    }
  }
  if (Chance(0.03)) LoseDisk();
  if (Chance(0.015)) {
    Say("FAULT the memory is deleted");
    memory_.reset();
    ++version_;
    if (Chance(0.5)) epoch_ = 1;  // and the lock with it
  }
  if (Chance(0.05) && n.wish.empty()) n.wish = Id("wish");
}

// ---- what must hold ----

void World::Check() {
  std::set<std::string> alive;
  int by_hand = 0;
  for (const Node& n : nodes_) {
    if (!n.data_cluster.empty()) alive.insert(n.data_cluster);
    if (n.by_hand && !n.ready) ++by_hand;
  }
  if (alive.size() > 1) Fail(absl::StrCat("two clusters: ", absl::StrJoin(alive, ", ")));
  if (by_hand > 1) Fail("two members are down by our hand");
}

bool World::Healthy() const {
  if (!memory_ || memory_->repair || memory_->token || memory_->rebalance_due) return false;
  for (const Node& n : nodes_) {
    const MemberEntry* e = memory_->Find(n.name);
    if (!n.ready || n.draining || !n.wish.empty() || e == nullptr || e->disk != n.disk ||
        e->state != MemberState::kMember || n.data_cluster != memory_->cluster_id ||
        n.marker != memory_->cluster_id)
      return false;
  }
  for (const auto& [name, q] : queues_)
    if (q.members.size() < 3 || Online(q) < q.members.size()) return false;
  return true;
}

std::string World::Show() const {
  std::string out;
  for (const Node& n : nodes_)
    absl::StrAppend(&out, "\n  ", n.name, ": ",
                    n.ready     ? "ready"
                    : n.process ? "starting"
                                : "stopped",
                    ", disk ", n.disk, ", data ", n.data ? n.data_cluster : "none", ", marker ", n.marker,
                    ", wish ", n.wish, n.draining ? ", drained" : "");
  absl::StrAppend(&out, "\n  memory: ", memory_ ? EncodeMemory(*memory_) : "none");
  return out;
}

std::string World::Run() {
  for (tick_ = 0; tick_ < kFaulty + kCalm && failure_.empty(); ++tick_) {
    Faults();
    for (Node& n : nodes_) TurnBroker(&n);
    if (queues_.empty() && Healthy()) {
      for (int i = 0; i < kQueues; ++i)
        for (size_t k = 0; k < 3; ++k)
          queues_[absl::StrCat("q", i)].members.insert(nodes_[(i + k) % nodes_.size()].node);
    }
    TurnQueues();
    std::map<std::string, MemberFacts> now;
    for (const Node& n : nodes_) now[n.name] = FactsOf(n);
    TurnLeader();
    for (Node& n : nodes_) {
      TurnAgent(&n);
      Check();
    }
    old_ = std::move(now);
    if (tick_ > faults_until_ && Healthy()) return failure_;
  }
  if (failure_.empty() && !Healthy()) Fail(absl::StrCat("not healthy in the end", Show()));
  return failure_;
}

}  // namespace mainstay::maintenance::sim
