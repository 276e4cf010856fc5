// The model of brokers, their disks and their quorum queues.
#include <algorithm>

#include "absl/strings/str_cat.h"
#include "test/unit/maintenance/sim.h"

namespace mainstay::maintenance::sim {

Node* World::ByNode(const std::string& node) {
  return &*std::find_if(nodes_.begin(), nodes_.end(), [&](const Node& n) { return n.node == node; });
}

void World::StartBroker(Node* n, std::vector<std::string> join) {
  n->process = true;
  n->ready = n->draining = false;
  n->start = Id("run");
  n->join = std::move(join);
  n->boot = 1 + static_cast<int>(Pick(4));
}

void World::EndBroker(Node* n) {
  if (n->ready) {
    n->at_shutdown.clear();
    for (const Node& o : nodes_)
      if (o.ready && o.data_cluster == n->data_cluster) n->at_shutdown.insert(o.node);
  }
  n->process = n->ready = n->draining = n->drained_here = false;
  n->start.clear();
}

void World::Found(Node* n) {
  const std::string id = Id("C");
  n->data = true;
  n->data_cluster = id;
  clusters_[id] = {n->node};
  n->ready = true;
  ++foundings_;
  Say(absl::StrCat(n->name, " founds ", id));
}

void World::TurnJoiner(Node* n) {
  for (const std::string& peer : n->join) {
    const Node* p = ByNode(peer);
    if (!p->ready) continue;
    std::set<std::string>& members = clusters_[p->data_cluster];
    if (!n->data &&
        members.count(n->node) > 0) {  // "inconsistent cluster": it ends, and leaves half a schema
      n->data = true;
      EndBroker(n);
      return Fail(absl::StrCat(n->name, " was started blank while the cluster still lists it"));
    }
    if (!n->data) {
      n->data = true;  // half of it; the rest in the next turn
      return;
    }
    if (!joined_disks_.insert(n->disk).second) Fail(absl::StrCat("disk ", n->disk, " joined twice"));
    ++joins_;
    n->data_cluster = p->data_cluster;
    members.insert(n->node);
    n->ready = true;
    return;
  }
}

bool World::PeersAllowReady(const Node& n) const {
  for (const Node& o : nodes_)
    if (o.ready && o.data_cluster == n.data_cluster) return true;
  for (const std::string& node : n.at_shutdown) {
    if (clusters_.at(n.data_cluster).count(node) == 0) continue;
    const Node* o = ByNode(node);
    if (o != &n && !(o->process && o->data_cluster == n.data_cluster)) return false;
  }
  return true;
}

void World::TurnBroker(Node* n) {
  if (!n->process || n->ready) return;
  if (n->boot > 0) {
    --n->boot;
    return;
  }
  if (!n->join.empty()) {
    TurnJoiner(n);
  } else if (n->data_cluster.empty()) {
    Found(n);  // blank, or with what is left of a start that was cut off
  } else if (clusters_[n->data_cluster].count(n->node) == 0) {
    EndBroker(n);  // forgotten: "inconsistent cluster"
  } else {
    n->ready = PeersAllowReady(*n);
  }
  if (!n->ready) return;
  n->by_hand = false;
  n->join.clear();
  for (auto& [name, q] : queues_)
    if (q.members.count(n->node) > 0) q.lag[n->node] = 3;
}

// A drained node stops its own replicas (rabbit_maintenance:drain/0).
size_t World::Online(const Queue& q) const {
  return static_cast<size_t>(std::count_if(q.members.begin(), q.members.end(), [&](const auto& m) {
    return ByNode(m)->ready && !ByNode(m)->draining;
  }));
}
bool World::HasLeader(const Queue& q) const { return Online(q) * 2 > q.members.size(); }

void World::TurnQueues() {
  for (auto& [name, q] : queues_) {
    for (auto& [node, lag] : q.lag)
      if (lag > 0 && ByNode(node)->ready && HasLeader(q)) --lag;
  }
}

bool World::Forget(const std::string& node) {
  Node* n = ByNode(node);
  if (n->ready || n->process) return false;
  for (auto& [name, q] : queues_) {
    if (q.members.count(node) == 0) continue;
    if (!HasLeader(q)) return false;
    q.members.erase(node);
    q.lag.erase(node);
  }
  for (auto& [id, members] : clusters_) {
    if (members.erase(node) == 0) continue;
    if (n->data_cluster == id && !n->marker.empty())
      Fail(absl::StrCat(n->name, " was forgotten with its data"));
  }
  return true;
}

bool World::AddReplica(const Step& step) {
  Queue& q = queues_.at(step.queue);
  if (!HasLeader(q) || !ByNode(step.node)->ready) return false;
  if (q.members.insert(step.node).second) q.lag[step.node] = 4;
  return true;
}

bool World::DeleteReplica(const Step& step) {
  Queue& q = queues_.at(step.queue);
  if (!HasLeader(q)) return false;
  q.members.erase(step.node);
  q.lag.erase(step.node);
  return true;
}

std::vector<std::string> World::Critical(const Node& n) const {
  std::vector<std::string> out;
  for (const auto& [name, q] : queues_)
    if (q.members.count(n.node) > 0 && (Online(q) - 1) * 2 <= q.members.size()) out.push_back(name);
  return out;
}

MemberFacts World::FactsOf(const Node& n) const {
  MemberFacts f;
  f.name = n.name;
  f.node = n.node;
  f.heard = true;
  f.disk = n.disk;
  f.blank = !n.data && n.begun == Begun::kNo;
  f.begun = n.begun;
  f.marker = n.marker;
  f.at_shutdown.assign(n.at_shutdown.begin(), n.at_shutdown.end());
  f.broker = n.ready ? Broker::kReady : n.process ? Broker::kStarting : Broker::kStopped;
  f.start = n.start;
  f.wish = n.wish;
  f.seen_founding = n.seen_founding;
  if (!n.ready) return f;
  f.cluster_id = n.data_cluster;
  for (const std::string& m : clusters_.at(n.data_cluster)) {
    f.nodes.push_back(m);
    if (ByNode(m)->ready) f.running.push_back(m);
  }
  f.draining = n.draining;
  f.critical_known = true;
  f.critical = Critical(n);
  return f;
}

}  // namespace mainstay::maintenance::sim
