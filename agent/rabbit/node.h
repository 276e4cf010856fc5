// This node as its agent has it: what is known of it, kept up by looks and messages on threads of their own,
// and the way to start and stop it. The heart of RabbitMQ's agent, without its faces.
//
// Thread rules: loop only, but for View().
#ifndef MAINSTAY_AGENT_RABBIT_NODE_H_
#define MAINSTAY_AGENT_RABBIT_NODE_H_

#include <functional>
#include <memory>
#include <mutex>
#include <string>

#include "agent/config.h"
#include "agent/rabbit/known.h"
#include "agent/rabbit/node_keeper.h"
#include "agent/rabbit/ports.h"
#include "agent/sidecar/journal.h"
#include "agent/sidecar/ports.h"
#include "lib/amqp/probe.h"
#include "lib/engine/rabbitmq/probe_metrics.h"

namespace mainstay::agent {

// Where this node listens for AMQP, and who the agent is there.
amqp::Endpoint EndpointOf(const RabbitmqConfig& config);
amqp::LoginSource LoginOf(const RabbitmqConfig& config);
// A connection of our own to its Erlang node; each needs one.
erlang::ClientOptions ClientOf(const RabbitmqConfig& config);

class Node : public NodePort, public FenceSink {
 public:
  struct Parts {
    Loop* loop = nullptr;
    audit::Log* audit = nullptr;  // null: none
    Journal* journal = nullptr;
    std::function<void()> changed;  // after each look, start and end
    std::function<void()> ending;   // the container was told to end; once
  };
  Node(const Config& config, Parts parts);
  ~Node() override;

  void Begin();
  // False: a thread was left behind.
  bool End(Duration patience);
  void Configure(const Config& config) { interval_ = config.probe_interval; }

  // NodePort
  std::shared_ptr<const NodeView> View() const override;
  void Start(const engine::rabbitmq::StartPlan& plan, Done done) override;
  void Stop(Duration patience, Done done) override;
  void SetDataAside(Done done) override;
  void SetDoing(const std::string& sentence) override;
  void SetWaits(bool waits) override;
  void SetTakenOut(const std::string& why) override;

  // FenceSink: what the shim tells. Nothing is ever armed.
  void OnArmed(MonoTime, election::Epoch) override {}
  void OnExit(const DatabaseExit& exit) override;
  void OnShim(const ShimFacts& facts, bool other_shim) override;
  void OnShimEnded() override {}

  // Of now; for /metrics.
  void WriteMetrics(metrics::Writer& w) const;
  // Judged now, not with the last look: an age that passed a limit counts.
  engine::rabbitmq::Judgement JudgeNow() const;

 private:
  struct Threads;
  void LookAt(MonoTime when);
  void BeginLook();
  void EndLook(const Looked& looked, bool blank);
  void ProbeAt(MonoTime when);
  void BeginProbe();
  void EndProbe(const amqp::Result& result);
  void Publish();
  void Tell(const engine::rabbitmq::Judgement& judgement);

  const Config config_;
  const Parts parts_;
  Duration interval_;
  engine::rabbitmq::Limits limits_;
  Known known_;
  ShimFacts shim_;
  bool blank_ = false;
  bool ended_ = false;
  bool end_told_ = false;
  uint64_t looks_ = 0;
  MonoTime look_due_, probe_due_;
  bool looking_ = false, probing_ = false;
  TimerId look_timer_ = 0, probe_timer_ = 0;
  engine::rabbitmq::ProbeInstruments instruments_;
  engine::rabbitmq::NodeState told_ = engine::rabbitmq::NodeState::kUnknown;
  NodeKeeper keeper_;
  std::unique_ptr<Threads> threads_;
  mutable std::mutex mutex_;  // of view_
  std::shared_ptr<const NodeView> view_;
};

}  // namespace mainstay::agent

#endif  // MAINSTAY_AGENT_RABBIT_NODE_H_
