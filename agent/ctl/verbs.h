// The verbs that change something. Thread rules: one thread.
#ifndef MAINSTAY_AGENT_CTL_VERBS_H_
#define MAINSTAY_AGENT_CTL_VERBS_H_

#include <string>

#include "agent/ctl/ctl.h"
#include "lib/rpc/port.h"

namespace mainstay::ctl {

// Finds who must be asked, asks for confirmation where it is due, calls, waits for the end. Returns the exit
// code.
int RunAdminVerb(rpc::AdminCommand command, const Common& common, const Program& program);

}  // namespace mainstay::ctl

#endif  // MAINSTAY_AGENT_CTL_VERBS_H_
