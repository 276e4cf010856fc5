// The seams of RabbitMQ's agent: what the care for the cluster (formation, restarts, repairs) needs of this
// node, and what the agent needs of that care.
//
// Thread rules: as told at each. Nothing here blocks; what is waited for has a deadline.
#ifndef MAINSTAY_AGENT_RABBIT_PORTS_H_
#define MAINSTAY_AGENT_RABBIT_PORTS_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "lib/base/time.h"
#include "lib/engine/rabbitmq/conf.h"
#include "lib/engine/rabbitmq/control.h"
#include "lib/engine/rabbitmq/probe_state.h"
#include "lib/metrics/metrics.h"
#include "lib/rpc/port.h"

namespace mainstay::agent {

// What is known of this node at one moment; immutable once it was published.
struct NodeView {
  engine::rabbitmq::Facts facts;
  engine::rabbitmq::Judgement judgement;
  bool shim_connected = false;
  bool running = false;                      // its process, as the shim says
  bool blank = false;                        // there is no data
  bool pod_ending = false;                   // its container was told to end
  uint64_t starts = 0;                       // by this agent, or found running: tells one run from the next
  std::string version;                       // "3.10.8"; "" : not known
  std::string cluster_id;                    // "" : not known
  engine::rabbitmq::ClusterMembers members;  // as it saw them last
};

// This node. View from any thread; the rest, and all answers, on the loop.
class NodePort {
 public:
  using Done = std::function<void(const absl::Status&)>;
  virtual ~NodePort() = default;
  virtual std::shared_ptr<const NodeView> View() const = 0;
  // The process was executed (ok), not: it is ready. FailedPrecondition: it runs, or something is under way.
  virtual void Start(const engine::rabbitmq::StartPlan& plan, Done done) = 0;
  // In good order; after `patience` it is killed.
  virtual void Stop(Duration patience, Done done) = 0;
  // Renames what there is of data, so that the next start is a blank one. It must not run.
  virtual void SetDataAside(Done done) = 0;
  // What is being done with it, for /readyz and status: "joining rabbit@a"; "" : nothing.
  virtual void SetDoing(const std::string& sentence) = 0;
  // It has no data and must not be started: nobody of its cluster answers.
  virtual void SetWaits(bool waits) = 0;
  // Why it must serve nobody: it is the smaller side of two clusters; "" : it may.
  virtual void SetTakenOut(const std::string& why) = 0;
};

// The care for the cluster. All on the loop.
class Maintenance {
 public:
  virtual ~Maintenance() = default;
  virtual void Begin(NodePort* node) = 0;
  // After each look at the node, and at once after a start or an end of its process.
  virtual void OnNode(const NodeView& view) = 0;
  // The container was told to end: call `may_stop` (once) when its broker may go.
  virtual void OnEnding(std::function<void()> may_stop) = 0;
  virtual void Submit(const rpc::AdminCommand& command, std::function<void(rpc::AdminAnswer)> done) = 0;
  virtual void FillStatus(rpc::StatusView* view) = 0;
  // Another one: what FillStatus fills in is shown anew at once.
  virtual std::string ShownKey() const { return ""; }
  // What other members' agents are told of this one. Any thread.
  virtual absl::StatusOr<std::string> Facts() const { return absl::UnavailableError("this node is alone"); }
  virtual void WriteMetrics(metrics::Writer& w) = 0;
  // False: something did not end in time.
  virtual bool End(Duration patience) = 0;
};

}  // namespace mainstay::agent

#endif  // MAINSTAY_AGENT_RABBIT_PORTS_H_
