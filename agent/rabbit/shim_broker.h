// The maintenance's way to the process of its broker: asks the shim itself, starts and stops through the
// node, which writes the files before.
//
// Thread rules: the maintenance's thread, but for Close (the loop).
#ifndef MAINSTAY_AGENT_RABBIT_SHIM_BROKER_H_
#define MAINSTAY_AGENT_RABBIT_SHIM_BROKER_H_

#include <atomic>
#include <memory>
#include <string>

#include "agent/rabbit/ports.h"
#include "agent/rabbit/start_pause.h"
#include "agent/sidecar/loop.h"
#include "lib/maintenance/ports.h"
#include "lib/shim/client.h"

namespace mainstay::agent {

class ShimBroker : public maintenance::BrokerPort {
 public:
  // `node` is used on the loop alone, until Close.
  ShimBroker(Loop* loop, NodePort* node, const std::string& socket, Duration stop_patience);

  absl::StatusOr<Process> Look() override;
  // kUnavailable: it ended a moment ago and its pause is not over.
  absl::Status Start(const maintenance::StartPlan& plan) override;
  absl::Status Stop() override;
  void Close() { *node_ = nullptr; }

 private:
  absl::Status OnLoop(std::function<void(NodePort*, NodePort::Done)> what, Duration timeout);

  Loop* const loop_;
  const std::shared_ptr<std::atomic<NodePort*>> node_;
  const Duration stop_patience_;
  shim::Client shim_;
  StartPause pause_;
};

}  // namespace mainstay::agent

#endif  // MAINSTAY_AGENT_RABBIT_SHIM_BROKER_H_
