// The agent beside a RabbitMQ node: looks at it, tells of it, starts it. There is no primary here and no
// fence: a broker is never stopped because an agent lost a lock, or is gone.
//
//   return RunRabbitAgent({.config = loaded.config, .source = source, .environment = environ});
//
// Signals, exit codes and thread rules: as RunSidecar (agent/sidecar/sidecar.h). The broker goes on when the
// agent ends.
#ifndef MAINSTAY_AGENT_RABBIT_AGENT_H_
#define MAINSTAY_AGENT_RABBIT_AGENT_H_

#include "agent/sidecar/sidecar.h"

namespace mainstay::agent {

int RunRabbitAgent(const SidecarOptions& options);

}  // namespace mainstay::agent

#endif  // MAINSTAY_AGENT_RABBIT_AGENT_H_
