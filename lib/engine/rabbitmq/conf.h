// rabbitmq.conf and the list of plugins, as Mainstay writes them before each start, and what of it users may
// set.
//
// Where a broker listens, how it logs and whom it joins at its first start is Mainstay's; the rest is the
// users', with defaults where RabbitMQ's own are known to hurt (docs/RABBITMQ.md).
//
// Thread rules: pure functions.
#ifndef MAINSTAY_LIB_ENGINE_RABBITMQ_CONF_H_
#define MAINSTAY_LIB_ENGINE_RABBITMQ_CONF_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace mainstay::engine::rabbitmq {

struct ConfProblem {
  std::string what;  // goes on after the name: "is kept by Mainstay: ..."; "" : nothing is wrong
  std::string remedy;
};
ConfProblem CheckParameter(absl::string_view name, absl::string_view value);
ConfProblem CheckPlugin(absl::string_view name);
// "rabbit@host": what Erlang takes as a node's name.
bool IsNodeName(absl::string_view name);

// How one start is meant. Read by a node without data alone: one that has data knows its cluster.
struct StartPlan {
  std::vector<std::string> join;  // nodes of a cluster that runs; none: it founds one of its own
  bool force_boot = false;        // waits for nobody at this start (Control::ForceBoot says what is lost)
};

struct ConfInput {
  std::string cluster;  // its name, for people
  std::string node;
  std::string bind;
  uint16_t port = 0;  // 0: no AMQP in plain text
  uint16_t prometheus_port = 0;
  std::map<std::string, std::string> parameters;
  std::vector<std::string> plugins;
};
std::string BuildConf(const ConfInput& input, const StartPlan& plan);
// Of it only what makes a blank node found or join.
std::string FormationConf(const StartPlan& plan, const std::string& node);
std::string BuildPlugins(const std::vector<std::string>& plugins);

// Files beside the data directory; the shim names them to the server.
std::string ConfPath(const std::string& data_dir);
std::string PluginsPath(const std::string& data_dir);
std::string CookiePath(const std::string& data_dir);  // in the server's home, which is the parent

}  // namespace mainstay::engine::rabbitmq

#endif  // MAINSTAY_LIB_ENGINE_RABBITMQ_CONF_H_
