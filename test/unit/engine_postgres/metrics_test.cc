// The table of collectors and own queries, as text.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <set>

#include "absl/strings/match.h"
#include "lib/engine/postgres/metrics_queries.h"
#include "lib/engine/postgres/metrics_table.h"

namespace mainstay::engine::postgres {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

TEST(MetricTable, EachFamilyIsMadeOnceForEachVersion) {
  for (int major = kFirstMajor; major <= 18; ++major) {
    std::map<std::string, std::string> seen;
    for (const MetricCollector& c : MetricCollectors()) {
      const auto columns = ColumnsFor(c, major);
      ASSERT_FALSE(columns.empty()) << c.name;
      std::set<std::string> labels;
      for (const MetricColumn* column : columns) {
        if (column->use == MetricUse::kHidden) continue;
        if (column->use == MetricUse::kLabel) {
          EXPECT_TRUE(IsLabelName(column->name)) << column->name;
          EXPECT_TRUE(labels.insert(column->name).second) << c.name << " " << column->name;
          continue;
        }
        EXPECT_TRUE(IsMetricName(column->name)) << column->name;
        EXPECT_NE(std::string(column->help), "") << column->name;
        EXPECT_TRUE(seen.emplace(column->name, c.name).second) << column->name << " on " << major;
        const bool total = absl::EndsWith(column->name, "_total");
        EXPECT_TRUE(!total || column->use == MetricUse::kCounter) << column->name;
      }
    }
    // The names of before 17 go on, and none is lost between two versions.
    EXPECT_EQ(seen.count("pg_stat_bgwriter_checkpoints_timed_total"), 1u) << major;
    EXPECT_EQ(seen.count("pg_stat_bgwriter_buffers_backend_fsync_total"), 1u) << major;
    EXPECT_EQ(seen.count("pg_stat_checkpointer_num_timed_total"), major >= 17 ? 1u : 0u);
    EXPECT_EQ(seen.count("pg_stat_ssl_compression"), 1u);
  }
}

// OpenMetrics: a counter x_total is the family x; nothing else may be called so.
TEST(MetricTable, NoFamilyHidesBehindACounter) {
  std::set<std::string> names;
  for (const MetricCollector& c : MetricCollectors()) {
    for (const MetricColumn& column : c.columns) names.insert(column.name);
  }
  for (const std::string& name : names) EXPECT_EQ(names.count(name + "_total"), 0u) << name;
}

TEST(MetricTable, StatementsAreOfTheirVersion) {
  const MetricCollector* server = FindMetricCollector("server");
  ASSERT_NE(server, nullptr);
  EXPECT_THAT(StatementFor(*server, 15, "", 10), Not(HasSubstr("pg_stat_checkpointer")));
  EXPECT_THAT(StatementFor(*server, 17, "", 10), HasSubstr("pg_stat_checkpointer k"));
  EXPECT_THAT(StatementFor(*server, 17, "", 10), Not(HasSubstr("b.checkpoints_timed")));
  // What 16 calls num_dead_tuples is bytes in 17.
  const auto columns = [](int major) {
    std::map<std::string, std::string> out;
    for (const MetricColumn* c : ColumnsFor(*FindMetricCollector("stat_progress_vacuum"), major))
      out[c->name] = c->expression;
    return out;
  };
  EXPECT_EQ(columns(16)["pg_stat_progress_vacuum_num_dead_tuples"], "p.param7");
  EXPECT_EQ(columns(17)["pg_stat_progress_vacuum_num_dead_tuples"], "p.param8");
  EXPECT_EQ(columns(17).count("pg_stat_progress_vacuum_max_dead_tuples"), 0u);
  EXPECT_EQ(columns(17)["pg_stat_progress_vacuum_dead_tuple_bytes"], "p.param7");
  const MetricCollector* statements = FindMetricCollector("stat_statements");
  EXPECT_THAT(StatementFor(*statements, 15, "\"my schema\"", 10),
              HasSubstr("FROM \"my schema\".pg_stat_statements("));
  EXPECT_THAT(StatementFor(*FindMetricCollector("stat_user_tables"), 15, "", 26), HasSubstr(" LIMIT 26"));
  EXPECT_EQ(FindMetricCollector("nothing"), nullptr);
}

TEST(MetricTable, PageHasEveryFamilyAndDeviation) {
  const std::string page = MetricsPage();
  for (const MetricCollector& c : MetricCollectors()) {
    for (const MetricColumn& column : c.columns) {
      if (column.use == MetricUse::kLabel || column.use == MetricUse::kHidden) continue;
      EXPECT_THAT(page, HasSubstr(std::string("`") + column.name + "`"));
    }
  }
  for (const Deviation& d : Deviations()) EXPECT_THAT(page, HasSubstr(d.why));
}

TEST(Settings, UnitsBecomeBaseUnits) {
  SettingMetric m;
  const auto is = [&](const char* name, const char* setting, const char* unit, const char* type) {
    return ToSettingMetric(name, setting, unit, type, &m) ? m.name + " " + m.value : std::string("no");
  };
  EXPECT_EQ(is("shared_buffers", "16384", "8kB", "integer"), "pg_settings_shared_buffers_bytes 134217728");
  EXPECT_EQ(m.help, "Server Parameter: shared_buffers [Units converted to bytes.]");
  EXPECT_EQ(is("checkpoint_timeout", "5", "min", "integer"), "pg_settings_checkpoint_timeout_seconds 300");
  EXPECT_EQ(is("vacuum_cost_delay", "2.5", "ms", "real"), "pg_settings_vacuum_cost_delay_seconds 0.0025");
  EXPECT_EQ(is("log_min_duration_statement", "-1", "ms", "integer"),
            "pg_settings_log_min_duration_statement_seconds -1");
  EXPECT_EQ(is("max_wal_size", "1073741824", "MB", "integer"),
            "pg_settings_max_wal_size_bytes 1125899906842624");
  EXPECT_EQ(is("plpgsql.check-it", "off", "", "bool"), "pg_settings_plpgsql_check_it 0");
  EXPECT_EQ(is("x", "12", "parsecs", "integer"), "no");
  EXPECT_EQ(is("x", "twelve", "", "integer"), "no");
  EXPECT_EQ(is("x", "1", "99999999999999999999kB", "integer"), "no");
}

TEST(VersionRange, AsTheOthersWriteIt) {
  const auto in = [](const char* text, int version) {
    VersionRange range;
    const absl::Status status = ParseVersionRange(text, &range);
    EXPECT_TRUE(status.ok()) << status;
    return Includes(range, version);
  };
  EXPECT_TRUE(in("", 150004));
  EXPECT_TRUE(in(">=13.0.0", 150004));
  EXPECT_FALSE(in("<15.0.0", 150004));
  EXPECT_TRUE(in(">=14 <15 || >=15.4", 150004));
  EXPECT_FALSE(in(">=15.5.0", 150004));
  EXPECT_TRUE(in("15.4.0", 150004));
  EXPECT_FALSE(in("!=15.4.0", 150004));
  VersionRange range;
  for (const char* bad : {"new", ">=1.2.3.4", ">=-1", ">= 15", "=99999"})
    EXPECT_FALSE(ParseVersionRange(bad, &range).ok()) << bad;
}

TEST(Globs, StarsAndMarks) {
  EXPECT_TRUE(MatchesGlob("*", ""));
  EXPECT_TRUE(MatchesGlob("app*", "app_1"));
  EXPECT_TRUE(MatchesGlob("*a*b", "xaybzb"));
  EXPECT_FALSE(MatchesGlob("a?c", "ac"));
  EXPECT_FALSE(MatchesGlob("app", "app_1"));
  EXPECT_FALSE(MatchesGlob(std::string(60, '*') + "b", std::string(60, 'a')));
}

TEST(Texts, DurationsAndArrays) {
  EXPECT_EQ(ParseGoDuration("1h2m3.5s"), 3723500);
  EXPECT_EQ(ParseGoDuration("250ms"), 250);
  EXPECT_EQ(ParseGoDuration("-1m"), -60000);
  EXPECT_EQ(ParseGoDuration("0"), 0);
  for (const char* bad : {"", "1", "s", "1x", "1.2.3s", "1h2"})
    EXPECT_EQ(ParseGoDuration(bad), std::nullopt) << bad;
  EXPECT_EQ(ParseNumbers("{1,2.5,NULL}"), (std::vector<double>{1, 2.5, 0}));
  EXPECT_EQ(ParseNumbers("{}"), std::vector<double>());
  for (const char* bad : {"", "{", "1,2", "{a}", "{1,}", "{{1},{2}}"})
    EXPECT_EQ(ParseNumbers(bad), std::nullopt) << bad;
}

TEST(CheckQueries, RefusesWhatWouldSpoilTheAnswer) {
  const auto query = [](const char* name, const char* family) {
    UserQuery q;
    q.name = name;
    q.columns = {{.column = "v", .use = QueryUse::kGauge, .name = family, .help = "", .mapping = {}}};
    return q;
  };
  EXPECT_TRUE(CheckQueries({query("a", "a_v"), query("b", "b_v")}).ok());
  EXPECT_THAT(CheckQueries({query("a", "a_v"), query("b", "a_v")}).ToString(),
              HasSubstr("query b, column v: a_v is made twice"));
  for (const char* taken :
       {"pg_locks_count", "mainstay_role", "pg_settings_x", "pg_up", "process_x", "scrape_y"})
    EXPECT_THAT(CheckQueries({query("a", taken)}).ToString(), HasSubstr("is made by Mainstay itself"));
  // The same name for different versions is how CloudNativePG follows renamed columns.
  UserQuery older = query("a", "a_v"), newer = query("a_17", "a_v");
  ASSERT_TRUE(ParseVersionRange("<17.0.0", &older.versions).ok());
  ASSERT_TRUE(ParseVersionRange(">=17.0.0", &newer.versions).ok());
  EXPECT_TRUE(CheckQueries({older, newer}).ok());
  ASSERT_TRUE(ParseVersionRange(">=16.5.0", &newer.versions).ok());
  EXPECT_FALSE(CheckQueries({older, newer}).ok());
  UserQuery empty = query("a", "a_v");
  empty.columns[0].use = QueryUse::kLabel;
  EXPECT_THAT(CheckQueries({empty}).ToString(), HasSubstr("makes no value"));
}

}  // namespace
}  // namespace mainstay::engine::postgres
