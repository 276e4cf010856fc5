// mainstay-shim: see docs/SHIM.md and agent/shim/shim.h.
#include <unistd.h>

#include "agent/shim/options.h"
#include "agent/shim/procs.h"
#include "agent/shim/shim.h"

namespace {

// In static memory: its size is part of the budget, and nothing is allocated later.
mainstay::shimd::Options g_options;
mainstay::shimd::Shim g_shim;

// Makes the stack's pages resident now, so that the kill path never waits for memory.
__attribute__((noinline)) void TouchStack() {
  volatile char pages[24 * 1024];
  for (size_t i = 0; i < sizeof pages; i += 1024) pages[i] = 1;
}

}  // namespace

int main(int argc, char** argv) {
  using namespace mainstay::shimd;  // NOLINT: the program's own namespace
  ReadOptions(argc, argv, environ, &g_options);
  const uint32_t oom = ProtectFromOom();
  const auto mode = EnterMode(g_options.mode);
  TouchStack();
  const uint32_t protection = oom | ProtectSelf();
  return g_shim.Run(g_options, mode, protection);
}
