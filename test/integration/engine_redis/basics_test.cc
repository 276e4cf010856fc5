// Founding, following, handing over: what the election asks of an engine, on real servers.
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "test/integration/engine_redis/cluster.h"

namespace mainstay::engine::redis {
namespace {

using election::DbState;
using election::EngineOp;
using std::chrono::milliseconds;
using std::chrono::seconds;

TEST(RedisBasics, FoundedOpenedAndFollowed) {
  Cluster c;
  EXPECT_TRUE(c[0].Probe().empty);
  c.Open(2);
  auto r = c[0].Probe();
  EXPECT_EQ(r.state, DbState::kRunning);
  EXPECT_TRUE(r.writable);
  EXPECT_FALSE(r.unopened);
  EXPECT_EQ(r.verdict, election::Verdict::kOk);
  EXPECT_EQ(r.system_id, c.cluster_id);
  ASSERT_EQ(r.standbys.size(), 2u);
  EXPECT_TRUE(r.standbys[0].streaming);
  EXPECT_EQ(c[0].Ask({"SET", "k", "v"}), "OK");
  for (size_t i : {1, 2}) {
    for (const MonoTime until = In(seconds(5)); c[i].Ask({"GET", "k"}) != "v" && BootClock().Now() < until;) {
    }
    EXPECT_EQ(c[i].Ask({"GET", "k"}), "v");
    EXPECT_TRUE(absl::StartsWith(c[i].Ask({"SET", "k", "w"}), "-READONLY"));
    r = c[i].Probe();
    EXPECT_FALSE(r.writable);
    EXPECT_FALSE(r.empty);
    EXPECT_FALSE(r.rolled_back);
    EXPECT_EQ(r.system_id, c.cluster_id);
  }
}

TEST(RedisBasics, AServerThatNobodyOpenedAnswersNoClient) {
  Cluster c;
  c.Open(0);
  EXPECT_EQ(c[0].Ask({"SET", "k", "v"}), "OK");
  c[0].KillServer();
  EXPECT_EQ(c[0].Probe().state, DbState::kDead);
  ASSERT_OK(c[0].engine->Freeze(c.MemoryOf(2), In(seconds(5))));
  EXPECT_TRUE(absl::StartsWith(c[0].Ask({"GET", "k"}), "-MASTERDOWN"));
  EXPECT_TRUE(absl::StartsWith(c[0].Ask({"SET", "k", "v"}), "-READONLY"));
}

TEST(RedisBasics, OpeningWantsAnArmedFence) {
  Cluster c;
  c.Open(1);
  ASSERT_OK(c[1].engine->Freeze(c.MemoryOf(2), In(seconds(5))));
  const auto end = c[1].engine->Promote(c.Op(EngineOp::kPromote, 2), In(milliseconds(500)));
  ASSERT_FALSE(end.ok());
  EXPECT_FALSE(c[1].Probe().writable);
  c[1].Arm(2);
  ASSERT_OK(c[1].engine->Promote(c.Op(EngineOp::kPromote, 2), In(seconds(5))));
  EXPECT_TRUE(c[1].Probe().writable);
}

// The whole of a planned switchover, as the election does it: nothing lost, no full resync, old clients cut.
TEST(RedisBasics, HandsOverWithoutLossOrFullResync) {
  Cluster c;
  c.Open(2);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(c[0].Ask({"SET", absl::StrCat("k", i), "v"}), "OK");
  const std::string full = c[0].Fact("stats", "sync_full");
  Connection client(nullptr);
  Endpoint at;
  at.host = "127.0.0.1";
  at.port = c[0].options.port;
  ASSERT_OK(client.Connect(at, In(seconds(1))));
  ASSERT_OK(client.Call({"SUBSCRIBE", "news"}, In(seconds(1))));
  ASSERT_OK(c[0].engine->Checkpoint(In(seconds(2))));
  const pid_t before = c[0].Server();
  const auto end = c[0].engine->Stop(In(seconds(5)));
  ASSERT_OK(end);
  EXPECT_TRUE(end->complete);
  EXPECT_EQ(c[0].Server(), before) << "the process goes on";
  auto r = c[0].Probe();
  EXPECT_FALSE(r.writable);
  EXPECT_EQ(r.state, DbState::kRunning);
  EXPECT_FALSE(r.rolled_back);
  EXPECT_EQ(r.offset, end->offset);
  EXPECT_FALSE(c[0].shim->GetState(In(seconds(1)))->armed.has_value()) << "nothing shall kill it any more";
  EXPECT_FALSE(client.Call({"PING"}, In(seconds(1))).ok()) << "subscribers are cut, too";
  const auto frozen = c[1].engine->Freeze(c.MemoryOf(2), In(seconds(5)));
  ASSERT_OK(frozen);
  EXPECT_EQ(frozen->offset, end->offset);
  c[1].Arm(2);
  ASSERT_OK(c[1].engine->Promote(c.Op(EngineOp::kPromote, 2), In(seconds(5))));
  c.FollowAndStream(c[0], c[1], 2);
  c.FollowAndStream(c[2], c[1], 2);
  EXPECT_EQ(c[1].Ask({"DBSIZE"}), "100");
  EXPECT_EQ(c[1].Fact("stats", "sync_full"), "0");
  EXPECT_EQ(c[0].Fact("stats", "sync_full"), full);
  EXPECT_EQ(c[1].Fact("stats", "sync_partial_ok"), "2");
}

// Positive and negative: whose user a replica has decides whom it can follow.
TEST(RedisBasics, NobodyStreamsFromAnEarlierReign) {
  Cluster c;
  c.Open(2);
  EXPECT_EQ(c[0].Ask({"SET", "k", "v"}), "OK");
  for (const size_t i : {1, 2}) c[i].ProbeUntil([&](const auto&) { return c[i].Ask({"GET", "k"}) == "v"; });
  // b leads under epoch 2; a, cut off, does not know it and still writes.
  c.Promote(c[1], 2);
  EXPECT_EQ(c[0].Ask({"SET", "k", "old"}), "OK");
  const absl::Status followed = c[2].engine->Follow(c[0].AsMember(), 2, c.cluster_id, In(seconds(4)));
  EXPECT_EQ(followed.code(), absl::StatusCode::kUnavailable) << followed;
  c.FollowAndStream(c[2], c[1], 2);
  EXPECT_EQ(c[2].Ask({"GET", "k"}), "v");
  // Killed mildly, it follows and its tail goes.
  ASSERT_OK(c[0].engine->Kill(In(seconds(2))));
  EXPECT_TRUE(absl::StartsWith(c[0].Ask({"SET", "k", "x"}), "-READONLY"));
  c.FollowAndStream(c[0], c[1], 2);
  EXPECT_EQ(c[0].Ask({"GET", "k"}), "v");
  EXPECT_GT(c[0].engine->LastDetails().lost_bytes, 0u);
}

TEST(RedisBasics, AnotherClustersServerIsNotFollowed) {
  Cluster c, other;
  c.Open(1);
  other.Open(0);
  EXPECT_EQ(c[0].Ask({"SET", "k", "v"}), "OK");
  c[1].ProbeUntil([&](const auto&) { return c[1].Ask({"GET", "k"}) == "v"; });
  EXPECT_FALSE(c[1].engine->Follow(other[0].AsMember(), 1, c.cluster_id, In(seconds(4))).ok());
  EXPECT_EQ(c[1].engine->Follow(other[0].AsMember(), 1, other.cluster_id, In(seconds(4))).code(),
            absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(c[1].Ask({"GET", "k"}), "v");
}

TEST(RedisBasics, ANewAgentFindsWhatRuns) {
  Cluster c;
  c.Open(1);
  c[0].StartEngine();
  c[1].StartEngine();
  EXPECT_TRUE(c[0].Probe().writable);
  const auto r = c[1].Probe();
  EXPECT_EQ(r.streaming_from, "a");
  EXPECT_EQ(r.streaming_epoch, 1);
  EXPECT_FALSE(r.rolled_back);
  const std::string syncs = c[0].Fact("stats", "sync_partial_ok");
  ASSERT_OK(c[1].engine->Follow(c[0].AsMember(), 1, c.cluster_id, In(seconds(5))));
  EXPECT_EQ(c[0].Fact("stats", "sync_partial_ok"), syncs) << "the link was left alone";
}

TEST(RedisBasics, SettingsLiveAndInTheFile) {
  Cluster c;
  c.Open(1);
  Settings next = c[0].options.settings;
  next.parameters = {{"maxmemory-policy", "allkeys-lru"}, {"databases", "7"}};
  next.min_replicas = 1;
  ASSERT_OK(c[0].engine->Configure(next));
  ASSERT_OK(c[0].engine->Reload(In(seconds(5))));
  c[0].Probe();
  EXPECT_EQ(c[0].engine->LastDetails().pending_restart, std::vector<std::string>{"databases"});
  EXPECT_EQ(c[0].Fact("memory", "maxmemory_policy"), "allkeys-lru");
  // Redis counts them once a second, or at their next acknowledgement.
  c[0].ProbeUntil([&](const auto&) { return c[0].Fact("replication", "min_slaves_good_slaves") == "1"; });
  next.parameters["maxmemory-policy"] = "no-such";
  ASSERT_OK(c[0].engine->Configure(next));
  const absl::Status refused = c[0].engine->Reload(In(seconds(5)));
  EXPECT_TRUE(absl::StrContains(refused.message(), "maxmemory-policy")) << refused;
  EXPECT_EQ(c[0].Fact("memory", "maxmemory_policy"), "allkeys-lru");
  next.parameters = {{"replicaof", "x 1"}};
  EXPECT_EQ(c[0].engine->Configure(next).code(), absl::StatusCode::kInvalidArgument);
}

TEST(RedisBasics, ARestartedReplicaGoesOnWithItsPrimary) {
  const Parameters saving = {{"save", "3600 1"}};
  Cluster c(saving);
  c.Open(1);
  EXPECT_EQ(c[0].Ask({"SET", "k", "v"}), "OK");
  c[1].ProbeUntil([&](const auto&) { return c[1].Ask({"GET", "k"}) == "v"; });
  ASSERT_OK(c[1].engine->Restart(In(seconds(20))));
  c[1].ProbeUntil([](const auto& r) { return r.streaming_from == "a" && !r.rolled_back; });
  EXPECT_EQ(c[0].Fact("stats", "sync_partial_ok"), "1") << "an RDB file remembers where it was";
  EXPECT_EQ(c[0].engine->Restart(In(seconds(5))).code(), absl::StatusCode::kFailedPrecondition);
}

TEST(RedisBasics, AHungServerIsFoundOutAndKilled) {
  Cluster c;
  c.Open(0);
  EXPECT_TRUE(c[0].Probe().writable);
  c[0].SignalServer(SIGSTOP);
  const auto r = c[0].engine->Probe(In(milliseconds(300)));
  EXPECT_EQ(r.verdict, election::Verdict::kHung);
  EXPECT_TRUE(r.writable);
  ASSERT_OK(c[0].engine->Kill(In(seconds(3))));
  EXPECT_EQ(c[0].Server(), 0);
}

}  // namespace
}  // namespace mainstay::engine::redis
