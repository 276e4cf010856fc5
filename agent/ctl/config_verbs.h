// `mainstay config check|print|docs`. Thread rules: one thread.
#ifndef MAINSTAY_AGENT_CTL_CONFIG_VERBS_H_
#define MAINSTAY_AGENT_CTL_CONFIG_VERBS_H_

#include "agent/ctl/agent_flags.h"
#include "agent/ctl/ctl.h"

namespace mainstay::ctl {

int ConfigCheck(const AgentFlags& flags, const Program& program);
int ConfigPrint(const AgentFlags& flags, bool origin, const Program& program);
int ConfigDocs(const Program& program);  // docs/CONFIGURATION.md
int RunAgent(const AgentFlags& flags, const Program& program);

}  // namespace mainstay::ctl

#endif  // MAINSTAY_AGENT_CTL_CONFIG_VERBS_H_
