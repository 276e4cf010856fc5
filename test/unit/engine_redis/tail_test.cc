// What a reign that ended without a handover lost, as far as its own member can tell.
#include "lib/engine/redis/tail.h"

#include <gtest/gtest.h>

namespace mainstay::engine::redis {
namespace {

ReplicationFacts Leader(const std::string& replid2, int64_t second_offset) {
  ReplicationFacts out;
  out.role = Role::kPrimary;
  out.replid = "new";
  out.replid2 = replid2;
  out.second_offset = second_offset;
  return out;
}

// A primary of epoch 7 that wrote 100 bytes and one key a second, from offset 1000 at second 10.
Tail Written() {
  Tail tail;
  for (int64_t s = 10; s <= 15; ++s) tail.Saw(7, "old", "run", {s * 1000, 1000 + (s - 10) * 100, s - 10});
  return tail;
}

TEST(Tail, TheProcessThatLivesOnTellsExactly) {
  Tail tail = Written();
  tail.Ended(16000);
  // The successor had all up to 1250: what was written after second 12 is lost, 50 of 1300 and all later.
  const auto loss = tail.Judge(Tail::Moment{20000, 1500, 5}, Leader("old", 1251));
  ASSERT_TRUE(loss.has_value());
  EXPECT_EQ(loss->epoch, 7);
  EXPECT_EQ(loss->bytes, 250u);
  EXPECT_FALSE(loss->at_least);
  EXPECT_EQ(loss->since_ms, 12000);
  EXPECT_EQ(loss->until_ms, 15000);
  EXPECT_EQ(loss->changes, 3u);  // of keys, since second 12
}

TEST(Tail, WhatWasWrittenAfterTheLastProbeCountsAndEndsWithTheReign) {
  Tail tail = Written();
  tail.Ended(16000);
  const auto loss = tail.Judge(Tail::Moment{20000, 1580, 6}, Leader("old", 1501));
  ASSERT_TRUE(loss.has_value());
  EXPECT_EQ(loss->bytes, 80u);
  EXPECT_EQ(loss->since_ms, 15000);
  EXPECT_EQ(loss->until_ms, 16000);
  EXPECT_EQ(loss->changes, 1u);
}

TEST(Tail, NothingIsLostThatTheLeaderHas) {
  EXPECT_FALSE(Written().Judge(Tail::Moment{20000, 1500, 5}, Leader("old", 1501)).has_value());
  ReplicationFacts same = Leader("", -1);
  same.replid = "old";
  EXPECT_FALSE(Written().Judge(Tail::Moment{20000, 1500, 5}, same).has_value());
  EXPECT_FALSE(Tail().Judge(Tail::Moment{20000, 1500, 5}, Leader("old", 1)).has_value());
}

TEST(Tail, AProcessThatDiedTellsAtLeastWhatWasSeen) {
  Tail tail = Written();
  tail.Ended(15400);
  auto loss = tail.Judge(std::nullopt, Leader("old", 1401));
  ASSERT_TRUE(loss.has_value());
  EXPECT_EQ(loss->bytes, 100u);
  EXPECT_TRUE(loss->at_least);
  EXPECT_EQ(loss->since_ms, 14000);
  EXPECT_EQ(loss->until_ms, 15400);
  EXPECT_FALSE(loss->changes.has_value());
  // The successor has all that was seen: there may be more, nobody knows.
  loss = tail.Judge(std::nullopt, Leader("old", 1501));
  ASSERT_TRUE(loss.has_value());
  EXPECT_FALSE(loss->bytes.has_value());
  EXPECT_EQ(loss->since_ms, 15000);
}

TEST(Tail, AnotherHistoryTellsNothingButThatItIsSo) {
  const auto loss = Written().Judge(Tail::Moment{20000, 1500, 5}, Leader("other", 1251));
  ASSERT_TRUE(loss.has_value());
  EXPECT_FALSE(loss->bytes.has_value());
  EXPECT_EQ(loss->since_ms, 0);
  EXPECT_FALSE(loss->changes.has_value());
}

TEST(Tail, ASaveInBetweenHidesTheNumberOfChanges) {
  Tail tail = Written();
  const auto loss = tail.Judge(Tail::Moment{20000, 1500, 1}, Leader("old", 1251));
  ASSERT_TRUE(loss.has_value());
  EXPECT_FALSE(loss->changes.has_value());
}

TEST(Tail, AnotherProcessOrHistoryBeginsAnew) {
  Tail tail = Written();
  tail.Saw(9, "third", "run2", {30000, 5000, 0});
  EXPECT_EQ(tail.epoch(), 9);
  const auto loss = tail.Judge(Tail::Moment{31000, 5100, 1}, Leader("third", 5001));
  ASSERT_TRUE(loss.has_value());
  EXPECT_EQ(loss->bytes, 100u);
  EXPECT_EQ(loss->since_ms, 30000);
}

TEST(Tail, RemembersTheEndOfALongReign) {
  Tail tail;
  for (int64_t i = 0; i < 100000; ++i) tail.Saw(7, "old", "run", {i, i, i});
  const auto loss = tail.Judge(Tail::Moment{100000, 99999, 99999}, Leader("old", 99991));
  ASSERT_TRUE(loss.has_value());
  EXPECT_EQ(loss->since_ms, 99990);
  EXPECT_EQ(loss->changes, 9u);
  // Further back than what is kept: the bytes are known, the time is not.
  const auto old = tail.Judge(Tail::Moment{100000, 99999, 99999}, Leader("old", 1001));
  ASSERT_TRUE(old.has_value());
  EXPECT_EQ(old->bytes, 98999u);
  EXPECT_EQ(old->since_ms, 0);
}

}  // namespace
}  // namespace mainstay::engine::redis
