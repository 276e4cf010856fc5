// The rules by which the fence's deadline may move: one test a rule.
#include "agent/shim/deadline.h"

#include <gtest/gtest.h>

namespace mainstay::shimd {
namespace {

using shim::wire::Arm;
using shim::wire::Code;

constexpr int64_t kSec = 1000000000;
constexpr int64_t kNow = 1000 * kSec;

Arm At(int64_t until, int64_t epoch, int64_t sent = kNow) { return Arm{until, epoch, sent, until - sent}; }

class DeadlineTest : public testing::Test {
 protected:
  Code Do(Arm arm, int64_t now = kNow) { return deadline_.Arm(arm, now, false); }
  Deadline deadline_{600 * kSec};
};

TEST_F(DeadlineTest, StartsUnarmed) {
  EXPECT_FALSE(deadline_.armed());
  EXPECT_FALSE(deadline_.Due(INT64_MAX));
}

TEST_F(DeadlineTest, MayBeExtendedButNotShortened) {
  EXPECT_EQ(Do(At(kNow + 10 * kSec, 3)), Code::kOk);
  EXPECT_EQ(Do(At(kNow + 12 * kSec, 3)), Code::kOk);
  EXPECT_EQ(Do(At(kNow + 12 * kSec, 3)), Code::kOk) << "the same again is no harm";
  EXPECT_EQ(Do(At(kNow + 12 * kSec - 1, 3)), Code::kShorter);
  EXPECT_EQ(Do(At(kNow + 11 * kSec, 4)), Code::kShorter) << "a higher epoch may not shorten either";
  EXPECT_EQ(deadline_.until(), kNow + 12 * kSec);
  EXPECT_EQ(deadline_.epoch(), 3);
}

TEST_F(DeadlineTest, RefusesALowerEpochAlsoAfterClear) {
  EXPECT_EQ(Do(At(kNow + 10 * kSec, 7)), Code::kOk);
  EXPECT_EQ(Do(At(kNow + 20 * kSec, 6)), Code::kEpoch);
  deadline_.Clear();
  EXPECT_EQ(Do(At(kNow + 20 * kSec, 6)), Code::kEpoch);
  EXPECT_EQ(Do(At(kNow + 20 * kSec, 7)), Code::kOk);
}

TEST_F(DeadlineTest, EpochZeroAndBelowAreNone) {
  EXPECT_EQ(Do(At(kNow + kSec, 0)), Code::kEpoch);
  EXPECT_EQ(Do(At(kNow + kSec, -1)), Code::kEpoch);
}

TEST_F(DeadlineTest, ThePastIsLate) {
  EXPECT_EQ(Do(At(kNow, 1, kNow - kSec)), Code::kLate);
  EXPECT_EQ(Do(At(kNow - 1, 1, kNow - kSec)), Code::kLate);
  EXPECT_FALSE(deadline_.armed());
}

TEST_F(DeadlineTest, UnitsAndClocksAreChecked) {
  EXPECT_EQ(Do(At(kNow + 10 * kSec, 1, kNow + 1)), Code::kClock) << "sent in the future: another clock";
  Arm arm = At(kNow + 10 * kSec, 1);
  arm.remaining = 10000;  // milliseconds instead of nanoseconds
  EXPECT_EQ(Do(arm), Code::kClock);
  EXPECT_EQ(Do(At(kNow + 600 * kSec + 1, 1)), Code::kClock) << "beyond the horizon";
  EXPECT_EQ(Do(At(kNow + 600 * kSec, 1)), Code::kOk);
}

TEST_F(DeadlineTest, ExtremeNumbersDoNotOverflow) {
  EXPECT_EQ(Do(Arm{INT64_MAX, 1, INT64_MIN, -1}), Code::kClock);
  EXPECT_EQ(Do(Arm{INT64_MIN, 1, kNow, INT64_MIN}), Code::kClock);
  EXPECT_EQ(Do(Arm{INT64_MAX, 1, 0, INT64_MAX}), Code::kClock);
  EXPECT_EQ(Do(Arm{0, 1, 0, 0}), Code::kLate);
}

TEST_F(DeadlineTest, NothingExtendsWhatHasPassed) {
  EXPECT_EQ(Do(At(kNow + kSec, 1)), Code::kOk);
  // Exactly at the deadline, before the loop looked at the clock: too late.
  EXPECT_EQ(Do(At(kNow + 9 * kSec, 1), kNow + kSec), Code::kFencing);
  EXPECT_EQ(Do(At(kNow + 9 * kSec, 2), kNow + 2 * kSec), Code::kFencing);
  EXPECT_EQ(deadline_.Arm(At(kNow + 9 * kSec, 2), kNow, true), Code::kFencing) << "while killing";
}

TEST_F(DeadlineTest, DueNotOneNanosecondEarly) {
  EXPECT_EQ(Do(At(kNow + kSec, 1)), Code::kOk);
  EXPECT_FALSE(deadline_.Due(kNow + kSec - 1));
  EXPECT_TRUE(deadline_.Due(kNow + kSec));
}

TEST_F(DeadlineTest, PermitsOnlyItsOwnEpochAndOnlyBefore) {
  EXPECT_FALSE(deadline_.Permits(1, kNow));
  EXPECT_EQ(Do(At(kNow + kSec, 5)), Code::kOk);
  EXPECT_TRUE(deadline_.Permits(5, kNow + kSec - 1));
  EXPECT_FALSE(deadline_.Permits(5, kNow + kSec));
  EXPECT_FALSE(deadline_.Permits(4, kNow));
  EXPECT_FALSE(deadline_.Permits(6, kNow));
}

TEST_F(DeadlineTest, DisarmedOnlyByItsOwnEpochAndOnlyBefore) {
  EXPECT_EQ(Do(At(kNow + kSec, 5)), Code::kOk);
  EXPECT_EQ(deadline_.Disarm(4, kNow, false), Code::kEpoch) << "a late request of an earlier reign";
  EXPECT_EQ(deadline_.Disarm(6, kNow, false), Code::kEpoch);
  EXPECT_EQ(deadline_.Disarm(5, kNow, true), Code::kFencing);
  EXPECT_EQ(deadline_.Disarm(5, kNow + kSec, false), Code::kFencing) << "due";
  EXPECT_TRUE(deadline_.armed());
  EXPECT_EQ(deadline_.Disarm(5, kNow, false), Code::kOk);
  EXPECT_FALSE(deadline_.armed());
  EXPECT_EQ(deadline_.Disarm(5, kNow, false), Code::kOk) << "twice is as good";
  EXPECT_EQ(Do(At(kNow + kSec, 4)), Code::kEpoch) << "the highest epoch is kept";
}

}  // namespace
}  // namespace mainstay::shimd
