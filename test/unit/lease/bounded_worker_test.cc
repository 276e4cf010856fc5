#include "lib/lease/bounded_worker.h"

#include <gtest/gtest.h>

#include <atomic>
#include <vector>

namespace mainstay::lease {
namespace {

using namespace std::chrono_literals;
using Ran = BoundedWorker::Ran;

MonoTime In(Duration d) { return BootClock().Now() + d; }

TEST(BoundedWorker, RunsInOrder) {
  BoundedWorker worker;
  std::vector<int> order;
  for (int i = 0; i < 100; ++i)
    ASSERT_EQ(worker.Run([&order, i] { order.push_back(i); }, In(5s)), Ran::kDone);
  ASSERT_EQ(order.size(), 100u);
  EXPECT_TRUE(std::is_sorted(order.begin(), order.end()));
}

TEST(BoundedWorker, ACallThatHangsCostsTheDeadlineAndWhatWaitsIsNeverBegun) {
  const auto begun = std::make_shared<std::atomic<int>>(0);
  MonoTime begin = BootClock().Now();
  {
    BoundedWorker worker;
    EXPECT_EQ(worker.Run([] { std::this_thread::sleep_for(400ms); }, In(50ms)), Ran::kHangs);
    EXPECT_EQ(worker.Run([begun] { ++*begun; }, In(50ms)), Ran::kNotBegun);
    EXPECT_LT(BootClock().Now() - begin, 300ms);
    std::this_thread::sleep_for(500ms);
    EXPECT_EQ(*begun, 0) << "given up means never";
    EXPECT_EQ(worker.Run([begun] { ++*begun; }, In(5s)), Ran::kDone);
  }
  EXPECT_EQ(*begun, 1);
}

TEST(BoundedWorker, TheDestructorDoesNotWaitForEver) {
  const auto ended = std::make_shared<std::atomic<bool>>(false);
  const MonoTime begin = BootClock().Now();
  {
    BoundedWorker worker;
    // Long enough that it has begun, on a busy machine as well: what has not begun never runs.
    ASSERT_EQ(worker.Run(
                  [ended] {
                    std::this_thread::sleep_for(5s);
                    *ended = true;
                  },
                  In(1s)),
              Ran::kHangs);
  }
  EXPECT_LT(BootClock().Now() - begin, 4s);
  EXPECT_FALSE(*ended);
  const MonoTime end = begin + 30s;
  while (!*ended && BootClock().Now() < end) std::this_thread::sleep_for(10ms);  // for the sanitizers
  EXPECT_TRUE(*ended);
}

}  // namespace
}  // namespace mainstay::lease
