// Servers that come back without their data, or with less: what is said of them, and that they are not
// opened.
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "test/integration/engine_redis/cluster.h"

namespace mainstay::engine::redis {
namespace {

using election::DbState;
using election::EngineOp;
using std::chrono::seconds;

const Parameters kNothing = {{"save", ""}, {"appendonly", "no"}};
const Parameters kRdb = {{"save", "3600 1"}};
const Parameters kAof = {{"save", ""}, {"appendonly", "yes"}};

// a has keys that b has, too; the agent of a has noted that there are some.
void Fill(Cluster& c, int keys = 10) {
  c.Open(1);
  for (int i = 0; i < keys; ++i) EXPECT_EQ(c[0].Ask({"SET", absl::StrCat("k", i), "v"}), "OK");
  c[1].ProbeUntil([&](const auto&) { return c[1].Ask({"DBSIZE"}) == absl::StrCat(keys); });
  for (const MonoTime until = In(seconds(12)); BootClock().Now() < until;) {
    c[0].Probe();
    c[1].Probe();
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
  }
}

TEST(RedisWipe, WithoutPersistenceItIsEmptyAndNeverOpened) {
  Cluster c(kNothing);
  Fill(c);
  c[0].KillServer();
  auto r = c[0].Probe();
  EXPECT_EQ(r.state, DbState::kDead);
  EXPECT_TRUE(r.rolled_back);
  EXPECT_EQ(c[0].engine->Reopen(c.Op(EngineOp::kReopen, 2), In(seconds(5))).status().code(),
            absl::StatusCode::kFailedPrecondition);
  const auto end = c[0].engine->Freeze(c.MemoryOf(2), In(seconds(5)));
  ASSERT_OK(end);
  EXPECT_EQ(end->offset, 0u) << "the promise stands, nothing is there";
  r = c[0].Probe();
  EXPECT_TRUE(r.empty);
  c[0].Arm(2);
  EXPECT_EQ(c[0].engine->Promote(c.Op(EngineOp::kPromote, 2), In(seconds(5))).status().code(),
            absl::StatusCode::kFailedPrecondition);
  // The replica, told nothing, did not lose its copy; it leads, the empty one copies.
  EXPECT_EQ(c[1].engine->Probe(In(seconds(1))).empty, false);
  c.Promote(c[1], 3);
  EXPECT_EQ(c[1].Ask({"DBSIZE"}), "10");
  c.FollowAndStream(c[0], c[1], 3);
  EXPECT_EQ(c[0].Ask({"DBSIZE"}), "10");
  EXPECT_FALSE(c[0].Probe().empty);
}

// Worst case: somebody starts the empty server's right to write by hand. Its replica is not of this reign.
TEST(RedisWipe, AReplicaIsNotWipedByAnEmptyPrimary) {
  Cluster c(kNothing);
  Fill(c);
  c[0].KillServer();
  ASSERT_OK(c[0].engine->Freeze(c.MemoryOf(2), In(seconds(5))));
  std::this_thread::sleep_for(seconds(2));  // b's server tries again every second
  EXPECT_EQ(c[1].Ask({"CONFIG", "GET", "x"}).substr(0, 7), "-NOPERM");
  EXPECT_NE(c[1].Fact("keyspace", "db0"), "");
  EXPECT_EQ(c[1].Fact("replication", "master_link_status"), "down");
}

TEST(RedisWipe, AnRdbFileIsOlderAndSaysWhere) {
  Cluster c(kRdb);
  Fill(c);
  EXPECT_EQ(c[0].Ask({"SET", "saved", "1"}), "OK");
  const uint64_t before = c[0].Probe().offset;
  // (SAVE is administration: the agent's user may.)
  ASSERT_OK(c[0].shim->Signal(shim::SignalKind::kFast, std::nullopt, In(seconds(2))));
  for (const MonoTime until = In(seconds(8)); BootClock().Now() < until && c[0].Server() != 0;) {
  }
  ASSERT_OK(c[0].engine->Freeze(c.MemoryOf(2), In(seconds(8))));
  auto r = c[0].Probe();
  EXPECT_FALSE(r.empty);
  EXPECT_GE(r.offset, before) << "saved at its end: all of it";
  c[0].Arm(2);
  ASSERT_OK(c[0].engine->Promote(c.Op(EngineOp::kPromote, 2), In(seconds(5))));
  EXPECT_EQ(c[0].Ask({"GET", "saved"}), "1");
  EXPECT_EQ(c[0].Ask({"SET", "tail", "1"}), "OK");
  c[0].KillServer();
  ASSERT_OK(c[0].engine->Freeze(c.MemoryOf(3), In(seconds(8))));
  r = c[0].Probe();
  EXPECT_FALSE(r.empty);
  EXPECT_EQ(c[0].Ask({"GET", "tail"}).substr(0, 11), "-MASTERDOWN");
}

TEST(RedisWipe, AnAppendOnlyFileReachesAtLeastWhatWasNoted) {
  Cluster c(kAof);
  Fill(c);
  const uint64_t before = c[0].Probe().offset;
  c[0].KillServer();
  ASSERT_OK(c[0].engine->Freeze(c.MemoryOf(2), In(seconds(8))));
  const auto r = c[0].Probe();
  EXPECT_FALSE(r.empty);
  EXPECT_GT(r.offset, 1u);
  EXPECT_LE(r.offset, before);
  EXPECT_LE(r.offset, c[1].Probe().offset) << "never better than who kept its memory";
  c[0].Arm(2);
  ASSERT_OK(c[0].engine->Promote(c.Op(EngineOp::kPromote, 2), In(seconds(5))));
  EXPECT_EQ(c[0].Ask({"DBSIZE"}), "10");
}

// The election judged one process; another one has come since.
TEST(RedisWipe, AnotherProcessThanTheOneThatWasJudgedIsNotOpened) {
  Cluster c(kAof);
  Fill(c);
  ASSERT_OK(c[1].engine->Freeze(c.MemoryOf(2), In(seconds(5))));
  c[1].KillServer();
  auto r = c[1].Probe();
  EXPECT_TRUE(r.rolled_back);
  // Started again by hand, past the engine.
  ASSERT_OK(c[1].shim->Start(shim::StartKind::kStandby, 0, In(seconds(5))));
  c[1].ProbeUntil([](const auto& p) { return p.state == DbState::kRunning; });
  c[1].Arm(2);
  const auto end = c[1].engine->Promote(c.Op(EngineOp::kPromote, 2), In(seconds(5)));
  EXPECT_EQ(end.status().code(), absl::StatusCode::kFailedPrecondition) << end.status();
  EXPECT_FALSE(c[1].Probe().writable);
}

// Redis 7 ignores an RDB file when there shall be an append-only one and is none.
TEST(RedisWipe, SwitchingTheAppendOnlyFileOnLosesNothing) {
  Cluster c(kRdb);
  Fill(c);
  ASSERT_OK(c[0].shim->Signal(shim::SignalKind::kFast, std::nullopt, In(seconds(2))));
  for (const MonoTime until = In(seconds(8)); BootClock().Now() < until && c[0].Server() != 0;) {
  }
  c[0].options.settings.parameters = kAof;
  c[0].StartEngine();
  ASSERT_OK(c[0].engine->Freeze(c.MemoryOf(2), In(seconds(8))));
  c[0].Arm(2);
  ASSERT_OK(c[0].engine->Promote(c.Op(EngineOp::kPromote, 2), In(seconds(5))));
  EXPECT_EQ(c[0].Ask({"DBSIZE"}), "10");
  EXPECT_EQ(c[0].Fact("persistence", "aof_enabled"), "1");
}

}  // namespace
}  // namespace mainstay::engine::redis
