// Members: a lost disk, a new member, one taken out; replicas kept at their number.
#include <gtest/gtest.h>

#include "test/unit/maintenance/a_cluster.h"

namespace mainstay::maintenance {
namespace {

using Kind = Step::Kind;

TEST(Repair, ALostDiskStepByStep) {
  ACluster c;
  c.LoseDisk("n2");
  EXPECT_EQ(c.Take(), "repair.begin");
  EXPECT_EQ(c.Take(), "repair.forget");
  EXPECT_EQ(c.queue().members.size(), 2u);
  EXPECT_EQ(c.mem().Find("n2")->state, MemberState::kJoining);
  EXPECT_EQ(c.Take(), "repair.joining");
  c.Up("n2", "run2b");
  EXPECT_EQ(c.Take(), "repair.joined");
  EXPECT_EQ(c.Take(), "repair.grow");
  EXPECT_EQ(c.Take(), "repair.grown");
  EXPECT_EQ(c.Take(), "repair.sync");
  c.queue().behind.clear();
  EXPECT_EQ(c.Take(), "repair.synced");
  EXPECT_EQ(c.Take(), "repair.rebalance");
  EXPECT_FALSE(c.mem().repair.has_value());
  EXPECT_EQ(c.Take(), "watch");
}

TEST(Repair, AFormerFirstMemberIsRepairedLikeAnyOther) {
  ACluster c(3, "n2");
  c.LoseDisk("n1");
  EXPECT_EQ(c.Take(), "repair.begin");
  EXPECT_EQ(c.Next().node, "rabbit@h1");
  EXPECT_EQ(c.Next().kind, Kind::kForget);
}

TEST(Repair, EveryStepIsTakenUpByANewLeader) {
  for (int steps = 0; steps <= 8; ++steps) {
    ACluster c;
    c.LoseDisk("n3");
    for (int i = 0; i < steps; ++i) {
      const std::string row = c.Take();
      if (row == "repair.joining") c.Up("n3", "run3b");
      if (row == "repair.sync") c.queue().behind.clear();
    }
    c.view.self = "n2";
    c.view.epoch = 8;
    std::string row;
    for (int i = 0; i < 20 && row != "watch"; ++i) {
      row = c.Take();
      if (row == "repair.joining" && !c["n3"].ready()) c.Up("n3", "run3b");
      if (row == "repair.sync") c.queue().behind.clear();
    }
    EXPECT_EQ(row, "watch") << steps;
    EXPECT_EQ(c.mem().Find("n3")->disk, "disk3'");
  }
}

TEST(Repair, OneAtATime) {
  ACluster c(5);
  c.LoseDisk("n2");
  c.LoseDisk("n3");
  EXPECT_EQ(c.Take(), "repair.begin");
  EXPECT_EQ(c.mem().repair->name, "n2");
  EXPECT_EQ(c.Take(), "repair.forget");
  EXPECT_EQ(c.Take(), "repair.joining");
}

TEST(Repair, OneThatDoesNotAnswerDoesNotHoldUpAnother) {
  ACluster c(5);
  c.LoseDisk("n2");
  c.LoseDisk("n3");
  c.Take();
  c["n2"].heard = false;
  EXPECT_EQ(c.Take(), "repair.other");
  EXPECT_EQ(c.mem().repair->name, "n3");
}

TEST(Repair, OneThatJoinedWhileAnothersRepairWentFirstIsLearned) {
  ACluster c(5);
  c.LoseDisk("n2");
  c.LoseDisk("n3");
  c.Take();
  c.Take();
  c["n2"].heard = false;
  EXPECT_EQ(c.Take(), "repair.other");
  c["n2"].heard = true;
  c.Up("n2", "run2b");
  EXPECT_EQ(c.Take(), "learn");
  EXPECT_EQ(c.mem().Find("n2")->state, MemberState::kMember);
}

TEST(Repair, WaitsWhileAnotherMemberIsMerelyDown) {
  ACluster c;
  c.LoseDisk("n2");
  c.Take();
  c.Down("n3");
  EXPECT_STREQ(c.Next().row, "repair.others");
}

TEST(Repair, NotWhileSomebodyStillSeesItRun) {
  ACluster c;
  c.LoseDisk("n2");
  c.Take();
  c["n3"].running.push_back("rabbit@h2");
  EXPECT_STREQ(c.Next().row, "repair.alive");
}

TEST(Repair, ASecondLostDiskOfTheSameMemberBeginsAnew) {
  ACluster c;
  c.LoseDisk("n2");
  c.Take();
  c.Take();
  c["n2"].disk = "third";
  EXPECT_EQ(c.Take(), "repair.again");
  EXPECT_EQ(c.mem().repair->disk, "third");
  EXPECT_EQ(c.mem().repair->step, RepairStep::kForget);
}

TEST(Repair, AReplicaThatAQueueStillCountsOfANodeThatIsNoMemberIsTakenAway) {
  ACluster c;
  c.LoseDisk("n2");
  for (MemberFacts& f : c.view.members) std::erase(f.nodes, "rabbit@h2");  // forgotten, but not its replicas
  c.Take();
  EXPECT_EQ(c.Take(), "repair.ghost");
  EXPECT_EQ(c.Take(), "repair.join");
}

TEST(Repair, ADiskWithDataIsNotABlankOne) {
  ACluster c;
  c.Down("n2");
  c["n2"].disk = "other";
  EXPECT_STREQ(c.Next().row, "watch");
}

TEST(Members, ANewOneJoinsLikeARepairedOne) {
  ACluster c(4);
  c.LoseDisk("n4");
  std::erase_if(c.mem().members, [](const auto& e) { return e.name == "n4"; });
  c.Forget("rabbit@h4");
  EXPECT_EQ(c.Take(), "repair.begin");
  EXPECT_EQ(c.Take(), "repair.join");
}

TEST(Members, ReplicasAreKeptAtTheirNumberAFewQueuesAtATime) {
  ACluster c;
  c.settings.syncing = 2;
  c.queue().members = c.queue().online = {"rabbit@h1", "rabbit@h2"};
  for (int i = 0; i < 3; ++i) {
    c.view.queues.push_back(c.queue());
    c.view.queues.back().name = absl::StrCat("q", i);
  }
  EXPECT_STREQ(c.Next().row, "keep.grow");
  EXPECT_EQ(c.Next().node, "rabbit@h3");
  c.view.queues[1].behind = c.view.queues[2].behind = {"rabbit@h2"};
  EXPECT_STREQ(c.Next().row, "watch");
}

TEST(Members, NothingIsAddedWhileSomebodyIsDown) {
  ACluster c;
  c.queue().members = c.queue().online = {"rabbit@h1", "rabbit@h2"};
  c.Down("n3");
  EXPECT_STREQ(c.Next().row, "watch");
}

TEST(Removal, DrainShrinkStopForget) {
  ACluster c(4);
  c.view.request = Request{Request::Kind::kRemove, "n2", ""};
  EXPECT_EQ(c.Take(), "removal.begin");
  EXPECT_EQ(c.Take(), "removal.drain");
  c["n2"].draining = true;
  EXPECT_EQ(c.Take(), "removal.drained");
  EXPECT_EQ(c.Take(), "removal.grow");  // first one more on n4
  EXPECT_EQ(c.Take(), "removal.sync");
  c.queue().behind.clear();
  EXPECT_EQ(c.Take(), "removal.shrink");
  EXPECT_EQ(c.Take(), "removal.shrunk");
  EXPECT_EQ(c.Take(), "removal.stop");
  c.Down("n2");
  EXPECT_EQ(c.Take(), "removal.stopped");
  EXPECT_EQ(c.Take(), "removal.forget");
  EXPECT_EQ(c.mem().Find("n2"), nullptr);
  EXPECT_TRUE(c.mem().Forgotten("n2", "disk2"));
}

TEST(Removal, RefusedWhenAQueueWouldLoseItsQuorum) {
  ACluster c(4);
  c.queue().online = {"rabbit@h1", "rabbit@h2"};
  c.view.request = Request{Request::Kind::kRemove, "n2", ""};
  EXPECT_EQ(c.Next().kind, Kind::kRefuse);
  EXPECT_NE(c.Next().sentence.find("orders"), std::string::npos) << c.Next().sentence;
}

TEST(Removal, RefusedWhileTheClusterIsNotWhole) {
  ACluster c(4);
  c.Down("n3");
  c.view.request = Request{Request::Kind::kRemove, "n2", ""};
  EXPECT_EQ(c.Next().kind, Kind::kRefuse);
}

TEST(Removal, OneThatIsLostForEverIsForgottenAtOnce) {
  ACluster c;
  c.Down("n2");
  c["n2"].heard = false;
  c.view.request = Request{Request::Kind::kRemoveLost, "n2", ""};
  EXPECT_EQ(c.Take(), "removal.begin");
  EXPECT_EQ(c.Take(), "removal.forget");
  EXPECT_EQ(c.mem().members.size(), 2u);
}

TEST(Removal, OneThatRunsIsNotLost) {
  ACluster c;
  c.view.request = Request{Request::Kind::kRemoveLost, "n2", ""};
  EXPECT_EQ(c.Next().kind, Kind::kRefuse);
}

}  // namespace
}  // namespace mainstay::maintenance
