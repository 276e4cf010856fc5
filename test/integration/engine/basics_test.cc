// Found, reopen, clone, follow, freeze, promote, stop: the way of a cluster without faults; with the figures
// of each step.
#include "test/integration/engine/cluster.h"

#include <sys/resource.h>
#include <sys/stat.h>

#include "lib/base/file.h"

namespace mainstay::engine::postgres {
namespace {

using election::DbState;
using election::EngineOp;
using election::Verdict;
using std::chrono::milliseconds;
using std::chrono::seconds;

// Freeze, promote, follow: leadership goes from one member to the other and back, under a new epoch each
// time.
void ThereAndBack(Cluster* cluster) {
  Cluster& c = *cluster;
  Node &b = c[1], &d = c[2];
  MonoTime t;
  std::vector<double> freezes, promotions, follows;
  for (election::Epoch epoch = 2; epoch <= 5; ++epoch) {
    Node& next = epoch % 2 == 0 ? b : d;
    Node& other = epoch % 2 == 0 ? d : b;
    if (epoch > 2) ASSERT_OK(other.engine->Stop(In(seconds(10))));
    t = BootClock().Now();
    const auto frozen = next.engine->Freeze(c.MemoryOf(epoch), In(seconds(5)));
    ASSERT_TRUE(frozen.ok()) << frozen.status() << next.LogTail();
    freezes.push_back(Ms(BootClock().Now() - t));
    const auto op = c.Op(EngineOp::kPromote, epoch);
    if (epoch == 2) {
      // A standby whose shim holds no deadline for this epoch is not promoted.
      const auto refused = next.engine->Promote(op, In(milliseconds(500)));
      EXPECT_FALSE(refused.ok());
      EXPECT_TRUE(next.Probe().state == DbState::kRunning && !next.Probe().writable);
    }
    next.Arm(epoch);
    t = BootClock().Now();
    const auto promoted = next.engine->Promote(op, In(seconds(5)));
    ASSERT_TRUE(promoted.ok()) << promoted.status() << next.LogTail();
    promotions.push_back(Ms(BootClock().Now() - t));
    EXPECT_EQ(promoted->timeline, static_cast<uint32_t>(epoch));
    EXPECT_GE(promoted->offset, frozen->offset);
    next.Sql("INSERT INTO t VALUES (" + std::to_string(-epoch) + ")");
    t = BootClock().Now();
    c.FollowAndStream(other, next, epoch);
    follows.push_back(Ms(BootClock().Now() - t));
    EXPECT_EQ(other.Probe().system_id, c.cluster_id);
  }
  Say("freeze", freezes);
  Say("promote", promotions);
  Say("follow of a former primary or standby until it streams", follows);
}

TEST(Basics, FoundCloneFollowPromoteAndBack) {
  Cluster c;
  Node &a = c[0], &b = c[1], &d = c[2];
  EXPECT_TRUE(a.Probe().empty);
  EXPECT_EQ(a.Probe().state, DbState::kStopped);
  MonoTime t = BootClock().Now();
  const auto id = a.engine->Found(In(seconds(60)));
  ASSERT_OK(id);
  c.cluster_id = *id;
  Say("found", {Ms(BootClock().Now() - t)});
  election::DbReport r = a.Probe();
  EXPECT_FALSE(r.empty);
  EXPECT_EQ(r.system_id, *id);
  EXPECT_EQ(r.state, DbState::kStopped);
  EXPECT_EQ(r.data_nonce.size(), 8U);
  EXPECT_TRUE(absl::IsFailedPrecondition(a.engine->Found(In(seconds(10))).status()));

  // Without an armed deadline nothing opens.
  EXPECT_FALSE(a.engine->Reopen(c.Op(EngineOp::kReopen, 1), In(seconds(10))).ok());
  EXPECT_TRUE(a.Probe().unopened);
  a.Arm(1);
  t = BootClock().Now();
  const auto opened = a.engine->Reopen(c.Op(EngineOp::kReopen, 1), In(seconds(10)));
  ASSERT_TRUE(opened.ok()) << opened.status() << a.LogTail();
  Say("reopen after a clean stop", {Ms(BootClock().Now() - t)});
  EXPECT_EQ(opened->timeline, 1U);
  r = a.Probe();
  EXPECT_EQ(r.state, DbState::kRunning);
  EXPECT_TRUE(r.writable);
  EXPECT_FALSE(r.unopened);
  EXPECT_EQ(r.verdict, Verdict::kOk);
  EXPECT_GE(r.offset, opened->offset);
  a.Sql("CREATE TABLE t (i int PRIMARY KEY); INSERT INTO t SELECT pg_catalog.generate_series(1, 1000)");

  t = BootClock().Now();
  c.FollowAndStream(b, a, 1);
  Say("clone (30 MB) until it streams", {Ms(BootClock().Now() - t)});
  c.FollowAndStream(d, a, 1);
  r = b.Probe();
  EXPECT_FALSE(r.writable);
  EXPECT_EQ(r.verdict, Verdict::kOk);
  EXPECT_LT(BootClock().Now() - r.stream_at, seconds(2));
  EXPECT_NE(r.data_nonce, a.Probe().data_nonce);
  EXPECT_EQ(b.Sql("SELECT count(*) FROM t"), "1000");
  r = a.Probe();
  ASSERT_EQ(r.standbys.size(), 2U);
  EXPECT_TRUE(r.standbys[0].streaming);

  // Freeze both, promote one, the others follow; there and back.
  ASSERT_OK(a.engine->Stop(In(seconds(10))));
  ThereAndBack(&c);
  EXPECT_EQ(b.Sql("SELECT count(*) FROM t"), d.Sql("SELECT count(*) FROM t"));
}

TEST(Basics, AFoundedClusterThatWasNeverOpenedIsThrownAwayForTheRealOne) {
  Cluster c;
  Node &a = c[0], &b = c[1];
  ASSERT_OK(b.engine->Found(In(seconds(60))));
  const std::string stray = b.Probe().system_id;
  c.Open(0);
  EXPECT_NE(stray, c.cluster_id);
  c.FollowAndStream(b, a, 1);
  EXPECT_EQ(b.Probe().system_id, c.cluster_id);
  EXPECT_FALSE(b.Probe().unopened);
}

TEST(Basics, FreezeTwentyTimesUnderLoad) {
  Cluster c;
  c.Open(1);
  Node &a = c[0], &b = c[1];
  Load load(&a);
  std::vector<double> freezes;
  for (election::Epoch epoch = 2; epoch <= 21; ++epoch) {
    const MonoTime t = BootClock().Now();
    const auto frozen = b.engine->Freeze(c.MemoryOf(epoch), In(seconds(1)));
    ASSERT_TRUE(frozen.ok()) << frozen.status() << b.LogTail();
    freezes.push_back(Ms(BootClock().Now() - t));
    std::this_thread::sleep_for(milliseconds(60));
    const election::DbReport r = b.Probe();
    EXPECT_EQ(r.offset, frozen->offset) << "it received after it was frozen";
    EXPECT_EQ(r.streaming_from, "");
    ASSERT_OK(a.engine->SetSync(c.Op(EngineOp::kSetSync, epoch), In(seconds(2))));
    // Frozen again in every phase of a connection that is just being made, too.
    if (epoch % 2 == 0) {
      c.FollowAndStream(b, a, epoch);
    } else {
      ASSERT_OK(b.engine->Follow(a.AsMember(), epoch, c.cluster_id, In(seconds(5))));
      std::this_thread::sleep_for(milliseconds(static_cast<int>(epoch) % 7));
    }
  }
  load.Stop();
  Say("freeze under load", freezes);
  EXPECT_GT(load.count(), 20);
}

TEST(Basics, FreezeStartsAStoppedStandbyAndSurvivesRestart) {
  Cluster c;
  c.Open(1);
  Node &a = c[0], &b = c[1];
  ASSERT_OK(b.engine->Stop(In(seconds(10))));
  a.Sql("INSERT INTO t VALUES (1)");
  const MonoTime t = BootClock().Now();
  ASSERT_OK(b.engine->Freeze(c.MemoryOf(2), In(seconds(10))));
  Say("freeze of a stopped standby", {Ms(BootClock().Now() - t)});
  EXPECT_EQ(b.Sql("SELECT count(*) FROM t"), "0");
  b.StartEngine();
  ASSERT_OK(b.engine->Restart(In(seconds(10))));
  EXPECT_EQ(b.Probe().streaming_from, "");
  EXPECT_EQ(b.Sql("SHOW primary_conninfo"), "");
  EXPECT_EQ(b.engine->LoadMemory()->promised, 2);
  // A frozen standby promoted by hand acknowledges nothing.
  b.Sql("SELECT pg_promote()");
  EXPECT_NE(b.TrySql("INSERT INTO t VALUES (5)", seconds(1)), "");
  EXPECT_TRUE(b.Probe().writable);
}

TEST(Basics, CleanStopTellsTheExactEnd) {
  Cluster c;
  c.Open(1, 1);
  Node &a = c[0], &b = c[1];
  std::vector<double> stops;
  a.Sql("INSERT INTO t SELECT generate_series(1, 1000)");
  for (int i = 0; i < 3; ++i) {
    const MonoTime t = BootClock().Now();
    const auto end = a.engine->Stop(In(seconds(10)));
    stops.push_back(Ms(BootClock().Now() - t));
    ASSERT_OK(end);
    EXPECT_TRUE(end->complete);
    std::this_thread::sleep_for(milliseconds(100));
    EXPECT_EQ(b.Probe().offset, end->offset);
    EXPECT_EQ(a.Probe().state, DbState::kStopped);
    const auto again = a.engine->Reopen(c.Op(EngineOp::kReopen, 1, {"b"}, 1), In(seconds(10)));
    ASSERT_TRUE(again.ok()) << again.status() << a.LogTail();
    b.ProbeUntil([&](const auto& r) { return r.streaming_from == "a"; });
  }
  Say("stop", stops);
}

TEST(Basics, CostOfAProbe) {
  Cluster c;
  c.Open(1);
  Node& a = c[0];
  a.Probe();
  rusage before{}, after{};
  getrusage(RUSAGE_SELF, &before);
  const MonoTime t = BootClock().Now();
  constexpr int kProbes = 200;
  for (int i = 0; i < kProbes; ++i) EXPECT_EQ(a.Probe().verdict, Verdict::kOk);
  const double wall = Ms(BootClock().Now() - t) / kProbes;
  getrusage(RUSAGE_SELF, &after);
  const auto us = [](const rusage& r) {
    return (r.ru_utime.tv_sec + r.ru_stime.tv_sec) * 1e6 +
           static_cast<double>(r.ru_utime.tv_usec + r.ru_stime.tv_usec);
  };
  std::cout << "FIGURE probe of a primary: " << wall << " ms, " << (us(after) - us(before)) / kProbes / 1000
            << " ms CPU of the agent\n";
}

TEST(Basics, RolesAndFiles) {
  Cluster c;
  c.Open(1);
  Node& a = c[0];
  struct stat st {};
  ASSERT_EQ(stat((c.root + "/passwords").c_str(), &st), 0);
  EXPECT_EQ(st.st_mode & 0777, 0600U);
  EXPECT_EQ(a.Sql("SELECT count(*) FROM pg_authid WHERE rolname IN ('mainstay_agent','mainstay_repl') AND "
                  "NOT rolsuper AND rolpassword LIKE 'SCRAM-SHA-256$%'"),
            "2");
  EXPECT_EQ(a.Sql("SHOW data_checksums"), "on");
  EXPECT_EQ(a.Sql("SELECT count(*) FROM pg_hba_file_rules WHERE auth_method = 'trust'"), "0");
  EXPECT_EQ(a.Sql("SELECT count(*) FROM pg_hba_file_rules WHERE error IS NOT NULL"), "0");
  // No superuser over the network, whatever the password.
  const auto passwords = ReadFile(c.root + "/passwords", 4096);
  ASSERT_OK(passwords);
  Connection over(nullptr);
  const absl::Status in = over.Connect({{"host", "127.0.0.1"},
                                        {"port", std::to_string(a.options.port)},
                                        {"user", "postgres"},
                                        {"dbname", "postgres"},
                                        {"passfile", c.root + "/passwords"}},
                                       In(seconds(3)));
  EXPECT_EQ(SqlState(in), "28000") << in;
  // No password in the server's log or in arguments.
  const std::string log = a.LogTail();
  for (size_t at = passwords->find("postgres:"); at != std::string::npos; at = std::string::npos) {
    EXPECT_EQ(log.find(passwords->substr(at + 9, 48)), std::string::npos);
  }
}

}  // namespace
}  // namespace mainstay::engine::postgres
