// Files of own queries.
#include "agent/config_queries.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace mainstay::agent {
namespace {

using engine::postgres::QueryUse;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

LoadedQueries LoadIt(const std::string& text) { return LoadQueriesText(text, "q.yaml", ""); }

std::string FirstProblem(const std::string& text) {
  const LoadedQueries q = LoadIt(text);
  EXPECT_TRUE(q.queries.empty());
  return q.problems.empty() ? "none" : q.problems.front();
}

TEST(Queries, OfCloudNativePG) {
  const LoadedQueries q = LoadQueriesText(R"(
pg_orders:
  query: |
    SELECT status, count(*) AS n FROM public.orders GROUP BY 1;
  primary: true
  runonserver: ">=14.0.0"
  target_databases: [app, "tenant_*"]
  predicate_query: "SELECT true"
  cache_seconds: 30
  name: orders
  metrics:
    - status:
        usage: LABEL
        description: Status
    - n: {usage: gauge, description: Orders, name: total_now}
    - junk: {usage: DISCARD}
    - word: {usage: MAPPEDMETRIC, metric_mapping: {on: 1, off: 0}}
    - took: {usage: DURATION}
)",
                                          "q.yaml", "cnpg_");
  ASSERT_THAT(q.problems, ElementsAre());
  ASSERT_EQ(q.queries.size(), 1u);
  const auto& one = q.queries[0];
  EXPECT_EQ(one.sql, "SELECT status, count(*) AS n FROM public.orders GROUP BY 1");
  EXPECT_TRUE(one.primary_only);
  EXPECT_EQ(one.cache, std::chrono::seconds(30));
  EXPECT_THAT(one.databases, ElementsAre("app", "tenant_*"));
  ASSERT_EQ(one.columns.size(), 5u);
  EXPECT_EQ(one.columns[0].name, "status");
  EXPECT_EQ(one.columns[1].name, "cnpg_orders_total_now");
  EXPECT_EQ(one.columns[1].use, QueryUse::kGauge);
  EXPECT_EQ(one.columns[3].mapping.at("on"), 1);
  EXPECT_EQ(one.columns[4].name, "cnpg_orders_took_milliseconds");
}

TEST(Queries, AnEmptyFileIsNoQueries) {
  EXPECT_TRUE(LoadIt("").ok());
  EXPECT_TRUE(LoadIt("# nothing\n").ok());
}

TEST(Queries, ProblemsSayWhereAndWhatToDo) {
  const std::string good = "a:\n  query: SELECT 1\n  metrics: [{v: {usage: GAUGE}}]\n";
  EXPECT_TRUE(LoadIt(good).ok());
  EXPECT_THAT(FirstProblem("a: [1"), HasSubstr("q.yaml:1: is no YAML"));
  EXPECT_THAT(FirstProblem("- a"), HasSubstr("q.yaml:1: is no mapping"));
  EXPECT_THAT(FirstProblem(good + good), HasSubstr("q.yaml:4: a is there twice"));
  EXPECT_THAT(FirstProblem(good + "  cache: 3\n"), HasSubstr("q.yaml:4: a.cache is not known; remove it"));
  EXPECT_THAT(FirstProblem("a:\n  metrics: [{v: {usage: GAUGE}}]\n"), HasSubstr("a has no query"));
  EXPECT_THAT(FirstProblem("a:\n  query: SELECT 1\n"), HasSubstr("a has no list of metrics"));
  EXPECT_THAT(FirstProblem("a:\n  query: SELECT 1\n  metrics: [{v: {usage: GAGE}}]\n"),
              HasSubstr("has the usage 'GAGE'"));
  EXPECT_THAT(FirstProblem("a-b:\n  query: SELECT 1\n  metrics: [{v: {usage: GAUGE}}]\n"),
              HasSubstr("cannot begin a metric's name"));
  EXPECT_THAT(
      FirstProblem(
          "a:\n  query: SELECT 1\n  metrics: [{v: {usage: LABEL, name: __x}}, {w: {usage: GAUGE}}]\n"),
      HasSubstr("makes no name for Prometheus"));
  EXPECT_THAT(
      FirstProblem("a:\n  query: SELECT 1\n  runonserver: newest\n  metrics: [{v: {usage: GAUGE}}]\n"),
      HasSubstr("a.runonserver 'newest' is no version"));
  EXPECT_THAT(
      FirstProblem("pg_stat_archiver:\n  query: SELECT 1\n  metrics: [{failed_count: {usage: COUNTER}}]\n"),
      HasSubstr("pg_stat_archiver_failed_count is made by Mainstay itself"));
  EXPECT_THAT(FirstProblem(std::string(300 * 1024, '#')), HasSubstr("larger than 256 KiB"));
  EXPECT_THAT(LoadQueries("/nowhere/q.yaml", "").problems.front(), HasSubstr("/nowhere/q.yaml"));
}

TEST(Queries, NoProblemFloodsTheLog) {
  std::string text = "a:\n";
  for (int i = 0; i < 1000; ++i) text += "  k" + std::to_string(i) + ": 1\n";
  EXPECT_LE(LoadIt(text).problems.size(), 20u);
}

}  // namespace
}  // namespace mainstay::agent
