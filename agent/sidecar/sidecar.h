// The sidecar: one database's agent, put together from its parts (docs/THREADS.md) and run until it is told
// to stop.
//
//   return RunSidecar({.config = loaded.config, .source = source, .environment = environ});
//
// Signals: SIGTERM, SIGINT end it (a primary hands over first, bounded by election.handover; twice: at once),
// SIGHUP reads the configuration again. The database is left running: the shim's deadline bounds what it may
// do without an agent. Thread rules: call it from the main thread, before any other thread was started
// (signals are blocked here).
#ifndef MAINSTAY_AGENT_SIDECAR_SIDECAR_H_
#define MAINSTAY_AGENT_SIDECAR_SIDECAR_H_

#include "agent/config.h"

namespace mainstay::agent {

struct SidecarOptions {
  Config config;                             // loaded and without problems
  ConfigSource source;                       // read again on SIGHUP and by `mainstay reload`
  const char* const* environment = nullptr;  // as for LoadConfig
};

// Exit codes of RunSidecar.
inline constexpr int kExitStopped = 0;  // in good order
inline constexpr int kExitCannotStart =
    1;  // a port is taken, the lock's directory is missing, ...: said on stderr
inline constexpr int kExitHandoverLate = 3;  // stopped, but the handover was not finished within its bound
inline constexpr int kExitForced = 4;        // stopped by a second signal

int RunSidecar(const SidecarOptions& options);

}  // namespace mainstay::agent

#endif  // MAINSTAY_AGENT_SIDECAR_SIDECAR_H_
