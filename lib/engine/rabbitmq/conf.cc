#include "lib/engine/rabbitmq/conf.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "lib/base/file.h"

namespace mainstay::engine::rabbitmq {
namespace {

constexpr size_t kLongestValue = 4096;

struct Kept {
  const char* name;  // and what begins with it and a dot
  const char* why;
};
constexpr Kept kKept[] = {
    {"listeners.tcp", "it follows from rabbitmq.bind and rabbitmq.port"},
    {"prometheus.tcp", "it follows from rabbitmq.prometheus_port, which the agent relays"},
    {"log.console", "the agent reads the log there"},
    {"log.file", "a log file would fill the data's disk; the agent writes the log to its standard output"},
    {"log.exchange",
     "what is logged may name messages' users; the agent writes the log to its standard output"},
    {"cluster_formation", "a node that forms clusters by itself founds second ones"},
    {"cluster_name", "it follows from cluster"},
    {"mnesia_table_loading_retry_limit", "a node that gives up waiting for its peers only starts again"},
};
// Of what is kept, what users may set all the same.
constexpr const char* kFree[] = {"log.console.level", "cluster_formation.target_cluster_size_hint"};

bool Under(absl::string_view name, absl::string_view parent) {
  return name == parent || (absl::StartsWith(name, parent) && name[parent.size()] == '.');
}

bool IsAtomText(absl::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
    return absl::ascii_islower(static_cast<unsigned char>(c)) ||
           absl::ascii_isdigit(static_cast<unsigned char>(c)) || c == '_';
  });
}

}  // namespace

ConfProblem CheckParameter(absl::string_view name, absl::string_view value) {
  const bool spelt = !name.empty() && name.size() <= 256 && std::all_of(name.begin(), name.end(), [](char c) {
    return absl::ascii_isgraph(static_cast<unsigned char>(c)) && c != '=' && c != '#';
  });
  if (!spelt) return {"is no name of rabbitmq.conf", "write it as vm_memory_high_watermark.relative"};
  if (value.size() > kLongestValue || std::any_of(value.begin(), value.end(), [](char c) {
        return absl::ascii_iscntrl(static_cast<unsigned char>(c));
      }))
    return {"is no value for one line", "give at most 4096 characters without line breaks"};
  if (name == "cluster_partition_handling" && value == "autoheal")
    return {"throws away what the losing side of a partition took",
            "leave it out (pause_minority), or see RabbitMQ's guide on partitions"};
  const bool free = std::any_of(std::begin(kFree), std::end(kFree), [&](const char* f) { return name == f; });
  for (const Kept& kept : kKept) {
    if (!free && Under(name, kept.name))
      return {absl::StrCat("is kept by Mainstay: ", kept.why), "leave it out"};
  }
  return {};
}

ConfProblem CheckPlugin(absl::string_view name) {
  if (!IsAtomText(name)) return {"is no name of a plugin", "write it as rabbitmq_management"};
  if (absl::StartsWith(name, "rabbitmq_peer_discovery_"))
    return {"forms clusters by itself, and founds second ones", "leave it out: Mainstay says who joins whom"};
  return {};
}

bool IsNodeName(absl::string_view name) {
  const size_t at = name.find('@');
  if (name.size() > 255 || at == 0 || at == absl::string_view::npos || at + 1 == name.size()) return false;
  return std::count(name.begin(), name.end(), '@') == 1 && std::all_of(name.begin(), name.end(), [](char c) {
           return absl::ascii_isalnum(static_cast<unsigned char>(c)) || absl::StrContains("@-_.", c);
         });
}

namespace {

using Lines = std::map<std::string, std::string>;

void AddFormation(const StartPlan& plan, const std::string& node, Lines* lines) {
  (*lines)["cluster_formation.peer_discovery_backend"] = "classic_config";
  // Itself alone: RabbitMQ then neither looks nor waits for others.
  const std::vector<std::string> nodes = plan.join.empty() ? std::vector{node} : plan.join;
  // A node that gave up looking would go on as a cluster of its own.
  if (!plan.join.empty()) (*lines)["cluster_formation.discovery_retry_limit"] = "1000000";
  for (size_t i = 0; i < nodes.size(); ++i)
    (*lines)[absl::StrCat("cluster_formation.classic_config.nodes.", i + 1)] = nodes[i];
}

std::string Render(const Lines& lines) {
  std::string out;
  for (const auto& [name, value] : lines) absl::StrAppend(&out, name, " = ", value, "\n");
  return out;
}

}  // namespace

std::string BuildConf(const ConfInput& input, const StartPlan& plan) {
  Lines lines = {
      // As RabbitMQ's own operator has it: the minority stops, nothing that was confirmed is thrown away.
      {"cluster_partition_handling", "pause_minority"},
      // Its own is wherever the client is connected.
      {"queue_leader_locator", "balanced"},
      // RabbitMQ's default of 50 MB is a full disk.
      {"disk_free_limit.absolute", "2GB"},
  };
  const bool disk = std::any_of(input.parameters.begin(), input.parameters.end(),
                                [](const auto& p) { return absl::StartsWith(p.first, "disk_free_limit."); });
  if (disk) lines.erase("disk_free_limit.absolute");
  for (const auto& [name, value] : input.parameters) lines[name] = value;
  if (input.port == 0) {
    lines["listeners.tcp"] = "none";
  } else {
    lines["listeners.tcp.1"] = absl::StrCat(input.bind, ":", input.port);
  }
  lines["cluster_name"] = input.cluster;
  lines["prometheus.tcp.ip"] = "127.0.0.1";
  lines["prometheus.tcp.port"] = absl::StrCat(input.prometheus_port);
  lines["log.console"] = "true";
  lines["log.console.formatter"] = "json";
  lines["log.file"] = "false";
  lines["mnesia_table_loading_retry_limit"] = "1000000";
  AddFormation(plan, input.node, &lines);
  return "# Written by Mainstay before each start: edit the agent's configuration instead.\n" + Render(lines);
}

std::string FormationConf(const StartPlan& plan, const std::string& node) {
  Lines lines;
  AddFormation(plan, node, &lines);
  return Render(lines);
}

std::string BuildPlugins(const std::vector<std::string>& plugins) {
  std::vector<std::string> all = {"rabbitmq_prometheus"};
  for (const std::string& p : plugins) {
    if (std::find(all.begin(), all.end(), p) == all.end()) all.push_back(p);
  }
  return absl::StrCat("[", absl::StrJoin(all, ","), "].\n");
}

std::string ConfPath(const std::string& data_dir) { return data_dir + ".conf"; }
std::string PluginsPath(const std::string& data_dir) { return data_dir + ".plugins"; }
std::string CookiePath(const std::string& data_dir) { return DirName(data_dir) + "/.erlang.cookie"; }

}  // namespace mainstay::engine::rabbitmq
