// What the agent knows of its node, put together from what comes in one by one: looks (looker.h), messages of
// the end-to-end probe, the shim's word. Pure: time comes in.
//
//   known.Shim(connected, running, now);
//   known.Add(looked);
//   known.Add(probe_result);
//   Facts f = known.Now(now);            // for Judge
//
// Silence counts only while somebody looked: an agent that stood still learned nothing.
//
// Thread rules: plain value, one thread.
#ifndef MAINSTAY_AGENT_RABBIT_KNOWN_H_
#define MAINSTAY_AGENT_RABBIT_KNOWN_H_

#include <string>
#include <vector>

#include "agent/rabbit/looker.h"
#include "lib/amqp/verdict.h"
#include "lib/engine/rabbitmq/probe_state.h"

namespace mainstay::agent {

class Known {
 public:
  Known(std::string node, Duration interval) : node_(std::move(node)), interval_(interval) {}

  // True: the process began or ended.
  bool Shim(bool connected, bool running, MonoTime now);
  void Add(const Looked& looked);
  void Add(const amqp::Result& result) { facts_.amqp = amqp::Fold(facts_.amqp, result); }
  void SetDoing(std::string sentence) { facts_.doing = std::move(sentence); }
  void SetWaits(bool waits) { facts_.blank = waits; }
  void SetTakenOut(std::string why) { facts_.taken_out = std::move(why); }

  engine::rabbitmq::Facts Now(MonoTime now) const;
  const std::string& version() const { return version_; }
  const std::string& cluster_id() const { return cluster_id_; }
  const engine::rabbitmq::ClusterMembers& members() const { return members_; }
  uint64_t starts() const { return starts_; }

 private:
  void Forget();
  void Silent(const Looked& looked);
  void Peers(const Looked& looked);

  const std::string node_;
  const Duration interval_;
  engine::rabbitmq::Facts facts_;
  bool ran_ = false;       // as the shim said last
  MonoTime looked_until_;  // how far silence was counted
  std::string version_, cluster_id_;
  engine::rabbitmq::ClusterMembers members_;
  uint64_t starts_ = 0;
};

}  // namespace mainstay::agent

#endif  // MAINSTAY_AGENT_RABBIT_KNOWN_H_
