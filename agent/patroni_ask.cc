#include "agent/patroni_ask.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "lib/base/json.h"
#include "lib/base/strings.h"

namespace mainstay::agent::patroni {
namespace {

constexpr size_t kMaxText = 256;

Refusal Refuse(int status, std::string text) { return {status, std::move(text)}; }

// The body as an object. `optional`: no body, or an empty one, is an empty object.
std::optional<Refusal> Body(const http::Request& request, bool optional, Json* out) {
  *out = Json::object();
  if (!request.has_body && !optional) return Refuse(411, "a body is needed, with its Content-Length");
  if (request.body.empty() && optional) return std::nullopt;
  absl::StatusOr<Json> json = ParseJson(request.body, request.body.size());
  if (!json.ok()) return Refuse(400, absl::StrCat("the body is no JSON: ", json.status().message()));
  if (!json->is_object() || (json->empty() && !optional))
    return Refuse(400, "the body must be an object of JSON that is not empty");
  *out = *std::move(json);
  return std::nullopt;
}

// A text, "" when absent or null; false for another type or a too long one.
bool Text(const Json& json, const char* key, std::string* out) {
  const auto it = json.find(key);
  out->clear();
  if (it == json.end() || it->is_null()) return true;
  if (!it->is_string() || it->get_ref<const std::string&>().size() > kMaxText) return false;
  *out = it->get<std::string>();
  return true;
}

// ISO 8601 with a zone. 400 without one, 422 for nonsense and for the past.
std::optional<Refusal> When(const std::string& text, const std::string& action, int64_t now_ms,
                            int64_t* out) {
  static constexpr const char* kZoned[] = {"%Y-%m-%d%ET%H:%M:%E*S%Ez", "%Y-%m-%d %H:%M:%E*S%Ez",
                                           "%Y-%m-%d%ET%H:%M%Ez",      "%Y-%m-%d %H:%M%Ez",
                                           "%Y-%m-%d %H:%M:%E*S %Ez",  "%Y-%m-%d %H:%M %Ez"};
  static constexpr const char* kBare[] = {"%Y-%m-%d%ET%H:%M:%E*S", "%Y-%m-%d %H:%M:%E*S", "%Y-%m-%d%ET%H:%M",
                                          "%Y-%m-%d %H:%M", "%Y-%m-%d"};
  std::string zoned = text;
  for (const char* utc : {" UTC", "UTC", " GMT", "GMT"}) {
    const size_t n = std::string(utc).size();
    if (zoned.size() > n && zoned.compare(zoned.size() - n, n, utc) == 0)
      zoned = zoned.substr(0, zoned.size() - n) + "Z";
  }
  absl::Time at;
  std::string ignored;
  for (const char* form : kZoned) {
    if (!absl::ParseTime(form, zoned, &at, &ignored)) continue;
    *out = absl::ToUnixMillis(at);
    if (*out < now_ms) return Refuse(422, absl::StrCat("Cannot schedule ", action, " in the past"));
    return std::nullopt;
  }
  for (const char* form : kBare) {
    if (absl::ParseTime(form, text, &at, &ignored))
      return Refuse(400, absl::StrCat("Timezone information is mandatory for the scheduled ", action));
  }
  return Refuse(422,
                "Unable to parse scheduled timestamp. It should be in an unambiguous format, e.g. ISO 8601");
}

// A member that is there or was: not one that the configuration only names.
const rpc::MemberView* FindKnown(const rpc::StatusView& v, const election::Name& name) {
  const rpc::MemberView* m = Find(v, name);
  return m != nullptr && (m->in_record || !m->heard_at.is_past()) ? m : nullptr;
}

bool MayLead(const rpc::MemberView& m) { return !m.no_failover && m.state == election::DbState::kRunning; }

// "" or why nobody could take over.
std::string Impossible(const SwitchoverAsk& ask, const Facts& f, const std::string& action) {
  const auto& v = f.view;
  if (!ask.leader.empty() && ask.leader != v.leader) return "leader name does not match";
  if (!ask.candidate.empty()) {
    const rpc::MemberView* m = FindKnown(v, ask.candidate);
    if (m == nullptr) return "candidate does not exists";
    if (MayLead(*m)) return "";
    return action + " is not possible: no good candidates have been found";
  }
  bool others = false;
  for (const rpc::MemberView& m : v.members) {
    if (m.name == v.leader) continue;
    others = true;
    if (MayLead(m)) return "";
  }
  return action + (others ? " is not possible: no good candidates have been found"
                          : " is not possible: cluster does not have members except leader");
}

// "" or what is wrong at once with the request itself.
std::string CheckNames(const SwitchoverAsk& ask, const std::string& at, const Facts& f, bool failover) {
  if (failover && ask.candidate.empty()) return "Failover could be performed only to a specific candidate";
  if (!failover && ask.leader.empty()) return "Switchover could be performed only from a specific leader";
  if (!at.empty() && failover) return "Failover can't be scheduled";
  if (!at.empty() && f.view.paused) return "Can't schedule switchover in the paused state";
  return "";
}

}  // namespace

Asked<SwitchoverAsk> ReadSwitchover(const http::Request& request, const Facts& f, bool failover) {
  Asked<SwitchoverAsk> out;
  Json json;
  if ((out.refusal = Body(request, false, &json))) return out;
  SwitchoverAsk& ask = out.value;
  std::string at;
  std::string member;
  if (!Text(json, "leader", &ask.leader) || !Text(json, "candidate", &ask.candidate) ||
      !Text(json, "member", &member) || !Text(json, "scheduled_at", &at)) {
    out.refusal = Refuse(400, "leader, candidate and scheduled_at are texts");
    return out;
  }
  if (ask.candidate.empty()) ask.candidate = member;
  std::string wrong = CheckNames(ask, at, f, failover);
  std::string action = failover ? "failover" : "switchover";
  if (wrong.empty() && !at.empty()) {
    int64_t when = 0;
    if ((out.refusal = When(at, action, f.unix_ms, &when))) return out;
    ask.at_unix_ms = when;
  }
  if (wrong.empty() && f.view.paused && ask.candidate.empty())
    wrong = "Switchover is possible only to a specific candidate in a paused state";
  if (failover && !ask.leader.empty()) action = "switchover";
  if (wrong.empty() && ask.leader == ask.candidate) wrong = "Switchover target and source are the same";
  if (!wrong.empty()) {
    out.refusal = Refuse(400, std::move(wrong));
    return out;
  }
  if (!ask.at_unix_ms) {
    wrong = Impossible(ask, f, action);
    if (!wrong.empty()) out.refusal = Refuse(412, std::move(wrong));
  }
  ask.failover = f.view.leader.empty();
  return out;
}

bool RestartMatches(const ScheduledRestart& what, const Facts& f) {
  const auto& db = f.view.database;
  if (!what.role.empty() && what.role != (f.view.role == election::Role::kPrimary ? "primary" : "replica"))
    return false;
  const int version = ServerVersion(db.version);
  if (!what.below_version.empty() && version != 0 && version >= ServerVersion(what.below_version))
    return false;
  return !what.pending_only || !db.pending_restart.empty();
}

Asked<RestartAsk> ReadRestart(const http::Request& request, const Facts& f) {
  Asked<RestartAsk> out;
  Json json;
  if ((out.refusal = Body(request, true, &json))) return out;
  ScheduledRestart& what = out.value.what;
  const auto refuse = [&out](int status, std::string text) {
    out.refusal = Refuse(status, std::move(text));
    return out;
  };
  if (f.view.paused && json.contains("schedule"))
    return refuse(500, "Can't schedule restart in the paused state");
  for (const auto& [key, value] : json.items()) {
    std::string text;
    const bool is_text = Text(json, key.c_str(), &text);
    if (key == "schedule") {
      if ((out.refusal = When(text, "restart", f.unix_ms, &what.at_unix_ms))) return out;
    } else if (key == "role") {
      if (text == "master") text = "primary";
      if (text != "primary" && text != "standby_leader" && text != "replica")
        return refuse(400, "PostgreSQL role should be either primary, standby_leader, or replica");
      what.role = text;
    } else if (key == "postgres_version") {
      if (!is_text || ServerVersion(text) == 0)
        return refuse(400, "Invalid PostgreSQL version format: X.Y or X.Y.Z is accepted: " + Cut(text, 40));
      what.below_version = text;
    } else if (key == "timeout") {
      int64_t seconds = 0;
      if (value.is_number_integer()) seconds = value.get<int64_t>();
      if (value.is_string() && !absl::SimpleAtoi(text, &seconds)) seconds = 0;
      if (seconds <= 0 || seconds > 86400)
        return refuse(400, "Timeout should be a positive number of seconds");
      what.timeout_ms = seconds * 1000;
    } else if (key == "restart_pending") {
      what.pending_only = Truth(value).value_or(false);
    } else {
      return refuse(400, "Unknown filter for the scheduled restart: " + Cut(key, 64));
    }
  }
  out.value.matches = RestartMatches(what, f);
  return out;
}

Asked<ReinitAsk> ReadReinit(const http::Request& request) {
  Asked<ReinitAsk> out;
  Json json;
  if ((out.refusal = Body(request, true, &json))) return out;
  const auto flag = [&json](const char* key) {
    const auto it = json.find(key);
    return it != json.end() && Truth(*it).value_or(false);
  };
  out.value.force = flag("force");
  out.value.from_leader = flag("from_leader") || flag("from-leader");
  return out;
}

}  // namespace mainstay::agent::patroni
