// Three drivers in one process: what a cluster does as a whole. Times are simulated.
#include <gtest/gtest.h>

#include "lib/base/log.h"
#include "test/unit/sidecar/sim_cluster.h"

namespace mainstay::agent {
namespace {

using election::AdminStatus;
using election::Name;
using std::chrono::milliseconds;
using std::chrono::seconds;

std::vector<Name> Others(SimCluster& c, const Name& without) {
  std::vector<Name> out;
  for (const Name& n : c.names()) {
    if (n != without) out.push_back(n);
  }
  return out;
}

class Quiet : public ::testing::Environment {
  void SetUp() override { SetLogOptions({.level = LogLevel::kError, .format = LogFormat::kText, .fd = 2}); }
};
const auto* const kQuiet = ::testing::AddGlobalTestEnvironment(new Quiet);

TEST(Cluster, ThreeElectOneAndAllJoin) {
  SimCluster c({});
  c.StartAll();
  ASSERT_TRUE(c.WaitPrimary(seconds(30)).has_value()) << c.Dump();
  ASSERT_TRUE(c.WaitConverged(3, seconds(30))) << c.Dump();
  c.Load(seconds(5));
  EXPECT_GT(c.world().Acknowledged().size(), 1000U);
  const Name primary = c.Primary();
  EXPECT_EQ(c.driver(primary).board().Get()->leader, primary);
  for (const Name& n : Others(c, primary)) {
    EXPECT_EQ(c.driver(n).board().Get()->leader, primary) << n;
    EXPECT_EQ(c.driver(n).board().Get()->members.size(), 3U);
  }
}

TEST(Cluster, AnIdleClusterStaysAsItIs) {
  SimCluster c({});
  c.StartAll();
  ASSERT_TRUE(c.WaitConverged(3, seconds(60))) << c.Dump();
  const Name primary = c.Primary();
  const uint64_t decided = c.driver(primary).journal().decided();
  const uint64_t turns = c.loop().turns();
  c.loop().RunFor(seconds(120));
  EXPECT_EQ(c.Primary(), primary);
  EXPECT_LE(c.driver(primary).journal().decided(), decided + 2) << c.Dump();
  // Turns of all three loops, with 100/s each from the test's own watch of the lock: what is left must be
  // few.
  EXPECT_LT((c.loop().turns() - turns) / 120 / 3, 100 + 40U);
}

TEST(Cluster, NodeDeathFailsOverByQuorum) {
  SimCluster c({});
  c.StartAll();
  ASSERT_TRUE(c.WaitConverged(3, seconds(60))) << c.Dump();
  c.Load(seconds(2));
  const Name first = c.Primary();
  c.KillNode(first);
  const auto took = c.WaitPrimary(seconds(20), first);
  ASSERT_TRUE(took.has_value()) << c.Dump();
  EXPECT_LE(*took, seconds(4)) << c.Dump();
  EXPECT_TRUE(c.HasAll(c.Primary()));
  c.Load(seconds(2));
  c.StartAgent(first);
  ASSERT_TRUE(c.WaitConverged(3, seconds(60))) << c.Dump();
  c.Load(seconds(1));
  c.loop().RunFor(seconds(1));
  EXPECT_TRUE(c.HasAll(first));
  // Everybody knows when the changes were.
  const std::vector<election::HistoryEntry> told = c.driver(c.Primary()).board().Get()->history;
  ASSERT_EQ(told.size(), 2U);
  EXPECT_GT(told[0].unix_ms, 0);
  EXPECT_GE(told[1].unix_ms, told[0].unix_ms);
  for (const Name& n : c.names()) EXPECT_EQ(c.driver(n).board().Get()->history, told) << n;
}

TEST(Cluster, NodeDeathFailsOverFastInTheFastProfile) {
  SimCluster c({.fast = true});
  c.StartAll();
  ASSERT_TRUE(c.WaitConverged(3, seconds(60))) << c.Dump();
  c.Load(seconds(1));
  const Name first = c.Primary();
  c.KillNode(first);
  const auto took = c.WaitPrimary(seconds(20), first);
  ASSERT_TRUE(took.has_value()) << c.Dump();
  EXPECT_LE(*took, milliseconds(1500)) << c.Dump();
  EXPECT_TRUE(c.HasAll(c.Primary()));
}

TEST(Cluster, NodeDeathFailsOverByLeaseWhenToldTo) {
  SimCluster c({.takeover = election::Takeover::kLease});
  c.StartAll();
  ASSERT_TRUE(c.WaitConverged(3, seconds(60))) << c.Dump();
  const Name first = c.Primary();
  c.KillNode(first);
  const auto took = c.WaitPrimary(seconds(30), first);
  ASSERT_TRUE(took.has_value()) << c.Dump();
  EXPECT_LE(*took, seconds(12)) << c.Dump();
  EXPECT_GE(*took, seconds(7));
}

TEST(Cluster, DatabaseCrashFailsOverOnTheShimsEvidence) {
  SimCluster c({});
  c.StartAll();
  ASSERT_TRUE(c.WaitConverged(3, seconds(60))) << c.Dump();
  c.Load(seconds(2));
  const Name first = c.Primary();
  c.node(first).fence->Crash();
  const auto took = c.WaitPrimary(seconds(20), first);
  ASSERT_TRUE(took.has_value()) << c.Dump();
  EXPECT_LE(*took, milliseconds(500)) << c.Dump();
  EXPECT_TRUE(c.HasAll(c.Primary()));
  ASSERT_TRUE(c.WaitConverged(3, seconds(60))) << c.Dump();
}

// A second before the next shim could tell.
TEST(Cluster, AKilledShimFailsOverBeforeTheNextOneIsThere) {
  SimCluster c({});
  c.StartAll();
  ASSERT_TRUE(c.WaitConverged(3, seconds(60))) << c.Dump();
  c.Load(seconds(2));
  const Name first = c.Primary();
  c.node(first).fence->End();
  const auto took = c.WaitPrimary(seconds(20), first);
  ASSERT_TRUE(took.has_value()) << c.Dump();
  EXPECT_LE(*took, milliseconds(500)) << c.Dump();
  EXPECT_TRUE(c.HasAll(c.Primary()));
  c.node(first).fence->ComeBack();
  ASSERT_TRUE(c.WaitConverged(3, seconds(60))) << c.Dump();
}

// Without a sync set a backend could acknowledge a write after the evidence: nobody is told then.
TEST(Cluster, AKilledShimIsNoEvidenceWithoutASyncSet) {
  SimCluster c({.durability = election::Durability::kAsync});
  c.StartAll();
  ASSERT_TRUE(c.WaitConverged(3, seconds(60))) << c.Dump();
  const Name first = c.Primary();
  c.node(first).fence->End();
  EXPECT_FALSE(c.WaitPrimary(milliseconds(700), first).has_value()) << c.Dump();
  c.node(first).fence->ComeBack();
  ASSERT_TRUE(c.WaitConverged(3, seconds(60))) << c.Dump();
}

TEST(Cluster, AloneDatabaseCrashIsReopenedInPlace) {
  SimCluster c({.members = 1});
  c.StartAll();
  ASSERT_TRUE(c.WaitPrimary(seconds(30)).has_value()) << c.Dump();
  c.loop().RunFor(seconds(3));
  c.node("a").fence->Crash();
  ASSERT_TRUE(c.loop().RunUntilTrue(milliseconds(1500), [&] { return c.Primary() == "a"; })) << c.Dump();
}

TEST(Cluster, SwitchoverThereAndBack) {
  SimCluster c({});
  c.StartAll();
  ASSERT_TRUE(c.WaitConverged(3, seconds(60))) << c.Dump();
  for (int i = 0; i < 6; ++i) {
    const Name from = c.Primary();
    const Name to = Others(c, from)[static_cast<size_t>(i % 2)];
    const MonoTime begin = c.loop().Now();
    const rpc::AdminAnswer answer = c.Ask(from, rpc::AdminVerb::kSwitchover, to);
    EXPECT_TRUE(answer.status == AdminStatus::kDone || answer.status == AdminStatus::kAccepted)
        << rpc::ToString(answer.status) << " " << answer.message << "\n"
        << c.Dump();
    ASSERT_TRUE(c.loop().RunUntilTrue(seconds(10), [&] { return c.Primary() == to; })) << c.Dump();
    EXPECT_LE(c.loop().Now() - begin, milliseconds(500)) << i;
    ASSERT_TRUE(c.WaitConverged(3, seconds(60))) << c.Dump();
    c.Load(milliseconds(200));
  }
  c.loop().RunFor(seconds(1));
  for (const Name& n : c.names()) EXPECT_TRUE(c.HasAll(n)) << n;
}

TEST(Cluster, SwitchoverToAStrangerIsRefusedAndSaysWhy) {
  SimCluster c({});
  c.StartAll();
  ASSERT_TRUE(c.WaitConverged(3, seconds(60))) << c.Dump();
  const Name primary = c.Primary();
  const rpc::AdminAnswer answer = c.Ask(primary, rpc::AdminVerb::kSwitchover, "zz");
  EXPECT_EQ(answer.status, AdminStatus::kRefused);
  EXPECT_NE(answer.message.find("zz"), std::string::npos) << answer.message;
  EXPECT_EQ(c.Primary(), primary);
}

TEST(Cluster, LockDownForAllFailsafeKeepsThePrimary) {
  SimCluster c({});
  c.StartAll();
  ASSERT_TRUE(c.WaitConverged(3, seconds(60))) << c.Dump();
  const Name primary = c.Primary();
  for (const Name& n : c.names()) c.node(n).store->Set({.delay_max = Duration(0), .down = true});
  for (int i = 0; i < 30; ++i) {
    c.Load(seconds(1));
    ASSERT_EQ(c.Primary(), primary) << i << "\n" << c.Dump();
  }
  EXPECT_EQ(c.driver(primary).board().Get()->lock.health, rpc::LockHealth::kUnreachable);
  for (const Name& n : c.names()) c.node(n).store->Set({});
  c.loop().RunFor(seconds(10));
  EXPECT_EQ(c.Primary(), primary);
  EXPECT_EQ(c.driver(primary).board().Get()->lock.health, rpc::LockHealth::kOk);
}

TEST(Cluster, LockDownAndAMemberGoneStopsInTime) {
  SimCluster c({});
  c.StartAll();
  ASSERT_TRUE(c.WaitConverged(3, seconds(60))) << c.Dump();
  const Name primary = c.Primary();
  for (const Name& n : c.names()) c.node(n).store->Set({.delay_max = Duration(0), .down = true});
  for (const Name& n : Others(c, primary)) c.StopAgent(n);
  ASSERT_TRUE(c.loop().RunUntilTrue(seconds(8), [&] { return c.world().Writable().empty(); })) << c.Dump();
}

TEST(Cluster, UnknownAnswersOfTheLockAreSurvived) {
  SimCluster c({});
  c.StartAll();
  ASSERT_TRUE(c.WaitConverged(3, seconds(60))) << c.Dump();
  lease::Faults faults;
  faults.unknown_before = 0.15;
  faults.unknown_after = 0.15;
  for (const Name& n : c.names()) c.node(n).store->Set(faults);
  for (int i = 0; i < 10; ++i) {
    c.Load(seconds(5));
    const Name primary = c.Primary();
    if (i % 3 == 2 && !primary.empty()) c.node(primary).fence->Crash();
  }
  for (const Name& n : c.names()) c.node(n).store->Set({});
  ASSERT_TRUE(c.WaitConverged(3, seconds(60))) << c.Dump();
  EXPECT_TRUE(c.HasAll(c.Primary()));
}

TEST(Cluster, AFrozenAgentIsFencedByItsShimAndReplaced) {
  SimCluster c({});
  c.StartAll();
  ASSERT_TRUE(c.WaitConverged(3, seconds(60))) << c.Dump();
  const Name first = c.Primary();
  c.Freeze(first);
  c.Load(seconds(20));
  EXPECT_EQ(c.node(first).fence->fenced(), 1);
  const Name second = c.Primary();
  EXPECT_NE(second, first);
  ASSERT_NE(second, "") << c.Dump();
  EXPECT_TRUE(c.HasAll(second));
}

TEST(Cluster, AnAgentRestartLeavesTheDatabaseAlone) {
  SimCluster c({});
  c.StartAll();
  ASSERT_TRUE(c.WaitConverged(3, seconds(60))) << c.Dump();
  const Name first = c.Primary();
  const election::Epoch epoch = c.driver(first).state().view->epoch;
  c.StopAgent(first);
  c.Load(milliseconds(500));
  c.StartAgent(first);
  c.Load(seconds(5));
  EXPECT_TRUE(c.WaitConverged(3, seconds(30))) << c.Dump();
  EXPECT_EQ(c.Primary(), first) << c.Dump();
  EXPECT_EQ(c.node(first).fence->fenced(), 0);
  EXPECT_EQ(c.node(first).fence->kills(), 0);
  EXPECT_EQ(c.driver(first).state().view->epoch, epoch) << "the same reign";
  EXPECT_TRUE(c.HasAll(c.Primary()));
}

TEST(Cluster, AHungDatabaseIsReplaced) {
  SimCluster c({});
  c.StartAll();
  ASSERT_TRUE(c.WaitConverged(3, seconds(60))) << c.Dump();
  c.Load(seconds(1));
  const Name first = c.Primary();
  c.world().Hang(first, true);
  const auto took = c.WaitPrimary(seconds(30), first);
  ASSERT_TRUE(took.has_value()) << c.Dump();
  EXPECT_LE(*took, seconds(6)) << c.Dump();
  EXPECT_TRUE(c.HasAll(c.Primary()));
  ASSERT_TRUE(c.WaitConverged(3, seconds(60))) << c.Dump();
}

TEST(Cluster, AHungEngineThreadStopsNeitherFenceNorFailover) {
  SimCluster c({});
  c.StartAll();
  ASSERT_TRUE(c.WaitConverged(3, seconds(60))) << c.Dump();
  const Name first = c.Primary();
  c.node(first).engine_worker->Hang(true);
  const auto took = c.WaitPrimary(seconds(30), first);
  ASSERT_TRUE(took.has_value()) << c.Dump();
  EXPECT_GE(c.node(first).fence->kills(), 1) << "killed past the worker\n" << c.Dump();
  EXPECT_TRUE(c.driver(first).engine_runner().stuck());
  c.node(first).engine_worker->Hang(false);
  ASSERT_TRUE(c.WaitConverged(3, seconds(60))) << c.Dump();
}

TEST(Cluster, AnIsolatedPrimaryStopsAndReturns) {
  SimCluster c({});
  c.StartAll();
  ASSERT_TRUE(c.WaitConverged(3, seconds(60))) << c.Dump();
  const Name first = c.Primary();
  for (const Name& n : Others(c, first)) c.Cut(first, n, true);
  c.node(first).store->Set({.delay_max = Duration(0), .down = true});
  c.Load(seconds(15));
  const Name second = c.Primary();
  ASSERT_NE(second, "") << c.Dump();
  EXPECT_NE(second, first);
  for (const Name& n : Others(c, first)) c.Cut(first, n, false);
  c.node(first).store->Set({});
  ASSERT_TRUE(c.WaitConverged(3, seconds(60))) << c.Dump();
  EXPECT_TRUE(c.HasAll(c.Primary()));
}

TEST(Cluster, ShutdownHandsOver) {
  SimCluster c({});
  c.StartAll();
  ASSERT_TRUE(c.WaitConverged(3, seconds(60))) << c.Dump();
  c.Load(seconds(1));
  const Name first = c.Primary();
  EXPECT_FALSE(c.driver(first).HandedOver());
  c.driver(first).Handle(election::ShutdownAsked{});
  ASSERT_TRUE(c.loop().RunUntilTrue(seconds(3), [&] { return c.driver(first).HandedOver(); })) << c.Dump();
  const auto took = c.WaitPrimary(seconds(3), first);
  ASSERT_TRUE(took.has_value()) << c.Dump();
  EXPECT_LE(*took, milliseconds(500));
  EXPECT_TRUE(c.HasAll(c.Primary()));
}

TEST(Cluster, AnEndingPodHandsOverAndARestartedContainerComesBack) {
  SimCluster c({.audit = true});
  c.StartAll();
  ASSERT_TRUE(c.WaitConverged(3, seconds(60))) << c.Dump();
  c.Load(seconds(1));
  const Name first = c.Primary();
  c.node(first).fence->TellEnding();
  const auto took = c.WaitPrimary(seconds(3), first);
  ASSERT_TRUE(took.has_value()) << c.Dump();
  EXPECT_LE(*took, milliseconds(500));
  EXPECT_TRUE(c.HasAll(c.Primary()));
  const std::vector<std::string> ended = {R"("action":"pod.end")", R"("stage":"completed")"};
  EXPECT_TRUE(c.loop().RunUntilTrue(seconds(1), [&] { return c.Audited(first, ended) == 1; })) << c.Dump();
  // A replica has nothing to hand over: its database is stopped at once, so that the container ends.
  const Name second = c.Primary();
  Name replica;
  for (const Name& n : c.names())
    if (n != first && n != second) replica = n;
  c.node(replica).fence->TellEnding();
  ASSERT_TRUE(c.loop().RunUntilTrue(seconds(2), [&] { return !c.world().Running(replica); })) << c.Dump();
  EXPECT_EQ(c.node(replica).fence->shutdowns(), 1);
  EXPECT_EQ(c.Audited(replica, ended), 1);
  // Both containers were only restarted: new shims, the same agents.
  c.node(first).fence->ComeBack();
  c.node(replica).fence->ComeBack();
  ASSERT_TRUE(c.WaitConverged(3, seconds(60))) << c.Dump();
  EXPECT_EQ(c.Primary(), second);
  EXPECT_EQ(c.Audited(first, ended), 1);
  EXPECT_EQ(c.Audited(replica, ended), 1);
}

// The handover has stopped the database, and nobody asks this member for anything any more.
TEST(Cluster, AnEndingPodIsToldToHaveEndedWithNothingLeftToStop) {
  SimCluster c({.members = 1, .audit = true});
  c.StartAll();
  ASSERT_TRUE(c.WaitConverged(1, seconds(60))) << c.Dump();
  c.node("a").fence->TellEnding();
  ASSERT_TRUE(c.loop().RunUntilTrue(seconds(5), [&] { return c.driver("a").HandedOver(); })) << c.Dump();
  EXPECT_FALSE(c.world().Running("a"));
  EXPECT_EQ(c.Audited("a", {R"("action":"pod.end")", R"("stage":"completed")"}), 1);
  EXPECT_EQ(c.node("a").fence->shutdowns(), 0);
}

// The shim goes with its database (no --term-wait), before the lock is given up.
TEST(Cluster, AnEndingPodIsToldToHaveEndedWithoutItsShim) {
  SimCluster c({.audit = true});
  c.StartAll();
  ASSERT_TRUE(c.WaitConverged(3, seconds(60))) << c.Dump();
  const Name first = c.Primary();
  c.node(first).fence->TellEnding();
  c.world().Kill(first);
  c.node(first).fence->Connect(false);
  ASSERT_TRUE(c.WaitPrimary(seconds(15), first).has_value()) << c.Dump();
  const std::vector<std::string> ended = {R"("action":"pod.end")", R"("stage":"completed")"};
  EXPECT_TRUE(c.loop().RunUntilTrue(seconds(1), [&] { return c.Audited(first, ended) == 1; })) << c.Dump();
  EXPECT_EQ(c.node(first).fence->shutdowns(), 0);  // there is no shim that could be asked
  c.node(first).fence->ComeBack();
  ASSERT_TRUE(c.WaitConverged(3, seconds(60))) << c.Dump();
  EXPECT_EQ(c.Audited(first, ended), 1);
}

TEST(Cluster, PauseResumeAndIdempotency) {
  SimCluster c({});
  c.StartAll();
  ASSERT_TRUE(c.WaitConverged(3, seconds(60))) << c.Dump();
  const Name primary = c.Primary();
  EXPECT_EQ(c.Ask(primary, rpc::AdminVerb::kPause, "", seconds(10), "pause-0001").status, AdminStatus::kDone);
  EXPECT_TRUE(c.driver(primary).board().Get()->paused);
  EXPECT_EQ(c.Ask(primary, rpc::AdminVerb::kResume).status, AdminStatus::kDone);
  // The same id again: the same answer, and it is not done again.
  EXPECT_EQ(c.Ask(primary, rpc::AdminVerb::kPause, "", seconds(10), "pause-0001").status, AdminStatus::kDone);
  EXPECT_FALSE(c.driver(primary).board().Get()->paused);
}

TEST(Cluster, FenceKeepsAMemberDownAndUnfenceBringsItBack) {
  SimCluster c({});
  c.StartAll();
  ASSERT_TRUE(c.WaitConverged(3, seconds(60))) << c.Dump();
  const Name primary = c.Primary();
  const Name standby = Others(c, primary)[0];
  const rpc::AdminAnswer answer = c.Ask(standby, rpc::AdminVerb::kFence);
  EXPECT_TRUE(answer.status == AdminStatus::kAccepted || answer.status == AdminStatus::kDone);
  ASSERT_TRUE(c.loop().RunUntilTrue(seconds(5), [&] { return !c.world().Running(standby); })) << c.Dump();
  c.loop().RunFor(seconds(30));
  EXPECT_FALSE(c.world().Running(standby));
  EXPECT_EQ(c.Primary(), primary);
  EXPECT_EQ(c.Ask(standby, rpc::AdminVerb::kUnfence).status, AdminStatus::kDone);
  ASSERT_TRUE(c.WaitConverged(3, seconds(60))) << c.Dump();
}

TEST(Cluster, RestartReinitAndReloadGoToTheEngine) {
  SimCluster c({});
  c.StartAll();
  ASSERT_TRUE(c.WaitConverged(3, seconds(60))) << c.Dump();
  const Name primary = c.Primary();
  const Name standby = Others(c, primary)[0];
  EXPECT_EQ(c.Ask(primary, rpc::AdminVerb::kRestart).status, AdminStatus::kDone);
  EXPECT_EQ(c.Ask(standby, rpc::AdminVerb::kRestart, primary).status, AdminStatus::kRefused);
  EXPECT_EQ(c.Ask(standby, rpc::AdminVerb::kReload).status, AdminStatus::kDone);
  EXPECT_EQ(c.Ask(primary, rpc::AdminVerb::kReinit).status, AdminStatus::kRefused);
  EXPECT_EQ(c.Ask(standby, rpc::AdminVerb::kReinit).status, AdminStatus::kDone);
  ASSERT_TRUE(c.WaitConverged(3, seconds(60))) << c.Dump();
  EXPECT_EQ(c.Primary(), primary);
}

}  // namespace
}  // namespace mainstay::agent
