// The care for a node that is a member of a cluster: lib/maintenance's Maintainer on this agent's shim,
// stores and peers. It founds, joins, repairs and restarts; losing the lock, the memory or the leader stops
// no broker.
//
// Thread rules: made, called and destroyed on the loop; Facts by any thread.
#ifndef MAINSTAY_AGENT_RABBIT_CLUSTERED_H_
#define MAINSTAY_AGENT_RABBIT_CLUSTERED_H_

#include <memory>
#include <string>

#include "agent/config.h"
#include "agent/rabbit/peer_facts.h"
#include "agent/rabbit/ports.h"
#include "agent/rabbit/shim_broker.h"
#include "agent/sidecar/loop.h"
#include "lib/audit/audit.h"
#include "lib/erlang/session.h"
#include "lib/kube/client.h"
#include "lib/lease/store.h"
#include "lib/maintenance/maintainer.h"

namespace mainstay::agent {

// The lock and, beside it, the memory; `kube` is null for files.
struct MaintenanceStores {
  std::unique_ptr<kube::Client> kube;
  std::unique_ptr<lease::Store> lock, memory;
};
absl::StatusOr<MaintenanceStores> BuildMaintenanceStores(const Config& config);

class ClusteredMaintenance : public Maintenance {
 public:
  struct Parts {
    Loop* loop = nullptr;
    audit::Log* audit = nullptr;  // null: none
    MaintenanceStores stores;
    std::unique_ptr<maintenance::PeersPort> peers;
  };
  ClusteredMaintenance(const Config& config, Parts parts);
  ~ClusteredMaintenance() override;

  void Begin(NodePort* node) override;
  void OnNode(const NodeView& view) override;
  void OnEnding(std::function<void()> may_stop) override;
  void Submit(const rpc::AdminCommand& command, std::function<void(rpc::AdminAnswer)> done) override;
  void FillStatus(rpc::StatusView* view) override;
  std::string ShownKey() const override;
  absl::StatusOr<std::string> Facts() const override;
  void WriteMetrics(metrics::Writer& w) override;
  bool End(Duration patience) override;

 private:
  maintenance::MaintainerOptions MakeOptions();
  void Told(const std::string& row, const std::string& sentence);
  void AskLeader(maintenance::Request request, std::function<void(rpc::AdminAnswer)> done);

  const Config config_;
  Parts parts_;
  erlang::Session session_;
  std::unique_ptr<ShimBroker> broker_;
  std::shared_ptr<maintenance::Maintainer> maintainer_;
  NodePort* node_ = nullptr;
  std::function<void()> may_stop_;  // the container was told to end, its broker runs
};

// What is done to the cluster, a sentence each: the repair with its steps, the restart, the removal, what
// this member is at, what is wrong.
std::vector<std::string> WorkSentences(const maintenance::MaintainerStatus& status);

}  // namespace mainstay::agent

#endif  // MAINSTAY_AGENT_RABBIT_CLUSTERED_H_
