// What changing requests of Patroni's clients are refused for; routes; what was asked for at a later time.
#include "agent/patroni_ask.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "agent/face_routes.h"
#include "agent/schedule.h"
#include "test/unit/ctl/patroni_world.h"

namespace mainstay::agent::patroni {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

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
