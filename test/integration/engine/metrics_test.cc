// Every collector of metrics on a real server, whatever its version: its statement is understood, its rows
// are unique, and what is computed from functions is what the server's own views say.
#include <set>

#include "lib/engine/postgres/metrics.h"
#include "test/integration/engine/cluster.h"

namespace mainstay::engine::postgres {
namespace {

using std::chrono::seconds;

// Every series of a collection, each once.
std::set<std::string> SeriesOf(const metrics::Snapshot& snapshot) {
  std::set<std::string> out;
  for (const auto& families : snapshot.families) {
    for (const metrics::Family& f : *families) {
      size_t from = 0;
      for (size_t end; (end = f.lines.find('\n', from)) != std::string::npos; from = end + 1) {
        const std::string line = f.lines.substr(from, end - from);
        EXPECT_TRUE(out.insert(line.substr(0, line.rfind(' '))).second) << "twice: " << line;
      }
    }
  }
  return out;
}

TEST(Metrics, EveryCollectorIsUnderstoodByThisServer) {
  Cluster c;
  Node& a = c[0];
  a.options.settings.parameters["shared_preload_libraries"] = "pg_stat_statements";
  a.StartEngine();
  c.Open(0);
  for (const char* extension : {"pg_stat_statements", "pgstattuple"}) {
    EXPECT_EQ(a.TrySql(std::string("CREATE EXTENSION ") + extension, seconds(10)), "");
  }
  a.Sql("CREATE TABLE long (i int PRIMARY KEY, text text)");
  a.Sql(
      "INSERT INTO long SELECT i, string_agg(md5((i * j)::text), '') FROM generate_series(1, 20) i,"
      " generate_series(1, 300) j GROUP BY 1");
  PostgresMetrics metrics({.socket_dir = a.options.socket_dir,
                           .port = a.options.port,
                           .role = a.options.agent_role,
                           .password_file = a.options.password_file,
                           .server = a.options.db_address,
                           .data_dir = a.options.data_dir});
  MetricsSettings settings;
  std::set<std::string> wanted;
  for (const MetricCollector& m : MetricCollectors()) {
    wanted.insert(m.name);
    if (!m.preset) settings.collect.emplace_back(m.name);
  }
  metrics.Configure(settings);
  metrics.Collect(In(seconds(20)));
  const auto snapshot = metrics.Collect(In(seconds(20)));
  EXPECT_TRUE(snapshot->up) << snapshot->problem;
  std::set<std::string> told;
  for (const metrics::CollectorState& s : snapshot->collectors) {
    told.insert(s.name);
    EXPECT_TRUE(s.ok) << s.name << " in " << s.scope;
  }
  EXPECT_EQ(told, wanted);
  const std::set<std::string> series = SeriesOf(*snapshot);
  EXPECT_GT(series.size(), 400u);
  std::cout << "FIGURE server " << a.Sql("SHOW server_version") << ": " << series.size() << " series of "
            << told.size() << " collectors\n";
}

// What the views count, in one statement with what we count: both of the same moment.
TEST(Metrics, TablesAreCountedAsTheViewsCountThem) {
  Cluster c;
  Node& a = c[0];
  c.Open(0);
  a.Sql("CREATE TABLE long (i int PRIMARY KEY, text text)");
  a.Sql(
      "INSERT INTO long SELECT i, string_agg(md5((i * j)::text), '') FROM generate_series(1, 200) i,"
      " generate_series(1, 300) j GROUP BY 1");
  a.Sql("SELECT sum(length(text)) FROM long");
  a.Sql("SELECT count(*) FROM long WHERE i = 7");
  const MetricCollector* tables = FindMetricCollector("stat_user_tables");
  ASSERT_NE(tables, nullptr);
  const int major = std::stoi(a.Sql("SELECT current_setting('server_version_num')")) / 10000;
  const auto ours = [&](const std::string& family) {
    for (const MetricColumn* column : ColumnsFor(*tables, major)) {
      if (family == column->name)
        return std::string("(SELECT ") + column->expression + " FROM " + tables->source +
               " WHERE c.relname = 'long')";
    }
    return std::string("NULL");
  };
  const auto same = [&](const std::string& family, const std::string& view, const std::string& column) {
    const std::string got = a.Sql("SELECT " + ours(family) + " || ' ' || (SELECT coalesce(" + column +
                                  ", 0) FROM " + view + " WHERE relname = 'long')");
    const size_t space = got.find(' ');
    EXPECT_EQ(got.substr(0, space), got.substr(space + 1)) << family << " and " << view << "." << column;
  };
  for (const char* column : {"seq_scan", "seq_tup_read", "idx_scan", "idx_tup_fetch", "n_tup_ins",
                             "n_live_tup", "n_dead_tup", "n_mod_since_analyze"})
    same(std::string("pg_stat_user_tables_") + column, "pg_stat_user_tables", column);
  for (const char* kind : {"heap", "idx", "toast", "tidx"}) {
    for (const char* what : {"read", "hit"})
      same(std::string("pg_statio_user_tables_") + kind + "_blocks_" + what, "pg_statio_user_tables",
           std::string(kind) + "_blks_" + what);
  }
}

}  // namespace
}  // namespace mainstay::engine::postgres
