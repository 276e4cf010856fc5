// The collectors of tables, indexes and statements: metrics_table.h.
#include <iterator>
#include <string>

#include "lib/engine/postgres/metrics_parts.h"

namespace mainstay::engine::postgres {
namespace {

using Use = MetricUse;

// What pg_stat_user_tables and pg_statio_user_tables say, in one pass: asked through the views it is the
// dearest of all. Objects of users have numbers from 16384 on; the views tell them by the name of the schema.
constexpr char kTables[] =
    "pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace CROSS JOIN LATERAL"
    " (SELECT sum(pg_stat_get_numscans(indexrelid)) AS scans,"
    " sum(pg_stat_get_tuples_fetched(indexrelid)) AS fetched,"
    " sum(pg_stat_get_blocks_fetched(indexrelid)) AS blocks, sum(pg_stat_get_blocks_hit(indexrelid)) AS hits"
    " FROM pg_index WHERE indrelid = c.oid) i"
    // Valid: while it is rebuilt concurrently there are two, and the table would come twice.
    " LEFT JOIN pg_index x ON x.indrelid = c.reltoastrelid AND c.reltoastrelid <> 0 AND x.indisvalid";

constexpr MetricColumn kTableColumns[] = {
    {"datname", Use::kLabel, "current_database()"},
    {"schemaname", Use::kLabel, "n.nspname"},
    {"relname", Use::kLabel, "c.relname"},
    {"pg_stat_user_tables_seq_scan", Use::kCounter, "pg_stat_get_numscans(c.oid)",
     "Number of sequential scans initiated on this table"},
    {"pg_stat_user_tables_seq_tup_read", Use::kCounter, "pg_stat_get_tuples_returned(c.oid)",
     "Number of live rows fetched by sequential scans"},
    {"pg_stat_user_tables_idx_scan", Use::kCounter, "coalesce(i.scans, 0)",
     "Number of index scans initiated on this table"},
    {"pg_stat_user_tables_idx_tup_fetch", Use::kCounter,
     "coalesce(i.fetched + pg_stat_get_tuples_fetched(c.oid), 0)",
     "Number of live rows fetched by index scans"},
    {"pg_stat_user_tables_n_tup_ins", Use::kCounter, "pg_stat_get_tuples_inserted(c.oid)",
     "Number of rows inserted"},
    {"pg_stat_user_tables_n_tup_upd", Use::kCounter, "pg_stat_get_tuples_updated(c.oid)",
     "Number of rows updated"},
    {"pg_stat_user_tables_n_tup_del", Use::kCounter, "pg_stat_get_tuples_deleted(c.oid)",
     "Number of rows deleted"},
    {"pg_stat_user_tables_n_tup_hot_upd", Use::kCounter, "pg_stat_get_tuples_hot_updated(c.oid)",
     "Number of rows HOT updated (i.e., with no separate index update required)"},
    {"pg_stat_user_tables_n_live_tup", Use::kGauge, "pg_stat_get_live_tuples(c.oid)",
     "Estimated number of live rows"},
    {"pg_stat_user_tables_n_dead_tup", Use::kGauge, "pg_stat_get_dead_tuples(c.oid)",
     "Estimated number of dead rows"},
    {"pg_stat_user_tables_n_mod_since_analyze", Use::kGauge, "pg_stat_get_mod_since_analyze(c.oid)",
     "Estimated number of rows changed since last analyze"},
    {"pg_stat_user_tables_last_vacuum", Use::kGauge,
     "coalesce(floor(extract(epoch FROM pg_stat_get_last_vacuum_time(c.oid))), 0)",
     "Last time at which this table was manually vacuumed (not counting VACUUM FULL)"},
    {"pg_stat_user_tables_last_autovacuum", Use::kGauge,
     "coalesce(floor(extract(epoch FROM pg_stat_get_last_autovacuum_time(c.oid))), 0)",
     "Last time at which this table was vacuumed by the autovacuum daemon"},
    {"pg_stat_user_tables_last_analyze", Use::kGauge,
     "coalesce(floor(extract(epoch FROM pg_stat_get_last_analyze_time(c.oid))), 0)",
     "Last time at which this table was manually analyzed"},
    {"pg_stat_user_tables_last_autoanalyze", Use::kGauge,
     "coalesce(floor(extract(epoch FROM pg_stat_get_last_autoanalyze_time(c.oid))), 0)",
     "Last time at which this table was analyzed by the autovacuum daemon"},
    {"pg_stat_user_tables_vacuum_count", Use::kCounter, "pg_stat_get_vacuum_count(c.oid)",
     "Number of times this table has been manually vacuumed (not counting VACUUM FULL)"},
    {"pg_stat_user_tables_autovacuum_count", Use::kCounter, "pg_stat_get_autovacuum_count(c.oid)",
     "Number of times this table has been vacuumed by the autovacuum daemon"},
    {"pg_stat_user_tables_analyze_count", Use::kCounter, "pg_stat_get_analyze_count(c.oid)",
     "Number of times this table has been manually analyzed"},
    {"pg_stat_user_tables_autoanalyze_count", Use::kCounter, "pg_stat_get_autoanalyze_count(c.oid)",
     "Number of times this table has been analyzed by the autovacuum daemon"},
    {"pg_statio_user_tables_heap_blocks_read", Use::kCounter,
     "pg_stat_get_blocks_fetched(c.oid) - pg_stat_get_blocks_hit(c.oid)",
     "Number of disk blocks read from this table"},
    {"pg_statio_user_tables_heap_blocks_hit", Use::kCounter, "pg_stat_get_blocks_hit(c.oid)",
     "Number of buffer hits in this table"},
    {"pg_statio_user_tables_idx_blocks_read", Use::kCounter, "coalesce(i.blocks - i.hits, 0)",
     "Number of disk blocks read from all indexes on this table"},
    {"pg_statio_user_tables_idx_blocks_hit", Use::kCounter, "coalesce(i.hits, 0)",
     "Number of buffer hits in all indexes on this table"},
    {"pg_statio_user_tables_toast_blocks_read", Use::kCounter,
     "coalesce(pg_stat_get_blocks_fetched(x.indrelid) - pg_stat_get_blocks_hit(x.indrelid), 0)",
     "Number of disk blocks read from this table's TOAST table (if any)"},
    {"pg_statio_user_tables_toast_blocks_hit", Use::kCounter,
     "coalesce(pg_stat_get_blocks_hit(x.indrelid), 0)",
     "Number of buffer hits in this table's TOAST table (if any)"},
    {"pg_statio_user_tables_tidx_blocks_read", Use::kCounter,
     "coalesce(pg_stat_get_blocks_fetched(x.indexrelid) - pg_stat_get_blocks_hit(x.indexrelid), 0)",
     "Number of disk blocks read from this table's TOAST table indexes (if any)"},
    {"pg_statio_user_tables_tidx_blocks_hit", Use::kCounter,
     "coalesce(pg_stat_get_blocks_hit(x.indexrelid), 0)",
     "Number of buffer hits in this table's TOAST table indexes (if any)"},
};

MetricCollector UserTables() {
  MetricCollector c{.name = "stat_user_tables",
                    .about = "tables: scans, rows, vacuum, blocks",
                    .scope = CollectorScope::kDatabases};
  c.source = kTables;
  c.tail =
      "WHERE c.relkind IN ('r', 'm', 'p') AND c.oid >= 16384"
      " ORDER BY pg_stat_get_live_tuples(c.oid) + pg_stat_get_dead_tuples(c.oid) DESC";
  c.limited = true;
  c.columns.assign(std::begin(kTableColumns), std::end(kTableColumns));
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
  c.source =
      "pg_index i JOIN pg_class x ON x.oid = i.indexrelid JOIN pg_class c ON c.oid = i.indrelid"
      " JOIN pg_namespace n ON n.oid = c.relnamespace";
  c.tail =
      "WHERE i.indexrelid >= 16384 AND c.relkind IN ('r', 'm')"
      " ORDER BY pg_stat_get_blocks_fetched(i.indexrelid) DESC";
  c.limited = true;
  c.columns = {
      {"datname", Use::kLabel, "current_database()"},
      {"schemaname", Use::kLabel, "n.nspname"},
      {"relname", Use::kLabel, "c.relname"},
      {"indexrelname", Use::kLabel, "x.relname"},
      {"pg_statio_user_indexes_idx_blks_read_total", Use::kCounter,
       "pg_stat_get_blocks_fetched(i.indexrelid) - pg_stat_get_blocks_hit(i.indexrelid)",
       "Number of disk blocks read from this index"},
      {"pg_statio_user_indexes_idx_blks_hit_total", Use::kCounter, "pg_stat_get_blocks_hit(i.indexrelid)",
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

std::vector<MetricCollector> TableCollectors() {
  return {UserTables(), UserIndexes(), TableSizes(), IndexSizes(), Statements(), TableBloat(), IndexBloat()};
}

}  // namespace mainstay::engine::postgres
