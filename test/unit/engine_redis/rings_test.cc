// Each entry of the server's rings once, and what was missed counted.
#include "lib/engine/redis/rings.h"

#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"

namespace mainstay::engine::redis {
namespace {

// ---- the slow log ----

// The newest `n` of a ring that holds the entries `oldest`..`newest`.
Reply Slowlog(int64_t oldest, int64_t newest, size_t n) {
  Reply out = Reply::Array({});
  for (int64_t id = newest; id >= oldest && out.items.size() < n; --id)
    out.items.push_back(
        Reply::Array({Reply::Integer(id), Reply::Integer(1700000000 + id), Reply::Integer(12345),
                      Reply::Array({Reply::Text("KEYS"), Reply::Text("*")}), Reply::Text("127.0.0.1:4711"),
                      Reply::Text("me")}));
  return out;
}

RingTurn ReadSlow(SlowReader* reader, int64_t oldest, int64_t newest, const std::string& run = "r") {
  RingTurn out;
  for (size_t i = 0; i < std::size(kRingSteps); ++i) {
    const auto n = static_cast<size_t>(kRingSteps[i]);
    if (reader->Read(run, n, i + 1 == std::size(kRingSteps), Slowlog(oldest, newest, n), &out) ==
        Want::kNothing)
      break;
  }
  return out;
}

TEST(SlowReader, EachOnceInTheirOrder) {
  SlowReader reader;
  RingTurn turn = ReadSlow(&reader, 0, 4);
  ASSERT_EQ(turn.events.size(), 5u);
  EXPECT_EQ(turn.events[0].id, 0);
  EXPECT_EQ(turn.events[4].id, 4);
  EXPECT_EQ(turn.events[0].unix_ms, 1700000000000);
  EXPECT_DOUBLE_EQ(turn.events[0].took_ms, 12.345);
  EXPECT_EQ(turn.events[0].words, (std::vector<std::string>{"KEYS", "*"}));
  EXPECT_EQ(turn.events[0].address, "127.0.0.1:4711");
  EXPECT_EQ(turn.events[0].name, "me");
  EXPECT_TRUE(ReadSlow(&reader, 0, 4).events.empty());
  turn = ReadSlow(&reader, 0, 5);
  ASSERT_EQ(turn.events.size(), 1u);
  EXPECT_EQ(turn.missing, 0u);
  EXPECT_TRUE(ReadSlow(&reader, 6, 5).events.empty());  // SLOWLOG RESET
}

TEST(SlowReader, NumbersThatJumpAreMissing) {
  SlowReader reader;
  ReadSlow(&reader, 0, 9);
  RingTurn turn = ReadSlow(&reader, 15, 20);  // a ring of six
  ASSERT_EQ(turn.events.size(), 6u);
  EXPECT_EQ(turn.missing, 5u);
  EXPECT_TRUE(turn.events[0].gapped);
  EXPECT_FALSE(turn.events[1].gapped);
  // More than are read in a turn.
  turn = ReadSlow(&reader, 0, 1020);
  EXPECT_EQ(turn.events.size(), 256u);
  EXPECT_EQ(turn.missing, 1000u - 256u);
  EXPECT_TRUE(turn.events[0].gapped);
}

TEST(SlowReader, WhatWasBeforeTheAgentIsNotMissedButANewServersIs) {
  SlowReader reader;
  RingTurn turn = ReadSlow(&reader, 100, 110);
  EXPECT_EQ(turn.events.size(), 11u);
  EXPECT_EQ(turn.missing, 0u);
  turn = ReadSlow(&reader, 3, 4, "another");
  EXPECT_EQ(turn.events.size(), 2u);
  EXPECT_EQ(turn.missing, 3u);
}

// ---- the ACL log ----

struct Denied {
  std::string object;
  int64_t count, age_ms;
  int64_t id = -1;
};

Reply AclLog(const std::vector<Denied>& newest_first, size_t n) {
  Reply out = Reply::Array({});
  for (const Denied& d : newest_first) {
    if (out.items.size() == n) break;
    std::vector<Reply> f = {
        Reply::Text("count"),
        Reply::Integer(d.count),
        Reply::Text("reason"),
        Reply::Text("command"),
        Reply::Text("context"),
        Reply::Text("toplevel"),
        Reply::Text("object"),
        Reply::Text(d.object),
        Reply::Text("username"),
        Reply::Text("bob"),
        Reply::Text("age-seconds"),
        Reply::Text(absl::StrCat(static_cast<double>(d.age_ms) / 1000)),
        Reply::Text("client-info"),
        Reply::Text("id=3 addr=127.0.0.1:4711 laddr=127.0.0.1:6379 name=app user=bob cmd=get")};
    if (d.id >= 0) {
      f.push_back(Reply::Text("entry-id"));
      f.push_back(Reply::Integer(d.id));
    }
    out.items.push_back(Reply::Array(std::move(f)));
  }
  return out;
}

RingTurn ReadDenied(DeniedReader* reader, int64_t now_ms, int64_t refused,
                    const std::vector<Denied>& newest_first) {
  RingTurn out;
  for (size_t i = 0; i < std::size(kRingSteps); ++i) {
    const auto n = static_cast<size_t>(kRingSteps[i]);
    if (reader->Read("r", n, i + 1 == std::size(kRingSteps), now_ms, refused, AclLog(newest_first, n),
                     &out) == Want::kNothing)
      break;
  }
  return out;
}

TEST(DeniedReader, MergedEntriesTellWhatIsNew) {
  DeniedReader reader;
  RingTurn turn = ReadDenied(&reader, 100000, 4, {{"get", 3, 500}, {"set", 1, 2000}});
  ASSERT_EQ(turn.events.size(), 2u);
  EXPECT_EQ(turn.events[0].object, "set");
  EXPECT_EQ(turn.events[1].count, 3);
  EXPECT_EQ(turn.events[1].address, "127.0.0.1:4711");
  EXPECT_EQ(turn.events[1].name, "app");
  EXPECT_EQ(turn.events[1].user, "bob");
  EXPECT_EQ(turn.missing, 0u);
  // Nothing new; ages jitter.
  EXPECT_TRUE(ReadDenied(&reader, 102003, 4, {{"get", 3, 2500}, {"set", 1, 4000}}).events.empty());
  // Two more of one: the entry is the same, its time and count are not.
  turn = ReadDenied(&reader, 104000, 6, {{"get", 5, 100}, {"set", 1, 6000}});
  ASSERT_EQ(turn.events.size(), 1u);
  EXPECT_EQ(turn.events[0].count, 2);
  EXPECT_EQ(turn.missing, 0u);
  // After a minute an equal one is an entry of its own.
  turn = ReadDenied(&reader, 200000, 7, {{"get", 1, 100}, {"get", 5, 96100}, {"set", 1, 102000}});
  ASSERT_EQ(turn.events.size(), 1u);
  EXPECT_EQ(turn.events[0].count, 1);
  EXPECT_EQ(turn.missing, 0u);
}

TEST(DeniedReader, TheCountersTellWhatTheRingForgot) {
  DeniedReader reader;
  ReadDenied(&reader, 100000, 10, {{"get", 1, 500}});
  RingTurn turn = ReadDenied(&reader, 102000, 20, {{"set", 1, 500}, {"del", 1, 600}});  // a ring of two
  EXPECT_EQ(turn.events.size(), 2u);
  EXPECT_EQ(turn.missing, 8u);
  EXPECT_TRUE(turn.events[0].gapped);
  // One that came after the counters were read is told now and counted later.
  turn = ReadDenied(&reader, 104000, 20, {{"hget", 1, 1}, {"set", 1, 2500}, {"del", 1, 2600}});
  EXPECT_EQ(turn.events.size(), 1u);
  turn = ReadDenied(&reader, 106000, 21, {{"hget", 1, 2001}, {"set", 1, 4500}});
  EXPECT_EQ(turn.missing, 0u);
}

TEST(DeniedReader, NumbersOfNewerServers) {
  DeniedReader reader;
  ReadDenied(&reader, 100000, 3, {{"get", 2, 500, 7}, {"set", 1, 2000, 6}});
  RingTurn turn =
      ReadDenied(&reader, 102000, 5, {{"get", 3, 100, 7}, {"del", 1, 200, 8}, {"set", 1, 4000, 6}});
  ASSERT_EQ(turn.events.size(), 2u);
  EXPECT_EQ(turn.events[0].object, "del");
  EXPECT_EQ(turn.events[1].count, 1);
  EXPECT_EQ(turn.missing, 0u);
}

// ---- latency ----

Reply Samples(const std::vector<std::pair<int64_t, int64_t>>& samples) {
  Reply out = Reply::Array({});
  for (const auto& [second, ms] : samples)
    out.items.push_back(Reply::Array({Reply::Integer(second), Reply::Integer(ms)}));
  return out;
}
Reply Latest(const std::string& event, int64_t second) {
  return Reply::Array(
      {Reply::Array({Reply::Text(event), Reply::Integer(second), Reply::Integer(120), Reply::Integer(500)})});
}

TEST(LatencyReader, EachSecondOnce) {
  LatencyReader reader;
  EXPECT_TRUE(reader.Changed("r", Latest("fork", 1000)).empty());  // before the agent came
  EXPECT_TRUE(reader.Changed("r", Latest("fork", 1000)).empty());
  ASSERT_EQ(reader.Changed("r", Latest("fork", 1003)), std::vector<std::string>{"fork"});
  RingTurn turn;
  reader.Read("fork", 1003500, Samples({{1000, 120}, {1002, 150}, {1003, 120}}), &turn);
  ASSERT_EQ(turn.events.size(), 1u);  // 1003 is not over
  EXPECT_EQ(turn.events[0].unix_ms, 1002000);
  EXPECT_DOUBLE_EQ(turn.events[0].took_ms, 150);
  EXPECT_EQ(turn.events[0].object, "fork");
  ASSERT_EQ(reader.Changed("r", Latest("fork", 1003)).size(), 1u);
  turn = RingTurn();
  reader.Read("fork", 1005000, Samples({{1000, 120}, {1002, 150}, {1003, 120}}), &turn);
  EXPECT_EQ(turn.events.size(), 1u);
  EXPECT_TRUE(reader.Changed("r", Latest("fork", 1003)).empty());
  // An event that was not there before, and all of another server.
  EXPECT_EQ(reader.Changed("r", Latest("command", 900)).size(), 1u);
  EXPECT_EQ(reader.Changed("another", Latest("fork", 1003)).size(), 1u);
}

// ---- kills ----

TEST(KillReader, OwnOnesAreNotToldTwice) {
  KillReader reader;
  RingTurn turn;
  reader.Read("r", {.kill_calls = 10, .evicted = 2}, 4, &turn);
  EXPECT_TRUE(turn.events.empty());
  reader.Read("r", {.kill_calls = 12, .evicted = 2}, 6, &turn);
  EXPECT_TRUE(turn.events.empty());
  reader.Read("r", {.kill_calls = 15, .evicted = 3}, 8, &turn);
  ASSERT_EQ(turn.events.size(), 2u);
  EXPECT_EQ(turn.events[0].count, 1);
  EXPECT_EQ(turn.events[0].object, "CLIENT KILL");
  EXPECT_EQ(turn.events[1].count, 1);
}

TEST(Rings, OddAnswersArePassedOver) {
  RingTurn turn;
  Reply odd = Reply::Array({Reply::Integer(3), Reply::Array({Reply::Text("x")}), Reply::Array({})});
  Reply error;
  error.kind = Reply::Kind::kError;
  SlowReader slow;
  DeniedReader denied;
  LatencyReader latency;
  for (const Reply& reply : {odd, error, Reply()}) {
    slow.Read("r", 16, true, reply, &turn);
    denied.Read("r", 16, true, 1000, 0, reply, &turn);
    latency.Changed("r", reply);
    latency.Read("x", 1000, reply, &turn);
  }
  EXPECT_TRUE(turn.events.empty());
  EXPECT_EQ(turn.missing, 0u);
}

}  // namespace
}  // namespace mainstay::engine::redis
