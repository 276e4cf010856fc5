#include "absl/strings/str_cat.h"
#include "lib/maintenance/ports.h"

namespace mainstay::maintenance {

std::string FormationConf(const StartPlan& plan, const std::string& self) {
  std::string out = "cluster_formation.peer_discovery_backend = classic_config\n";
  if (plan.join.empty()) {
    absl::StrAppend(&out, "cluster_formation.classic_config.nodes.1 = ", self, "\n");
    return out;
  }
  int i = 0;
  for (const std::string& node : plan.join)
    absl::StrAppend(&out, "cluster_formation.classic_config.nodes.", ++i, " = ", node, "\n");
  // RabbitMQ gives up after 10 tries (3.10) and goes on as a cluster of its own: never.
  absl::StrAppend(&out, "cluster_formation.discovery_retry_limit = 1000000\n",
                  "cluster_formation.discovery_retry_interval = 500\n");
  return out;
}

}  // namespace mainstay::maintenance
