// Patroni's metrics: names, types and labels of its /metrics.
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "agent/patroni.h"

namespace mainstay::agent::patroni {
namespace {

using election::DbState;
using metrics::Type;

// "4.1.5" -> 40105
double Version(const std::string& text) {
  double out = 0;
  for (absl::string_view part : absl::StrSplit(text, '.')) {
    int n = 0;
    if (!absl::SimpleAtoi(part, &n)) return 0;
    out = out * 100 + n;
  }
  return out;
}

// PostgresqlState of Patroni.
int StateNumber(const rpc::DatabaseView& db) {
  if (absl::StartsWith(db.activity, "clon")) return 4;
  switch (db.state) {
    case DbState::kRunning:
      return 5;
    case DbState::kStarting:
      return 6;
    case DbState::kStopped:
      return 12;
    case DbState::kDead:
      return 14;
    case DbState::kUnknown:
      return -1;
  }
  return -1;
}

struct Line {
  const char* name;
  Type type;
  const char* help;
  double value;
};

double Number(bool value) { return value ? 1 : 0; }
double Number(uint64_t value) { return static_cast<double>(value); }

void Write(const Facts& f, const std::vector<Line>& lines, metrics::Writer& w) {
  const metrics::Labels labels = {{"scope", f.view.cluster}, {"name", f.view.member}};
  for (const Line& line : lines) {
    w.Family(absl::StrCat("patroni_", line.name), line.type, line.help);
    w.Sample(labels, line.value);
  }
}

void WriteDatabase(const Facts& f, metrics::Writer& w) {
  const auto& db = f.view.database;
  const bool runs = db.state == DbState::kRunning;
  const bool primary = runs && db.writable;
  const bool replica = IsReplica(f);
  const SyncKind kind = replica ? SyncOf(f, f.view.member) : SyncKind::kNone;
  Write(
      f,
      {
          {"version", Type::kGauge, "Version of Patroni whose interface this is, without periods.",
           Version(kApiVersion)},
          {"postgres_running", Type::kGauge, "Value is 1 if Postgres is running, 0 otherwise.", Number(runs)},
          {"postmaster_start_time", Type::kGauge, "Epoch seconds since Postgres started.",
           runs ? static_cast<double>(db.start_unix_ms) / 1000 : 0},
          {"primary", Type::kGauge, "Value is 1 if this node is the leader, 0 otherwise.", Number(primary)},
          {"xlog_location", Type::kCounter,
           "Current location of the Postgres transaction log, 0 if this node is not the leader.",
           primary ? Number(db.offset) : 0},
          {"standby_leader", Type::kGauge, "Value is 1 if this node is the standby_leader, 0 otherwise.", 0},
          {"replica", Type::kGauge, "Value is 1 if this node is a replica, 0 otherwise.", Number(replica)},
          {"sync_standby", Type::kGauge, "Value is 1 if this node is a sync standby, 0 otherwise.",
           Number(kind == SyncKind::kSync)},
          {"quorum_standby", Type::kGauge, "Value is 1 if this node is a quorum standby, 0 otherwise.",
           Number(kind == SyncKind::kQuorum)},
          {"xlog_received_location", Type::kCounter,
           "Current location of the received Postgres transaction log, 0 if this node is not a replica.",
           replica ? Number(db.offset) : 0},
          {"xlog_replayed_location", Type::kCounter,
           "Current location of the replayed Postgres transaction log, 0 if this node is not a replica.",
           replica ? Number(db.replay_offset) : 0},
          {"xlog_replayed_timestamp", Type::kGauge,
           "Current timestamp of the replayed Postgres transaction log, 0 if null.",
           replica ? static_cast<double>(db.replayed_unix_ms) / 1000 : 0},
          {"xlog_paused", Type::kGauge, "Value is 1 if the Postgres xlog is paused, 0 otherwise.",
           Number(replica && db.replay_paused)},
          {"postgres_streaming", Type::kGauge, "Value is 1 if Postgres is streaming, 0 otherwise.",
           Number(!ReplicationState(f).empty())},
          {"postgres_in_archive_recovery", Type::kGauge,
           "Value is 1 if Postgres is replicating from archive, 0 otherwise.", 0},
          {"postgres_server_version", Type::kGauge, "Version of Postgres (if running), 0 otherwise.",
           runs ? static_cast<double>(ServerVersion(db.version)) : 0},
      },
      w);
}

void WriteCluster(const Facts& f, metrics::Writer& w) {
  const auto& v = f.view;
  const auto& db = v.database;
  double priority = 1;
  bool member = false;
  for (const rpc::MemberView& m : v.members) {
    if (m.name != v.member) continue;
    priority = m.no_failover ? 0 : m.priority;
    member = m.in_record;
  }
  Write(
      f,
      {
          {"cluster_unlocked", Type::kGauge, "Value is 1 if the cluster is unlocked, 0 if locked.",
           Number(v.leader.empty())},
          {"failsafe_mode_is_active", Type::kGauge, "Value is 1 if failsafe mode is active, 0 if inactive.",
           Number(FailsafeActive(f))},
          {"failsafe_mode_enabled", Type::kGauge, "Value is 1 if failsafe_mode is enabled, 0 otherwise.",
           Number(f.options.failsafe)},
          {"failsafe_member", Type::kGauge, "Value is 1 if this node is a member of failsafe, 0 otherwise.",
           Number(f.options.failsafe && member)},
          {"postgres_timeline", Type::kGauge, "Postgres timeline of this node (if running), 0 otherwise.",
           db.state == DbState::kRunning ? static_cast<double>(db.timeline) : 0},
          {"dcs_last_seen", Type::kGauge,
           "Epoch timestamp when DCS was last contacted successfully by Patroni.",
           static_cast<double>(LockSeen(f))},
          {"pending_restart", Type::kGauge, "Value is 1 if the node needs a restart, 0 otherwise.",
           Number(!db.pending_restart.empty())},
          {"is_paused", Type::kGauge, "Value is 1 if auto failover is disabled, 0 otherwise.",
           Number(v.paused)},
          {"postgres_state", Type::kGauge,
           "Numeric representation of Postgres state: 4 creating_replica, 5 running, 6 starting, 12 stopped, "
           "14 crashed, -1 unknown.",
           static_cast<double>(StateNumber(db))},
          {"failover_priority", Type::kGauge, "Failover priority of this node.", priority},
      },
      w);
}

}  // namespace

void WriteMetrics(const Facts& f, metrics::Writer& w) {
  WriteDatabase(f, w);
  WriteCluster(f, w);
}

}  // namespace mainstay::agent::patroni
