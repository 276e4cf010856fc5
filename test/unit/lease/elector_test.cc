// Three electors in one process: one leads, at any moment at most one may act, and the next one comes in
// time.
#include "lib/lease/elector.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <mutex>
#include <thread>
#include <vector>

#include "lib/lease/fault_store.h"
#include "lib/lease/file_store.h"
#include "lib/lease/memory_store.h"

namespace mainstay::lease {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;

ElectorOptions Fast(const std::string& name) {
  ElectorOptions o;
  o.cluster = "job";
  o.name = name;
  o.lease = 900ms;
  o.validity = 600ms;
  o.act = 200ms;
  o.renew = 150ms;
  o.retry = 20ms;
  o.request = 300ms;
  return o;
}

struct Member {
  explicit Member(const std::string& name, std::unique_ptr<Store> inner)
      : options(Fast(name)), store(std::move(inner), {}, 1) {}
  void Start() {
    ElectorCallbacks callbacks;
    callbacks.on_started = [this](const Permission& p) {
      started++;
      last_epoch = p.epoch();
    };
    callbacks.on_stopped = [this](const std::string& why) {
      // The promise: when this is called the permission has ended.
      if (elector->MayAct()) late_stop = true;
      stopped++;
      const std::lock_guard<std::mutex> lock(mutex);
      reason = why;
    };
    callbacks.on_decision = [](const char*, const char*, const std::string&) {};
    elector = *Elector::Create(&store, options, callbacks);
    elector->Start();
  }
  const ElectorOptions options;
  FaultStore store;
  std::atomic<int> started{0}, stopped{0};
  std::atomic<int64_t> last_epoch{0};
  std::atomic<bool> late_stop{false};
  std::mutex mutex;
  std::string reason;
  std::unique_ptr<Elector> elector;  // last: ends first
};

class ElectorTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = ::testing::TempDir() + "mainstay_elector_XXXXXX";
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    dir_ = pattern;
    for (const char* name : {"a", "b", "c"})
      members_.push_back(std::make_unique<Member>(name, *FileStore::Open(dir_)));
    sampler_ = std::thread([this] {
      while (!done_) {
        // One moment for all. A permission may be taken away between the looks, never given to two.
        const MonoTime now = BootClock().Now();
        int may = 0;
        for (const auto& m : members_) may += running_ && m->elector->MayAct(now);
        most_ = std::max<int>(most_, may);
        acts_ += may > 0;
        std::this_thread::sleep_for(200us);
      }
    });
  }
  void TearDown() override {
    done_ = true;
    sampler_.join();
    EXPECT_LE(most_, 1) << "two might act at once";
    for (const auto& m : members_) {
      EXPECT_FALSE(m->late_stop) << m->options.name;
      m->elector->Stop();
      EXPECT_EQ(m->started, m->stopped) << "each beginning has its end";
    }
    members_.clear();
    std::filesystem::remove_all(dir_);
  }
  void StartAll() {
    for (const auto& m : members_) m->Start();
    running_ = true;
  }
  // Waits until somebody (but `except`) may act.
  Member* WaitLeader(Duration patience, const Member* except = nullptr) {
    for (const MonoTime end = BootClock().Now() + patience; BootClock().Now() < end;
         std::this_thread::sleep_for(1ms)) {
      for (const auto& m : members_) {
        if (m.get() != except && m->elector->MayAct()) return m.get();
      }
    }
    return nullptr;
  }
  std::string dir_;
  std::vector<std::unique_ptr<Member>> members_;
  std::atomic<bool> done_{false}, running_{false};
  std::atomic<int> most_{0}, acts_{0};
  std::thread sampler_;
};

TEST_F(ElectorTest, OneLeadsAndKeepsLeading) {
  StartAll();
  Member* leader = WaitLeader(5s);
  ASSERT_NE(leader, nullptr);
  const int64_t epoch = leader->last_epoch;
  EXPECT_GE(epoch, 1);
  std::this_thread::sleep_for(1500ms);
  EXPECT_TRUE(leader->elector->MayAct());
  EXPECT_EQ(leader->last_epoch, epoch);
  EXPECT_EQ(leader->started, 1);
  for (const auto& m : members_) {
    const ElectorStatus s = m->elector->Status();
    EXPECT_EQ(s.leader, leader->options.name);
    EXPECT_EQ(s.epoch, epoch);
    EXPECT_EQ(s.leading, m.get() == leader);
    EXPECT_EQ(s.problem, "");
  }
  EXPECT_STREQ(leader->elector->Status().phase, "primary");
}

TEST_F(ElectorTest, StopHandsOverAtOnceUnderAHigherEpoch) {
  StartAll();
  Member* leader = WaitLeader(5s);
  ASSERT_NE(leader, nullptr);
  const MonoTime begin = BootClock().Now();
  EXPECT_TRUE(leader->elector->Stop());
  EXPECT_FALSE(leader->elector->MayAct());
  EXPECT_EQ(leader->stopped, 1);
  Member* next = WaitLeader(5s);
  ASSERT_NE(next, nullptr);
  const Duration took = BootClock().Now() - begin;
  printf("[          ] handover took %.0f ms\n", static_cast<double>(took.count()) / 1e6);
  EXPECT_LT(took, 800ms) << "a released lock need not run out";
  EXPECT_GT(next->last_epoch, leader->last_epoch);
}

TEST_F(ElectorTest, ALeaderThatCannotReachTheStoreStopsBeforeTheNextStarts) {
  StartAll();
  Member* leader = WaitLeader(5s);
  ASSERT_NE(leader, nullptr);
  Faults down;
  down.down = true;
  down.delay_max = 10s;
  leader->store.Set(down);
  const MonoTime begin = BootClock().Now();
  Member* next = WaitLeader(5s, leader);
  ASSERT_NE(next, nullptr);
  const Duration took = BootClock().Now() - begin;
  printf("[          ] takeover took %.0f ms of a lease of 900 ms\n",
         static_cast<double>(took.count()) / 1e6);
  EXPECT_FALSE(leader->elector->MayAct());
  EXPECT_EQ(leader->stopped, 1);
  EXPECT_LT(took, 2500ms);
  EXPECT_NE(leader->elector->Status().problem, "");
  leader->store.Set({});
  std::this_thread::sleep_for(500ms);
  EXPECT_TRUE(next->elector->MayAct()) << "the old one comes back as a follower";
  EXPECT_EQ(leader->elector->Status().leader, next->options.name);
}

TEST_F(ElectorTest, DeletionOfTheLockNeverMakesTwo) {
  StartAll();
  ASSERT_NE(WaitLeader(5s), nullptr);
  int64_t epoch = 0;
  for (int i = 0; i < 4; ++i) {
    unlink((dir_ + "/lock.json").c_str());
    std::this_thread::sleep_for(400ms);
    Member* leader = WaitLeader(5s);
    ASSERT_NE(leader, nullptr);
    const int64_t now = leader->elector->CurrentPermission().epoch();
    EXPECT_GT(now, epoch) << "the epoch must rise over a deletion";
    epoch = now;
  }
}

TEST_F(ElectorTest, UnderFaultsAtMostOneActsAndSomebodyDoes) {
  Faults f;
  f.unknown_before = f.unknown_after = f.unknown_late = f.conflict = 0.08;
  f.stale_read = 0.05;
  f.delay = 0.3;
  f.delay_max = 60ms;
  f.late_max = 400ms;
  for (const auto& m : members_) m->store.Set(f);
  StartAll();
  std::this_thread::sleep_for(6s);
  const int before = acts_;
  std::this_thread::sleep_for(2s);
  EXPECT_GT(acts_, before) << "nobody acts";
  for (const auto& m : members_) m->store.Set({});
  EXPECT_NE(WaitLeader(5s), nullptr) << "it recovers when the faults end";
}

TEST(ElectorCreate, RefusesWhatIsUnsafe) {
  MemoryStore store(std::make_shared<MemoryCell>());
  ElectorOptions o = Fast("a");
  o.validity = o.lease;
  EXPECT_THAT(std::string(Elector::Create(&store, o, {}).status().message()),
              HasSubstr("raise election.lease to at least"));
  o = Fast("Not A Name");
  EXPECT_THAT(std::string(Elector::Create(&store, o, {}).status().message()), HasSubstr("\"Not A Name\""));
  o = Fast("a");
  o.cluster = "";
  EXPECT_FALSE(Elector::Create(&store, o, {}).ok());
  EXPECT_FALSE(Elector::Create(nullptr, Fast("a"), {}).ok());
}

TEST(ElectorLife, AloneOnMemoryWithMinEpochAndWithoutCallbacks) {
  MemoryStore store(std::make_shared<MemoryCell>());
  ElectorOptions o = Fast("a");
  o.min_epoch = 41;
  auto elector = *Elector::Create(&store, o,
                                  {.on_started = {},
                                   .on_stopped = {},
                                   .on_decision = [](const char*, const char*, const std::string&) {}});
  EXPECT_FALSE(elector->MayAct());
  EXPECT_EQ(elector->CurrentPermission().epoch(), 0);
  EXPECT_TRUE(elector->RunUntil([&] { return elector->MayAct(); }));
  EXPECT_GT(elector->CurrentPermission().epoch(), 41);
  EXPECT_FALSE(elector->MayAct()) << "after Stop never";
  EXPECT_TRUE(elector->Stop()) << "twice is fine";
}

}  // namespace
}  // namespace mainstay::lease
