// PATCH and PUT /config: the few of Patroni's dynamic settings that Mainstay can change at run time, and a
// clear word about all others.
#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "agent/patroni_ask.h"
#include "lib/base/json.h"
#include "lib/base/strings.h"

namespace mainstay::agent::patroni {
namespace {

using election::Durability;

constexpr size_t kMaxWords = 2048;

// Patroni's settings that Mainstay keeps elsewhere, and where.
constexpr std::pair<const char*, const char*> kElsewhere[] = {
    {"ttl", "it is election.lease of the members' configuration"},
    {"loop_wait", "it is election.renew of the members' configuration"},
    {"retry_timeout", "it is election.validity of the members' configuration"},
    {"maximum_lag_on_failover", "Mainstay compares frozen positions instead; there is nothing to set"},
    {"failsafe_mode", "it is election.failsafe of the members' configuration"},
    {"synchronous_node_count", "it is sync_count of the members' configuration"},
    {"postgresql",
     "parameters and pg_hba are postgresql.parameters and postgresql.hba of the members' "
     "configuration, which take effect when the file changes"},
    {"maximum_lag_on_syncnode", "election.sync_patience of the members' configuration is nearest to it"},
    {"primary_start_timeout", "it is postgresql.start_timeout of the members' configuration"},
    {"primary_stop_timeout", "it is postgresql.stop_timeout of the members' configuration"},
    {"check_timeline", "timelines are always checked"},
    {"slots", "Mainstay makes a slot for each member and leaves all others alone"},
    {"ignore_slots", "Mainstay leaves slots that are not its own alone"},
    {"member_slots_ttl", "slots of members go with `mainstay forget`"},
    {"standby_cluster", "Mainstay has no standby clusters"},
};

// The value in force of a setting that is only shown; null: none.
Json Shown(const Facts& f, const std::string& key) {
  const std::optional<std::string> document = ConfigDocument(f);
  if (!document) return nullptr;
  const absl::StatusOr<Json> json = ParseJson(*document, document->size());
  if (!json.ok()) return nullptr;
  const auto it = json->find(key);
  return it == json->end() ? Json(nullptr) : *it;
}

struct Wanted {
  std::optional<bool> pause, sync, strict;
};

// "" or what is wrong with one setting. null takes it back to its default.
std::string Take(const std::string& key, const Json& value, const Facts& f, Wanted* wanted) {
  std::optional<bool> truth = value.is_null() ? std::optional<bool>(false) : Truth(value);
  if (key == "pause" || key == "synchronous_mode" || key == "synchronous_mode_strict") {
    if (key == "synchronous_mode" && value == "quorum") truth = true;
    if (key == "synchronous_mode" && value.is_null()) truth = f.options.durability != Durability::kAsync;
    if (!truth)
      return absl::StrCat(key, ": want true or false", key == "synchronous_mode" ? " or quorum" : "");
    (key == "pause" ? wanted->pause : key == "synchronous_mode" ? wanted->sync : wanted->strict) = truth;
    return "";
  }
  if (value.is_null()) return "";  // is not here, and shall not be
  if (const Json shown = Shown(f, key); !shown.is_null() && shown == value) return "";
  for (const auto& [name, where] : kElsewhere) {
    if (key == name) return absl::StrCat(key, " cannot be changed here: ", where);
  }
  return absl::StrCat(Cut(key, 64),
                      " is no setting that Mainstay knows; here are pause, synchronous_mode and "
                      "synchronous_mode_strict");
}

Durability ToDurability(bool sync, bool strict) {
  if (!sync) return Durability::kAsync;
  return strict ? Durability::kStrict : Durability::kGuarded;
}

}  // namespace

std::string ConfigTag(const Facts& f) {
  const uint64_t hash = Fnv1a64(ConfigDocument(f).value_or(""));
  return absl::StrCat("\"", absl::Hex(hash, absl::kZeroPad16), "\"");
}

Asked<ConfigAsk> ReadConfig(const http::Request& request, const Facts& f, bool replace) {
  Asked<ConfigAsk> out;
  const auto refuse = [&out](int status, std::string text) {
    out.refusal = Refusal{status, std::move(text)};
    return out;
  };
  if (!request.has_body) return refuse(411, "a body is needed, with its Content-Length");
  const absl::StatusOr<Json> json = ParseJson(request.body, request.body.size());
  if (!json.ok()) return refuse(400, absl::StrCat("the body is no JSON: ", json.status().message()));
  if (!json->is_object() || json->empty())
    return refuse(400, "the body must be an object of JSON that is not empty");
  if (f.view.lock.record_changed_at.is_past())
    return refuse(503, "the cluster's record is not known here; ask another member");
  if (!request.if_match.empty() && request.if_match != "*" && request.if_match != ConfigTag(f))
    return refuse(409, "the configuration is not the one of If-Match any more: read it again");
  Wanted wanted;
  std::string wrong;
  for (const auto& [key, value] : json->items()) {
    const std::string problem = Take(key, value, f, &wanted);
    if (problem.empty()) continue;
    if (wrong.size() > kMaxWords) {
      absl::StrAppend(&wrong, "and more\n");
      break;
    }
    absl::StrAppend(&wrong, problem, "\n");
  }
  if (!wrong.empty()) return refuse(422, wrong);
  const Durability now = Wished(f);
  if (replace) {  // what is not named gets its default
    if (!wanted.pause) wanted.pause = false;
    if (!wanted.sync) wanted.sync = f.options.durability != Durability::kAsync;
    if (!wanted.strict) wanted.strict = f.options.durability == Durability::kStrict;
  }
  const Durability next = ToDurability(wanted.sync.value_or(now != Durability::kAsync),
                                       wanted.strict.value_or(now == Durability::kStrict));
  if (wanted.pause && *wanted.pause != f.view.paused) out.value.pause = wanted.pause;
  if (next != now) out.value.durability = next;
  return out;
}

}  // namespace mainstay::agent::patroni
