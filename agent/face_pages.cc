#include "agent/face_pages.h"

#include <algorithm>
#include <set>

#include "absl/strings/str_cat.h"
#include "lib/base/strings.h"

namespace mainstay::agent {
namespace {

using election::DbState;
using election::Role;
using metrics::Type;

double Seconds(Duration d) { return std::chrono::duration<double>(d).count(); }

void Gauge(metrics::Writer& w, absl::string_view name, absl::string_view help, double value) {
  w.Family(name, Type::kGauge, help);
  w.Sample(value);
}

// One series per value, 1 for the current one.
template <typename T, size_t N>
void States(metrics::Writer& w, absl::string_view name, absl::string_view help, const std::string& label,
            const std::pair<T, const char*> (&values)[N], T current) {
  w.Family(name, Type::kGauge, help);
  for (const auto& [value, text] : values) w.Sample({{label, text}}, value == current ? 1 : 0);
}

constexpr std::pair<Role, const char*> kRoles[] = {{Role::kUnknown, "unknown"},
                                                   {Role::kReplica, "replica"},
                                                   {Role::kPrimary, "primary"},
                                                   {Role::kFenced, "fenced"}};
constexpr std::pair<DbState, const char*> kDbStates[] = {{DbState::kUnknown, "unknown"},
                                                         {DbState::kStopped, "stopped"},
                                                         {DbState::kStarting, "starting"},
                                                         {DbState::kRunning, "running"},
                                                         {DbState::kDead, "dead"}};
constexpr std::pair<election::Durability, const char*> kDurabilities[] = {
    {election::Durability::kAsync, "async"},
    {election::Durability::kGuarded, "guarded"},
    {election::Durability::kStrict, "strict"}};

void WriteLock(const rpc::StatusView& v, MonoTime now, metrics::Writer& w) {
  w.Family("mainstay_lease_held", Type::kGauge,
           "1 while this member holds the lock and its permission runs.");
  const bool held = !v.lock.permitted_until.is_past() && v.lock.permitted_until > now;
  w.Sample({{"lock", v.lock.where}}, held ? 1 : 0);
  Gauge(w, "mainstay_lease_epoch", "Epoch of the newest record that this member knows.",
        static_cast<double>(v.epoch));
  Gauge(w, "mainstay_lease_seconds_until_deadline",
        "Until this member's permission ends; 0 when it has none.",
        held ? Seconds(v.lock.permitted_until - now) : 0);
  Gauge(w, "mainstay_lease_healthy", "1 when the last request to the lock's store was answered.",
        v.lock.health == rpc::LockHealth::kOk ? 1 : 0);
  if (!v.lock.record_changed_at.is_past()) {
    Gauge(w, "mainstay_lease_record_age_seconds", "Since this member saw the record change.",
          Seconds(now - v.lock.record_changed_at));
  }
}

void WriteMembers(const rpc::StatusView& v, MonoTime now, metrics::Writer& w) {
  w.Family("mainstay_member_age_seconds", Type::kGauge, "Since a member was last heard of.");
  for (const auto& m : v.members) {
    if (!m.heard_at.is_past())
      w.Sample({{"member", m.name}}, Seconds(std::max(Duration::zero(), now - m.heard_at)));
  }
  w.Family("mainstay_member_lag_bytes", Type::kGauge, "How far a member's log is behind the primary's.");
  for (const auto& m : v.members) {
    if (m.lag_bytes) w.Sample({{"member", m.name}}, static_cast<double>(*m.lag_bytes));
  }
  w.Family("mainstay_member_voter", Type::kGauge,
           "1 while the record names this member as one whose acknowledgement may be needed (the sync set).");
  for (const auto& m : v.members) w.Sample({{"member", m.name}}, m.voter ? 1 : 0);
  w.Family("mainstay_member_sync", Type::kGauge,
           "1 when the primary waits for this member's acknowledgement.");
  for (const auto& m : v.members) w.Sample({{"member", m.name}}, m.sync ? 1 : 0);
}

// Newest last; what is not known has no sample.
void WriteLosses(const rpc::LossesView& losses, metrics::Writer& w) {
  w.Family("mainstay_losses_total", Type::kCounter,
           "Failovers that may have left acknowledged writes behind, as told by the successor when it was "
           "opened (takeover) and by the member that threw them away (rejoin).");
  w.Sample({{"found", "takeover"}}, static_cast<double>(losses.takeovers));
  w.Sample({{"found", "rejoin"}}, static_cast<double>(losses.rejoins));
  w.Family("mainstay_losses_of_unknown_size_total", Type::kCounter,
           "Of these, those of which nobody can tell how many bytes were lost.");
  w.Sample(static_cast<double>(losses.bytes_unknown));
  const rpc::LossView* last = losses.newest.empty() ? nullptr : &losses.newest.back();
  w.Family("mainstay_last_loss_timestamp_seconds", Type::kGauge, "When the last of them was found.");
  if (last != nullptr) w.Sample(static_cast<double>(last->unix_ms) / 1000);
  w.Family("mainstay_last_loss_bytes", Type::kGauge, "Log that the last of them lost, at least.");
  if (last != nullptr && last->bytes) w.Sample(static_cast<double>(*last->bytes));
  w.Family("mainstay_last_loss_window_seconds", Type::kGauge,
           "In how long a time the lost writes were made, at most.");
  if (last != nullptr && last->since_ms != 0 && last->until_ms != 0)
    w.Sample(static_cast<double>(std::max<int64_t>(0, last->until_ms - last->since_ms)) / 1000);
  w.Family("mainstay_last_loss_changes", Type::kGauge, "Keys that the lost writes changed, at most.");
  if (last != nullptr && last->changes) w.Sample(static_cast<double>(*last->changes));
}

// One line; what strangers may be told.
std::string Why(const Check& c) {
  std::string why = c.why.empty() ? "reason withheld" : c.why;
  std::replace(why.begin(), why.end(), '\n', ' ');
  return why;
}

}  // namespace

std::vector<Check> LiveChecks(const rpc::StatusView& view, MonoTime loop_turned_at, MonoTime now,
                              Duration stalled_after) {
  std::vector<Check> out = {{"loop", now - loop_turned_at <= stalled_after, ""},
                            {"shim", view.shim_connected, ""}};
  if (view.broker != nullptr) out.push_back({"node", view.broker->live, view.broker->live_why});
  return out;
}

std::vector<Check> ReadyChecks(const rpc::StatusView& view, bool serving) {
  if (view.broker != nullptr)
    return {{"serving", serving, ""}, {"node", view.broker->ready, view.broker->ready_why}};
  const auto& db = view.database;
  const bool role =
      view.role == Role::kPrimary ? db.writable : view.role == Role::kReplica && !db.streaming_from.empty();
  return {{"serving", serving, ""}, {"database", db.state == DbState::kRunning, ""}, {"role", role, ""}};
}

std::vector<Check> StartChecks(const rpc::StatusView& view) {
  if (view.broker != nullptr) return {{"node", view.broker->started, view.broker->started_why}};
  const auto health = view.lock.health;
  return {{"lock", health == rpc::LockHealth::kOk || health == rpc::LockHealth::kMissing, ""},
          {"probe", !view.database.probed_at.is_past(), ""}};
}

bool AllOk(const std::vector<Check>& checks) {
  for (const Check& c : checks) {
    if (!c.ok) return false;
  }
  return true;
}

http::Response ProbeAnswer(const http::Request& request, const std::string& page, const std::string& check,
                           const std::vector<Check>& checks) {
  if (!check.empty()) {
    for (const Check& c : checks) {
      if (c.name != check) continue;
      if (c.ok) return {.status = 200, .body = "ok\n"};
      return {.status = 503, .body = absl::StrCat("[-]", c.name, " failed: ", Why(c), "\n")};
    }
    return {.status = 404, .body = absl::StrCat(page, " has no such check\n")};
  }
  std::set<std::string> excluded;
  for (const auto& [key, value] : request.query) {
    if (key == "exclude") excluded.insert(value);
  }
  std::string lines;
  bool ok = true;
  for (const Check& c : checks) {
    if (excluded.erase(c.name) > 0) {
      absl::StrAppend(&lines, "[+]", c.name, " excluded: ok\n");
      continue;
    }
    ok = ok && c.ok;
    absl::StrAppend(&lines, c.ok ? "[+]" : "[-]", c.name, c.ok ? " ok" : " failed: ");
    if (!c.ok) {
      absl::StrAppend(&lines, Why(c));
    } else if (!c.why.empty()) {
      absl::StrAppend(&lines, ": ", c.why);
    }
    lines += '\n';
  }
  if (!excluded.empty()) {
    std::string names;
    for (const std::string& name : excluded)
      absl::StrAppend(&names, names.empty() ? "" : ", ", "\"", Cut(name, 40), "\"");
    absl::StrAppend(&lines, "warn: some health checks cannot be excluded: no matches for ", names, "\n");
  }
  if (ok && !request.Param("verbose")) return {.status = 200, .body = "ok\n"};
  return {.status = ok ? 200 : 503,
          .body = absl::StrCat(lines, page, " check ", ok ? "passed\n" : "failed\n")};
}

namespace {

// Where there is no primary: neither role nor position nor durability.
void WriteBrokerViewMetrics(const rpc::StatusView& v, metrics::Writer& w) {
  Gauge(w, "mainstay_up", "1 while the database runs.", v.database.state == DbState::kRunning ? 1 : 0);
  Gauge(w, "mainstay_shim_connected", "1 while the shim answers.", v.shim_connected ? 1 : 0);
  Gauge(w, "mainstay_warnings", "Warnings that `mainstay status` shows.",
        static_cast<double>(v.warnings.size()));
}

}  // namespace

void WriteViewMetrics(const rpc::StatusView& v, MonoTime now, metrics::Writer& w) {
  w.Family("mainstay_build_info", Type::kGauge, "Version of the agent and of its database; always 1.");
  w.Sample({{"version", v.agent_version}, {"engine", v.engine}, {"engine_version", v.database.version}}, 1);
  if (v.broker != nullptr) return WriteBrokerViewMetrics(v, w);
  States(w, "mainstay_role", "Role of this member; 1 for the current one.", "role", kRoles, v.role);
  States(w, "mainstay_database_state", "State of this member's database; 1 for the current one.", "state",
         kDbStates, v.database.state);
  Gauge(w, "mainstay_up", "1 while the database runs.", v.database.state == DbState::kRunning ? 1 : 0);
  Gauge(w, "mainstay_database_timeline", "Timeline of this member's database.", v.database.timeline);
  Gauge(w, "mainstay_database_position_bytes", "End of this member's log.",
        static_cast<double>(v.database.offset));
  w.Family(
      "mainstay_lost_log_bytes_total", Type::kCounter,
      "Log that was written to this member's database and is in nobody else's: thrown away when it rejoined "
      "after a failover. Of acknowledged writes only with durability async, or a failover that accepted "
      "loss.");
  w.Sample(static_cast<double>(v.database.lost_bytes));
  WriteLosses(v.losses, w);
  WriteLock(v, now, w);
  States(w, "mainstay_durability", "Durability in force; 1 for the current one.", "mode", kDurabilities,
         v.durability.in_force);
  Gauge(w, "mainstay_durability_degraded", "1 while the durability in force is not the one wished for.",
        v.durability.in_force == v.durability.wished ? 0 : 1);
  Gauge(w, "mainstay_sync_standbys", "Standbys whose acknowledgement the primary can wait for.",
        static_cast<double>(v.durability.sync.names.size()));
  Gauge(w, "mainstay_paused", "1 while automatic failover is paused.", v.paused ? 1 : 0);
  Gauge(w, "mainstay_fenced", "1 while an administrator keeps this member's database stopped.",
        v.fenced ? 1 : 0);
  Gauge(w, "mainstay_shim_connected", "1 while the shim answers.", v.shim_connected ? 1 : 0);
  Gauge(w, "mainstay_pending_restart", "Parameters that wait for a restart of the database.",
        static_cast<double>(v.database.pending_restart.size()));
  Gauge(w, "mainstay_warnings", "Warnings that `mainstay status` shows.",
        static_cast<double>(v.warnings.size()));
  WriteMembers(v, now, w);
}

std::string LandingPage(const rpc::StatusView& view) {
  // Names are [a-z0-9-], checked by the configuration: nothing to escape.
  return absl::StrCat(
      "<!doctype html><title>Mainstay ", view.member, "</title><h1>Mainstay: ", view.cluster, "/",
      view.member,
      "</h1><ul><li><a href=\"/metrics\">/metrics</a><li><a href=\"/status\">/status</a>"
      "<li><a href=\"/decisions\">/decisions</a><li><a href=\"/livez?verbose\">/livez</a>"
      "<li><a href=\"/readyz?verbose\">/readyz</a><li><a href=\"/startupz?verbose\">/startupz</a></ul>\n");
}

}  // namespace mainstay::agent
