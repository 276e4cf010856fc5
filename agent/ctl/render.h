// What `status` and `why` print. Thread rules: pure functions.
#ifndef MAINSTAY_AGENT_CTL_RENDER_H_
#define MAINSTAY_AGENT_CTL_RENDER_H_

#include <string>
#include <vector>

#include "agent/ctl/cluster.h"

namespace mainstay::ctl {

std::string RenderStatus(const Cluster& cluster, bool colours);
std::string StatusJson(const Cluster& cluster, bool pretty);

struct MemberDecision {
  std::string member;
  v1::Decision decision;
};
// The decisions of `member` ("" : of everybody who answered) by time, the last `limit`.
std::vector<MemberDecision> CollectDecisions(const Cluster& cluster, const std::string& member, size_t limit);
std::string RenderDecisions(const std::vector<MemberDecision>& decisions, bool colours);
std::string DecisionsJson(const std::vector<MemberDecision>& decisions);

}  // namespace mainstay::ctl

#endif  // MAINSTAY_AGENT_CTL_RENDER_H_
