// Who acknowledges: the proof that a change is in force everywhere, under load.
#include "test/integration/engine/cluster.h"

#include <signal.h>

namespace mainstay::engine::postgres {
namespace {

using election::EngineOp;
using std::chrono::milliseconds;
using std::chrono::seconds;

TEST(Sync, NobodyAcknowledgesUnderOldNamesAfterSetSync) {
  Cluster c;
  c.Open(2, 1);  // ANY 1 (b, c)
  Node& a = c[0];
  Load load(&a);
  std::vector<double> times;
  for (int round = 0; round < 10; ++round) {
    // Only b may acknowledge from now on: with b's stream stopped nothing at or after the settled position is
    // acknowledged.
    const MonoTime t = BootClock().Now();
    const auto settled =
        a.engine->SetSync(c.Op(EngineOp::kSetSync, 1, {round % 2 == 0 ? "b" : "c"}, 1), In(seconds(2)));
    ASSERT_TRUE(settled.ok()) << settled.status() << a.LogTail();
    times.push_back(Ms(BootClock().Now() - t));
    const std::string named = round % 2 == 0 ? "ms_b_%" : "ms_c_%";
    EXPECT_EQ(a.Sql("SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'quorum' AND "
                    "application_name LIKE '" +
                    named + "'"),
              "1");
    std::this_thread::sleep_for(milliseconds(20));
  }
  Say("set_sync under load", times);
  load.Stop();
  EXPECT_GT(load.count(), 10);
  // b alone, and b does not receive: nothing is acknowledged although c streams.
  ASSERT_OK(a.engine->SetSync(c.Op(EngineOp::kSetSync, 1, {"b"}, 1), In(seconds(2))));
  ASSERT_OK(c[1].engine->Freeze(c.MemoryOf(2), In(seconds(2))));
  EXPECT_NE(a.TrySql("INSERT INTO t VALUES (-1)", milliseconds(500)), "");
  // Down to nobody releases who waits.
  Load waiting(&a, 100000);
  std::this_thread::sleep_for(milliseconds(300));
  EXPECT_EQ(waiting.count(), 0);
  ASSERT_OK(a.engine->SetSync(c.Op(EngineOp::kSetSync, 1, {}, 0), In(seconds(2))));
  std::this_thread::sleep_for(milliseconds(300));
  EXPECT_GT(waiting.count(), 0);
}

// A walsender that is stopped cannot have read the new names: SetSync must not say that it has. The naive way
// (look at sync_state in a view) would see nothing wrong.
TEST(Sync, AStoppedWalsenderIsNotTakenForSettled) {
  Cluster c;
  c.Open(2, 1);
  Node& a = c[0];
  const pid_t inside =
      atoi(a.Sql("SELECT pid FROM pg_stat_replication WHERE application_name LIKE 'ms_c_%'").c_str());
  ASSERT_GT(inside, 0);
  const pid_t sender = a.Find("walsender", inside);
  ASSERT_GT(sender, 0);
  kill(sender, SIGSTOP);
  const auto settled = a.engine->SetSync(c.Op(EngineOp::kSetSync, 1, {"b", "c"}, 2), In(milliseconds(600)));
  EXPECT_TRUE(absl::IsDeadlineExceeded(settled.status())) << settled.status();
  kill(sender, SIGCONT);
  ASSERT_OK(a.engine->SetSync(c.Op(EngineOp::kSetSync, 1, {"b"}, 1), In(seconds(2))));
  a.Sql("INSERT INTO t VALUES (1)");
}

// During a fast checkpoint the checkpointer reads no configuration: from alone to "somebody must acknowledge"
// commits would go on unheeded. The sentinel sees it.
TEST(Sync, FromAloneOnlyOnceCommitsWait) {
  Cluster c;
  c.Open(1);
  Node &a = c[0], &b = c[1];
  const pid_t checkpointer = a.Find("checkpointer");
  ASSERT_GT(checkpointer, 0);
  kill(checkpointer, SIGSTOP);
  const auto early = a.engine->SetSync(c.Op(EngineOp::kSetSync, 1, {"b"}, 1), In(milliseconds(500)));
  EXPECT_TRUE(absl::IsDeadlineExceeded(early.status())) << early.status();
  kill(checkpointer, SIGCONT);
  ASSERT_OK(a.engine->SetSync(c.Op(EngineOp::kSetSync, 1, {"b"}, 1), In(seconds(2))));
  ASSERT_OK(b.engine->Freeze(c.MemoryOf(2), In(seconds(2))));
  EXPECT_NE(a.TrySql("INSERT INTO t VALUES (-1)", milliseconds(500)), "");
}

TEST(Sync, StrangersAndOldEpochsDoNotCount) {
  Cluster c;
  c.Open(1, 1);
  Node &a = c[0], &b = c[1];
  a.Sql("INSERT INTO t VALUES (1)");
  // The names of epoch 2: b still streams under epoch 1.
  ASSERT_OK(a.engine->SetSync(c.Op(EngineOp::kSetSync, 2, {"b"}, 1), In(seconds(2))));
  EXPECT_NE(a.TrySql("INSERT INTO t VALUES (2)", milliseconds(400)), "");
  EXPECT_TRUE(a.Probe().standbys.empty());
  c.FollowAndStream(b, a, 2);
  a.Sql("INSERT INTO t VALUES (3)");
  EXPECT_EQ(a.Probe().standbys.size(), 1U);
  // ALTER SYSTEM by a superuser does not undo it for long.
  a.Sql("ALTER SYSTEM SET synchronous_standby_names = ''");
  a.Sql("SELECT pg_reload_conf()");
  std::this_thread::sleep_for(milliseconds(50));
  a.Probe();
  std::this_thread::sleep_for(milliseconds(50));
  EXPECT_NE(a.Sql("SHOW synchronous_standby_names"), "");
}

}  // namespace
}  // namespace mainstay::engine::postgres
