// The collectors of the server as a whole: metrics_table.h.
#include <iterator>

#include "lib/engine/postgres/metrics_parts.h"

namespace mainstay::engine::postgres {
namespace {

using Use = MetricUse;

constexpr char kLag[] =
    "CASE WHEN NOT r.standby THEN 0"
    " WHEN pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn() THEN 0"
    " ELSE GREATEST(0, extract(epoch FROM now() - pg_last_xact_replay_timestamp())) END";
constexpr char kReplayed[] = "GREATEST(0, extract(epoch FROM now() - pg_last_xact_replay_timestamp()))";

// One row of everything that there is once.
constexpr MetricColumn kServer[] = {
    {"conf_load", Use::kHidden, "extract(epoch FROM pg_conf_load_time())"},
    {"standby", Use::kHidden, "r.standby"},
    {"pg_replication_is_replica", Use::kGauge, "CASE WHEN r.standby THEN 1 ELSE 0 END",
     "Indicates if the server is a replica"},
    {"pg_replication_lag_seconds", Use::kGauge, kLag, "Replication lag behind master in seconds"},
    {"pg_replication_lag", Use::kGauge, kLag,
     "Replication lag behind master in seconds (the name of postgres_exporter before 0.12)"},
    {"pg_replication_last_replay_seconds", Use::kGauge, kReplayed, "Age of last replay in seconds"},
    {"pg_postmaster_start_time_seconds", Use::kGauge, "extract(epoch FROM pg_postmaster_start_time())",
     "Time at which postmaster started"},
    {"pg_txid_current", Use::kGauge, "pg_snapshot_xmax(pg_current_snapshot())",
     "The next transaction identifier; reading it uses none up"},
    {"pg_stat_ssl_compression", Use::kGauge, "(SELECT count(*) FROM pg_stat_ssl WHERE compression)",
     "Sessions whose TLS is compressed", 13, 13},
    {"pg_stat_ssl_compression", Use::kGauge, "0",
     "Sessions whose TLS is compressed: none, PostgreSQL 14 and later cannot", 14},
    // the archiver
    {"pg_stat_archiver_archived_count", Use::kCounter, "a.archived_count",
     "Number of WAL files that have been successfully archived"},
    {"pg_stat_archiver_failed_count", Use::kCounter, "a.failed_count",
     "Number of failed attempts for archiving WAL files"},
    {"pg_stat_archiver_last_archive_age", Use::kGauge, "extract(epoch FROM now() - a.last_archived_time)",
     "Time in seconds since last WAL segment was successfully archived"},
    // checkpoints: one view until 16, two since 17 (the old names go on)
    {"pg_stat_bgwriter_checkpoints_timed_total", Use::kCounter, "b.checkpoints_timed",
     "Number of scheduled checkpoints that have been performed", 13, 16},
    {"pg_stat_bgwriter_checkpoints_timed_total", Use::kCounter, "k.num_timed",
     "Number of scheduled checkpoints that have been performed", 17},
    {"pg_stat_bgwriter_checkpoints_req_total", Use::kCounter, "b.checkpoints_req",
     "Number of requested checkpoints that have been performed", 13, 16},
    {"pg_stat_bgwriter_checkpoints_req_total", Use::kCounter, "k.num_requested",
     "Number of requested checkpoints that have been performed", 17},
    {"pg_stat_bgwriter_checkpoint_write_time_total", Use::kCounter, "b.checkpoint_write_time",
     "Milliseconds that checkpoints spent writing files", 13, 16},
    {"pg_stat_bgwriter_checkpoint_write_time_total", Use::kCounter, "k.write_time",
     "Milliseconds that checkpoints spent writing files", 17},
    {"pg_stat_bgwriter_checkpoint_sync_time_total", Use::kCounter, "b.checkpoint_sync_time",
     "Milliseconds that checkpoints spent synchronizing files", 13, 16},
    {"pg_stat_bgwriter_checkpoint_sync_time_total", Use::kCounter, "k.sync_time",
     "Milliseconds that checkpoints spent synchronizing files", 17},
    {"pg_stat_bgwriter_buffers_checkpoint_total", Use::kCounter, "b.buffers_checkpoint",
     "Number of buffers written during checkpoints", 13, 16},
    {"pg_stat_bgwriter_buffers_checkpoint_total", Use::kCounter, "k.buffers_written",
     "Number of buffers written during checkpoints", 17},
    {"pg_stat_bgwriter_buffers_clean_total", Use::kCounter, "b.buffers_clean",
     "Number of buffers written by the background writer"},
    {"pg_stat_bgwriter_maxwritten_clean_total", Use::kCounter, "b.maxwritten_clean",
     "Number of times the background writer stopped because it had written too many buffers"},
    {"pg_stat_bgwriter_buffers_backend_total", Use::kCounter, "b.buffers_backend",
     "Number of buffers written directly by a backend", 13, 16},
    {"pg_stat_bgwriter_buffers_backend_total", Use::kCounter,
     "(SELECT coalesce(sum(coalesce(writes, 0) + coalesce(extends, 0)), 0) FROM pg_stat_io"
     " WHERE backend_type NOT IN ('checkpointer', 'background writer') AND object = 'relation')",
     "Number of buffers written directly by a backend (of pg_stat_io)", 17},
    {"pg_stat_bgwriter_buffers_backend_fsync_total", Use::kCounter, "b.buffers_backend_fsync",
     "Number of times a backend had to execute its own fsync call", 13, 16},
    {"pg_stat_bgwriter_buffers_backend_fsync_total", Use::kCounter,
     "(SELECT coalesce(sum(fsyncs), 0) FROM pg_stat_io"
     " WHERE backend_type NOT IN ('checkpointer', 'background writer') AND object = 'relation')",
     "Number of times a backend had to execute its own fsync call (of pg_stat_io)", 17},
    {"pg_stat_bgwriter_buffers_alloc_total", Use::kCounter, "b.buffers_alloc", "Number of buffers allocated"},
    {"pg_stat_bgwriter_stats_reset_total", Use::kCounter, "floor(extract(epoch FROM b.stats_reset))",
     "Time at which these statistics were last reset"},
    {"pg_stat_checkpointer_num_timed_total", Use::kCounter, "k.num_timed",
     "Number of scheduled checkpoints due to timeout", 17},
    {"pg_stat_checkpointer_num_requested_total", Use::kCounter, "k.num_requested",
     "Number of requested checkpoints that have been performed", 17},
    {"pg_stat_checkpointer_restartpoints_timed_total", Use::kCounter, "k.restartpoints_timed",
     "Number of scheduled restartpoints due to timeout or after a failed attempt to perform it", 17},
    {"pg_stat_checkpointer_restartpoints_req_total", Use::kCounter, "k.restartpoints_req",
     "Number of requested restartpoints", 17},
    {"pg_stat_checkpointer_restartpoints_done_total", Use::kCounter, "k.restartpoints_done",
     "Number of restartpoints that have been performed", 17},
    {"pg_stat_checkpointer_write_time_total", Use::kCounter, "k.write_time",
     "Milliseconds that checkpoints and restartpoints spent writing files", 17},
    {"pg_stat_checkpointer_sync_time_total", Use::kCounter, "k.sync_time",
     "Milliseconds that checkpoints and restartpoints spent synchronizing files", 17},
    {"pg_stat_checkpointer_buffers_written_total", Use::kCounter, "k.buffers_written",
     "Number of buffers written during checkpoints and restartpoints", 17},
    {"pg_stat_checkpointer_stats_reset_total", Use::kCounter, "floor(extract(epoch FROM k.stats_reset))",
     "Time at which these statistics were last reset", 17},
};

MetricCollector Server() {
  MetricCollector c{.name = "server",
                    .about = "replication, archiver, background writer, checkpoints, start",
                    .server_label = true};
  c.source = "(SELECT pg_is_in_recovery() AS standby OFFSET 0) r, pg_stat_archiver a, pg_stat_bgwriter b";
  c.source_since17 =
      "(SELECT pg_is_in_recovery() AS standby OFFSET 0) r, pg_stat_archiver a, pg_stat_bgwriter b,"
      " pg_stat_checkpointer k";
  c.columns.assign(std::begin(kServer), std::end(kServer));
  return c;
}

MetricCollector Locks() {
  MetricCollector c{.name = "locks", .about = "locks by database and mode", .server_label = true};
  c.source =
      "(VALUES ('accesssharelock'), ('rowsharelock'), ('rowexclusivelock'), ('shareupdateexclusivelock'),"
      " ('sharelock'), ('sharerowexclusivelock'), ('exclusivelock'), ('accessexclusivelock'), ('sireadlock'))"
      " AS m(mode) CROSS JOIN pg_database d LEFT JOIN (SELECT database, lower(mode) AS mode, count(*) AS n"
      " FROM pg_locks WHERE database IS NOT NULL AND pid <> pg_backend_pid() GROUP BY 1, 2) l"
      " ON l.mode = m.mode AND l.database = d.oid";
  c.columns = {
      {"datname", Use::kLabel, "d.datname"},
      {"mode", Use::kLabel, "m.mode"},
      {"pg_locks_count", Use::kGauge, "coalesce(l.n, 0)", "Number of locks"},
  };
  return c;
}

MetricCollector Activity() {
  MetricCollector c{.name = "stat_activity", .about = "sessions by database and state", .server_label = true};
  c.source =
      "(VALUES ('active'), ('idle'), ('idle in transaction'), ('idle in transaction (aborted)'),"
      " ('fastpath function call'), ('disabled')) AS w(state) CROSS JOIN pg_database d LEFT JOIN"
      " (SELECT datid, state, count(*) AS n, max(extract(epoch FROM now() - xact_start)) AS longest"
      " FROM pg_stat_get_activity(NULL) WHERE pid <> pg_backend_pid() GROUP BY 1, 2) a"
      " ON a.datid = d.oid AND a.state = w.state";
  c.columns = {
      {"datname", Use::kLabel, "d.datname"},
      {"state", Use::kLabel, "w.state"},
      {"pg_stat_activity_count", Use::kGauge, "coalesce(a.n, 0)", "number of connections in this state"},
      {"pg_stat_activity_max_tx_duration", Use::kGauge, "coalesce(a.longest, 0)",
       "max duration in seconds any active transaction has been running"},
  };
  return c;
}

MetricCollector Transactions() {
  MetricCollector c{.name = "long_running_transactions", .about = "open transactions and the oldest of them"};
  c.source = "pg_stat_get_activity(NULL) a";
  c.tail =
      "WHERE a.state IS DISTINCT FROM 'idle' AND a.query NOT LIKE 'autovacuum:%' AND a.xact_start IS NOT NULL"
      " AND a.pid <> pg_backend_pid()";
  c.columns = {
      {"pg_long_running_transactions", Use::kGauge, "count(*)", "Number of transactions that are open"},
      {"pg_long_running_transactions_oldest_timestamp_seconds", Use::kGauge,
       "coalesce(max(extract(epoch FROM clock_timestamp() - a.xact_start)), 0)",
       "The current maximum transaction age in seconds"},
  };
  return c;
}

MetricCollector Replication() {
  MetricCollector c{
      .name = "stat_replication", .about = "standbys that stream from this server", .server_label = true};
  c.source =
      "pg_stat_replication s LEFT JOIN pg_replication_slots l ON l.active_pid = s.pid,"
      " (SELECT CASE WHEN pg_is_in_recovery() THEN pg_last_wal_receive_lsn() ELSE pg_current_wal_lsn() END"
      " AS lsn OFFSET 0) e";
  c.columns = {
      {"application_name", Use::kLabel, "s.application_name"},
      {"client_addr", Use::kLabel, "host(s.client_addr)"},
      {"state", Use::kLabel, "s.state"},
      {"slot_name", Use::kLabel, "l.slot_name"},
      {"pg_stat_replication_pg_current_wal_lsn_bytes", Use::kGauge, "e.lsn - '0/0'::pg_lsn",
       "WAL position in bytes"},
      {"pg_stat_replication_pg_wal_lsn_diff", Use::kGauge, "e.lsn - s.replay_lsn",
       "Lag in bytes between master and slave"},
      {"mainstay_standby_sent_lag_bytes", Use::kGauge, "e.lsn - s.sent_lsn",
       "Log that was not sent to this standby yet"},
      {"mainstay_standby_flush_lag_bytes", Use::kGauge, "e.lsn - s.flush_lsn",
       "Log that this standby has not on its disk yet"},
      {"mainstay_standby_replay_lag_bytes", Use::kGauge, "e.lsn - s.replay_lsn",
       "Log that this standby has not replayed yet"},
      {"mainstay_standby_write_lag_seconds", Use::kGauge, "coalesce(extract(epoch FROM s.write_lag), 0)",
       "From a local flush until this standby had written it; 0 when it is idle"},
      {"mainstay_standby_flush_lag_seconds", Use::kGauge, "coalesce(extract(epoch FROM s.flush_lag), 0)",
       "From a local flush until this standby had it on its disk; 0 when it is idle"},
      {"mainstay_standby_replay_lag_seconds", Use::kGauge, "coalesce(extract(epoch FROM s.replay_lag), 0)",
       "From a local flush until this standby had replayed it; 0 when it is idle"},
  };
  return c;
}

MetricCollector Slots() {
  MetricCollector c{
      .name = "replication_slots", .about = "what replication slots hold back", .server_label = true};
  c.source =
      "pg_replication_slots s,"
      " (SELECT CASE WHEN pg_is_in_recovery() THEN pg_last_wal_receive_lsn() ELSE pg_current_wal_lsn() END"
      " AS lsn OFFSET 0) e";
  c.columns = {
      {"slot_name", Use::kLabel, "s.slot_name"},
      {"database", Use::kLabel, "s.database"},
      {"pg_replication_slots_active", Use::kGauge, "s.active", "Flag indicating if the slot is active"},
      {"pg_replication_slots_pg_wal_lsn_diff", Use::kGauge, "e.lsn - s.restart_lsn",
       "Replication lag in bytes"},
      {"mainstay_slot_retained_bytes", Use::kGauge, "e.lsn - s.restart_lsn",
       "Log that this slot keeps from being removed"},
  };
  return c;
}

// The same under the labels of postgres_exporter's second family of slots, and under both of its prefixes.
MetricCollector SlotDetails() {
  MetricCollector c{.name = "replication_slot", .about = "positions of replication slots"};
  c.source = Slots().source;
  const char* flushed = "CASE WHEN s.active THEN coalesce(s.confirmed_flush_lsn, '0/0') - '0/0'::pg_lsn END";
  const char* safe_help =
      "number of bytes that can be written to WAL such that this slot is not in danger of"
      " getting in state lost";
  c.columns = {
      {"slot_name", Use::kLabel, "s.slot_name"},
      {"slot_type", Use::kLabel, "s.slot_type"},
      {"pg_replication_slots_slot_current_wal_lsn", Use::kGauge, "e.lsn - '0/0'::pg_lsn",
       "current wal lsn value"},
      {"pg_replication_slot_slot_current_wal_lsn", Use::kGauge, "e.lsn - '0/0'::pg_lsn",
       "current wal lsn value (the name before postgres_exporter 0.20)"},
      {"pg_replication_slots_slot_confirmed_flush_lsn", Use::kGauge, flushed,
       "last lsn confirmed flushed to the replication slot"},
      {"pg_replication_slot_slot_confirmed_flush_lsn", Use::kGauge, flushed,
       "last lsn confirmed flushed to the replication slot (the name before postgres_exporter 0.20)"},
      {"pg_replication_slots_slot_is_active", Use::kGauge, "s.active",
       "whether the replication slot is active or not"},
      {"pg_replication_slot_slot_is_active", Use::kGauge, "s.active",
       "whether the replication slot is active or not (the name before postgres_exporter 0.20)"},
      {"pg_replication_slots_safe_wal_size_bytes", Use::kGauge, "s.safe_wal_size", safe_help},
      {"pg_replication_slot_safe_wal_size_bytes", Use::kGauge, "s.safe_wal_size", safe_help},
  };
  return c;
}

MetricCollector SlotStatus() {
  MetricCollector c{.name = "replication_slot_status", .about = "whether the log that a slot needs is there"};
  c.source = "pg_replication_slots s";
  c.tail = "WHERE s.wal_status IS NOT NULL";
  c.columns = {
      {"slot_name", Use::kLabel, "s.slot_name"},
      {"slot_type", Use::kLabel, "s.slot_type"},
      {"wal_status", Use::kLabel, "s.wal_status"},
      {"pg_replication_slots_wal_status", Use::kGauge, "1", "availability of WAL files claimed by this slot"},
      {"pg_replication_slot_wal_status", Use::kGauge, "1",
       "availability of WAL files claimed by this slot (the name before postgres_exporter 0.20)"},
  };
  return c;
}

MetricCollector WalReceiver() {
  MetricCollector c{.name = "stat_wal_receiver", .about = "where a standby streams from"};
  c.source = "pg_stat_wal_receiver w";
  c.columns = {
      {"upstream_host", Use::kLabel, "w.sender_host"},
      {"slot_name", Use::kLabel, "w.slot_name"},
      {"status", Use::kLabel, "w.status"},
      {"pg_stat_wal_receiver_receive_start_lsn", Use::kCounter, "w.receive_start_lsn - '0/0'::pg_lsn",
       "First write-ahead log location used when WAL receiver is started represented as a decimal"},
      {"pg_stat_wal_receiver_receive_start_tli", Use::kGauge, "w.receive_start_tli",
       "First timeline number used when WAL receiver is started"},
      {"pg_stat_wal_receiver_flushed_lsn", Use::kCounter, "w.flushed_lsn - '0/0'::pg_lsn",
       "Last write-ahead log location already received and flushed to disk as a decimal"},
      {"pg_stat_wal_receiver_received_tli", Use::kGauge, "w.received_tli",
       "Timeline number of last write-ahead log location received and flushed to disk"},
      {"pg_stat_wal_receiver_last_msg_send_time", Use::kCounter, "extract(epoch FROM w.last_msg_send_time)",
       "Send time of last message received from origin WAL sender"},
      {"pg_stat_wal_receiver_last_msg_receipt_time", Use::kCounter,
       "extract(epoch FROM w.last_msg_receipt_time)", "Receipt time of last message of origin WAL sender"},
      {"pg_stat_wal_receiver_latest_end_lsn", Use::kCounter, "w.latest_end_lsn - '0/0'::pg_lsn",
       "Last write-ahead log location reported to origin WAL sender as integer"},
      {"pg_stat_wal_receiver_latest_end_time", Use::kCounter, "extract(epoch FROM w.latest_end_time)",
       "Time of last write-ahead log location reported to origin WAL sender"},
  };
  return c;
}

MetricCollector Roles() {
  MetricCollector c{.name = "roles", .about = "connection limits of roles", .pace = CollectorPace::kSlow};
  c.source = "pg_roles r";
  c.tail = "ORDER BY r.rolname";
  c.limited = true;
  c.columns = {
      {"rolname", Use::kLabel, "r.rolname"},
      {"pg_roles_connection_limit", Use::kGauge, "r.rolconnlimit", "Connection limit set for the role"},
  };
  return c;
}

MetricCollector Static() {
  MetricCollector c{.name = "static",
                    .about = "the server's version",
                    .pace = CollectorPace::kChange,
                    .server_label = true};
  c.source = "(SELECT current_setting('server_version_num')::int AS n OFFSET 0) v";
  c.columns = {
      {"version", Use::kLabel, "version()"},
      {"short_version", Use::kLabel, "(v.n / 10000) || '.' || (v.n % 10000) || '.0'"},
      {"pg_static", Use::kUntyped, "1", "Version string as reported by postgres"},
  };
  return c;
}

MetricCollector Settings() {
  MetricCollector c{.name = "settings",
                    .about = "parameters that are numbers or truths",
                    .pace = CollectorPace::kChange,
                    .server_label = true};
  c.source = "pg_settings s";
  c.tail = "WHERE s.vartype IN ('bool', 'integer', 'real')";
  // What this session set for itself is not what the server gives others.
  c.columns = {
      {"name", Use::kHidden, "s.name"},
      {"setting", Use::kHidden,
       "CASE WHEN s.name = 'transaction_read_only' THEN CASE WHEN pg_is_in_recovery() THEN 'on' ELSE 'off' "
       "END"
       " WHEN s.source = 'session' THEN s.reset_val ELSE s.setting END"},
      {"unit", Use::kHidden, "s.unit"},
      {"vartype", Use::kHidden, "s.vartype"},
  };
  return c;
}

}  // namespace

std::vector<MetricCollector> ServerCollectors() {
  return {Server(),      Locks(),      Activity(),    Transactions(), Replication(), Slots(),
          SlotDetails(), SlotStatus(), WalReceiver(), Roles(),        Static(),      Settings()};
}

}  // namespace mainstay::engine::postgres
