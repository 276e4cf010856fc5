#include "lib/election/mistake.h"

#ifdef MAINSTAY_MISTAKES
namespace mainstay::election {
thread_local M g_mistake = M::kNone;
}  // namespace mainstay::election
#endif
