// A simulated RabbitMQ cluster of 3 to 5 members with their agents, under faults: agents and brokers killed
// between any two steps, lost and old reports, calls that were carried out and not answered, calls carried
// out late, lost disks, a deleted or unreadable memory, leaders that take turns while the former one still
// acts.
//
// The model of a broker (sim_broker.cc) is what research and a real 3.10 showed: a blank one that is told to
// join waits for ever and never founds; one whose joining was cut off in the middle founds a cluster of its
// own when it is started with what is left; one that the cluster still lists cannot join blank; after a full
// stop members wait for those that ran when they stopped.
#ifndef MAINSTAY_TEST_UNIT_MAINTENANCE_SIM_H_
#define MAINSTAY_TEST_UNIT_MAINTENANCE_SIM_H_

#include <map>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "lib/maintenance/member.h"
#include "lib/maintenance/plan.h"

namespace mainstay::maintenance::sim {

struct Node {
  std::string name, node;
  // The disk.
  std::string disk;
  bool data = false;         // anything of the broker's
  std::string data_cluster;  // "": data of a start that was cut off in the middle
  Begun begun = Begun::kNo;
  std::string marker;
  std::set<std::string> at_shutdown;
  std::string last_wish;  // on the disk as well
  bool drained_here = false;
  // The broker.
  bool process = false, ready = false, draining = false;
  std::string start;
  std::vector<std::string> join;
  int boot = 0;          // ticks until it looks further
  bool by_hand = false;  // it is down because an agent stopped it
  // The agent.
  bool agent = true;
  std::string wish, seen_founding;
};

struct Queue {
  std::set<std::string> members;
  std::map<std::string, int> lag;
};

class World {
 public:
  World(uint32_t seed, bool trace);
  // "" or what went wrong, with the seed.
  std::string Run();
  int repairs() const { return joins_; }
  int restarts() const { return stops_; }
  int foundings() const { return foundings_; }

 private:
  // sim_broker.cc
  void StartBroker(Node* n, std::vector<std::string> join);
  void EndBroker(Node* n);
  void TurnBroker(Node* n);
  void Found(Node* n);
  void TurnJoiner(Node* n);
  bool PeersAllowReady(const Node& n) const;
  bool Forget(const std::string& node);
  bool HasLeader(const Queue& q) const;
  size_t Online(const Queue& q) const;
  bool AddReplica(const Step& step);
  bool DeleteReplica(const Step& step);
  std::vector<std::string> Critical(const Node& n) const;
  MemberFacts FactsOf(const Node& n) const;
  void TurnQueues();
  Node* ByNode(const std::string& node);
  const Node* ByNode(const std::string& node) const { return const_cast<World*>(this)->ByNode(node); }

  // sim.cc
  void TurnAgent(Node* n);
  void Carry(Node* n, const Act& act);
  void TurnLeader();
  void CarryLead(const Step& step, int64_t version);
  bool Call(const Step& step);
  void Write(Memory next, int64_t version);
  void Faults();
  void LoseDisk();
  void Check();
  bool Healthy() const;
  std::string Show() const;
  void Say(const std::string& line);
  void Fail(const std::string& what);
  bool Chance(double p) { return std::uniform_real_distribution<>(0, 1)(rng_) < p; }
  size_t Pick(size_t n) { return rng_() % n; }
  std::string Id(const char* what);

  std::mt19937 rng_;
  const uint32_t seed_;
  const bool trace_;
  int tick_ = 0, ids_ = 0, faults_until_ = 0;
  std::vector<Node> nodes_;
  std::map<std::string, std::set<std::string>> clusters_;  // id -> nodes, what its members agree on
  std::map<std::string, Queue> queues_;
  std::optional<Memory> memory_;
  int64_t version_ = 0;
  size_t leader_ = 0;
  int64_t epoch_ = 1;
  std::map<std::string, MemberFacts> old_;  // reports of before
  std::optional<std::pair<Step, int64_t>>
      late_;  // a call that is carried out after its leader was told nothing
  int calm_ = 0;
  std::string shape_;  // who was ready
  int joins_ = 0, stops_ = 0, foundings_ = 0;
  std::set<std::string> joined_disks_;
  std::string failure_;
};

}  // namespace mainstay::maintenance::sim

#endif  // MAINSTAY_TEST_UNIT_MAINTENANCE_SIM_H_
