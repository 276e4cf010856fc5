#include "lib/audit/rabbit_event.h"

#include <algorithm>
#include <array>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"

namespace mainstay::audit {
namespace {

constexpr size_t kFieldHead = 256;

using Headers = std::vector<std::pair<std::string, std::string>>;

std::string Find(const Headers& headers, std::initializer_list<const char*> names) {
  for (const char* name : names) {
    for (const auto& [key, value] : headers) {
      if (key == name && !value.empty()) return value.substr(0, kFieldHead);
    }
  }
  return "";
}

// What it happened to: "queue orders", "user bob".
std::string Subject(absl::string_view key, const Headers& headers) {
  const absl::string_view kind = key.substr(0, key.find('.'));
  if (kind == "user" || kind == "permission" || kind == "topic")
    return absl::StrCat("user ", Find(headers, {"user", "name"}));
  if (kind == "binding")
    return absl::StrCat("binding of ", Find(headers, {"source_name"}), " to ",
                        Find(headers, {"destination_name"}));
  if (kind == "connection" || kind == "channel" || kind == "consumer")
    return absl::StrCat(kind, " ", Find(headers, {"name", "connection_name", "consumer_tag", "pid"}));
  if (kind == "alarm")
    return absl::StrCat("alarm of ", Find(headers, {"source", "alarm"}), " on ", Find(headers, {"node"}));
  return absl::StrCat(kind, " ", Find(headers, {"name", "node", "component"}));
}

bool Failed(absl::string_view key) { return absl::EndsWith(key, ".failure"); }

}  // namespace

const std::vector<std::string>& RabbitEventKeys() {
  // Not `#`: of what one node sends half is statistics (node.node.stats). Channels and consumers come and go
  // by the thousand and are not who did what.
  static const std::vector<std::string> keys = {
      "queue.created",         "queue.deleted",      "queue.policy.*",    "exchange.created",
      "exchange.deleted",      "binding.created",    "binding.deleted",   "connection.created",
      "connection.closed",     "policy.*",           "operator.policy.*", "parameter.*",
      "vhost.created",         "vhost.deleted",      "vhost.down",        "vhost.limits.*",
      "vhost.tags.*",          "vhost.updated",      "user.created",      "user.deleted",
      "user.authentication.*", "user.password.*",    "user.tags.*",       "user.limits.*",
      "permission.*",          "topic.permission.*", "alarm.*",           "node.added",
      "node.deleted",          "plugins.changed",    "maintenance.#",     "shovel.worker.*",
      "federation.link.*"};
  return keys;
}

std::string RabbitEventName(absl::string_view key) {
  for (const std::string& pattern : RabbitEventKeys()) {
    if (key == pattern) return pattern;
    const bool one = absl::EndsWith(pattern, ".*"), many = absl::EndsWith(pattern, ".#");
    if (!one && !many) continue;
    const absl::string_view stem = absl::string_view(pattern).substr(0, pattern.size() - 1);
    if (!absl::StartsWith(key, stem)) continue;
    const absl::string_view rest = key.substr(stem.size());
    // One of a closed list, so that a count has few names.
    if (!rest.empty() && rest.size() <= 24 && (many || rest.find('.') == absl::string_view::npos) &&
        std::all_of(rest.begin(), rest.end(), [](char c) { return (c >= 'a' && c <= 'z') || c == '.'; }))
      return std::string(stem.substr(0, stem.size() - 1));
  }
  return "other";
}

std::string ErlangAddress(absl::string_view text) {
  if (text.size() < 2 || text.front() != '{' || text.back() != '}') return std::string(text);
  const std::vector<absl::string_view> parts = absl::StrSplit(text.substr(1, text.size() - 2), ',');
  std::vector<std::string> out;
  for (const absl::string_view part : parts) {
    int n = 0;
    if (!absl::SimpleAtoi(part, &n) || n < 0 || n > (parts.size() == 4 ? 255 : 65535))
      return std::string(text);
    out.push_back(parts.size() == 4 ? absl::StrCat(n) : absl::StrCat(absl::Hex(n)));
  }
  if (parts.size() != 4 && parts.size() != 8) return std::string(text);
  return absl::StrJoin(out, parts.size() == 4 ? "." : ":");
}

DatabaseLine RabbitEventLine(absl::string_view key, const Headers& headers) {
  DatabaseLine line;
  line.clazz = LogClass::kAudit;
  line.severity = Failed(key) || key == "alarm.set" || key == "vhost.down" ? "warning" : "info";
  int64_t ms = 0;
  if (absl::SimpleAtoi(Find(headers, {"timestamp_in_ms"}), &ms) && ms > 0 && ms < (int64_t{1} << 45))
    line.unix_us = ms * 1000;
  // Who did it; of a login and a connection, whose it is.
  line.user = Find(headers, {"user_who_performed_action"});
  if (absl::StartsWith(key, "user.authentication.")) line.user = Find(headers, {"name"});
  if (absl::StartsWith(key, "connection.") && line.user.empty()) line.user = Find(headers, {"user"});
  line.database = Find(headers, {"vhost"});
  line.remote = ErlangAddress(Find(headers, {"peer_host"}));
  if (const std::string port = Find(headers, {"peer_port"}); !port.empty() && !line.remote.empty())
    absl::StrAppend(&line.remote, "(", port, ")");
  line.message.Append(absl::StrCat(key, ": ", Subject(key, headers)));
  line.event = BrokerEvent{std::string(key), headers};
  for (auto& [name, value] : line.event->fields) {
    if (absl::EndsWith(name, "host")) value = ErlangAddress(value);
  }
  return line;
}

}  // namespace mainstay::audit
