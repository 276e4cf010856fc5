// Databases that hang, are full, die; configuration that is refused.
#include "test/integration/engine/cluster.h"

#include <libpq-fe.h>
#include <signal.h>

#include <fstream>

namespace mainstay::engine::postgres {
namespace {

using election::DbState;
using election::EngineOp;
using election::Verdict;
using std::chrono::milliseconds;
using std::chrono::seconds;

void SignalAll(Node& n, int signal) {
  for (const pid_t p : n.Processes()) kill(p, signal);
}

TEST(Faults, AStoppedDatabaseCostsAProbeItsDeadlineOnly) {
  Cluster c;
  c.Open(0);
  Node& a = c[0];
  EXPECT_EQ(a.Probe().verdict, Verdict::kOk);
  const election::Engine set_sync = c.Op(EngineOp::kSetSync, 1);
  SignalAll(a, SIGSTOP);
  for (int i = 0; i < 3; ++i) {
    const MonoTime t = BootClock().Now();
    const election::DbReport r = a.Probe(milliseconds(300));
    EXPECT_LT(BootClock().Now() - t, milliseconds(450));
    EXPECT_EQ(r.state, DbState::kRunning);
    EXPECT_EQ(r.verdict, Verdict::kHung);
    EXPECT_TRUE(r.writable);
  }
  for (const auto op : {0, 1, 2}) {
    const MonoTime t = BootClock().Now();
    const absl::Status status = op == 0   ? a.engine->SetSync(set_sync, In(milliseconds(300))).status()
                                : op == 1 ? a.engine->Checkpoint(In(milliseconds(300)))
                                          : a.engine->Reload(In(milliseconds(300)));
    EXPECT_FALSE(status.ok()) << op;
    EXPECT_LT(BootClock().Now() - t, milliseconds(450)) << op;
  }
  SignalAll(a, SIGCONT);
  a.ProbeUntil([](const auto& r) { return r.verdict == Verdict::kOk; });
  SignalAll(a, SIGSTOP);
  const MonoTime t = BootClock().Now();
  ASSERT_OK(a.engine->Kill(In(seconds(2))));
  Say("kill of a stopped database", {Ms(BootClock().Now() - t)});
  EXPECT_EQ(a.Probe().state, DbState::kStopped);
}

// The shim's processes: the one that was started, and the one inside its PID namespace.
void SignalShim(Node& n, int signal) {
  const std::string pid = std::to_string(n.shim_pid);
  std::ifstream children("/proc/" + pid + "/task/" + pid + "/children");
  for (pid_t child; children >> child;) {
    std::ifstream comm("/proc/" + std::to_string(child) + "/comm");
    std::string name;
    if (comm >> name && name == "mainstay-shim") kill(child, signal);
  }
  kill(n.shim_pid, signal);
}

// What the shim does not say is nothing against the database; and a database that must end ends without it.
TEST(Faults, AShimThatStandsStill) {
  Cluster c;
  c.Open(0);
  Node& a = c[0];
  EXPECT_EQ(a.Probe().verdict, Verdict::kOk);
  SignalShim(a, SIGSTOP);
  for (int i = 0; i < 3; ++i) {
    const MonoTime t = BootClock().Now();
    const election::DbReport r = a.Probe(seconds(5));
    EXPECT_LT(BootClock().Now() - t, seconds(4));
    EXPECT_EQ(r.state, DbState::kRunning);
    EXPECT_EQ(r.verdict, Verdict::kOk);
    EXPECT_TRUE(r.writable);
  }
  const MonoTime t = BootClock().Now();
  EXPECT_FALSE(a.engine->Kill(In(seconds(5))).ok()) << "only the shim can tell that it is done";
  EXPECT_LT(BootClock().Now() - t, seconds(8));
  EXPECT_NE(a.TrySql("CREATE TABLE after_the_kill (id int)", seconds(5)), "");
  EXPECT_NE(a.Probe().verdict, Verdict::kOk);
  SignalShim(a, SIGCONT);
  a.ProbeUntil([](const auto& r) { return r.state == DbState::kDead || r.state == DbState::kStopped; });
}

// Only the postmaster is stopped: sessions go on, but nobody comes in any more.
TEST(Faults, AStoppedPostmasterIsFoundByTheLoginOnly) {
  Cluster c;
  c.Open(0);
  Node& a = c[0];
  EXPECT_EQ(a.Probe().verdict, Verdict::kOk);
  const pid_t postmaster = a.Processes().front();
  kill(postmaster, SIGSTOP);
  bool hung = false;
  for (const MonoTime until = In(seconds(6)); !hung && BootClock().Now() < until;) {
    const MonoTime t = BootClock().Now();
    hung = a.Probe().verdict == Verdict::kHung;
    EXPECT_LT(BootClock().Now() - t, milliseconds(1100));
    std::this_thread::sleep_for(milliseconds(100));
  }
  EXPECT_TRUE(hung);
  kill(postmaster, SIGCONT);
  a.ProbeUntil([](const auto& r) { return r.verdict == Verdict::kOk; });
}

TEST(Faults, FullIsSaturatedNotHung) {
  Cluster c;
  c.Open(0);
  Node& a = c[0];
  EXPECT_EQ(a.Probe().verdict, Verdict::kOk);
  a.Sql("CREATE ROLE app LOGIN");
  std::vector<PGconn*> sessions;
  const std::string local = "host=" + a.options.socket_dir + " port=" + std::to_string(a.options.port) +
                            " user=postgres dbname=postgres";
  for (int i = 0; i < 60; ++i) {
    PGconn* s = PQconnectdb(local.c_str());
    sessions.push_back(s);
    if (PQstatus(s) != CONNECTION_OK) break;
  }
  EXPECT_NE(PQstatus(sessions.back()), CONNECTION_OK);
  const election::DbReport r = a.ProbeUntil([](const auto& p) { return p.verdict == Verdict::kSaturated; });
  EXPECT_EQ(r.state, DbState::kRunning);
  EXPECT_TRUE(r.writable);
  for (PGconn* s : sessions) PQfinish(s);
  a.ProbeUntil([](const auto& p) { return p.verdict == Verdict::kOk; });
}

TEST(Faults, KilledIsDeadAndReopensInPlace) {
  Cluster c;
  c.Open(1, 1);
  Node& a = c[0];
  std::vector<double> times;
  for (int i = 0; i < 3; ++i) {
    a.Sql("INSERT INTO t SELECT generate_series(" + std::to_string(i * 1000 + 1) + ", " +
          std::to_string(i * 1000 + 1000) + ")");
    kill(a.Processes().front(), SIGKILL);
    const election::DbReport r = a.ProbeUntil([](const auto& p) { return p.state == DbState::kDead; });
    EXPECT_FALSE(r.writable);
    const auto op = c.Op(EngineOp::kReopen, 1, {"b"}, 1);
    const MonoTime t = BootClock().Now();
    const auto opened = a.engine->Reopen(op, In(seconds(20)));
    times.push_back(Ms(BootClock().Now() - t));
    ASSERT_TRUE(opened.ok()) << opened.status() << a.LogTail();
    EXPECT_EQ(opened->timeline, 1U);
    EXPECT_TRUE(a.Probe().writable);
    c[1].ProbeUntil([](const auto& p) { return p.streaming_from == "a"; });
  }
  Say("reopen after kill -9", times);
  EXPECT_EQ(a.Sql("SELECT count(*) FROM t"), "3000");
}

// A backend that is killed takes the whole database down: who leads then is decided by the election, not by
// the postmaster.
TEST(Faults, ACrashedBackendEndsTheDatabase) {
  Cluster c;
  c.Open(0);
  Node& a = c[0];
  a.Probe();
  const pid_t victim = a.Find("walwriter");
  ASSERT_GT(victim, 0);
  kill(victim, SIGKILL);
  a.ProbeUntil([](const auto& p) { return p.state == DbState::kDead; });
}

TEST(Faults, AStandbysDataAreNeverOpenedOnTheSameTimeline) {
  Cluster c;
  c.Open(1);
  Node &a = c[0], &b = c[1];
  ASSERT_OK(b.engine->Stop(In(seconds(10))));
  ASSERT_OK(a.engine->Kill(In(seconds(5))));
  b.Arm(2);
  const auto opened = b.engine->Reopen(c.Op(EngineOp::kReopen, 2), In(seconds(20)));
  ASSERT_TRUE(opened.ok()) << opened.status() << b.LogTail();
  EXPECT_EQ(opened->timeline, 2U);
}

TEST(Faults, ReloadRestartAndRefusedParameters) {
  Cluster c;
  c.Open(0);
  Node& a = c[0];
  Settings s = a.options.settings;
  s.parameters["work_mem"] = "7MB";
  s.parameters["max_connections"] = "31";
  ASSERT_OK(a.engine->Configure(s));
  ASSERT_OK(a.engine->Reload(In(seconds(2))));
  EXPECT_EQ(a.Sql("SHOW work_mem"), "7MB");
  EXPECT_EQ(a.Sql("SHOW max_connections"), "30");
  a.Probe();
  EXPECT_EQ(a.engine->LastDetails().pending_restart, std::vector<std::string>{"max_connections"});
  // Refused by the database: the former values stay, in the files too.
  Settings bad = s;
  bad.parameters["work_mem"] = "banana";
  ASSERT_OK(a.engine->Configure(bad));
  const absl::Status status = a.engine->Reload(In(seconds(2)));
  EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
  EXPECT_NE(status.message().find("work_mem"), std::string::npos);
  // Refused by us, with the reason.
  bad.parameters = {{"synchronous_standby_names", "x"}, {"fsync", "off"}};
  const absl::Status kept = a.engine->Configure(bad);
  EXPECT_NE(kept.message().find("synchronous_standby_names"), std::string::npos);
  EXPECT_NE(kept.message().find("fsync"), std::string::npos);
  const MonoTime t = BootClock().Now();
  ASSERT_OK(a.engine->Restart(In(seconds(20))));
  Say("restart of a primary", {Ms(BootClock().Now() - t)});
  EXPECT_EQ(a.Sql("SHOW max_connections"), "31");
  EXPECT_EQ(a.Sql("SHOW work_mem"), "7MB");
  a.Probe();
  EXPECT_TRUE(a.engine->LastDetails().pending_restart.empty());
}

TEST(Faults, DamagedMemoryIsAnErrorNotAFreshStart) {
  Cluster c;
  Node& a = c[0];
  EXPECT_EQ(a.engine->LoadMemory()->promised, 0);
  ASSERT_OK(a.engine->SaveMemory(c.MemoryOf(9)));
  EXPECT_EQ(a.engine->LoadMemory()->promised, 9);
  std::ofstream(a.options.data_dir + ".mainstay.json") << "{\"promised\":";
  EXPECT_TRUE(absl::IsDataLoss(a.engine->LoadMemory().status()));
}

}  // namespace
}  // namespace mainstay::engine::postgres
