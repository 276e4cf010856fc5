// Is a configuration fit for use? All problems at once, each with path, value and remedy. Used by config.cc
// only.
#ifndef MAINSTAY_AGENT_CONFIG_CHECK_H_
#define MAINSTAY_AGENT_CONFIG_CHECK_H_

#include <functional>
#include <string>

#include "agent/config.h"

namespace mainstay::agent {

using AddProblem = std::function<void(const std::string& path, const std::string& value,
                                      const std::string& message, const std::string& remedy)>;

// Bounds and forms of the message's values.
void CheckConfig(const v1::AgentConfig& message, const AddProblem& add);
// The message as a struct; values out of bounds are taken as they are.
Config ConvertConfig(std::shared_ptr<const v1::AgentConfig> message);

}  // namespace mainstay::agent

#endif  // MAINSTAY_AGENT_CONFIG_CHECK_H_
