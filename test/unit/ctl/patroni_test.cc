// Patroni's view as a table: path x state x parameters -> code, the documents' fields, and what changing
// requests are refused for.
#include "agent/patroni.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "agent/face_routes.h"
#include "agent/patroni_ask.h"
#include "lib/base/json.h"
#include "lib/base/wall_clock.h"

namespace mainstay::agent::patroni {
namespace {

using election::DbState;
using election::Durability;
using election::Role;
using std::chrono::seconds;
using ::testing::HasSubstr;
using ::testing::StartsWith;

constexpr int64_t kNow = 1795500000000;  // 2026-11-24

// A cluster of a (leads), b and c, seen by one of them.
struct World {
  rpc::StatusView view;
  Options options;
  Schedules schedules;
  MonoTime now = BootClock().Now();

  World() {
    view.cluster = "demo";
    view.leader = "a";
    view.lock.health = rpc::LockHealth::kOk;
    view.lock.record_changed_at = now - seconds(1);
    view.durability.voters = {"b", "c"};
    view.durability.freeze = 2;
    view.durability.wished = view.durability.in_force = Durability::kGuarded;
    view.shim_connected = true;
    view.database.state = DbState::kRunning;
    view.database.version = "15.20";
    view.database.timeline = 3;
    view.database.system_id = "7268616322854375442";
    view.database.start_unix_ms = kNow - 5000;
    for (const char* name : {"a", "b", "c"}) {
      rpc::MemberView m;
      m.name = name;
      m.in_record = true;
      m.heard_at = now;
      m.state = DbState::kRunning;
      m.role = m.name == "a" ? Role::kPrimary : Role::kReplica;
      m.timeline = 3;
      m.offset = m.name == "a" ? 10'000'000 : 9'999'000;
      m.voter = m.name != "a";
      m.peer_address = std::string("10.0.0.1:7400");
      m.db_address = "10.0.0." + std::to_string(1 + name[0] - 'a') + ":5432";
      view.members.push_back(m);
    }
    options.http_address = "10.0.0.1:7401";
    options.lease = seconds(10);
    options.renew = seconds(2);
    options.validity = std::chrono::milliseconds(7500);
    options.replication_role = "mainstay_repl";
  }
  static World Primary() {
    World w;
    w.view.member = "a";
    w.view.role = Role::kPrimary;
    w.view.database.writable = true;
    w.view.database.offset = 10'000'000;
    w.view.lock.permitted_until = w.now + seconds(5);
    w.view.database.replicas = {{"b", "streaming", 9'999'000, 9'990'000, true},
                                {"c", "catchup", 9'000'000, 9'000'000, false}};
    return w;
  }
  static World Replica() {
    World w;
    w.view.member = "b";
    w.view.role = Role::kReplica;
    w.view.database.streaming_from = "a";
    w.view.database.offset = 9'999'000;
    w.view.database.replay_offset = 9'990'000;
    w.view.database.replayed_unix_ms = kNow - 100;
    return w;
  }
  Facts facts() const { return {view, options, schedules, now, kNow}; }
  int Code(const std::string& target) const {
    const auto request = http::ParseTarget(target);
    return HealthCode(request->path, *request, facts()).value_or(404);
  }
  std::string Codes(const std::vector<std::string>& targets) const {
    std::string good;
    for (const std::string& t : targets) {
      const int code = Code(t);
      EXPECT_TRUE(code == 200 || code == 503) << t;
      if (code == 200) good += t + " ";
    }
    return good;
  }
};

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
  w.view.history = {{4, "b", "replica.candidate", kNow}};
  EXPECT_EQ(Parsed(HistoryDocument(w.facts()))[0][4], "b");
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

http::Request Post(const std::string& body) {
  http::Request r;
  r.method = http::Method::kPost;
  r.has_body = true;
  r.body = body;
  return r;
}

// "" or code and the beginning of the text.
template <typename T>
std::string Refused(const Asked<T>& asked) {
  return asked.refusal ? std::to_string(asked.refusal->status) + " " + asked.refusal->text : "";
}

TEST(Patroni, SwitchoverIsCheckedAsPatroniDoes) {
  World w = World::Primary();
  const auto say = [&](const std::string& body, bool failover = false) {
    return Refused(ReadSwitchover(Post(body), w.facts(), failover));
  };
  http::Request bare = Post("");
  bare.has_body = false;
  EXPECT_THAT(Refused(ReadSwitchover(bare, w.facts(), false)), StartsWith("411"));
  EXPECT_THAT(say(""), StartsWith("400"));
  EXPECT_THAT(say("nonsense"), StartsWith("400"));
  EXPECT_THAT(say("{}"), StartsWith("400"));
  EXPECT_THAT(say("[1]"), StartsWith("400"));
  EXPECT_THAT(say(R"({"leader": 1})"), StartsWith("400"));
  EXPECT_EQ(say(R"({"candidate": "b"})"), "400 Switchover could be performed only from a specific leader");
  EXPECT_EQ(say(R"({"leader": "a"})"), "");
  EXPECT_EQ(say(R"({"leader": "a", "candidate": "b"})"), "");
  EXPECT_EQ(say(R"({"leader": "a", "member": "b"})"), "");
  EXPECT_EQ(say(R"({"leader": "b"})"), "412 leader name does not match");
  EXPECT_EQ(say(R"({"leader": "a", "candidate": "x"})"), "412 candidate does not exists");
  EXPECT_EQ(say(R"({"leader": "a", "candidate": "a"})"), "400 Switchover target and source are the same");
  w.view.members[1].no_failover = true;
  EXPECT_EQ(say(R"({"leader": "a", "candidate": "b"})"),
            "412 switchover is not possible: no good candidates have been found");
  EXPECT_EQ(say(R"({"leader": "a"})"), "");  // c can
  w.view.members.resize(1);
  EXPECT_EQ(say(R"({"leader": "a"})"),
            "412 switchover is not possible: cluster does not have members except leader");
  w = World::Primary();
  EXPECT_EQ(say(R"({"leader": "a"})", true), "400 Failover could be performed only to a specific candidate");
  EXPECT_EQ(say(R"({"candidate": "b"})", true), "");
  EXPECT_EQ(say(R"({"candidate": "b", "scheduled_at": "2030-01-01T00:00:00Z"})", true),
            "400 Failover can't be scheduled");
  w.view.paused = true;
  EXPECT_EQ(say(R"({"leader": "a"})"),
            "400 Switchover is possible only to a specific candidate in a paused state");
  EXPECT_EQ(say(R"({"leader": "a", "candidate": "b", "scheduled_at": "2030-01-01T00:00:00Z"})"),
            "400 Can't schedule switchover in the paused state");
}

TEST(Patroni, SchedulesNeedAZoneAndAFuture) {
  const World w = World::Primary();
  const auto say = [&](const std::string& at) {
    return ReadSwitchover(Post(R"({"leader": "a", "scheduled_at": ")" + at + "\"}"), w.facts(), false);
  };
  EXPECT_EQ(*say("2030-01-01T00:00:00Z").value.at_unix_ms, 1893456000000);
  EXPECT_EQ(*say("2030-01-01T02:00+02:00").value.at_unix_ms, 1893456000000);
  EXPECT_EQ(*say("2030-01-01 00:00:00.5 UTC").value.at_unix_ms, 1893456000500);
  EXPECT_EQ(Refused(say("2030-01-01T00:00:00")),
            "400 Timezone information is mandatory for the scheduled switchover");
  EXPECT_EQ(Refused(say("2001-01-01T00:00:00Z")), "422 Cannot schedule switchover in the past");
  EXPECT_THAT(Refused(say("tomorrow")), StartsWith("422 Unable to parse"));
}

TEST(Patroni, RestartFilters) {
  World w = World::Replica();
  const auto say = [&](const std::string& body) { return ReadRestart(Post(body), w.facts()); };
  http::Request bare = Post("");
  bare.has_body = false;
  EXPECT_EQ(Refused(ReadRestart(bare, w.facts())), "");
  EXPECT_TRUE(say("{}").value.matches);
  EXPECT_TRUE(say(R"({"role": "replica"})").value.matches);
  EXPECT_FALSE(say(R"({"role": "primary"})").value.matches);
  EXPECT_THAT(Refused(say(R"({"role": "king"})")), StartsWith("400"));
  EXPECT_TRUE(say(R"({"postgres_version": "15.21"})").value.matches);
  EXPECT_FALSE(say(R"({"postgres_version": "15.20"})").value.matches);
  EXPECT_THAT(Refused(say(R"({"postgres_version": "x"})")), StartsWith("400"));
  EXPECT_FALSE(say(R"({"restart_pending": true})").value.matches);
  w.view.database.pending_restart = {"shared_buffers"};
  EXPECT_TRUE(say(R"({"restart_pending": true})").value.matches);
  EXPECT_EQ(say(R"({"timeout": "30"})").value.what.timeout_ms, 30000);
  EXPECT_THAT(Refused(say(R"({"timeout": -1})")), StartsWith("400"));
  EXPECT_THAT(Refused(say(R"({"colour": 1})")), StartsWith("400 Unknown filter"));
  EXPECT_EQ(say(R"({"schedule": "2030-01-01T00:00:00Z"})").value.what.at_unix_ms, 1893456000000);
  EXPECT_THAT(Refused(say(R"({"schedule": "2000-01-01T00:00:00Z"})")), StartsWith("422"));
  w.view.paused = true;
  EXPECT_THAT(Refused(say(R"({"schedule": "2030-01-01T00:00:00Z"})")), StartsWith("500"));
}

TEST(Patroni, Config) {
  World w = World::Primary();
  const auto say = [&](const std::string& body, bool replace = false, const std::string& match = "") {
    http::Request r = Post(body);
    r.if_match = match;
    return ReadConfig(r, w.facts(), replace);
  };
  EXPECT_EQ(say(R"({"pause": true})").value.pause, true);
  EXPECT_FALSE(say(R"({"pause": null})").value.pause.has_value());  // it is not paused
  w.view.paused = true;
  EXPECT_EQ(say(R"({"pause": null})").value.pause, false);
  EXPECT_EQ(say(R"({"pause": "off"})").value.pause, false);
  EXPECT_EQ(say(R"({"synchronous_mode": false})").value.durability, Durability::kAsync);
  EXPECT_EQ(say(R"({"synchronous_mode_strict": true})").value.durability, Durability::kStrict);
  EXPECT_FALSE(say(R"({"synchronous_mode": true})").value.durability.has_value());
  EXPECT_FALSE(say(R"({"synchronous_mode": "quorum", "ttl": 10})").value.durability.has_value());
  EXPECT_THAT(Refused(say(R"({"ttl": 20})")),
              StartsWith("422 ttl cannot be changed here: it is election.lease"));
  EXPECT_THAT(Refused(say(R"({"postgresql": {"parameters": {"work_mem": "8MB"}}})")),
              HasSubstr("postgresql.parameters"));
  EXPECT_THAT(Refused(say(R"({"colour": 1, "ttl": 20})")), HasSubstr("colour is no setting"));
  EXPECT_EQ(Refused(say(R"({"colour": null, "slots": null})")), "");
  EXPECT_THAT(Refused(say(R"({"pause": "maybe"})")), StartsWith("422"));
  EXPECT_THAT(Refused(say("{}")), StartsWith("400"));
  EXPECT_THAT(Refused(say(R"({"pause": true})", false, "\"old\"")), StartsWith("409"));
  EXPECT_EQ(Refused(say(R"({"pause": true})", false, ConfigTag(w.facts()))), "");
  // PUT: what is not named gets its default.
  const auto put = say(R"({"ttl": 10})", true);
  EXPECT_EQ(put.value.pause, false);
  EXPECT_FALSE(put.value.durability.has_value());
  w.view.lock.record_changed_at = MonoTime();
  EXPECT_THAT(Refused(say(R"({"pause": true})")), StartsWith("503"));
}

TEST(Routes, EveryHealthPathHasACode) {
  const World w = World::Primary();
  for (const Route& r : Routes()) {
    if (r.page != Page::kPatroniHealth) continue;
    EXPECT_TRUE(HealthCode(r.path, http::Request(), w.facts()).has_value()) << r.path;
  }
}

TEST(Routes, AreFound) {
  std::string check;
  EXPECT_STREQ(FindRoute("/primary/", true, &check)->path, "/primary");
  EXPECT_EQ(FindRoute("/primary", false, &check), nullptr);
  EXPECT_STREQ(FindRoute("/livez/shim", true, &check)->path, "/livez");
  EXPECT_EQ(check, "shim");
  EXPECT_EQ(FindRoute("/livezz", true, &check), nullptr);
  EXPECT_EQ(AllowHeader(*FindRoute("/config", true, &check)), "GET, HEAD, OPTIONS, PUT, PATCH");
  EXPECT_FALSE(Takes(*FindRoute("/switchover", true, &check), http::Method::kGet));
}

TEST(Schedules, ReadBack) {
  Schedules s;
  s.switchover = ScheduledSwitchover{kNow, "a", "", "alice"};
  s.restart = ScheduledRestart{kNow, "replica", "16.1", true, 5000, "bob"};
  EXPECT_EQ(*DecodeSchedules(EncodeSchedules(s)), s);
  EXPECT_FALSE(DecodeSchedules("{\"restart\": 1}").ok());
  const std::string file = "/tmp/mainstay-schedule-test-" + std::to_string(getpid()) + ".json";
  ASSERT_TRUE(SaveSchedules(file, s).ok());
  EXPECT_EQ(*LoadSchedules(file), s);
  ASSERT_TRUE(SaveSchedules(file, {}).ok());
  EXPECT_TRUE(LoadSchedules(file)->empty());
  EXPECT_NE(access(file.c_str(), F_OK), 0);
}

}  // namespace
}  // namespace mainstay::agent::patroni
