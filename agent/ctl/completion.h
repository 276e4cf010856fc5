// Completion for bash. Thread rules: pure.
#ifndef MAINSTAY_AGENT_CTL_COMPLETION_H_
#define MAINSTAY_AGENT_CTL_COMPLETION_H_

#include <string>

namespace mainstay::ctl {

std::string BashCompletion();

}  // namespace mainstay::ctl

#endif  // MAINSTAY_AGENT_CTL_COMPLETION_H_
