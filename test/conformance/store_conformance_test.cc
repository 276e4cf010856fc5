// What every store has to do (lib/lease/store.h). A new store joins in Kinds() of store_env_local.cc or
// kube_env.cc.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <set>
#include <thread>

#include "test/conformance/store_env.h"

namespace mainstay::lease {
namespace {

using namespace std::chrono_literals;

class StoreConformance : public ::testing::TestWithParam<Kind> {
 protected:
  void SetUp() override {
    std::string why;
    env_ = GetParam().make(&why);
    if (env_ == nullptr) GTEST_SKIP() << "SKIPPED LOUDLY: " << why;
    store_ = env_->Open();
  }
  static Document Doc(const std::string& state) { return {"leader", "7", state}; }
  std::string MustCreate(const std::string& state) {
    const StoreAnswer a = store_->Create(Doc(state), In(5s));
    EXPECT_EQ(a.outcome, StoreOutcome::kOk) << a.detail;
    return a.version;
  }
  std::unique_ptr<Env> env_;
  std::unique_ptr<Store> store_;
};

TEST_P(StoreConformance, NothingIsThereAtFirst) {
  EXPECT_EQ(store_->Read(In(5s)).outcome, StoreOutcome::kNotFound);
  EXPECT_EQ(store_->Update(Doc("x"), "v", In(5s)).outcome, StoreOutcome::kNotFound);
  EXPECT_EQ(store_->Update(Doc("x"), "", In(5s)).outcome, StoreOutcome::kNotFound);
  EXPECT_EQ(store_->Read(In(5s)).outcome, StoreOutcome::kNotFound);
}

TEST_P(StoreConformance, CreateReadUpdate) {
  const std::string v1 = MustCreate("one");
  EXPECT_NE(v1, "");
  StoreAnswer read = store_->Read(In(5s));
  EXPECT_EQ(read.outcome, StoreOutcome::kOk);
  EXPECT_EQ(read.version, v1);
  EXPECT_EQ(read.document, Doc("one"));
  const StoreAnswer again = store_->Create(Doc("other"), In(5s));
  EXPECT_EQ(again.outcome, StoreOutcome::kConflict);
  const StoreAnswer updated = store_->Update(Doc("two"), v1, In(5s));
  EXPECT_EQ(updated.outcome, StoreOutcome::kOk) << updated.detail;
  EXPECT_NE(updated.version, v1);
  const StoreAnswer late = store_->Update(Doc("late"), v1, In(5s));
  EXPECT_EQ(late.outcome, StoreOutcome::kConflict);
  EXPECT_NE(late.detail, "");
  read = env_->Open()->Read(In(5s));
  EXPECT_EQ(read.version, updated.version);
  EXPECT_EQ(read.document, Doc("two"));
}

TEST_P(StoreConformance, TheSameContentGetsANewVersion) {
  const std::string v1 = MustCreate("same");
  const StoreAnswer a = store_->Update(Doc("same"), v1, In(5s));
  EXPECT_EQ(a.outcome, StoreOutcome::kOk);
  EXPECT_NE(a.version, v1);
}

TEST_P(StoreConformance, VersionsNeverRepeatAlsoAfterADeletion) {
  std::set<std::string> seen;
  for (int round = 0; round < 20; ++round) {
    std::string version = MustCreate("x");
    EXPECT_TRUE(seen.insert(version).second) << version;
    for (int i = 0; i < 3; ++i) {
      const StoreAnswer a = store_->Update(Doc("x"), version, In(5s));
      ASSERT_EQ(a.outcome, StoreOutcome::kOk);
      EXPECT_TRUE(seen.insert(a.version).second) << a.version;
      version = a.version;
    }
    env_->DeleteObject();
    EXPECT_EQ(store_->Update(Doc("x"), version, In(5s)).outcome, StoreOutcome::kNotFound);
    if (round > 0) continue;
    // The object was made anew by somebody else: the old version must not fit.
    MustCreate("x");
    EXPECT_EQ(store_->Update(Doc("x"), version, In(5s)).outcome, StoreOutcome::kConflict);
    env_->DeleteObject();
  }
}

TEST_P(StoreConformance, ContentComesBackUnchanged) {
  std::string version = MustCreate("");
  const std::string texts[] = {"",
                               " ",
                               "\"quoted\" \\ {\"a\":[1,2]}\n\t\r",
                               std::string("nul\0inside", 10),
                               "\x01\x1f\x7f",
                               "ü€😀",
                               std::string(240'000, 'x'),
                               std::string(100'000, '"')};
  for (const std::string& text : texts) {
    const Document d{text, "12345", text.size() > 100'000 ? "" : text};
    const StoreAnswer a = store_->Update(d, version, In(5s));
    ASSERT_EQ(a.outcome, StoreOutcome::kOk) << a.detail;
    version = a.version;
    const StoreAnswer read = store_->Read(In(5s));
    EXPECT_EQ(read.version, version);
    EXPECT_TRUE(read.document == d) << text.substr(0, 50);
  }
}

TEST_P(StoreConformance, APassedDeadlineIsUnknownAndChangesNothing) {
  const std::string v1 = MustCreate("one");
  EXPECT_EQ(store_->Read(MonoTime()).outcome, StoreOutcome::kUnknown);
  EXPECT_EQ(store_->Create(Doc("x"), MonoTime()).outcome, StoreOutcome::kUnknown);
  EXPECT_EQ(store_->Update(Doc("x"), v1, In(-1ms)).outcome, StoreOutcome::kUnknown);
  EXPECT_EQ(store_->Read(MonoTime::Never()).version, v1);
}

TEST_P(StoreConformance, OfManyCreatorsOneWins) {
  for (int round = 0; round < 20; ++round) {
    std::atomic<int> won{0}, lost{0};
    std::vector<std::thread> threads;
    for (int t = 0; t < 6; ++t) {
      threads.emplace_back([&, t] {
        const StoreAnswer a = env_->Open()->Create(Doc(std::to_string(t)), In(10s));
        won += a.outcome == StoreOutcome::kOk;
        lost += a.outcome == StoreOutcome::kConflict;
      });
    }
    for (std::thread& t : threads) t.join();
    ASSERT_EQ(won, 1);
    ASSERT_EQ(lost, 5);
    env_->DeleteObject();
  }
}

TEST_P(StoreConformance, OfManyUpdatesOfOneVersionOneWins) {
  std::string version = MustCreate("0");
  for (int round = 0; round < 20; ++round) {
    std::atomic<int> won{0}, lost{0};
    std::vector<StoreAnswer> answers(6);
    std::vector<std::thread> threads;
    for (size_t t = 0; t < answers.size(); ++t) {
      threads.emplace_back(
          [&, t] { answers[t] = env_->Open()->Update(Doc(std::to_string(t)), version, In(10s)); });
    }
    for (std::thread& t : threads) t.join();
    std::string next;
    for (const StoreAnswer& a : answers) {
      won += a.outcome == StoreOutcome::kOk;
      lost += a.outcome == StoreOutcome::kConflict;
      if (a.outcome == StoreOutcome::kOk) next = a.version;
    }
    ASSERT_EQ(won, 1);
    ASSERT_EQ(lost, 5);
    ASSERT_EQ(store_->Read(In(5s)).version, next);
    version = next;
  }
}

TEST_P(StoreConformance, WaitChange) {
  EXPECT_FALSE(store_->WaitChange("", In(50ms)));
  const std::string v1 = MustCreate("one");
  EXPECT_TRUE(store_->WaitChange("", In(5s))) << "already different";
  const MonoTime begin = BootClock().Now();
  EXPECT_FALSE(store_->WaitChange(v1, In(100ms)));
  EXPECT_GE(BootClock().Now() - begin, 100ms);
  std::thread writer([&] {
    std::this_thread::sleep_for(50ms);
    env_->Open()->Update(Doc("two"), v1, In(5s));
  });
  const MonoTime wait = BootClock().Now();
  EXPECT_TRUE(store_->WaitChange(v1, In(5s)));
  EXPECT_LT(BootClock().Now() - wait, 1s);
  writer.join();
  const std::string v2 = store_->Read(In(5s)).version;
  std::thread deleter([&] {
    std::this_thread::sleep_for(50ms);
    env_->DeleteObject();
  });
  EXPECT_TRUE(store_->WaitChange(v2, In(5s)));
  deleter.join();
}

TEST_P(StoreConformance, InterruptEndsTheRunningOrTheNextWait) {
  const std::string v1 = MustCreate("one");
  std::thread other([&] {
    std::this_thread::sleep_for(50ms);
    store_->Interrupt();
  });
  MonoTime begin = BootClock().Now();
  store_->WaitChange(v1, In(10s));
  EXPECT_LT(BootClock().Now() - begin, 2s);
  other.join();
  store_->Interrupt();
  begin = BootClock().Now();
  store_->WaitChange(v1, In(10s));
  EXPECT_LT(BootClock().Now() - begin, 2s);
  begin = BootClock().Now();
  EXPECT_FALSE(store_->WaitChange(v1, In(100ms))) << "one interrupt, one wait";
  EXPECT_GE(BootClock().Now() - begin, 100ms);
}

// The heart of it: threads append by compare-and-swap; the log tells whether every answer was true.
void RunWriters(Env* env, const Faults* faults, int writers, int count) {
  std::vector<Appended> told(static_cast<size_t>(writers));
  std::vector<std::thread> threads;
  std::atomic<uint64_t> injected{0};
  for (int t = 0; t < writers; ++t) {
    threads.emplace_back([&, t] {
      std::unique_ptr<Store> store = env->Open();
      FaultStore* faulty = nullptr;
      if (faults != nullptr) {
        auto wrapped = std::make_unique<FaultStore>(std::move(store), *faults, static_cast<uint64_t>(t) + 1);
        faulty = wrapped.get();
        store = std::move(wrapped);
      }
      told[static_cast<size_t>(t)] = AppendTokens(store.get(), "w" + std::to_string(t), count, In(60s));
      if (faulty != nullptr) injected += faulty->injected();
    });  // late writes have ended when the store is destroyed
  }
  for (std::thread& t : threads) t.join();
  const StoreAnswer final = env->Open()->Read(In(5s));
  ASSERT_EQ(final.outcome, StoreOutcome::kOk);
  EXPECT_EQ(CheckLog(final.document.state, told), "");
  size_t refused = 0;
  for (const Appended& a : told) {
    EXPECT_EQ(a.ok.size(), static_cast<size_t>(count));
    refused += a.refused.size();
  }
  EXPECT_GT(refused, 0u) << "no conflict at all: the test did not test";
  if (faults != nullptr) {
    EXPECT_GT(injected, 50u);
  }
}

TEST_P(StoreConformance, ConcurrentWritersLoseNothing) { RunWriters(env_.get(), nullptr, 6, 60); }

TEST_P(StoreConformance, ConcurrentWritersLoseNothingUnderFaults) {
  const Faults faults = AllFaults();
  RunWriters(env_.get(), &faults, 6, 40);
}

// The check itself: a store that forgets the comparison is caught.
TEST(CheckLog, SeesLossDoublingAndLies) {
  EXPECT_EQ(CheckLog("a.0 b.0 ", {{{"a.0"}, {"a.1"}, {"a.2"}}, {{"b.0"}, {}, {}}}), "");
  EXPECT_NE(CheckLog("b.0 ", {{{"a.0"}, {}, {}}, {{"b.0"}, {}, {}}}), "");
  EXPECT_NE(CheckLog("a.0 a.0 ", {{{"a.0"}, {}, {}}}), "");
  EXPECT_NE(CheckLog("a.0 a.1 ", {{{"a.0"}, {"a.1"}, {}}}), "");
  EXPECT_NE(CheckLog("a.0 c.0 ", {{{"a.0"}, {}, {}}}), "");
}

INSTANTIATE_TEST_SUITE_P(Stores, StoreConformance, ::testing::ValuesIn(Kinds()),
                         [](const auto& i) { return i.param.name; });

}  // namespace
}  // namespace mainstay::lease
