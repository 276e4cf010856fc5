// Patroni's view as a table: path x state x parameters -> code, and the documents' fields.
#include "agent/patroni.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "agent/schedule.h"
#include "lib/base/json.h"
#include "test/unit/ctl/patroni_world.h"

namespace mainstay::agent::patroni {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

const std::vector<std::string> kAll = {"/",
                                       "/primary",
                                       "/master",
                                       "/read-write",
                                       "/leader",
                                       "/standby-leader",
                                       "/standby_leader",
                                       "/replica",
                                       "/read-only",
                                       "/sync",
                                       "/synchronous",
                                       "/read-only-sync",
                                       "/quorum",
                                       "/read-only-quorum",
                                       "/async",
                                       "/asynchronous",
                                       "/health"};

TEST(Patroni, HealthByState) {
  World w = World::Primary();
  EXPECT_EQ(w.Codes(kAll),
            "/ /primary /master /read-write /leader /read-only /read-only-sync /read-only-quorum /health ");
  w.view.paused = true;
  EXPECT_EQ(w.Code("/primary"), 200);
  w.view.lock.permitted_until = w.now - seconds(1);  // the permission is over
  EXPECT_EQ(w.Codes(kAll), "/health ");
  w.view.lock.health = rpc::LockHealth::kUnreachable;  // paused, and the lock is away: by role
  EXPECT_EQ(w.Code("/primary"), 200);
  w = World::Primary();
  w.view.database.writable = false;  // being opened
  EXPECT_EQ(w.Codes(kAll), "/health ");
  w = World::Primary();
  w.view.database.state = DbState::kDead;
  EXPECT_EQ(w.Codes(kAll), "");

  w = World::Replica();  // any of two standbys acknowledges
  EXPECT_EQ(w.Codes(kAll), "/replica /read-only /quorum /read-only-quorum /health ");
  w.view.durability.freeze = 1;  // each of them must
  EXPECT_EQ(w.Codes(kAll), "/replica /read-only /sync /synchronous /read-only-sync /health ");
  w.view.durability.voters = {"c"};
  EXPECT_EQ(w.Codes(kAll), "/replica /read-only /async /asynchronous /health ");
  w.view.lock.record_changed_at = w.now - seconds(11);  // the record is too old to say who is synchronous
  EXPECT_EQ(w.Codes(kAll), "/replica /read-only /health ");
  w = World::Replica();
  w.options.no_load_balance = true;
  EXPECT_EQ(w.Codes(kAll), "/health ");
  w = World::Replica();
  w.view.database.state = DbState::kStarting;
  EXPECT_EQ(w.Codes(kAll), "");
  w = World::Replica();
  w.view.role = Role::kFenced;
  EXPECT_EQ(w.Code("/replica"), 503);
  EXPECT_EQ(World().Code("/nonsense"), 404);
}

TEST(Patroni, Parameters) {
  World w = World::Replica();  // 10,000 bytes behind
  const std::pair<const char*, int> table[] = {
      {"/replica?lag=9999", 503},
      {"/replica?lag=10000", 200},
      {"/replica?lag=9kB", 503},
      {"/replica?lag=10kB", 200},
      {"/replica?lag=1GB", 200},
      {"/replica?lag=64MB", 200},
      {"/replica?lag=0x2710", 200},
      {"/replica?lag=nonsense", 200},  // as Patroni: no limit
      {"/replica?lag=0", 503},
      {"/read-only?lag=1", 503},
      {"/quorum?lag=1", 503},
      {"/health?lag=1", 200},
      {"/replica?replication_state=streaming", 200},
      {"/replica?replication_state=in%20archive%20recovery", 503},
      {"/replica?tag_zone=x", 200},
      {"/replica?tag_zone=y", 503},
      {"/replica?tag_nothing=x", 503},
      {"/replica?tag_zone=x&tag_nothing=x", 503},
      {"/health?tag_zone=y", 503},
      {"/replica?tag_nofailover=true", 503},
  };
  w.options.labels["zone"] = "x";
  for (const auto& [target, code] : table) EXPECT_EQ(w.Code(target), code) << target;
  w.view.members[1].no_failover = true;
  EXPECT_EQ(w.Code("/replica?tag_nofailover=true"), 200);
  w.view.leader = "";  // nobody leads: nothing to be behind of
  EXPECT_EQ(w.Code("/replica?lag=1"), 200);
  w = World::Primary();
  EXPECT_EQ(w.Code("/primary?tag_nothing=x"), 200);  // ignored for leaders
  EXPECT_EQ(w.Code("/?tag_nothing=x"), 200);
  EXPECT_EQ(w.Code("/read-only?tag_nothing=x"), 503);
  EXPECT_EQ(ParseLag("1.5kB"), 1536u);
  EXPECT_EQ(ParseLag(" 16 kB "), 16384u);
  EXPECT_FALSE(ParseLag("1kb").has_value());
  EXPECT_FALSE(ParseLag("").has_value());
  EXPECT_FALSE(ParseLag("-1").has_value());
}

TEST(Patroni, Readiness) {
  const auto why = [](const World& w, const std::string& target) {
    return NotReady(*http::ParseTarget(target), w.facts());
  };
  EXPECT_EQ(why(World::Primary(), "/readiness"), "");
  World w = World::Replica();
  EXPECT_EQ(why(w, "/readiness"), "");
  EXPECT_THAT(why(w, "/readiness?lag=5000"), HasSubstr("lag"));
  EXPECT_EQ(why(w, "/readiness?lag=5000&mode=write"), "");
  w.view.database.streaming_from = "";
  EXPECT_EQ(why(w, "/readiness"), "PostgreSQL replication state is not streaming");
  w.view.database.state = DbState::kStarting;
  EXPECT_EQ(why(w, "/readiness"), "PostgreSQL is not running");
}

Json Parsed(const std::string& text) { return *ParseJson(text, 1 << 20); }

TEST(Patroni, TheStateDocument) {
  World w = World::Primary();
  w.options.labels["clonefrom"] = "true";
  const std::string text = StatusDocument(w.facts());
  // Scripts grep for exactly this.
  EXPECT_THAT(text, StartsWith("{\"state\": \"running\", \"postmaster_start_time\": \"2026-11-24 "));
  EXPECT_THAT(text, HasSubstr("\"role\": \"primary\""));
  const Json primary = Parsed(text);
  EXPECT_EQ(primary["server_version"], 150020);
  EXPECT_EQ(primary["xlog"]["location"], 10'000'000);
  EXPECT_EQ(primary["timeline"], 3);
  EXPECT_EQ(primary["dcs_last_seen"], kNow / 1000 - 1);
  EXPECT_EQ(primary["database_system_identifier"], "7268616322854375442");
  EXPECT_EQ(primary["patroni"]["scope"], "demo");
  EXPECT_EQ(primary["patroni"]["name"], "a");
  EXPECT_EQ(primary["tags"]["clonefrom"], "true");
  ASSERT_EQ(primary["replication"].size(), 2u);
  EXPECT_EQ(primary["replication"][0], Json({{"usename", "mainstay_repl"},
                                             {"application_name", "b"},
                                             {"client_addr", "10.0.0.2"},
                                             {"state", "streaming"},
                                             {"sync_state", "quorum"},
                                             {"sync_priority", 1}}));
  EXPECT_FALSE(primary.contains("pause"));
  EXPECT_FALSE(primary.contains("cluster_unlocked"));

  w = World::Replica();
  w.view.paused = true;
  w.view.leader = "";
  w.view.shim_connected = false;
  w.view.database.pending_restart = {"shared_buffers"};
  const Json replica = Parsed(StatusDocument(w.facts()));
  EXPECT_EQ(replica["role"], "replica");
  EXPECT_EQ(replica["replication_state"], "streaming");
  EXPECT_EQ(replica["quorum_standby"], true);
  EXPECT_EQ(replica["xlog"]["received_location"], 9'999'000);
  EXPECT_EQ(replica["xlog"]["replayed_location"], 9'990'000);
  EXPECT_THAT(replica["xlog"]["replayed_timestamp"].get<std::string>(), StartsWith("2026-11-24 "));
  EXPECT_EQ(replica["xlog"]["paused"], false);
  EXPECT_EQ(replica["pause"], true);
  EXPECT_EQ(replica["cluster_unlocked"], true);
  EXPECT_EQ(replica["watchdog_failed"], true);
  EXPECT_EQ(replica["pending_restart"], true);

  w.view.database.state = DbState::kDead;
  const Json dead = Parsed(StatusDocument(w.facts()));
  EXPECT_EQ(dead["state"], "crashed");
  EXPECT_FALSE(dead.contains("xlog"));
}

TEST(Patroni, TheClusterDocument) {
  World w = World::Primary();
  w.options.http["c"] = "10.0.0.3:9999";
  w.view.members[2].no_failover = true;
  w.schedules.switchover = ScheduledSwitchover{kNow + 60000, "a", "b", "alice"};
  const Json cluster = Parsed(ClusterDocument(w.facts()));
  EXPECT_EQ(cluster["scope"], "demo");
  ASSERT_EQ(cluster["members"].size(), 3u);
  const Json& a = cluster["members"][0];
  EXPECT_EQ(a["role"], "leader");
  EXPECT_EQ(a["state"], "running");
  EXPECT_EQ(a["api_url"], "http://10.0.0.1:7401/patroni");
  EXPECT_EQ(a["host"], "10.0.0.1");
  EXPECT_EQ(a["port"], 5432);
  EXPECT_FALSE(a.contains("lag"));
  const Json& b = cluster["members"][1];
  EXPECT_EQ(b["role"], "quorum_standby");
  EXPECT_EQ(b["state"], "streaming");
  EXPECT_EQ(b["lag"], 1000);
  EXPECT_EQ(b["replay_lag"], 10'000);
  EXPECT_EQ(b["lsn"], "0/989298");
  const Json& c = cluster["members"][2];
  EXPECT_EQ(c["state"], "catchup");
  EXPECT_EQ(c["api_url"], "http://10.0.0.3:9999/patroni");
  EXPECT_EQ(c["tags"]["nofailover"], true);
  EXPECT_EQ(cluster["scheduled_switchover"]["from"], "a");
  EXPECT_EQ(cluster["scheduled_switchover"]["to"], "b");
  w = World::Replica();
  w.view.members[2].state = DbState::kUnknown;
  w.view.members[2].offset = 0;
  const Json seen = Parsed(ClusterDocument(w.facts()));
  EXPECT_EQ(seen["members"][2]["lag"], "unknown");
  EXPECT_EQ(seen["members"][2]["state"], "unknown");
  EXPECT_FALSE(seen.contains("pause"));
}

TEST(Patroni, HistoryConfigFailsafe) {
  World w = World::Primary();
  w.view.history = {{3, "a", "found", kNow}, {4, "b", "replica.candidate", kNow}};
  EXPECT_EQ(HistoryDocument(w.facts()), "[]") << "no timeline was ever left";
  w.view.database.former_timelines = std::make_shared<std::vector<rpc::FormerTimeline>>(
      std::vector<rpc::FormerTimeline>{{1, 0x3000060, "no recovery target specified", 0},
                                       {2, 0x50000a0, "no recovery target specified", 4},
                                       {3, 0x6000000, "no recovery target specified", 5}});
  const Json history = Parsed(HistoryDocument(w.facts()));
  ASSERT_EQ(history.size(), 3u);
  EXPECT_EQ(history[0], Json::array({1, 0x3000060, "no recovery target specified"}));
  EXPECT_EQ(history[1], Json::array({2, 0x50000a0, "no recovery target specified", FormatWhen(kNow), "b"}));
  EXPECT_EQ(history[2].size(), 3u) << "the record has forgotten who that was";
  const Json config = Parsed(*ConfigDocument(w.facts()));
  EXPECT_EQ(config["ttl"], 10);
  EXPECT_EQ(config["loop_wait"], 2);
  EXPECT_EQ(config["retry_timeout"], 7.5);
  EXPECT_EQ(config["synchronous_mode"], "quorum");
  EXPECT_EQ(config["synchronous_mode_strict"], false);
  EXPECT_FALSE(config.contains("pause"));
  EXPECT_EQ(Parsed(*FailsafeDocument(w.facts())).size(), 3u);
  w.options.failsafe = false;
  EXPECT_FALSE(FailsafeDocument(w.facts()).has_value());
  w.view.lock.record_changed_at = MonoTime();
  EXPECT_FALSE(ConfigDocument(w.facts()).has_value());
}

TEST(Patroni, MetricsAreTwentySix) {
  metrics::Writer w;
  const World primary = World::Primary();
  WriteMetrics(primary.facts(), w);
  const std::string text = w.Finish();
  std::set<std::string> names;
  for (size_t at = text.find("# TYPE "); at != std::string::npos; at = text.find("# TYPE ", at + 1))
    names.insert(text.substr(at + 7, text.find(' ', at + 7) - at - 7));
  EXPECT_EQ(names.size(), 26u);
  EXPECT_THAT(text, HasSubstr("patroni_primary{scope=\"demo\",name=\"a\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("patroni_postgres_server_version{scope=\"demo\",name=\"a\"} 150020\n"));
  EXPECT_THAT(text, HasSubstr("patroni_version{scope=\"demo\",name=\"a\"} 40105\n"));
}

}  // namespace
}  // namespace mainstay::agent::patroni
