// `mainstay-shim --install DIR`: puts a copy of this program into DIR, for the init container of a pod, whose
// image (the agent's) has no shell and no cp.
#ifndef MAINSTAY_AGENT_SHIM_INSTALL_H_
#define MAINSTAY_AGENT_SHIM_INSTALL_H_

namespace mainstay::shimd {

// DIR/mainstay-shim, mode 0755, complete or not there at all: written beside it, fsynced, renamed. Ends the
// process: 0, or 2 with a message.
[[noreturn]] void Install(const char* dir);

}  // namespace mainstay::shimd

#endif  // MAINSTAY_AGENT_SHIM_INSTALL_H_
