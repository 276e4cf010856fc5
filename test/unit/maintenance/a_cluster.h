// A whole cluster of RabbitMQ as the plan sees it, to be damaged by a test: members n1..nN, all ready, one
// quorum queue "orders" with a replica on the first three of them.
#ifndef MAINSTAY_TEST_UNIT_MAINTENANCE_A_CLUSTER_H_
#define MAINSTAY_TEST_UNIT_MAINTENANCE_A_CLUSTER_H_

#include <algorithm>
#include <optional>
#include <string>

#include "absl/strings/str_cat.h"
#include "lib/maintenance/plan.h"

namespace mainstay::maintenance {

struct ACluster {
  explicit ACluster(int n = 3, const std::string& leader = "n1") {
    view.self = leader;
    view.epoch = 7;
    view.nonce = "nonce";
    view.calm = std::chrono::hours(1);
    view.queues_known = true;
    Memory m;
    m.epoch = 7;
    m.cluster_id = "C";
    std::vector<std::string> nodes;
    for (int i = 1; i <= n; ++i) nodes.push_back(absl::StrCat("rabbit@h", i));
    for (int i = 1; i <= n; ++i) {
      MemberFacts f;
      f.name = absl::StrCat("n", i);
      f.node = nodes[i - 1];
      f.heard = true;
      f.disk = absl::StrCat("disk", i);
      f.marker = f.cluster_id = "C";
      f.broker = Broker::kReady;
      f.start = absl::StrCat("run", i);
      f.nodes = f.running = nodes;
      f.critical_known = true;
      view.members.push_back(f);
      m.members.push_back({.name = f.name, .node = f.node, .disk = f.disk, .start = f.start});
    }
    nodes.resize(std::min<size_t>(3, nodes.size()));
    view.queues.push_back(
        {.vhost = "/", .name = "orders", .members = nodes, .online = nodes, .leader = nodes[0]});
    memory = m;
  }

  MemberFacts& operator[](const std::string& name) {
    return *std::find_if(view.members.begin(), view.members.end(),
                         [&](const auto& f) { return f.name == name; });
  }
  Memory& mem() { return *memory; }
  QueueFacts& queue() { return view.queues[0]; }

  // Its broker stopped: nobody sees it any more.
  void Down(const std::string& name) {
    MemberFacts& f = (*this)[name];
    f.broker = Broker::kStopped;
    f.start = f.cluster_id = "";
    f.nodes.clear();
    f.running.clear();
    f.draining = false;
    for (MemberFacts& o : view.members) std::erase(o.running, f.node);
    for (QueueFacts& q : view.queues) {
      std::erase(q.online, f.node);
      if (q.leader == f.node) q.leader = q.online.empty() ? "" : q.online[0];
    }
  }
  void Up(const std::string& name, const std::string& start) {
    MemberFacts& f = (*this)[name];
    f.broker = Broker::kReady;
    f.start = start;
    f.cluster_id = "C";
    f.blank = false;
    for (MemberFacts& o : view.members)
      if (o.ready() && std::find(o.running.begin(), o.running.end(), f.node) == o.running.end()) {
        o.running.push_back(f.node);
        if (std::find(o.nodes.begin(), o.nodes.end(), f.node) == o.nodes.end()) o.nodes.push_back(f.node);
      }
    f.nodes = f.running = (*this)[view.self].running;
    for (QueueFacts& q : view.queues)
      if (std::find(q.members.begin(), q.members.end(), f.node) != q.members.end())
        q.online.push_back(f.node);
  }
  // Down, and another, blank disk in it.
  void LoseDisk(const std::string& name) {
    Down(name);
    MemberFacts& f = (*this)[name];
    f.blank = true;
    f.begun = Begun::kNo;
    f.marker = "";
    f.disk += "'";
  }
  // What the leader's broker does on Control::Forget.
  void Forget(const std::string& node) {
    for (MemberFacts& o : view.members) std::erase(o.nodes, node);
    for (QueueFacts& q : view.queues) {
      std::erase(q.members, node);
      std::erase(q.online, node);
    }
  }
  // Nobody has anything: the first start.
  void Blank() {
    for (MemberFacts& f : view.members) {
      LoseDisk(f.name);
      f.disk = absl::StrCat("blank-", f.name);
    }
    view.queues.clear();
    memory.reset();
  }

  Step Next() const { return Plan(view, memory, settings); }
  // Takes the next step and what it records, as if it had succeeded; its row.
  std::string Take() {
    const Step step = Next();
    if (step.next) memory = step.next;
    if (step.answers) view.request.reset();
    if (step.kind == Step::Kind::kForget) Forget(step.node);
    if (step.kind == Step::Kind::kAddReplica) {
      queue().members.push_back(step.node);
      queue().online.push_back(step.node);
      queue().behind.push_back(step.node);
    }
    if (step.kind == Step::Kind::kDeleteReplica) {
      std::erase(queue().members, step.node);
      std::erase(queue().online, step.node);
    }
    return step.row;
  }

  View view;
  std::optional<Memory> memory;
  Settings settings;
};

}  // namespace mainstay::maintenance

#endif  // MAINSTAY_TEST_UNIT_MAINTENANCE_A_CLUSTER_H_
