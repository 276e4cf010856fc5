// From INFO and other answers to families.
#include "lib/engine/redis/metrics_families.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <iterator>
#include <map>
#include <set>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace mainstay::engine::redis {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

std::string ReadAll(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

std::map<std::string, metrics::Family> ByName(Families* out) {
  std::map<std::string, metrics::Family> by;
  const metrics::FamiliesPtr all = out->Take();
  for (const metrics::Family& f : *all) {
    EXPECT_TRUE(by.emplace(f.name, f).second) << f.name << " is there twice";
    EXPECT_FALSE(f.help.empty()) << f.name;
  }
  return by;
}

std::map<std::string, metrics::Family> OfInfo(const std::string& file, InfoOptions options = {}) {
  const std::string text = ReadAll("test/unit/engine_redis/texts/" + file);
  EXPECT_FALSE(text.empty()) << "run from the top of the repository";
  Families out;
  AddInfo(text, options, &out);
  return ByName(&out);
}

TEST(RedisMetrics, OfAPrimary) {
  auto f = OfInfo("primary.txt");
  EXPECT_EQ(f["redis_memory_used_bytes"].lines, "redis_memory_used_bytes 1233600\n");
  EXPECT_EQ(f["redis_memory_used_bytes"].type, metrics::Type::kGauge);
  EXPECT_EQ(f["redis_commands_processed_total"].type, metrics::Type::kCounter);
  EXPECT_EQ(f["redis_rdb_last_bgsave_status"].lines, "redis_rdb_last_bgsave_status 1\n");
  EXPECT_EQ(f["redis_total_system_memory_bytes"].samples, 1u) << "the mixin's RedisOutOfMemory divides by it";
  EXPECT_EQ(f["redis_latest_fork_seconds"].lines, "redis_latest_fork_seconds 0.032081\n");
  EXPECT_EQ(f.count("redis_latest_fork_usec"), 0u);
  EXPECT_THAT(f["redis_connected_slave_offset_bytes"].lines,
              HasSubstr("{slave_ip=\"127.0.0.1\",slave_port=\"7803\",slave_state=\"online\"} 187\n"));
  EXPECT_EQ(f["redis_db_keys"].samples, 16u) << "empty databases too";
  EXPECT_THAT(f["redis_db_keys"].lines, HasSubstr("{db=\"db3\"} 1\n"));
  EXPECT_THAT(f["redis_db_avg_ttl_seconds"].lines, HasSubstr("{db=\"db3\"} 998.47\n"));
  EXPECT_THAT(f["redis_commands_duration_seconds_total"].lines, HasSubstr("{cmd=\"set\"} 2.7e-05\n"));
  EXPECT_THAT(f["redis_commands_rejected_calls_total"].lines, HasSubstr("{cmd=\"debug\"} 1\n"));
  EXPECT_EQ(f["redis_latency_percentiles_usec"].type, metrics::Type::kSummary);
  EXPECT_THAT(f["redis_latency_percentiles_usec"].lines,
              HasSubstr("redis_latency_percentiles_usec{cmd=\"ping\",quantile=\"99.9\"} 7.007\n"));
  EXPECT_THAT(f["redis_latency_percentiles_usec"].lines,
              HasSubstr("redis_latency_percentiles_usec_sum{cmd=\"ping\"} 12\n"));
  EXPECT_THAT(f["redis_errors_total"].lines, HasSubstr("{err=\"WRONGTYPE\"} 1\n"));
  EXPECT_THAT(f["redis_instance_info"].lines, HasSubstr("role=\"master\",redis_version=\"7.0.15\""));
  EXPECT_THAT(f["redis_instance_info"].lines, HasSubstr("master_replid=\"0b692096"));
  EXPECT_EQ(f["redis_start_time_seconds"].lines, "redis_start_time_seconds 1796056336\n");
  EXPECT_EQ(f["redis_cluster_enabled"].lines, "redis_cluster_enabled 0\n");
  EXPECT_THAT(f["redis_master_failover_state"].lines, HasSubstr("{state=\"no-failover\"} 1\n"));
  EXPECT_THAT(f["redis_rdb_last_save_age_seconds"].lines, HasSubstr(" 7.914"));
  EXPECT_EQ(f.count("redis_slave_info"), 0u);
  EXPECT_EQ(f.count("redis_second_replication_info"), 0u);
}

TEST(RedisMetrics, OfAReplica) {
  auto f = OfInfo("replica_full_resync.txt");
  const std::string of = "{master_host=\"127.0.0.1\",master_port=\"7801\"}";
  EXPECT_EQ(f["redis_master_link_up"].lines, "redis_master_link_up" + of + " 0\n");
  EXPECT_EQ(f["redis_master_sync_in_progress"].lines, "redis_master_sync_in_progress" + of + " 1\n");
  EXPECT_EQ(f["redis_slave_repl_offset"].lines, "redis_slave_repl_offset" + of + " 228\n");
  EXPECT_EQ(f["redis_slave_read_repl_offset"].lines, "redis_slave_read_repl_offset" + of + " 228\n");
  EXPECT_EQ(f["redis_master_sync_total_bytes"].lines, "redis_master_sync_total_bytes" + of + " -1\n");
  EXPECT_EQ(f["redis_master_link_down_since_seconds"].samples, 1u);
  EXPECT_THAT(f["redis_slave_info"].lines, HasSubstr("master_port=\"7801\",read_only=\"1\"} 1\n"));
  EXPECT_EQ(OfInfo("loading.txt")["redis_loading_eta_seconds"].lines, "redis_loading_eta_seconds 222\n");
}

TEST(RedisMetrics, ManyCommandsErrorsAndReplicasAreBounded) {
  std::string text = "# Commandstats\n";
  for (int i = 0; i < 300; ++i)
    absl::StrAppend(&text, "cmdstat_c", i, ":calls=", i,
                    ",usec=1,usec_per_call=1,rejected_calls=0,failed_calls=0\n");
  text += "# Errorstats\n";
  for (int i = 0; i < 300; ++i) absl::StrAppend(&text, "errorstat_E", i, ":count=1\n");
  text += "# Replication\n";
  for (int i = 0; i < 300; ++i)
    absl::StrAppend(&text, "slave", i, ":ip=::1,port=", i / 2, ",state=online,offset=1,lag=0\n");
  Families out;
  AddInfo(text, {.commands = 10, .errors = 20, .replicas = 30}, &out);
  EXPECT_EQ(out.dropped().at("redis_commands_total"), 290u);
  EXPECT_EQ(out.dropped().at("redis_errors_total"), 280u);
  EXPECT_EQ(out.dropped().at("redis_connected_slave_offset_bytes"), 270u);
  auto f = ByName(&out);
  EXPECT_EQ(f["redis_commands_total"].samples, 10u);
  EXPECT_THAT(f["redis_commands_total"].lines, HasSubstr("{cmd=\"c299\"} 299\n"))
      << "those with the most calls";
  EXPECT_THAT(f["redis_commands_total"].lines, Not(HasSubstr("{cmd=\"c7\"}")));
  EXPECT_EQ(f["redis_errors_total"].samples, 20u);
  EXPECT_EQ(f["redis_connected_slave_lag_seconds"].samples, 30u) << "one behind each address and port";
}

TEST(RedisMetrics, WhatIsNoNumberIsLeftOut) {
  Families out;
  AddInfo(
      "# Memory\nused_memory:much\nmem_fragmentation_ratio:-nan\nmaxmemory:1e999\nused_memory_rss:0x10\n"
      "used_memory_peak:5\nused_memory_peak:6\n# Cluster\ncluster_a{b:1\ncluster_size:3\ncluster_size:4\n"
      "# Keyspace\ndb0:keys=x,expires=0\ndbx:keys=1,expires=0\n# Commandstats\ncmdstat_x:calls=a,usec=1\n",
      {.databases = 0}, &out);
  auto f = ByName(&out);
  for (const char* name :
       {"redis_memory_used_bytes", "redis_mem_fragmentation_ratio", "redis_memory_max_bytes",
        "redis_memory_used_rss_bytes", "redis_db_keys", "redis_commands_total"}) {
    EXPECT_EQ(f.count(name), 0u) << name;
  }
  EXPECT_EQ(f["redis_memory_used_peak_bytes"].lines, "redis_memory_used_peak_bytes 5\n") << "once";
  EXPECT_EQ(f["redis_cluster_size"].lines, "redis_cluster_size 3\n");
  EXPECT_EQ(f.size(), 3u) << "and redis_instance_info";
}

TEST(RedisMetrics, OtherAnswers) {
  Families out;
  InfoSummary summary;
  summary.usec = {{"config|get", 7}, {"config|set", 5}, {"set", 40}};
  AddSpikes(Reply::Array({Reply::Array({Reply::Text("fork"), Reply::Integer(1700000000), Reply::Integer(250),
                                        Reply::Integer(300)})}),
            &out);
  const auto histogram = [](int64_t calls) {
    return Reply::Array(
        {Reply::Text("calls"), Reply::Integer(calls), Reply::Text("histogram_usec"),
         Reply::Array({Reply::Integer(1), Reply::Integer(2), Reply::Integer(4), Reply::Integer(calls)})});
  };
  AddHistograms(Reply::Array({Reply::Text("set"), histogram(3), Reply::Text("unknown"), histogram(9)}),
                summary, &out);
  AddSlowlog(
      Reply::Integer(2),
      Reply::Array({Reply::Array({Reply::Integer(41), Reply::Integer(1700000000), Reply::Integer(25000)})}),
      &out);
  EXPECT_EQ(AddConfig(Reply::Array({Reply::Text("databases"), Reply::Text("4"), Reply::Text("maxclients"),
                                    Reply::Text("100"), Reply::Text("client-output-buffer-limit"),
                                    Reply::Text("normal 0 0 0 slave 256 64 60")}),
                      &out),
            4);
  auto f = ByName(&out);
  EXPECT_EQ(f["redis_latency_spike_duration_seconds"].lines,
            "redis_latency_spike_duration_seconds{event_name=\"fork\"} 0.25\n");
  EXPECT_EQ(f["redis_commands_latencies_usec"].lines,
            "redis_commands_latencies_usec_bucket{cmd=\"set\",le=\"1\"} 2\n"
            "redis_commands_latencies_usec_bucket{cmd=\"set\",le=\"4\"} 3\n"
            "redis_commands_latencies_usec_bucket{cmd=\"set\",le=\"+Inf\"} 3\n"
            "redis_commands_latencies_usec_sum{cmd=\"set\"} 40\n"
            "redis_commands_latencies_usec_count{cmd=\"set\"} 3\n");
  EXPECT_EQ(f["redis_slowlog_last_id"].lines, "redis_slowlog_last_id 41\n");
  EXPECT_EQ(f["redis_last_slow_execution_duration_seconds"].lines,
            "redis_last_slow_execution_duration_seconds 0.025\n");
  EXPECT_EQ(f["redis_config_maxclients"].lines, "redis_config_maxclients 100\n");
  EXPECT_THAT(f["redis_config_client_output_buffer_limit_bytes"].lines,
              HasSubstr("{class=\"slave\",limit=\"soft\"} 64\n"));
  EXPECT_THAT(f["redis_config_client_output_buffer_limit_overcome_seconds"].lines,
              HasSubstr("{class=\"slave\",limit=\"soft\"} 60\n"));
}

TEST(RedisMetrics, ErrorsAndOddAnswersShowNothing) {
  Families out;
  const Reply error{.kind = Reply::Kind::kError, .text = "NOPERM no right", .items = {}};
  AddSpikes(error, &out);
  AddHistograms(error, {}, &out);
  AddSlowlog(error, error, &out);
  EXPECT_EQ(AddConfig(error, &out), 0);
  AddHistograms(Reply::Array({Reply::Text("set"), Reply::Array({Reply::Integer(1)})}), {}, &out);
  AddSpikes(Reply::Array({Reply::Integer(1), Reply::Array({})}), &out);
  EXPECT_TRUE(out.Take()->empty());
}

// The names of the mixins' alerts and dashboards (their union is the floor of compatibility).
TEST(RedisMetrics, WhatDashboardsAndAlertsAskForIsThere) {
  auto primary = OfInfo("primary.txt");
  auto replica = OfInfo("replica.txt");
  Families aof_out;
  AddInfo(ReadAll("test/unit/engine_redis/texts/persistence_aof.txt"), {}, &aof_out);
  auto aof = ByName(&aof_out);
  for (const char* name : {"redis_aof_current_size_bytes",
                           "redis_blocked_clients",
                           "redis_commands_duration_seconds_total",
                           "redis_commands_processed_total",
                           "redis_commands_total",
                           "redis_connected_clients",
                           "redis_connected_slaves",
                           "redis_db_keys",
                           "redis_db_keys_expiring",
                           "redis_evicted_keys_total",
                           "redis_expired_keys_total",
                           "redis_instance_info",
                           "redis_keyspace_hits_total",
                           "redis_keyspace_misses_total",
                           "redis_master_last_io_seconds_ago",
                           "redis_master_link_up",
                           "redis_master_repl_offset",
                           "redis_master_sync_in_progress",
                           "redis_memory_max_bytes",
                           "redis_memory_used_bytes",
                           "redis_memory_used_rss_bytes",
                           "redis_net_input_bytes_total",
                           "redis_net_output_bytes_total",
                           "redis_rdb_last_save_timestamp_seconds",
                           "redis_rejected_connections_total",
                           "redis_slave_info",
                           "redis_slave_repl_offset",
                           "redis_total_system_memory_bytes",
                           "redis_uptime_in_seconds"}) {
    EXPECT_TRUE(primary.count(name) + replica.count(name) + aof.count(name) > 0) << name;
  }
}

TEST(RedisMetrics, TheTableIsSortedAndUnique) {
  std::set<std::string> names;
  const std::string page = RedisMetricsPage();
  for (const absl::string_view line : absl::StrSplit(page.substr(0, page.find("| family | differs")), '\n')) {
    const std::vector<absl::string_view> parts = absl::StrSplit(line, '`');
    if (parts.size() < 3) continue;
    EXPECT_TRUE(names.emplace(parts[1]).second) << parts[1] << " twice";
    if (parts.size() >= 5 && parts[3].find('*') == absl::string_view::npos) {
      EXPECT_NE(FindInfoMetric(parts[3]), nullptr) << parts[3] << " is not found: not in order?";
    }
  }
  EXPECT_GT(names.size(), 200u);
  EXPECT_EQ(FindInfoMetric("nothing"), nullptr);
}

// The page's lists are printed from the table: MAINSTAY_REWRITE=1 writes them.
TEST(RedisMetrics, ThePageIsTrue) {
  const std::string path = "docs/REDIS_METRICS.md";
  const std::string mark = "<!-- written by the program: unit_engine_redis, MAINSTAY_REWRITE=1 -->\n";
  std::string page = ReadAll(path);
  const size_t at = page.find(mark);
  ASSERT_NE(at, std::string::npos);
  const std::string wanted = page.substr(0, at) + mark + "\n" + RedisMetricsPage();
  if (getenv("MAINSTAY_REWRITE") != nullptr) std::ofstream(path, std::ios::binary) << wanted;
  EXPECT_EQ(page == wanted || getenv("MAINSTAY_REWRITE") != nullptr, true)
      << "run MAINSTAY_REWRITE=1 unit_engine_redis from the top of the repository";
}

}  // namespace
}  // namespace mainstay::engine::redis
