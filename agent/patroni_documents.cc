// Patroni's documents: the same fields, in its order.
#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "absl/time/time.h"
#include "agent/patroni.h"
#include "lib/base/json.h"

namespace mainstay::agent::patroni {
namespace {

using election::DbState;

std::string Lsn(uint64_t offset) { return absl::StrFormat("%X/%X", offset >> 32, offset & 0xffffffffu); }

std::string PythonTime(int64_t unix_ms) {  // "2024-08-28 19:39:26.352000+00:00"
  return absl::FormatTime("%Y-%m-%d %H:%M:%E6S%Ez", absl::FromUnixMillis(unix_ms), absl::UTCTimeZone());
}

// Patroni's word for the database's state.
std::string StateOf(DbState state, const std::string& activity, bool empty) {
  if (absl::StartsWith(activity, "clon")) return "creating replica";
  switch (state) {
    case DbState::kRunning:
      return "running";
    case DbState::kStarting:
      return "starting";
    case DbState::kStopped:
      return empty ? "uninitialized" : "stopped";
    case DbState::kDead:
      return "crashed";
    case DbState::kUnknown:
      return "unknown";
  }
  return "unknown";
}

// As Python writes it, with blanks after ',' and ':': scripts grep for `"role": "primary"`.
std::string PythonJson(const OrderedJson& json) {
  const std::string tight = DumpJson(json);
  std::string out;
  bool text = false;
  for (size_t i = 0; i < tight.size(); ++i) {
    const char c = tight[i];
    out.push_back(c);
    if (text && c == '\\') {
      out.push_back(tight[++i]);
    } else if (c == '"') {
      text = !text;
    } else if (!text && (c == ',' || c == ':')) {
      out.push_back(' ');
    }
  }
  return out;
}

// A whole number when it is one, as Patroni has them.
OrderedJson Seconds(Duration d) {
  const double s = std::chrono::duration<double>(d).count();
  if (s == static_cast<double>(static_cast<int64_t>(s))) return static_cast<int64_t>(s);
  return s;
}

OrderedJson TagsOf(const Facts& f, const rpc::MemberView* m) {
  OrderedJson tags = OrderedJson::object();
  if (m == nullptr) return tags;
  if (m->no_failover) tags["nofailover"] = true;
  if (m->priority != 100) tags["failover_priority"] = m->priority;
  if (m->name != f.view.member) return tags;  // the others' own ones do not travel
  if (f.options.no_load_balance) tags["noloadbalance"] = true;
  for (const auto& [name, value] : f.options.labels) tags[name] = value;
  return tags;
}

// host and port of "host:port"; false for others.
bool Split(const std::string& address, std::string* host, int* port) {
  const size_t colon = address.rfind(':');
  if (colon == std::string::npos || absl::StartsWith(address, "unix:")) return false;
  *host = address.substr(0, colon);
  if (host->size() > 2 && host->front() == '[' && host->back() == ']')
    *host = host->substr(1, host->size() - 2);
  return absl::SimpleAtoi(address.substr(colon + 1), port);
}

std::string ApiUrl(const Facts& f, const rpc::MemberView& m) {
  std::string address;
  if (m.name == f.view.member) {
    address = f.options.http_address;
  } else if (const auto it = f.options.http.find(m.name); it != f.options.http.end()) {
    address = it->second;
  } else if (!absl::StartsWith(m.peer_address, "unix:") && !m.peer_address.empty()) {
    const std::string& own = f.options.http_address;
    address = absl::StrCat(m.peer_address.substr(0, m.peer_address.rfind(':')),
                           own.empty() ? "" : own.substr(own.rfind(':')));
  }
  return address.empty() ? "" : absl::StrCat(f.options.scheme, "://", address, "/patroni");
}

void AddReplication(const Facts& f, OrderedJson* out) {
  if (f.view.database.replicas.empty()) return;
  OrderedJson list = OrderedJson::array();
  for (const rpc::ReplicaView& r : f.view.database.replicas) {
    std::string host;
    int port = 0;
    const rpc::MemberView* m = Find(f.view, r.name);
    OrderedJson one;
    one["usename"] = f.options.replication_role;
    one["application_name"] = r.name;
    one["client_addr"] = nullptr;
    if (m != nullptr && Split(m->db_address, &host, &port)) one["client_addr"] = host;
    one["state"] = r.state;
    one["sync_state"] = !r.sync ? "async" : f.view.durability.freeze == 1 ? "sync" : "quorum";
    one["sync_priority"] = r.sync ? 1 : 0;
    list.push_back(std::move(one));
  }
  (*out)["replication"] = std::move(list);
}

// What only a running database tells.
void AddRunning(const Facts& f, OrderedJson* out) {
  const auto& db = f.view.database;
  (*out)["postmaster_start_time"] = PythonTime(db.start_unix_ms);
  (*out)["role"] = db.writable ? "primary" : "replica";
  (*out)["server_version"] = ServerVersion(db.version);
  OrderedJson xlog;
  if (db.writable) {
    xlog["location"] = db.offset;
  } else {
    xlog["received_location"] = db.offset;
    xlog["replayed_location"] = db.replay_offset;
    xlog["replayed_timestamp"] = nullptr;
    if (db.replayed_unix_ms != 0) xlog["replayed_timestamp"] = PythonTime(db.replayed_unix_ms);
    xlog["paused"] = db.replay_paused;
  }
  (*out)["xlog"] = std::move(xlog);
  const SyncKind kind = SyncOf(f, f.view.member);
  if (IsReplica(f) && kind == SyncKind::kSync) (*out)["sync_standby"] = true;
  if (IsReplica(f) && kind == SyncKind::kQuorum) (*out)["quorum_standby"] = true;
  (*out)["timeline"] = db.timeline;
  const std::string replication = ReplicationState(f);
  if (!replication.empty()) (*out)["replication_state"] = replication;
  AddReplication(f, out);
}

OrderedJson RestartJson(const ScheduledRestart& r) {
  OrderedJson out;
  out["schedule"] = FormatWhen(r.at_unix_ms);
  if (!r.role.empty()) out["role"] = r.role;
  if (!r.below_version.empty()) out["postgres_version"] = r.below_version;
  if (r.pending_only) out["restart_pending"] = true;
  if (r.timeout_ms != 0) out["timeout"] = r.timeout_ms / 1000;
  return out;
}

void AddPending(const Facts& f, OrderedJson* out) {
  if (f.view.database.pending_restart.empty()) return;
  (*out)["pending_restart"] = true;
  OrderedJson reason = OrderedJson::object();  // the values are not known here, only the names
  for (const std::string& name : f.view.database.pending_restart)
    reason[name] = {{"old_value", "?"}, {"new_value", "?"}};
  (*out)["pending_restart_reason"] = std::move(reason);
}

std::string MemberState(const Facts& f, const rpc::MemberView& m, bool leads) {
  if (m.name == f.view.member) {
    const std::string replication = leads ? "" : ReplicationState(f);
    return replication.empty() ? StateOf(m.state, m.detail, f.view.database.empty) : replication;
  }
  if (leads || m.state != DbState::kRunning) return StateOf(m.state, "", false);
  for (const rpc::ReplicaView& r : f.view.database.replicas) {
    if (r.name == m.name) return r.state;
  }
  return m.voter ? "streaming" : "running";
}

void AddPositions(const Facts& f, const rpc::MemberView& m, OrderedJson* out) {
  const rpc::MemberView* leader = f.view.leader.empty() ? nullptr : Find(f.view, f.view.leader);
  const uint64_t end = leader != nullptr ? leader->offset : 0;
  uint64_t replay = m.name == f.view.member ? f.view.database.replay_offset : 0;
  for (const rpc::ReplicaView& r : f.view.database.replicas) {
    if (r.name == m.name) replay = r.replayed;
  }
  const std::pair<const char*, uint64_t> all[] = {
      {"receive_", m.offset}, {"replay_", replay}, {"", m.offset}};
  for (const auto& [prefix, at] : all) {
    const std::string lag = absl::StrCat(prefix, "lag");
    const std::string lsn = absl::StrCat(prefix, "lsn");
    if (at == 0 || end == 0) {
      (*out)[lsn] = at == 0 ? "unknown" : Lsn(at);
      (*out)[lag] = "unknown";
    } else {
      (*out)[lag] = at >= end ? 0 : end - at;
      (*out)[lsn] = Lsn(at);
    }
  }
}

OrderedJson MemberJson(const Facts& f, const rpc::MemberView& m) {
  const bool leads = m.name == f.view.leader;
  const SyncKind kind = SyncOf(f, m.name);
  OrderedJson out;
  out["name"] = m.name;
  out["role"] = leads                       ? "leader"
                : kind == SyncKind::kSync   ? "sync_standby"
                : kind == SyncKind::kQuorum ? "quorum_standby"
                                            : "replica";
  out["state"] = MemberState(f, m, leads);
  out["api_url"] = ApiUrl(f, m);
  std::string host;
  int port = 0;
  if (Split(m.db_address, &host, &port)) {
    out["host"] = host;
    out["port"] = port;
  }
  if (m.timeline != 0) out["timeline"] = m.timeline;
  if (m.name == f.view.member) {
    AddPending(f, &out);
    if (f.schedules.restart) out["scheduled_restart"] = RestartJson(*f.schedules.restart);
  }
  OrderedJson tags = TagsOf(f, &m);
  if (!tags.empty()) out["tags"] = std::move(tags);
  if (!leads) AddPositions(f, m, &out);
  return out;
}

}  // namespace

int ServerVersion(const std::string& version) {
  const std::vector<std::string> parts = absl::StrSplit(version, '.');
  int major = 0;
  int minor = 0;
  if (!absl::SimpleAtoi(parts[0], &major)) return 0;
  if (parts.size() > 1 && !absl::SimpleAtoi(parts[1], &minor)) minor = 0;
  return major * 10000 + minor;
}

election::Durability Wished(const Facts& f) {
  return f.view.role == election::Role::kPrimary ? f.view.durability.wished : f.view.durability.in_force;
}

int64_t LockSeen(const Facts& f) {
  if (f.view.lock.record_changed_at.is_past()) return 0;
  const Duration age = std::max(Duration::zero(), f.now - f.view.lock.record_changed_at);
  return (f.unix_ms - age / std::chrono::milliseconds(1)) / 1000;
}

bool FailsafeActive(const Facts& f) {
  return f.options.failsafe && f.view.lock.health == rpc::LockHealth::kUnreachable && HoldsLock(f);
}

std::string StatusDocument(const Facts& f) {
  const auto& v = f.view;
  OrderedJson out;
  out["state"] = StateOf(v.database.state, v.database.activity, v.database.empty);
  if (v.database.state == DbState::kRunning) {
    AddRunning(f, &out);
  } else {
    out["role"] = v.role == election::Role::kPrimary ? "primary"
                  : v.database.empty                 ? "uninitialized"
                                                     : "replica";
  }
  if (v.paused) out["pause"] = true;
  if (v.leader.empty()) out["cluster_unlocked"] = true;
  if (FailsafeActive(f)) out["failsafe_mode_is_active"] = true;
  out["dcs_last_seen"] = LockSeen(f);
  OrderedJson tags = TagsOf(f, Find(v, v.member));
  if (!tags.empty()) out["tags"] = std::move(tags);
  if (!v.database.system_id.empty()) out["database_system_identifier"] = v.database.system_id;
  AddPending(f, &out);
  out["patroni"] = {{"version", kApiVersion}, {"scope", v.cluster}, {"name", v.member}};
  if (f.schedules.restart) out["scheduled_restart"] = RestartJson(*f.schedules.restart);
  if (!v.shim_connected) out["watchdog_failed"] = true;
  return PythonJson(out);
}

std::string ClusterDocument(const Facts& f) {
  OrderedJson out;
  out["members"] = OrderedJson::array();
  for (const rpc::MemberView& m : f.view.members) {
    if (m.in_record || !m.heard_at.is_past()) out["members"].push_back(MemberJson(f, m));
  }
  if (f.view.paused) out["pause"] = true;
  if (const auto& s = f.schedules.switchover) {
    OrderedJson when;
    when["at"] = FormatWhen(s->at_unix_ms);
    when["from"] = s->leader;
    if (!s->candidate.empty()) when["to"] = s->candidate;
    out["scheduled_switchover"] = std::move(when);
  }
  out["scope"] = f.view.cluster;
  return PythonJson(out);
}

std::string HistoryDocument(const Facts& f) {
  OrderedJson out = OrderedJson::array();
  if (f.view.database.former_timelines == nullptr) return PythonJson(out);
  for (const rpc::FormerTimeline& t : *f.view.database.former_timelines) {
    OrderedJson line = OrderedJson::array({t.timeline, t.end, t.reason});
    // Of a change that this agent does not know there is no more: as in Patroni, whose tools fill that up.
    for (const election::HistoryEntry& h : f.view.history) {
      if (t.next_epoch == 0 || h.epoch != t.next_epoch || h.unix_ms == 0) continue;
      line.push_back(FormatWhen(h.unix_ms));
      line.push_back(h.holder);
    }
    out.push_back(std::move(line));
  }
  return PythonJson(out);
}

std::optional<std::string> ConfigDocument(const Facts& f) {
  const auto& v = f.view;
  if (v.lock.record_changed_at.is_past()) return std::nullopt;
  const election::Durability d = Wished(f);
  OrderedJson out;
  out["ttl"] = Seconds(f.options.lease);
  out["loop_wait"] = Seconds(f.options.renew);
  out["retry_timeout"] = Seconds(f.options.validity);
  out["maximum_lag_on_failover"] = kReadyLag;
  out["failsafe_mode"] = f.options.failsafe;
  if (d == election::Durability::kAsync) {
    out["synchronous_mode"] = false;
  } else {
    out["synchronous_mode"] = "quorum";
  }
  out["synchronous_mode_strict"] = d == election::Durability::kStrict;
  out["synchronous_node_count"] = f.options.sync_count;
  if (v.paused) out["pause"] = true;
  return PythonJson(out);
}

std::optional<std::string> FailsafeDocument(const Facts& f) {
  if (!f.options.failsafe || f.view.lock.record_changed_at.is_past()) return std::nullopt;
  OrderedJson out = OrderedJson::object();
  for (const rpc::MemberView& m : f.view.members) {
    if (m.in_record) out[m.name] = ApiUrl(f, m);
  }
  return PythonJson(out);
}

}  // namespace mainstay::agent::patroni
