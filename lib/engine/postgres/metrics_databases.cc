// The collectors of databases, tables and statements: metrics_table.h.
#include <string>

#include "lib/engine/postgres/metrics_parts.h"

namespace mainstay::engine::postgres {
namespace {

using Use = MetricUse;

MetricCollector StatDatabase() {
  MetricCollector c{.name = "stat_database", .about = "counters of each database", .server_label = true};
  c.source = "pg_stat_database s";
  c.columns = {
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
  MetricCollector c{
      .name = "database_size", .about = "disk space of databases", .pace = CollectorPace::kSlow};
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
       "Maximum number of dead tuples that can be stored before cleanup is performed."},
      {"pg_stat_progress_vacuum_num_dead_tuples", Use::kGauge, "p.param7",
       "Current number of dead tuples found so far."},
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

// One query for both views: they walk the same tables.
MetricCollector UserTables() {
  MetricCollector c{.name = "stat_user_tables",
                    .about = "tables: scans, rows, vacuum, blocks",
                    .scope = CollectorScope::kDatabases};
  c.source = "pg_stat_user_tables t JOIN pg_statio_user_tables io USING (relid)";
  c.tail = "ORDER BY t.n_live_tup + t.n_dead_tup DESC";
  c.limited = true;
  c.columns = {
      {"datname", Use::kLabel, "current_database()"},
      {"schemaname", Use::kLabel, "t.schemaname"},
      {"relname", Use::kLabel, "t.relname"},
      {"pg_stat_user_tables_seq_scan", Use::kCounter, "t.seq_scan",
       "Number of sequential scans initiated on this table"},
      {"pg_stat_user_tables_seq_tup_read", Use::kCounter, "t.seq_tup_read",
       "Number of live rows fetched by sequential scans"},
      {"pg_stat_user_tables_idx_scan", Use::kCounter, "coalesce(t.idx_scan, 0)",
       "Number of index scans initiated on this table"},
      {"pg_stat_user_tables_idx_tup_fetch", Use::kCounter, "coalesce(t.idx_tup_fetch, 0)",
       "Number of live rows fetched by index scans"},
      {"pg_stat_user_tables_n_tup_ins", Use::kCounter, "t.n_tup_ins", "Number of rows inserted"},
      {"pg_stat_user_tables_n_tup_upd", Use::kCounter, "t.n_tup_upd", "Number of rows updated"},
      {"pg_stat_user_tables_n_tup_del", Use::kCounter, "t.n_tup_del", "Number of rows deleted"},
      {"pg_stat_user_tables_n_tup_hot_upd", Use::kCounter, "t.n_tup_hot_upd",
       "Number of rows HOT updated (i.e., with no separate index update required)"},
      {"pg_stat_user_tables_n_live_tup", Use::kGauge, "t.n_live_tup", "Estimated number of live rows"},
      {"pg_stat_user_tables_n_dead_tup", Use::kGauge, "t.n_dead_tup", "Estimated number of dead rows"},
      {"pg_stat_user_tables_n_mod_since_analyze", Use::kGauge, "t.n_mod_since_analyze",
       "Estimated number of rows changed since last analyze"},
      {"pg_stat_user_tables_last_vacuum", Use::kGauge,
       "coalesce(floor(extract(epoch FROM t.last_vacuum)), 0)",
       "Last time at which this table was manually vacuumed (not counting VACUUM FULL)"},
      {"pg_stat_user_tables_last_autovacuum", Use::kGauge,
       "coalesce(floor(extract(epoch FROM t.last_autovacuum)), 0)",
       "Last time at which this table was vacuumed by the autovacuum daemon"},
      {"pg_stat_user_tables_last_analyze", Use::kGauge,
       "coalesce(floor(extract(epoch FROM t.last_analyze)), 0)",
       "Last time at which this table was manually analyzed"},
      {"pg_stat_user_tables_last_autoanalyze", Use::kGauge,
       "coalesce(floor(extract(epoch FROM t.last_autoanalyze)), 0)",
       "Last time at which this table was analyzed by the autovacuum daemon"},
      {"pg_stat_user_tables_vacuum_count", Use::kCounter, "t.vacuum_count",
       "Number of times this table has been manually vacuumed (not counting VACUUM FULL)"},
      {"pg_stat_user_tables_autovacuum_count", Use::kCounter, "t.autovacuum_count",
       "Number of times this table has been vacuumed by the autovacuum daemon"},
      {"pg_stat_user_tables_analyze_count", Use::kCounter, "t.analyze_count",
       "Number of times this table has been manually analyzed"},
      {"pg_stat_user_tables_autoanalyze_count", Use::kCounter, "t.autoanalyze_count",
       "Number of times this table has been analyzed by the autovacuum daemon"},
      {"pg_statio_user_tables_heap_blocks_read", Use::kCounter, "io.heap_blks_read",
       "Number of disk blocks read from this table"},
      {"pg_statio_user_tables_heap_blocks_hit", Use::kCounter, "io.heap_blks_hit",
       "Number of buffer hits in this table"},
      {"pg_statio_user_tables_idx_blocks_read", Use::kCounter, "coalesce(io.idx_blks_read, 0)",
       "Number of disk blocks read from all indexes on this table"},
      {"pg_statio_user_tables_idx_blocks_hit", Use::kCounter, "coalesce(io.idx_blks_hit, 0)",
       "Number of buffer hits in all indexes on this table"},
      {"pg_statio_user_tables_toast_blocks_read", Use::kCounter, "coalesce(io.toast_blks_read, 0)",
       "Number of disk blocks read from this table's TOAST table (if any)"},
      {"pg_statio_user_tables_toast_blocks_hit", Use::kCounter, "coalesce(io.toast_blks_hit, 0)",
       "Number of buffer hits in this table's TOAST table (if any)"},
      {"pg_statio_user_tables_tidx_blocks_read", Use::kCounter, "coalesce(io.tidx_blks_read, 0)",
       "Number of disk blocks read from this table's TOAST table indexes (if any)"},
      {"pg_statio_user_tables_tidx_blocks_hit", Use::kCounter, "coalesce(io.tidx_blks_hit, 0)",
       "Number of buffer hits in this table's TOAST table indexes (if any)"},
  };
  return c;
}

// What is locked exclusively is left out: its size would have to wait for the lock.
constexpr char kNotLocked[] =
    " AND NOT EXISTS (SELECT FROM pg_locks l WHERE l.relation = t.relid AND l.granted"
    " AND l.mode = 'AccessExclusiveLock' AND l.database ="
    " (SELECT d.oid FROM pg_database d WHERE d.datname = current_database()))";

MetricCollector TableSizes() {
  MetricCollector c{.name = "table_sizes",
                    .about = "disk space of tables and their indexes",
                    .scope = CollectorScope::kDatabases,
                    .pace = CollectorPace::kSlow};
  c.source = "pg_stat_user_tables t";
  static const std::string tail =
      std::string("WHERE true") + kNotLocked + " ORDER BY t.n_live_tup + t.n_dead_tup DESC";
  c.tail = tail.c_str();
  c.limited = true;
  c.columns = {
      {"datname", Use::kLabel, "current_database()"},
      {"schemaname", Use::kLabel, "t.schemaname"},
      {"relname", Use::kLabel, "t.relname"},
      {"pg_stat_user_tables_index_size_bytes", Use::kGauge, "pg_indexes_size(t.relid)",
       "Total disk space used by this index, in bytes"},
      {"pg_stat_user_tables_table_size_bytes", Use::kGauge, "pg_table_size(t.relid)",
       "Total disk space used by this table, in bytes"},
  };
  return c;
}

MetricCollector UserIndexes() {
  MetricCollector c{
      .name = "statio_user_indexes", .about = "indexes: blocks", .scope = CollectorScope::kDatabases};
  c.source = "pg_statio_user_indexes i";
  c.tail = "ORDER BY i.idx_blks_read + i.idx_blks_hit DESC";
  c.limited = true;
  c.columns = {
      {"datname", Use::kLabel, "current_database()"},
      {"schemaname", Use::kLabel, "i.schemaname"},
      {"relname", Use::kLabel, "i.relname"},
      {"indexrelname", Use::kLabel, "i.indexrelname"},
      {"pg_statio_user_indexes_idx_blks_read_total", Use::kCounter, "i.idx_blks_read",
       "Number of disk blocks read from this index"},
      {"pg_statio_user_indexes_idx_blks_hit_total", Use::kCounter, "i.idx_blks_hit",
       "Number of buffer hits in this index"},
  };
  return c;
}

MetricCollector IndexSizes() {
  MetricCollector c{.name = "general_index_info",
                    .about = "disk space of indexes",
                    .scope = CollectorScope::kDatabases,
                    .pace = CollectorPace::kSlow};
  c.source = "pg_stat_user_indexes t";
  static const std::string tail =
      std::string("WHERE t.indexrelid IS NOT NULL") + kNotLocked + " ORDER BY t.idx_scan DESC";
  c.tail = tail.c_str();
  c.limited = true;
  c.columns = {
      {"datname", Use::kLabel, "current_database()"},
      {"schemaname", Use::kLabel, "t.schemaname"},
      {"relname", Use::kLabel, "t.relname"},
      {"indexrelname", Use::kLabel, "t.indexrelname"},
      {"pg_general_index_info_pg_relation_size", Use::kGauge, "pg_relation_size(t.indexrelid)",
       "Disk space used by this index, in bytes"},
  };
  return c;
}

MetricCollector Statements() {
  MetricCollector c{.name = "stat_statements",
                    .about = "the hundred statements that took the most time",
                    .pace = CollectorPace::kSlow,
                    .extension = "pg_stat_statements"};
  // showtext = false: the file of texts is not read. One row for each label set (since 14 there are two of a
  // statement that is called from functions as well).
  c.source = "{ext}.pg_stat_statements(false) s JOIN pg_database d ON d.oid = s.dbid";
  c.tail = "WHERE s.queryid IS NOT NULL GROUP BY 1, 2, 3 ORDER BY sum(s.total_exec_time) DESC LIMIT 100";
  c.columns = {
      {"user", Use::kLabel, "pg_get_userbyid(s.userid)"},
      {"datname", Use::kLabel, "d.datname"},
      {"queryid", Use::kLabel, "s.queryid"},
      {"pg_stat_statements_calls_total", Use::kCounter, "sum(s.calls)", "Number of times executed"},
      {"pg_stat_statements_seconds_total", Use::kCounter, "sum(s.total_exec_time) / 1000",
       "Total time spent in the statement, in seconds"},
      {"pg_stat_statements_rows_total", Use::kCounter, "sum(s.rows)",
       "Total number of rows retrieved or affected by the statement"},
      {"pg_stat_statements_block_read_seconds_total", Use::kCounter, "sum(s.blk_read_time) / 1000",
       "Total time the statement spent reading blocks, in seconds", 13, 16},
      {"pg_stat_statements_block_read_seconds_total", Use::kCounter, "sum(s.shared_blk_read_time) / 1000",
       "Total time the statement spent reading blocks, in seconds", 17},
      {"pg_stat_statements_block_write_seconds_total", Use::kCounter, "sum(s.blk_write_time) / 1000",
       "Total time the statement spent writing blocks, in seconds", 13, 16},
      {"pg_stat_statements_block_write_seconds_total", Use::kCounter, "sum(s.shared_blk_write_time) / 1000",
       "Total time the statement spent writing blocks, in seconds", 17},
  };
  return c;
}

// Estimates from column statistics need rights on the tables; the extension pgstattuple needs none and looks.
MetricCollector TableBloat() {
  MetricCollector c{.name = "bloat_table",
                    .about = "free and dead space in the fifty largest tables",
                    .scope = CollectorScope::kDatabases,
                    .pace = CollectorPace::kSlow,
                    .preset = false,
                    .extension = "pgstattuple"};
  c.source =
      "(SELECT n.nspname, c.relname, c.oid FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
      " WHERE c.relkind = 'r' AND n.nspname NOT IN ('pg_catalog', 'information_schema')"
      " AND c.relpersistence <> 't' ORDER BY c.relpages DESC LIMIT 50) t,"
      " LATERAL {ext}.pgstattuple_approx(t.oid) a";
  c.columns = {
      {"datname", Use::kLabel, "current_database()"},
      {"schemaname", Use::kLabel, "t.nspname"},
      {"relname", Use::kLabel, "t.relname"},
      {"pg_bloat_table_bloat_pct", Use::kGauge, "a.dead_tuple_percent + a.approx_free_percent",
       "Percentage of the table that is dead or free"},
      {"pg_bloat_table_real_size", Use::kGauge, "a.table_len", "Size of the table, in bytes"},
  };
  return c;
}

MetricCollector IndexBloat() {
  MetricCollector c{.name = "bloat_btree",
                    .about = "free space in the fifty largest B-trees",
                    .scope = CollectorScope::kDatabases,
                    .pace = CollectorPace::kSlow,
                    .preset = false,
                    .extension = "pgstattuple"};
  c.source =
      "(SELECT n.nspname, x.relname AS idxname, r.relname, x.oid FROM pg_class x"
      " JOIN pg_am m ON m.oid = x.relam AND m.amname = 'btree' JOIN pg_index i ON i.indexrelid = x.oid"
      " JOIN pg_class r ON r.oid = i.indrelid JOIN pg_namespace n ON n.oid = x.relnamespace"
      " WHERE x.relkind = 'i' AND i.indisvalid AND n.nspname NOT IN ('pg_catalog', 'information_schema',"
      " 'pg_toast') AND x.relpersistence <> 't' ORDER BY x.relpages DESC LIMIT 50) t,"
      " LATERAL {ext}.pgstatindex(t.oid::regclass) a";
  c.columns = {
      {"datname", Use::kLabel, "current_database()"},
      {"schemaname", Use::kLabel, "t.nspname"},
      {"relname", Use::kLabel, "t.relname"},
      {"idxname", Use::kLabel, "t.idxname"},
      {"pg_bloat_btree_bloat_pct", Use::kGauge,
       "CASE WHEN a.avg_leaf_density = 'NaN' THEN 0 ELSE 100 - a.avg_leaf_density END",
       "Percentage of the index's leaf pages that is free"},
      {"pg_bloat_btree_real_size", Use::kGauge, "a.index_size", "Size of the index, in bytes"},
  };
  return c;
}

}  // namespace

std::vector<MetricCollector> DatabaseCollectors() {
  return {StatDatabase(), Conflicts(),    Database(), ProgressVacuum(), VacuumPhase(), UserTables(),
          UserIndexes(),  DatabaseSize(), Wal(),      TableSizes(),     IndexSizes(),  Statements(),
          TableBloat(),   IndexBloat()};
}

}  // namespace mainstay::engine::postgres
