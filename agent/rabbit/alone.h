// The care for a node that is alone: it is started, and started again when it ends by itself, with a pause
// that grows. Where others are members there is ClusteredMaintenance.
//
// Thread rules: loop only.
#ifndef MAINSTAY_AGENT_RABBIT_ALONE_H_
#define MAINSTAY_AGENT_RABBIT_ALONE_H_

#include <string>

#include "agent/rabbit/ports.h"
#include "agent/rabbit/start_pause.h"
#include "agent/sidecar/loop.h"

namespace mainstay::agent {

class AloneMaintenance : public Maintenance {
 public:
  explicit AloneMaintenance(Loop* loop) : loop_(loop) {}

  void Begin(NodePort* node) override { node_ = node; }
  void OnNode(const NodeView& view) override;
  void OnEnding(std::function<void()> may_stop) override;
  void Submit(const rpc::AdminCommand& command, std::function<void(rpc::AdminAnswer)> done) override;
  void FillStatus(rpc::StatusView*) override {}
  void WriteMetrics(metrics::Writer&) override {}
  bool End(Duration) override { return true; }

 private:
  void StartNode();

  Loop* const loop_;
  NodePort* node_ = nullptr;
  bool starting_ = false;
  StartPause pause_;
};

}  // namespace mainstay::agent

#endif  // MAINSTAY_AGENT_RABBIT_ALONE_H_
