// Each fault does what its name says.
#include "lib/lease/fault_store.h"

#include <gtest/gtest.h>

#include "lib/lease/memory_store.h"

namespace mainstay::lease {
namespace {

using namespace std::chrono_literals;

MonoTime Until(Duration d) { return BootClock().Now() + d; }

class FaultStoreTest : public ::testing::Test {
 protected:
  FaultStoreTest() : store_(std::make_unique<MemoryStore>(cell_), {}, 1) {
    version_ = store_.Create({"l", "1", "old"}, Until(5s)).version;
  }
  StoreOutcome UpdateWith(double Faults::*fault) {
    Faults f;
    f.*fault = 1;
    store_.Set(f);
    return store_.Update({"l", "2", "new"}, version_, Until(5s)).outcome;
  }
  std::string Now() { return MemoryStore(cell_).Read(Until(5s)).document.state; }
  std::shared_ptr<MemoryCell> cell_ = std::make_shared<MemoryCell>();
  FaultStore store_;
  std::string version_;
};

TEST_F(FaultStoreTest, UnknownBefore) {
  EXPECT_EQ(UpdateWith(&Faults::unknown_before), StoreOutcome::kUnknown);
  EXPECT_EQ(Now(), "old");
  EXPECT_EQ(store_.injected(), 1u);
}
TEST_F(FaultStoreTest, UnknownAfter) {
  EXPECT_EQ(UpdateWith(&Faults::unknown_after), StoreOutcome::kUnknown);
  EXPECT_EQ(Now(), "new");
}
TEST_F(FaultStoreTest, UnknownLate) {
  EXPECT_EQ(UpdateWith(&Faults::unknown_late), StoreOutcome::kUnknown);
  for (int i = 0; i < 500 && Now() != "new"; ++i) std::this_thread::sleep_for(10ms);
  EXPECT_EQ(Now(), "new");
}
TEST_F(FaultStoreTest, Conflict) {
  EXPECT_EQ(UpdateWith(&Faults::conflict), StoreOutcome::kConflict);
  EXPECT_EQ(Now(), "old");
}
TEST_F(FaultStoreTest, Down) {
  Faults f;
  f.down = true;
  f.delay_max = 10s;
  store_.Set(f);
  const MonoTime begin = BootClock().Now();
  EXPECT_EQ(store_.Update({"l", "2", "new"}, version_, Until(100ms)).outcome, StoreOutcome::kUnknown);
  EXPECT_EQ(store_.Read(Until(100ms)).outcome, StoreOutcome::kUnknown);
  EXPECT_GE(BootClock().Now() - begin, 200ms);
  EXPECT_LT(BootClock().Now() - begin, 2s);
  EXPECT_EQ(Now(), "old");
}
TEST_F(FaultStoreTest, StaleRead) {
  EXPECT_EQ(store_.Read(Until(5s)).document.state, "old");
  EXPECT_EQ(store_.Update({"l", "2", "new"}, version_, Until(5s)).outcome, StoreOutcome::kOk);
  Faults f;
  f.stale_read = 1;
  store_.Set(f);
  EXPECT_EQ(store_.Read(Until(5s)).document.state, "old");
  EXPECT_EQ(Now(), "new");
}
TEST_F(FaultStoreTest, NoFaultsNoDifference) {
  EXPECT_EQ(store_.Read(Until(5s)).version, version_);
  EXPECT_EQ(store_.Update({"l", "2", "new"}, version_, Until(5s)).outcome, StoreOutcome::kOk);
  EXPECT_EQ(store_.injected(), 0u);
  EXPECT_EQ(store_.Describe(), "fault:memory:");
}

}  // namespace
}  // namespace mainstay::lease
