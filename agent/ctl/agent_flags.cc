#include "agent/ctl/agent_flags.h"

#include "absl/strings/str_cat.h"

namespace mainstay::ctl {

const std::vector<NamedFlag>& NamedFlags() {
  static const auto* const kFlags = new std::vector<NamedFlag>{
      {"--cluster", "cluster", "name of the cluster"},
      {"--name", "name", "name of this member"},
      {"--profile", "profile", "timing preset: default or fast"},
      {"--data-dir", "postgresql.data_dir", "data directory"},
      {"--grpc", "listen.grpc", "address of the gRPC server"},
      {"--http", "listen.http", "address of the HTTP server"},
      {"--log-level", "log.level", "debug, info, warn or error"},
      {"--log-format", "log.format", "json or text"},
  };
  return *kFlags;
}

std::string ToSource(const AgentFlags& flags, agent::ConfigSource* source) {
  source->file = flags.config_file;
  for (const NamedFlag& f : NamedFlags()) {
    const auto it = flags.named.find(f.flag);
    if (it != flags.named.end() && !it->second.empty()) source->flags.emplace_back(f.path, it->second);
  }
  for (const std::string& set : flags.sets) {
    const size_t equals = set.find('=');
    if (equals == std::string::npos || equals == 0)
      return absl::StrCat("--set ", set, " has no '='; write --set path=value");
    source->flags.emplace_back(set.substr(0, equals), set.substr(equals + 1));
  }
  return "";
}

}  // namespace mainstay::ctl
