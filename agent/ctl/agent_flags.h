// Flags of the roles that read a configuration: --config, --set path=value and short names for the common
// settings.
#ifndef MAINSTAY_AGENT_CTL_AGENT_FLAGS_H_
#define MAINSTAY_AGENT_CTL_AGENT_FLAGS_H_

#include <map>
#include <string>
#include <vector>

#include "agent/config.h"

namespace mainstay::ctl {

struct AgentFlags {
  std::string config_file;
  std::vector<std::string> sets;             // "path=value"
  std::map<std::string, std::string> named;  // flag -> value
};
// Flag, path, help.
struct NamedFlag {
  const char* flag;
  const char* path;
  const char* help;
};
const std::vector<NamedFlag>& NamedFlags();

// "" or what is wrong with a --set.
std::string ToSource(const AgentFlags& flags, agent::ConfigSource* source);

}  // namespace mainstay::ctl

#endif  // MAINSTAY_AGENT_CTL_AGENT_FLAGS_H_
