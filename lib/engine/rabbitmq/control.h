// RabbitMQ asked and steered by Erlang's distribution: what rabbitmqctl does, without starting an Erlang for
// it.
//
// Each function answers within kCallDeadline (3 s) in all, however many calls it makes, or says that it does
// not know: kDeadlineExceeded or kUnknown. What changes something may then have been done, or still be under
// way in the node: ask (Members, Draining, QuorumQueues) before it is repeated. All of them may be repeated:
// what is done already is ok.
//
// Thread rules: one thread at a time; it blocks. Errors: those of lib/erlang/client.h (kUnimplemented: that
// version has no such thing, and what to do instead) and kDataLoss (an answer of a shape that is not known).
#ifndef MAINSTAY_LIB_ENGINE_RABBITMQ_CONTROL_H_
#define MAINSTAY_LIB_ENGINE_RABBITMQ_CONTROL_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "lib/base/time.h"
#include "lib/engine/rabbitmq/parse.h"
#include "lib/engine/rabbitmq/traits.h"
#include "lib/erlang/protocol.h"

namespace mainstay::engine::rabbitmq {

// The answers that decide about probes, of one moment.
struct Check {
  BootState boot = BootState::kStopped;
  // Known once RabbitMQ runs; empty before.
  std::vector<Alarm> alarms;  // of the whole cluster
  std::vector<std::string>
      partitions;  // nodes that this one was cut off from, until it is restarted (Mnesia)
};

struct ClusterMembers {
  std::vector<std::string> all;
  std::vector<std::string> running;
  std::vector<std::string> disc;  // those that keep the metadata
};

class Control {
 public:
  // `caller` outlives this. `node` is whom it calls, in the name of whom drain and such are asked for.
  Control(erlang::Caller* caller, std::string node) : caller_(*caller), node_(std::move(node)) {}

  // ---- asking ----
  absl::StatusOr<Check> Look();  // boot state, then alarms and partitions
  absl::StatusOr<Version> GetVersion();
  absl::StatusOr<BootState> Boot();
  absl::StatusOr<bool> IsRunning();
  absl::StatusOr<bool> IsBooting();
  absl::StatusOr<std::vector<Alarm>> Alarms();
  absl::StatusOr<std::vector<std::string>> Partitions();  // always none from 4.3 on
  absl::StatusOr<ClusterMembers> Members();
  // Other nodes that this one is connected to, hidden ones left out: of Erlang, whether RabbitMQ runs there
  // or not. Also while RabbitMQ is stopped here.
  absl::StatusOr<std::vector<std::string>> ConnectedNodes();
  // The same for all members, for ever. A node without one makes it: ask only when it is ready.
  absl::StatusOr<std::string> ClusterId();
  // Who else ran when this node stopped, while it waits for them; of one that runs: who runs. Mnesia only.
  absl::StatusOr<std::vector<std::string>> NodesAtShutdown();
  absl::StatusOr<bool> Draining();
  absl::StatusOr<std::vector<CriticalQueue>> QuorumCritical();
  // Some 4,000 of them; more are kResourceExhausted.
  absl::StatusOr<std::vector<QuorumQueue>> QuorumQueues();
  // How far each replica of one queue is. The members are asked one after the other: a frozen one takes all
  // the time there is.
  absl::StatusOr<std::vector<ReplicaProgress>> Progress(const std::string& vhost, const std::string& queue);
  absl::StatusOr<std::vector<FeatureFlag>> FeatureFlags();

  // ---- changing ----
  absl::Status
  Drain();  // closes listeners and clients, moves leaders away: only this connection speaks afterwards
  absl::Status Revive();
  absl::Status AddMember(const std::string& vhost, const std::string& queue, const std::string& on_node);
  absl::Status DeleteMember(const std::string& vhost, const std::string& queue, const std::string& on_node);
  absl::StatusOr<std::vector<MemberChange>> Grow(
      const std::string& on_node);  // every queue without a replica there
  absl::StatusOr<std::vector<MemberChange>> Shrink(const std::string& on_node);  // every queue with one
  absl::Status Rebalance();
  // Takes a node that is down, and never returns, out of the cluster: its replicas first, then itself. One
  // that is only cut off looks the same from here: whoever calls this knows better, from that node's own
  // agent.
  absl::Status Forget(const std::string& dead_node);
  // The next start of this node waits for nobody: what only the others have is lost.
  absl::Status ForceBoot();

 private:
  class Budget;  // one deadline for all calls of one function
  absl::StatusOr<erlang::Term> Ask(const Budget& budget, const Function& function,
                                   std::vector<erlang::Term> arguments = {});
  // Asked each time: the node may have been restarted as another version behind the caller's connection.
  absl::StatusOr<Traits> AskTraits(const Budget& budget);
  absl::StatusOr<std::vector<std::string>> AskNodes(const Budget& budget, const Function& function,
                                                    std::vector<erlang::Term> arguments = {});
  absl::StatusOr<bool> IsDraining(const Budget& budget);
  absl::Status SetDraining(bool drain);

  erlang::Caller& caller_;
  const std::string node_;
};

}  // namespace mainstay::engine::rabbitmq

#endif  // MAINSTAY_LIB_ENGINE_RABBITMQ_CONTROL_H_
