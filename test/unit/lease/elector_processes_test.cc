// Electors in processes of their own on one file store: the leader is killed and replaced, frozen and thawed.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include "lib/lease/elector.h"
#include "lib/lease/file_store.h"

namespace mainstay::lease {

using namespace std::chrono_literals;

// The program: acts every millisecond while it may, and each act is one line "<epoch> <name> <time in ns>" in
// a shared file.
int ElectorMain(int argc, char** argv) {
  if (argc != 5) return 2;
  auto store = FileStore::Open(argv[2]);
  if (!store.ok()) return 3;
  ElectorOptions o{.cluster = "job", .name = argv[3]};
  o.lease = 900ms, o.validity = 600ms, o.act = 200ms, o.renew = 150ms, o.retry = 20ms, o.request = 300ms;
  auto elector = Elector::Create(store->get(), o,
                                 {.on_started = {},
                                  .on_stopped = {},
                                  .on_decision = [](const char*, const char*, const std::string&) {}});
  if (!elector.ok()) return 4;
  (*elector)->Start();
  const int out = open(argv[4], O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
  for (;;) {
    const Permission p = (*elector)->CurrentPermission();
    const MonoTime now = BootClock().Now();
    if (p.MayAct(now))
      dprintf(out, "%ld %s %ld\n", static_cast<long>(p.epoch()), argv[3], static_cast<long>(now.nanos()));
    std::this_thread::sleep_for(1ms);
  }
}

namespace {

class ElectorProcesses : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = ::testing::TempDir() + "mainstay_electors_XXXXXX";
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    dir_ = pattern;
    for (const char* name : {"a", "b", "c"}) StartOne(name);
  }
  void TearDown() override {
    for (const auto& [name, pid] : pids_) Kill(pid);
    std::filesystem::remove_all(dir_);
  }
  void StartOne(const std::string& name) {
    const std::string store = dir_ + "/store", log = dir_ + "/acts";
    const pid_t pid = fork();
    if (pid == 0) {
      execl("/proc/self/exe", "elector", "--elector", store.c_str(), name.c_str(), log.c_str(), nullptr);
      _exit(127);
    }
    pids_[name] = pid;
  }
  static void Kill(pid_t pid) {
    kill(pid, SIGCONT);
    kill(pid, SIGKILL);
    waitpid(pid, nullptr, 0);
  }
  struct Act {
    long epoch = 0, at = 0;
    std::string name;
  };
  std::vector<Act> Acts() const {
    std::vector<Act> out;
    std::ifstream in(dir_ + "/acts");
    for (Act a; in >> a.epoch >> a.name >> a.at;) out.push_back(a);
    return out;
  }
  // The first act under an epoch above `epoch`; its name, "" when there is none in time.
  Act WaitAbove(long epoch, Duration patience) const {
    for (const MonoTime end = BootClock().Now() + patience; BootClock().Now() < end;
         std::this_thread::sleep_for(5ms)) {
      for (const Act& a : Acts()) {
        if (a.epoch > epoch) return a;
      }
    }
    return {0, 0, ""};
  }
  // Acts of two reigns never overlap in time, and each epoch is one process's.
  void CheckActs() const {
    struct Reign {
      std::string name;
      long first = INT64_MAX, last = 0;
    };
    std::map<long, Reign> reigns;
    for (const Act& a : Acts()) {
      Reign& r = reigns[a.epoch];
      if (r.name.empty()) r.name = a.name;
      EXPECT_EQ(r.name, a.name) << "two processes under epoch " << a.epoch;
      r.first = std::min(r.first, a.at);
      r.last = std::max(r.last, a.at);
    }
    long last = 0;
    for (const auto& [epoch, r] : reigns) {
      EXPECT_GT(r.first, last) << "epoch " << epoch << " began before the one below had ended";
      last = r.last;
    }
  }
  std::string dir_;
  std::map<std::string, pid_t> pids_;
};

TEST_F(ElectorProcesses, AKilledLeaderIsReplaced) {
  long epoch = 0;
  for (int round = 0; round < 4; ++round) {
    const MonoTime begin = BootClock().Now();
    const Act act = WaitAbove(epoch, 10s);
    ASSERT_NE(act.name, "");
    printf("[          ] epoch %ld: %s acts after %.0f ms\n", act.epoch, act.name.c_str(),
           static_cast<double>((BootClock().Now() - begin).count()) / 1e6);
    epoch = act.epoch;
    std::this_thread::sleep_for(300ms);
    Kill(pids_[act.name]);
    StartOne(act.name);  // comes back under its name: must wait like anybody
  }
  CheckActs();
}

TEST_F(ElectorProcesses, AFrozenLeaderDoesNotActWhenItThaws) {
  Act first, second;
  // Who is stopped in the middle of a change holds the directory's flock and keeps everybody out until it
  // thaws: safe, but then nobody takes over. That moment is short; it is not hit three times in a row.
  for (int i = 0; i < 3 && second.name.empty(); ++i) {
    first = i == 0 ? WaitAbove(0, 10s) : Acts().back();
    ASSERT_NE(first.name, "");
    std::this_thread::sleep_for(200ms);
    kill(pids_[first.name], SIGSTOP);
    second = WaitAbove(first.epoch, 10s);
    if (!second.name.empty()) break;
    kill(pids_[first.name], SIGCONT);
    std::this_thread::sleep_for(3s);  // somebody leads again
  }
  ASSERT_NE(second.name, "");
  EXPECT_NE(second.name, first.name);
  kill(pids_[first.name], SIGCONT);
  std::this_thread::sleep_for(1s);
  CheckActs();
  EXPECT_EQ(WaitAbove(second.epoch, 1s).name, "") << "thawing must not cost the new leader its reign";
}

}  // namespace
}  // namespace mainstay::lease
