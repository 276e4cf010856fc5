// Linked into programs that run the product's core: there are no mistakes to switch on.
#include "test/sim/runner.h"

namespace mainstay::sim {
bool SetMistake(election::M m) { return m == election::M::kNone; }
}  // namespace mainstay::sim
