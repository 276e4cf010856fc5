// What the engine rabbitmq wants of the configuration: its section, and what the others may say with it.
#include "absl/strings/str_cat.h"
#include "agent/config_check.h"
#include "lib/engine/rabbitmq/conf.h"
#include "mainstay/v1/config.pb.h"

namespace mainstay::agent {
namespace {

namespace rabbitmq = engine::rabbitmq;

void Port(const std::string& path, uint32_t port, bool may_be_zero, const AddProblem& add) {
  if (port <= 65535 && (port > 0 || may_be_zero)) return;
  add(path, absl::StrCat(port), "is no port", may_be_zero ? "give 0 to 65535" : "give 1 to 65535");
}

void Places(const v1::Rabbitmq& r, const AddProblem& add) {
  CheckAbsolute("rabbitmq.data_dir", r.data_dir(), "the broker's data directory", add);
  CheckAbsolute("rabbitmq.cookie_file", r.cookie_file(), "the 0400 file of the cluster's Erlang cookie", add);
  if (r.node().empty()) {
    add("rabbitmq.node", "", "is missing", "give this broker's name, such as rabbit@a");
  } else if (!rabbitmq::IsNodeName(r.node())) {
    add("rabbitmq.node", r.node(), "is no name of a node", "write it as rabbit@HOST");
  }
  Port("rabbitmq.port", r.port(), true, add);
  Port("rabbitmq.dist_port", r.dist_port(), true, add);
  Port("rabbitmq.epmd_port", r.epmd_port(), false, add);
  Port("rabbitmq.prometheus_port", r.prometheus_port(), false, add);
  if (r.bind().empty() || r.bind().size() > 255 || r.bind().find_first_of(" \t\r\n#=") != std::string::npos)
    add("rabbitmq.bind", r.bind(), "is no address", "write it as 127.0.0.1, 0.0.0.0 or ::");
}

void Probe(const v1::Rabbitmq& r, const AddProblem& add) {
  if (!r.probe_user_file().empty() || !r.probe_password_file().empty()) {
    CheckAbsolute("rabbitmq.probe_user_file", r.probe_user_file(), "the file of the probe's user as well",
                  add);
    CheckAbsolute("rabbitmq.probe_password_file", r.probe_password_file(),
                  "the 0600 file of the probe's password as well", add);
    if (r.port() == 0)
      add("rabbitmq.port", "0", "leaves the probe no port to speak to", "give a port, on loopback at least");
  }
  if (r.probe_vhost().empty() || r.probe_vhost().size() > 255)
    add("rabbitmq.probe_vhost", r.probe_vhost(), "is no virtual host",
        "give one of the probe's own: _mainstay");
  if (r.audit_vhost().empty() || r.audit_vhost().size() > 255)
    add("rabbitmq.audit_vhost", r.audit_vhost(), "is no virtual host", "give that of the event exchange: /");
  CheckBounded("rabbitmq.probe_interval", r.probe_interval(), std::chrono::seconds(1),
               std::chrono::minutes(5), add);
}

}  // namespace

void CheckRabbitmq(const v1::AgentConfig& m, const AddProblem& add) {
  const v1::Rabbitmq& r = m.rabbitmq();
  Places(r, add);
  Probe(r, add);
  for (const auto& [name, value] : r.parameters()) {
    const auto problem = rabbitmq::CheckParameter(name, value);
    if (!problem.what.empty())
      add(absl::StrCat("rabbitmq.parameters.", name), value, problem.what, problem.remedy);
  }
  for (const std::string& plugin : r.plugins()) {
    const auto problem = rabbitmq::CheckPlugin(plugin);
    if (!problem.what.empty()) add("rabbitmq.plugins", plugin, problem.what, problem.remedy);
  }
  for (int i = 0; i < m.members_size(); ++i) {
    const std::string& node = m.members(i).node();
    if (!node.empty() && !rabbitmq::IsNodeName(node))
      add(absl::StrCat("members[", i, "].node"), node, "is no name of a node", "write it as rabbit@HOST");
  }
  CheckBounded("rabbitmq.start_timeout", r.start_timeout(), std::chrono::seconds(10), std::chrono::hours(1),
               add);
  CheckBounded("rabbitmq.stop_timeout", r.stop_timeout(), std::chrono::seconds(1), std::chrono::hours(1),
               add);
}

}  // namespace mainstay::agent
