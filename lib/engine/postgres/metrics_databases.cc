// The collectors of databases: metrics_table.h.
#include <iterator>

#include "lib/engine/postgres/metrics_parts.h"

namespace mainstay::engine::postgres {
namespace {

using Use = MetricUse;

constexpr MetricColumn kDatabaseColumns[] = {
    {"datid", Use::kLabel, "s.datid"},
    {"datname", Use::kLabel, "s.datname"},
    {"pg_stat_database_numbackends", Use::kGauge, "s.numbackends",
     "Number of backends currently connected to this database"},
    {"pg_stat_database_xact_commit", Use::kCounter, "s.xact_commit",
     "Number of transactions in this database that have been committed"},
    {"pg_stat_database_xact_rollback", Use::kCounter, "s.xact_rollback",
     "Number of transactions in this database that have been rolled back"},
    {"pg_stat_database_blks_read", Use::kCounter, "s.blks_read",
     "Number of disk blocks read in this database"},
    {"pg_stat_database_blks_hit", Use::kCounter, "s.blks_hit",
     "Number of times disk blocks were found already in PostgreSQL's buffer cache"},
    {"pg_stat_database_tup_returned", Use::kCounter, "s.tup_returned",
     "Number of rows returned by queries in this database"},
    {"pg_stat_database_tup_fetched", Use::kCounter, "s.tup_fetched",
     "Number of rows fetched by queries in this database"},
    {"pg_stat_database_tup_inserted", Use::kCounter, "s.tup_inserted",
     "Number of rows inserted by queries in this database"},
    {"pg_stat_database_tup_updated", Use::kCounter, "s.tup_updated",
     "Number of rows updated by queries in this database"},
    {"pg_stat_database_tup_deleted", Use::kCounter, "s.tup_deleted",
     "Number of rows deleted by queries in this database"},
    {"pg_stat_database_conflicts", Use::kCounter, "s.conflicts",
     "Number of queries canceled due to conflicts with recovery in this database (standbys only)"},
    {"pg_stat_database_temp_files", Use::kCounter, "s.temp_files",
     "Number of temporary files created by queries in this database"},
    {"pg_stat_database_temp_bytes", Use::kCounter, "s.temp_bytes",
     "Total amount of data written to temporary files by queries in this database"},
    {"pg_stat_database_deadlocks", Use::kCounter, "s.deadlocks",
     "Number of deadlocks detected in this database"},
    {"pg_stat_database_blk_read_time", Use::kCounter, "s.blk_read_time",
     "Time spent reading data file blocks by backends in this database, in milliseconds"},
    {"pg_stat_database_blk_write_time", Use::kCounter, "s.blk_write_time",
     "Time spent writing data file blocks by backends in this database, in milliseconds"},
    {"pg_stat_database_stats_reset", Use::kCounter, "floor(extract(epoch FROM s.stats_reset))",
     "Time at which these statistics were last reset"},
    {"pg_stat_database_active_time_seconds_total", Use::kCounter, "s.active_time / 1000",
     "Time spent executing SQL statements in this database, in seconds", 14},
    // Checksums and sessions: postgres_exporter 0.11 shows the columns that it does not know as untyped.
    {"pg_stat_database_checksum_failures", Use::kUntyped, "s.checksum_failures",
     "Data page checksum failures detected in this database"},
    {"pg_stat_database_checksum_last_failure", Use::kUntyped, "extract(epoch FROM s.checksum_last_failure)",
     "Time of the last data page checksum failure in this database"},
    {"pg_stat_database_session_time", Use::kUntyped, "s.session_time",
     "Time spent by database sessions in this database, in milliseconds", 14},
    {"pg_stat_database_active_time", Use::kUntyped, "s.active_time",
     "Time spent executing SQL statements in this database, in milliseconds", 14},
    {"pg_stat_database_idle_in_transaction_time", Use::kUntyped, "s.idle_in_transaction_time",
     "Time spent idling while in a transaction in this database, in milliseconds", 14},
    {"pg_stat_database_sessions", Use::kUntyped, "s.sessions", "Sessions established to this database", 14},
    {"pg_stat_database_sessions_abandoned", Use::kUntyped, "s.sessions_abandoned",
     "Sessions that ended because the connection to the client was lost", 14},
    {"pg_stat_database_sessions_fatal", Use::kUntyped, "s.sessions_fatal",
     "Sessions that were ended by fatal errors", 14},
    {"pg_stat_database_sessions_killed", Use::kUntyped, "s.sessions_killed",
     "Sessions that were ended by an operator", 14},
};

MetricCollector StatDatabase() {
  MetricCollector c{.name = "stat_database", .about = "counters of each database", .server_label = true};
  c.source = "pg_stat_database s";
  c.columns.assign(std::begin(kDatabaseColumns), std::end(kDatabaseColumns));
  return c;
}

MetricCollector Conflicts() {
  MetricCollector c{
      .name = "stat_database_conflicts", .about = "queries cancelled by recovery", .server_label = true};
  c.source = "pg_stat_database_conflicts s";
  c.columns = {
      {"datid", Use::kLabel, "s.datid"},
      {"datname", Use::kLabel, "s.datname"},
      {"pg_stat_database_conflicts_confl_tablespace", Use::kCounter, "s.confl_tablespace",
       "Number of queries in this database that have been canceled due to dropped tablespaces"},
      {"pg_stat_database_conflicts_confl_lock", Use::kCounter, "s.confl_lock",
       "Number of queries in this database that have been canceled due to lock timeouts"},
      {"pg_stat_database_conflicts_confl_snapshot", Use::kCounter, "s.confl_snapshot",
       "Number of queries in this database that have been canceled due to old snapshots"},
      {"pg_stat_database_conflicts_confl_bufferpin", Use::kCounter, "s.confl_bufferpin",
       "Number of queries in this database that have been canceled due to pinned buffers"},
      {"pg_stat_database_conflicts_confl_deadlock", Use::kCounter, "s.confl_deadlock",
       "Number of queries in this database that have been canceled due to deadlocks"},
      {"pg_stat_database_conflicts_confl_active_logicalslot", Use::kUntyped, "s.confl_active_logicalslot",
       "Number of uses of logical slots in this database that have been canceled", 16},
  };
  return c;
}

MetricCollector Database() {
  MetricCollector c{.name = "database", .about = "limits of databases, distance to the wraparound"};
  c.source = "pg_database d";
  c.columns = {
      {"datname", Use::kLabel, "d.datname"},
      {"usable", Use::kHidden, "d.datallowconn AND NOT d.datistemplate"},
      {"pg_database_connection_limit", Use::kGauge, "d.datconnlimit",
       "Connection limit set for the database"},
      {"pg_database_wraparound_age_datfrozenxid_seconds", Use::kGauge, "age(d.datfrozenxid)",
       "Age, in transactions, of the oldest transaction ID that has not been frozen"},
      {"pg_database_wraparound_age_datminmxid_seconds", Use::kGauge, "mxid_age(d.datminmxid)",
       "Age, in multi-transactions, of the oldest multi-transaction ID that is still needed"},
  };
  return c;
}

MetricCollector DatabaseSize() {
  MetricCollector c{.name = "database_size",
                    .about = "disk space of databases",
                    .pace = CollectorPace::kSlow,
                    .server_label = true};
  c.source = "pg_database d";
  c.columns = {
      {"datname", Use::kLabel, "d.datname"},
      {"pg_database_size_bytes", Use::kGauge, "pg_database_size(d.oid)", "Disk space used by the database"},
  };
  return c;
}

MetricCollector Wal() {
  MetricCollector c{.name = "wal", .about = "files of the log", .pace = CollectorPace::kSlow};
  c.source = "pg_ls_waldir() f";
  c.tail = "WHERE f.name ~ '^[0-9A-F]{24}$'";
  c.columns = {
      {"pg_wal_segments", Use::kGauge, "count(*)", "Number of WAL segments"},
      {"pg_wal_size_bytes", Use::kGauge, "sum(f.size)", "Total size of WAL segments"},
  };
  return c;
}

MetricCollector ProgressVacuum() {
  MetricCollector c{.name = "stat_progress_vacuum", .about = "vacuums that run"};
  c.source =
      "(SELECT p.*, d.datname, CASE WHEN d.datname = current_database() THEN p.relid::regclass::text"
      " ELSE p.relid::text END AS relname FROM pg_stat_get_progress_info('VACUUM') p"
      " LEFT JOIN pg_database d ON d.oid = p.datid) p";
  c.columns = {
      {"datname", Use::kLabel, "p.datname"},
      {"relname", Use::kLabel, "p.relname"},
      {"pg_stat_progress_vacuum_heap_blks", Use::kGauge, "p.param2",
       "Total number of heap blocks in the table being vacuumed."},
      {"pg_stat_progress_vacuum_heap_blks_scanned", Use::kGauge, "p.param3",
       "Number of heap blocks scanned so far."},
      {"pg_stat_progress_vacuum_heap_blks_vacuumed", Use::kGauge, "p.param4",
       "Number of heap blocks vacuumed so far."},
      {"pg_stat_progress_vacuum_index_vacuums", Use::kGauge, "p.param5",
       "Number of completed index vacuum cycles."},
      {"pg_stat_progress_vacuum_max_dead_tuples", Use::kGauge, "p.param6",
       "Maximum number of dead tuples that can be stored before cleanup is performed.", 13, 16},
      {"pg_stat_progress_vacuum_num_dead_tuples", Use::kGauge, "p.param7",
       "Current number of dead tuples found so far.", 13, 16},
      // 17 counts the memory and moved the number; postgres_exporter shows bytes under the names of before.
      {"pg_stat_progress_vacuum_num_dead_tuples", Use::kGauge, "p.param8",
       "Current number of dead tuples found so far.", 17},
      {"pg_stat_progress_vacuum_max_dead_tuple_bytes", Use::kGauge, "p.param6",
       "Memory that dead tuples may take before cleanup is performed, in bytes.", 17},
      {"pg_stat_progress_vacuum_dead_tuple_bytes", Use::kGauge, "p.param7",
       "Memory that the dead tuples found so far take, in bytes.", 17},
  };
  return c;
}

MetricCollector VacuumPhase() {
  MetricCollector c = ProgressVacuum();
  c.name = "stat_progress_vacuum_phase";
  c.about = "the phase of vacuums that run";
  c.source =
      "(SELECT p.param1, d.datname, CASE WHEN d.datname = current_database() THEN p.relid::regclass::text"
      " ELSE p.relid::text END AS relname FROM pg_stat_get_progress_info('VACUUM') p"
      " LEFT JOIN pg_database d ON d.oid = p.datid) p"
      " CROSS JOIN (VALUES (0, 'initializing'), (1, 'scanning heap'), (2, 'vacuuming indexes'),"
      " (3, 'vacuuming heap'), (4, 'cleaning up indexes'), (5, 'truncating heap'),"
      " (6, 'performing final cleanup')) AS f(n, phase)";
  c.columns = {
      {"datname", Use::kLabel, "p.datname"},
      {"relname", Use::kLabel, "p.relname"},
      {"phase", Use::kLabel, "f.phase"},
      {"pg_stat_progress_vacuum_phase", Use::kGauge, "CASE WHEN f.n = p.param1 THEN 1 ELSE 0 END",
       "Current vacuum phase (1 = active, 0 = inactive). Label 'phase' is human-readable."},
  };
  return c;
}

}  // namespace

std::vector<MetricCollector> DatabaseCollectors() {
  return {StatDatabase(), Conflicts(), Database(), ProgressVacuum(), VacuumPhase(), DatabaseSize(), Wal()};
}

}  // namespace mainstay::engine::postgres
