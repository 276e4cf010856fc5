// What every agent does with its own process, whatever its engine.
//
// Thread rules: the main thread, before others are started; SetLog also on the loop.
#ifndef MAINSTAY_AGENT_SIDECAR_PROCESS_H_
#define MAINSTAY_AGENT_SIDECAR_PROCESS_H_

#include "agent/config.h"

namespace mainstay::agent {

// The operational log, as the configuration wants it.
void SetLog(const Config& config);
// No core file and no debugger of the same user: passwords and certificates are in this memory.
void Harden();

}  // namespace mainstay::agent

#endif  // MAINSTAY_AGENT_SIDECAR_PROCESS_H_
