// Members that come back: diverged primaries, foreign data, directories in use, reinit.
#include "test/integration/engine/cluster.h"

#include <signal.h>
#include <sys/stat.h>

#include <filesystem>

#include "lib/base/file.h"

namespace mainstay::engine::postgres {
namespace {

using election::DbState;
using election::EngineOp;
using std::chrono::milliseconds;
using std::chrono::seconds;

TEST(Rejoin, DivergedOldPrimaryIsRewound) {
  Cluster c;
  c.Open(1);
  Node &a = c[0], &b = c[1];
  a.Sql("INSERT INTO t SELECT generate_series(1, 1000)");
  // b is frozen, a goes on alone: its tail is lost to the cluster.
  std::this_thread::sleep_for(milliseconds(100));
  ASSERT_OK(b.engine->Freeze(c.MemoryOf(2), In(seconds(2))));
  a.Sql("INSERT INTO t SELECT generate_series(2001, 5000)");
  a.Sql("CREATE TABLE lost (i int)");
  ASSERT_OK(a.engine->Kill(In(seconds(5))));
  b.Arm(2);
  ASSERT_OK(b.engine->Promote(c.Op(EngineOp::kPromote, 2), In(seconds(5))));
  b.Sql("INSERT INTO t VALUES (-2)");
  const std::string nonce = a.Probe().data_nonce;
  struct stat before {
  }, after{};
  ASSERT_EQ(stat(a.options.data_dir.c_str(), &before), 0);
  const MonoTime t = BootClock().Now();
  c.FollowAndStream(a, b, 2);
  Say("rewind of a diverged primary until it streams", {Ms(BootClock().Now() - t)});
  ASSERT_EQ(stat(a.options.data_dir.c_str(), &after), 0);
  EXPECT_EQ(before.st_ino, after.st_ino) << "it was cloned, not rewound:\n" << a.LogTail();
  EXPECT_NE(a.Probe().data_nonce, nonce);
  EXPECT_EQ(a.Sql("SELECT count(*) FROM t"), "1001");
  EXPECT_EQ(a.Sql("SELECT count(*) FROM pg_class WHERE relname = 'lost'"), "0");
  EXPECT_EQ(a.Sql("SHOW port"), std::to_string(a.options.port));
}

TEST(Rejoin, HalfRewoundDataAreClonedNeverStarted) {
  Cluster c;
  c.Open(1);
  Node &a = c[0], &b = c[1];
  ASSERT_OK(b.engine->Stop(In(seconds(10))));
  ASSERT_OK(Touch(b.options.data_dir + ".mainstay.rewinding"));
  EXPECT_TRUE(absl::IsFailedPrecondition(b.engine->Freeze(c.MemoryOf(2), In(seconds(5))).status()));
  EXPECT_EQ(b.Probe().state, DbState::kStopped);
  c.FollowAndStream(b, a, 1);
  EXPECT_FALSE(Exists(b.options.data_dir + ".mainstay.rewinding"));
  // The former data go once the new ones stream.
  for (int i = 0; i < 100 && !std::filesystem::is_empty(b.dir); ++i) {
    b.Probe();
    bool old = false;
    for (const auto& e : std::filesystem::directory_iterator(b.dir))
      old = old || e.path().string().find(".old-") != std::string::npos;
    if (!old) return;
    std::this_thread::sleep_for(milliseconds(150));
  }
  FAIL() << "data.old is still there";
}

TEST(Rejoin, ReinitClonesAnewAndPrimariesRefuse) {
  Cluster c;
  c.Open(1);
  Node &a = c[0], &b = c[1];
  EXPECT_TRUE(absl::IsFailedPrecondition(a.engine->Reinit(In(seconds(5)))));
  EXPECT_TRUE(a.Probe().writable);
  const std::string nonce = b.Probe().data_nonce;
  ASSERT_OK(b.engine->Reinit(In(seconds(10))));
  EXPECT_TRUE(b.Probe().empty);
  EXPECT_TRUE(std::filesystem::exists(b.options.data_dir + "/PG_VERSION"))
      << "the old data are kept until a clone is complete";
  EXPECT_FALSE(b.engine->Found(In(seconds(10))).ok()) << "founded over data that shall be cloned";
  c.FollowAndStream(b, a, 1);
  EXPECT_NE(b.Probe().data_nonce, nonce);
}

TEST(Rejoin, ForeignDataAndWrongLeadersAreRefused) {
  Cluster c;
  c.Open(1);
  Node &a = c[0], &b = c[1], &d = c[2];
  const auto foreign = d.engine->Found(In(seconds(60)));
  ASSERT_OK(foreign);
  EXPECT_NE(*foreign, c.cluster_id);
  // It was opened: somebody may have written to it (one that never was is thrown away, Basics).
  d.Arm(1);
  ASSERT_OK(d.engine->Reopen(c.Op(EngineOp::kReopen, 1), In(seconds(10))));
  ASSERT_OK(d.engine->Stop(In(seconds(10))));
  const absl::Status status = d.engine->Follow(a.AsMember(), 1, c.cluster_id, In(seconds(5)));
  EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
  EXPECT_EQ(d.Probe().state, DbState::kStopped);
  // Without knowing the cluster's identifier, too: the leader tells it.
  EXPECT_TRUE(absl::IsFailedPrecondition(d.engine->Follow(a.AsMember(), 1, "", In(seconds(5)))));
  // A leader in recovery, a leader of another epoch, a member under another's address.
  EXPECT_TRUE(absl::IsUnavailable(d.engine->Follow(b.AsMember(), 1, *foreign, In(seconds(5)))) ||
              absl::IsFailedPrecondition(d.engine->Follow(b.AsMember(), 1, *foreign, In(seconds(5)))));
  EXPECT_TRUE(absl::IsUnavailable(b.engine->Follow(a.AsMember(), 7, c.cluster_id, In(seconds(5)))));
  election::Member wrong = a.AsMember();
  wrong.name = "c";
  EXPECT_TRUE(absl::IsFailedPrecondition(b.engine->Follow(wrong, 1, c.cluster_id, In(seconds(5)))));
}

TEST(Rejoin, DirectoryInUseIsRefused) {
  Cluster c;
  c.Open(1);
  Node& b = c[1];
  // A second agent on the same data.
  EXPECT_TRUE(absl::IsFailedPrecondition(PostgresEngine::Create(b.options).status()));
  // A postmaster that is not the shim's: started by hand, in its own process group.
  ASSERT_OK(b.engine->Stop(In(seconds(10))));
  const pid_t other = fork();
  if (other == 0) {
    const uid_t user = geteuid();
    const gid_t group = getegid();
    if (getuid() == 0 && (seteuid(0) != 0 || setegid(0) != 0 || setgid(group) != 0 || setuid(user) != 0))
      _exit(125);
    execl((b.options.bin_dir + "/postgres").c_str(), "postgres", "-D", b.options.data_dir.c_str(), nullptr);
    _exit(127);
  }
  for (int i = 0; i < 200 && !b.TrySql("SELECT 1", milliseconds(300)).empty(); ++i)
    std::this_thread::sleep_for(milliseconds(20));
  const absl::Status status = b.engine->Follow(c[0].AsMember(), 1, c.cluster_id, In(seconds(5)));
  EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
  kill(other, SIGINT);
  int wait_status = 0;
  waitpid(other, &wait_status, 0);
  c.FollowAndStream(b, c[0], 1);
}

TEST(Rejoin, CloneIsCancelledAndThenDone) {
  Cluster c;
  c.Open(0);
  Node &a = c[0], &b = c[1];
  a.Sql("CREATE TABLE big AS SELECT generate_series(1, 400000) AS i, repeat('x', 100) AS x");
  Settings slow = b.options.settings;
  slow.clone_rate_bytes = 1 << 20;
  ASSERT_OK(b.engine->Configure(slow));
  ASSERT_OK(b.engine->Reload(In(seconds(1))));
  std::thread canceller([&] {
    std::this_thread::sleep_for(milliseconds(1500));
    EXPECT_NE(b.engine->LastDetails().activity.find("cloning from a"), std::string::npos)
        << b.engine->LastDetails().activity;
    b.engine->Cancel();
  });
  const MonoTime t = BootClock().Now();
  const absl::Status status = b.engine->Follow(a.AsMember(), 1, c.cluster_id, In(seconds(60)));
  canceller.join();
  EXPECT_TRUE(absl::IsCancelled(status)) << status;
  EXPECT_LT(BootClock().Now() - t, seconds(5));
  EXPECT_TRUE(b.Probe().empty);
  ASSERT_OK(b.engine->Configure(b.options.settings));
  ASSERT_OK(b.engine->Reload(In(seconds(1))));
  c.FollowAndStream(b, a, 1);
}

}  // namespace
}  // namespace mainstay::engine::postgres
