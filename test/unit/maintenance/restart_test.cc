// The restart token, healing after a cut, rebalancing after a return.
#include <gtest/gtest.h>

#include "test/unit/maintenance/a_cluster.h"

namespace mainstay::maintenance {
namespace {

using Kind = Step::Kind;

TEST(Token, ARestartFromWishToRelease) {
  ACluster c;
  c["n2"].wish = "w";
  EXPECT_EQ(c.Take(), "token.grant");
  EXPECT_EQ(c.mem().token->name, "n2");
  EXPECT_EQ(c.Take(), "token.out");
  c.Down("n2");
  EXPECT_EQ(c.Take(), "token.out");
  c["n2"].wish = "";
  c.Up("n2", "run2b");
  c.queue().behind = {"rabbit@h2"};
  EXPECT_EQ(c.Take(), "learn");
  EXPECT_EQ(c.Take(), "token.returned");
  EXPECT_EQ(c.Take(), "token.sync");
  EXPECT_TRUE(c.mem().token.has_value());
  c.queue().behind.clear();
  EXPECT_EQ(c.Take(), "token.whole");
  EXPECT_EQ(c.Take(), "token.rebalance");
  EXPECT_FALSE(c.mem().token.has_value());
  EXPECT_EQ(c.Take(), "watch");
}

TEST(Token, TwoThatWantItGetItOneAfterTheOtherTheLeaderLast) {
  ACluster c;
  c["n1"].wish = c["n3"].wish = "w";
  c.Take();
  EXPECT_EQ(c.mem().token->name, "n3");
  for (int i = 0; i < 5; ++i) c.Take();
  EXPECT_EQ(c.mem().token->name, "n3");
}

TEST(Token, NotWhileAnotherIsDown) {
  ACluster c;
  c["n2"].wish = "w";
  c.Down("n3");
  EXPECT_STREQ(c.Next().row, "token.wait");
}

TEST(Token, NotWhileAnotherDoesNotAnswerOrIsDrainedOrUnseen) {
  ACluster c;
  c["n2"].wish = "w";
  c["n3"].heard = false;
  EXPECT_STREQ(c.Next().row, "token.wait");
  c["n3"].heard = true;
  c["n3"].draining = true;
  EXPECT_STREQ(c.Next().row, "token.wait");
  c["n3"].draining = false;
  std::erase(c["n1"].running, "rabbit@h3");
  EXPECT_STREQ(c.Next().row, "token.wait");
}

TEST(Token, NotWhileAQueueNeedsItOrNobodyKnows) {
  ACluster c;
  c["n2"].wish = "w";
  c["n2"].critical = {"queue 'orders'"};
  EXPECT_STREQ(c.Next().row, "token.wait");
  c["n2"].critical.clear();
  c["n2"].critical_known = false;
  EXPECT_STREQ(c.Next().row, "token.wait");
}

TEST(Token, NotWhileAReplicaCatchesUp) {
  ACluster c;
  c["n2"].wish = "w";
  c.queue().behind = {"rabbit@h3"};
  EXPECT_STREQ(c.Next().row, "token.wait");
}

TEST(Token, MissingReplicasAreAddedWhileItIsWaitedFor) {
  ACluster c;
  c["n2"].wish = "w";
  c.queue().members = c.queue().online = {"rabbit@h1", "rabbit@h2"};
  EXPECT_STREQ(c.Next().row, "keep.grow");
}

TEST(Token, AHolderThatDoesNotAnswerKeepsIt) {
  ACluster c;
  c["n2"].wish = "w";
  c.Take();
  c.Down("n2");
  c["n2"].heard = false;
  c["n3"].wish = "w";
  EXPECT_EQ(c.Take(), "token.silent");
  EXPECT_TRUE(c.memory->token.has_value());
}

TEST(Token, AHolderThatReturnsWithoutItsDiskIsRepaired) {
  ACluster c;
  c["n2"].wish = "w";
  c.Take();
  c.LoseDisk("n2");
  EXPECT_EQ(c.Take(), "token.lost");
  EXPECT_EQ(c.Take(), "repair.begin");
}

TEST(Token, AWishThatWasTakenBackFreesIt) {
  ACluster c;
  c["n2"].wish = "w";
  c.Take();
  c["n2"].wish = "w2";
  EXPECT_EQ(c.Take(), "token.unused");
  EXPECT_EQ(c.Take(), "token.grant");
  EXPECT_EQ(c.mem().token->wish, "w2");
}

TEST(Token, AnotherLostDiskIsRepairedAfterTheReturn) {
  ACluster c;
  c["n2"].wish = "w";
  c.Take();
  c.Down("n2");
  c.LoseDisk("n3");
  EXPECT_STREQ(c.Next().row, "token.out");
  c["n2"].wish = "";
  c.Up("n2", "run2b");
  c.Take();
  EXPECT_EQ(c.Take(), "token.returned");
  EXPECT_EQ(c.Take(), "token.repair");
  EXPECT_EQ(c.Take(), "repair.begin");
}

TEST(Token, NotDuringARepair) {
  ACluster c;
  c.LoseDisk("n2");
  c.Take();
  c["n3"].wish = "w";
  for (int i = 0; i < 5; ++i) EXPECT_EQ(c.Take().find("token"), std::string::npos);
}

TEST(Partition, ACutIsSeenFromOutsideWhileItLasts) {
  ACluster c;
  std::erase(c["n1"].running, "rabbit@h3");
  std::erase(c["n3"].running, "rabbit@h1");
  const auto findings = Findings(c.view, c.memory);
  ASSERT_EQ(findings.size(), 2u);
  EXPECT_EQ(findings[0], "partition: n3 runs, as its own agent says, and n1 does not see it");
}

TEST(Partition, WhatStaysOfItIsHealedByARestartOfTheSmallerSide) {
  ACluster c;
  c["n1"].partitions = c["n2"].partitions = {"rabbit@h3"};
  c["n3"].partitions = {"rabbit@h1", "rabbit@h2"};
  EXPECT_EQ(c.Take(), "heal.restart");
  EXPECT_EQ(c.mem().token->name, "n3");
}

TEST(Partition, SidesOfTheSameSizeAreAPersonsMatter) {
  ACluster c(4);
  c["n1"].partitions = {"rabbit@h3"};
  c["n3"].partitions = {"rabbit@h1"};
  EXPECT_STREQ(c.Next().row, "heal.person");
}

TEST(Rebalance, AfterAReturnWhenAllIsQuiet) {
  ACluster c;
  c["n2"].start = "run2b";
  EXPECT_EQ(c.Take(), "learn");
  c.view.calm = std::chrono::seconds(5);
  EXPECT_EQ(c.Take(), "rebalance.quiet");
  c.view.calm = std::chrono::seconds(61);
  c["n3"].alarm = true;
  EXPECT_EQ(c.Take(), "rebalance.alarm");
  c["n3"].alarm = false;
  EXPECT_EQ(c.Take(), "rebalance");
  EXPECT_EQ(c.Take(), "watch");
}

}  // namespace
}  // namespace mainstay::maintenance
