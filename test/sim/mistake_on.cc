// Linked into programs that run the core built with MAINSTAY_MISTAKES.
#include "test/sim/runner.h"

namespace mainstay::sim {
bool SetMistake(election::M m) {
  election::g_mistake = m;
  return true;
}
}  // namespace mainstay::sim
