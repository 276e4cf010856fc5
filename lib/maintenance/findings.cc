// What people should know of a cluster, and for whom a full stop waits: sentences out of the facts. Nothing
// hangs on them.
#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "lib/maintenance/plan_case.h"

namespace mainstay::maintenance {
namespace {

void CutsNow(const View& v, std::vector<std::string>* out) {
  for (const MemberFacts& a : v.members) {
    if (!a.ready()) continue;
    for (const MemberFacts& b : v.members) {
      if (a.name == b.name || !b.ready() || a.cluster_id != b.cluster_id) continue;
      if (Contains(a.nodes, b.node) && !Contains(a.running, b.node))
        out->push_back(absl::StrCat("partition: ", b.name, " runs, as its own agent says, and ", a.name,
                                    " does not see it"));
    }
    if (!a.partitions.empty())
      out->push_back(absl::StrCat("partition: ", a.name, " was cut off from ",
                                  absl::StrJoin(a.partitions, ", "), " and did not restart since"));
  }
}

void OfQueues(const View& v, size_t target, std::vector<std::string>* out) {
  size_t leaderless = 0, few = 0;
  for (const QueueFacts& q : v.queues) {
    leaderless += q.leader.empty() ? 1 : 0;
    few += q.online.size() < target ? 1 : 0;
  }
  if (leaderless > 0) out->push_back(absl::StrCat(leaderless, " quorum queues have no leader"));
  if (few > 0)
    out->push_back(absl::StrCat(few, " quorum queues have fewer than ", target, " replicas that run"));
}

}  // namespace

std::vector<std::string> Findings(const View& view, const std::optional<Memory>& memory) {
  std::vector<std::string> out;
  for (const MemberFacts& f : view.members) {
    if (!f.heard) out.push_back(absl::StrCat("the agent of ", f.name, " does not answer"));
    if (f.ready() && memory && !memory->cluster_id.empty() && f.cluster_id != memory->cluster_id)
      out.push_back(absl::StrCat("second cluster: ", f.name, " is of ", f.cluster_id, ", on record is ",
                                 memory->cluster_id, "; it gets no clients"));
  }
  CutsNow(view, &out);
  if (memory) {
    const Settings settings;
    OfQueues(view, Case{view, *memory, settings}.Target(), &out);
    if (memory->members.size() % 2 == 0 && !memory->members.empty())
      out.push_back(absl::StrCat(memory->members.size(),
                                 " members: an even number bears no more losses than one fewer"));
  }
  return out;
}

std::string BootPlan(const View& view) {
  std::vector<std::string> missing;
  for (const MemberFacts& f : view.members) {
    if (!f.heard || f.blank || f.ready()) continue;
    if (f.at_shutdown.size() == 1 && f.at_shutdown[0] == f.node)
      return absl::StrCat(f.name, " stopped last: the others wait for it");
    for (const std::string& node : f.at_shutdown) {
      const bool comes = std::any_of(view.members.begin(), view.members.end(), [&](const MemberFacts& o) {
        return o.node == node && o.heard && !o.blank && o.broker != Broker::kStopped;
      });
      if (!comes && !Contains(missing, node)) missing.push_back(node);
    }
  }
  if (missing.empty()) return "";
  return absl::StrCat("waited for: ", absl::StrJoin(missing, ", "),
                      ", which ran when others stopped; if it never returns: "
                      "force a boot, confirmed with the cluster's id");
}

}  // namespace mainstay::maintenance
