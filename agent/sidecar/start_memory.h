// What only the start needed is given back: pages of code and of constants that were read while the agent
// read its configuration, founded or joined (they stay in the page cache and come back when they are used),
// and the allocator's free pages. The kernel counts all of them as resident for as long as the process lives.
//
//   GiveBackStartMemory();   // when it has settled, and now and then; ~0.5 ms, the working set faults in
//   again
//
// Thread rules: any thread, while others run.
#ifndef MAINSTAY_AGENT_SIDECAR_START_MEMORY_H_
#define MAINSTAY_AGENT_SIDECAR_START_MEMORY_H_

#include <cstddef>

namespace mainstay::agent {

// The bytes of code and constants that were unmapped (an upper bound: whole segments).
size_t GiveBackStartMemory();

}  // namespace mainstay::agent

#endif  // MAINSTAY_AGENT_SIDECAR_START_MEMORY_H_
