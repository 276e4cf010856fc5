// Processes: making children with the right identity, and killing every process there is.
#ifndef MAINSTAY_AGENT_SHIM_PROCS_H_
#define MAINSTAY_AGENT_SHIM_PROCS_H_

#include <sys/types.h>

#include "agent/shim/options.h"
#include "lib/shim/wire.h"

namespace mainstay::shimd {

// In a fresh child: default signals, ordinary scheduling, the database's user, no way to gain privileges,
// umask 077, and in session mode death with the shim. False with errno when the identity could not be taken
// on.
bool BecomeDatabaseUser(const Options& options, shim::wire::Mode mode, pid_t shim_pid);

// SIGKILL to everything that could be a database process. As PID 1 of a namespace that is one atomic
// kill(-1); in session mode it is a walk over /proc, to be repeated until NothingLeft.
void KillAll(shim::wire::Mode mode);

// True when no process that a client could be connected to is left. Only valid after waitpid said ECHILD: it
// looks for processes that came into our PID namespace from outside (kubectl exec).
bool NoStrangers(shim::wire::Mode mode, const Options& options);

// Is `pid` a descendant of this process (by /proc)?
bool DescendsFromUs(pid_t pid);

// What the shim asked the kernel for, as wire::StateFlags: memory locked, real-time priority.
uint32_t ProtectSelf();
// Lowers oom_score_adj; must happen before a user namespace takes the right away. Returns kOomProtected or 0.
uint32_t ProtectFromOom();

// Enters `wanted` mode. Returns in the process that shall serve: with kNamespace that is PID 1 of a new PID
// namespace, while the outer process forwards signals and ends with it. Ends the process when the mode cannot
// be had.
shim::wire::Mode EnterMode(WantedMode wanted);

// The shim's own directory work (Tool::kSwapData, kRemoveStale); runs in a child. Returns the exit status.
int SwapData(const PathRules& rules, const char* new_dir);
int RemoveStale(const PathRules& rules, const char* dir);

}  // namespace mainstay::shimd

#endif  // MAINSTAY_AGENT_SHIM_PROCS_H_
