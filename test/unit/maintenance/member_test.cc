// What a member's agent does with its own broker.
#include "lib/maintenance/member.h"

#include <gtest/gtest.h>

namespace mainstay::maintenance {
namespace {

using Did = Act::Kind;

struct AMember {
  AMember() {
    own.facts.heard = true;
    own.facts.name = "n2";
    own.facts.node = "rabbit@h2";
    own.facts.disk = "d2";
    own.facts.broker = Broker::kStopped;
    own.memory_known = true;
    own.memory = Memory{.epoch = 1, .cluster_id = "C"};
    own.memory->members = {{.name = "n1", .node = "rabbit@h1", .disk = "d1"},
                           {.name = "n2", .node = "rabbit@h2", .disk = "d2"},
                           {.name = "n3", .node = "rabbit@h3", .disk = "d3"}};
  }
  AMember& Blank() {
    own.facts.blank = true;
    return *this;
  }
  AMember& Data() {
    own.facts.marker = "C";
    return *this;
  }
  AMember& Running() {
    Data();
    own.facts.broker = Broker::kReady;
    own.facts.start = "run";
    own.facts.cluster_id = "C";
    own.facts.critical_known = true;
    return *this;
  }
  AMember& Token(const std::string& wish) {
    own.facts.wish = wish;
    own.memory->token = maintenance::Token{.name = "n2", .disk = "d2", .start = "run", .wish = "w"};
    return *this;
  }
  std::string Row() const { return Decide(own).row; }
  Did What() const { return Decide(own).kind; }
  Memory& mem() { return *own.memory; }
  Own own;
};

TEST(Start, DataStartWhateverThereIsOfTheMemory) {
  AMember m;
  m.Data();
  EXPECT_EQ(m.What(), Did::kStart);
  m.own.memory.reset();
  EXPECT_EQ(m.What(), Did::kStart);
  m.own.memory_known = false;
  EXPECT_EQ(m.What(), Did::kStart);
}

TEST(Start, ABlankOneWaitsWithoutAMemory) {
  AMember m;
  m.Blank();
  EXPECT_EQ(m.Row(), "wait.turn");
  m.own.memory.reset();
  EXPECT_EQ(m.Row(), "wait.leader");
  m.own.memory_known = false;
  EXPECT_EQ(m.Row(), "wait.memory");
}

TEST(Start, ABlankOneJoinsTheMembersWhenItIsItsTurn) {
  AMember m;
  m.Blank();
  m.mem().Find("n2")->state = MemberState::kJoining;
  EXPECT_EQ(m.Row(), "start.join");
  EXPECT_EQ(Decide(m.own).join, (std::vector<std::string>{"rabbit@h1", "rabbit@h3"}));
  EXPECT_EQ(Decide(m.own).begun, Begun::kJoin);
  m.own.facts.disk = "another";
  EXPECT_EQ(m.Row(), "wait.turn");
}

TEST(Start, ABlankOneFoundsOnlyWhenConfirmedAndWhileThereIsNoId) {
  AMember m;
  m.Blank();
  m.own.memory = Memory{.epoch = 1};
  m.mem().founding = Founding{.name = "n2", .disk = "d2", .nonce = "x"};
  EXPECT_EQ(m.Row(), "wait.founder");
  m.mem().founding->confirmed = true;
  EXPECT_EQ(m.Row(), "start.found");
  m.mem().founding->name = "n1";
  EXPECT_EQ(m.Row(), "wait.founder");
  m.mem().founding->name = "n2";
  m.mem().cluster_id = "C";
  EXPECT_EQ(m.Row(), "wait.turn");
}

TEST(Start, AJoiningThatWasNeverConfirmedIsWipedAndBegunAnew) {
  AMember m;
  m.own.facts.begun = Begun::kJoin;
  m.mem().Find("n2")->state = MemberState::kJoining;
  EXPECT_EQ(m.What(), Did::kWipe);
  m.own.memory_known = false;
  EXPECT_EQ(m.Row(), "wait.memory");
  m.own.memory_known = true;
  m.mem().Find("n2")->state = MemberState::kMember;
  EXPECT_EQ(m.What(), Did::kStart);
}

TEST(Start, ConfirmedDataAreNeverWiped) {
  AMember m;
  m.Data();
  m.own.facts.begun = Begun::kJoin;
  m.mem().members.clear();
  EXPECT_EQ(m.What(), Did::kStart);
}

TEST(Start, DataOfAnotherClusterStayDown) {
  AMember m;
  m.own.facts.marker = "B";
  EXPECT_EQ(m.Row(), "stay.foreign");
}

TEST(Start, ARemovedMembersDataStayDown) {
  AMember m;
  m.Data();
  m.mem().forgotten.push_back({"n2", "d2"});
  EXPECT_EQ(m.Row(), "stay.forgotten");
}

TEST(Start, AForcedBootIsTakenOnce) {
  AMember m;
  m.Data();
  m.mem().force_boot = NamedDisk{"n2", "d2"};
  EXPECT_EQ(m.What(), Did::kForceBoot);
  m.own.forced = true;
  EXPECT_EQ(m.What(), Did::kStart);
}

TEST(Run, ASecondClusterGetsNoClients) {
  AMember m;
  m.Running();
  m.own.facts.cluster_id = "B";
  EXPECT_EQ(m.What(), Did::kNothing);
  EXPECT_FALSE(Decide(m.own).in_service);
  m.own.facts.cluster_id = "C";
  EXPECT_TRUE(Decide(m.own).in_service);
}

TEST(Run, LosingTheMemoryStopsNothing) {
  AMember m;
  m.Running();
  m.own.memory.reset();
  EXPECT_EQ(m.What(), Did::kNothing);
  m.own.memory_known = false;
  EXPECT_EQ(m.What(), Did::kNothing);
  EXPECT_TRUE(Decide(m.own).in_service);
}

TEST(Run, IsMarkedOnceItIsSeenInTheCluster) {
  AMember m;
  m.Running();
  m.own.facts.marker = "";
  EXPECT_EQ(m.What(), Did::kMark);
  EXPECT_EQ(Decide(m.own).marker, "C");
}

TEST(MemberToken, DrainsThenStops) {
  AMember m;
  m.Running().Token("w");
  EXPECT_EQ(m.What(), Did::kDrain);
  m.own.facts.draining = true;
  EXPECT_EQ(m.What(), Did::kStop);
}

TEST(MemberToken, OfAFormerWishOrRunOrDiskIsVoid) {
  AMember m;
  m.Running().Token("w2");
  EXPECT_EQ(m.What(), Did::kNothing);
  m.Token("w");
  m.own.facts.start = "next run";
  EXPECT_EQ(m.What(), Did::kNothing);
  m.own.facts.start = "run";
  m.own.facts.disk = "another";
  EXPECT_EQ(m.What(), Did::kNothing);
}

TEST(MemberToken, IsNotUsedWhenSomebodyElseWentDownMeanwhile) {
  AMember m;
  m.Running().Token("w");
  m.own.facts.critical = {"queue 'orders'"};
  EXPECT_EQ(m.What(), Did::kRewish);
  m.own.facts.draining = true;
  m.own.facts.nodes = {"rabbit@h1", "rabbit@h2", "rabbit@h3"};
  m.own.facts.running = {"rabbit@h1", "rabbit@h2"};
  EXPECT_EQ(m.What(), Did::kRewish);
  m.own.facts.wish = "new";
  m.own.drained_here = true;
  EXPECT_EQ(m.What(), Did::kRevive);
}

TEST(MemberToken, ADrainedNodeIsCriticalByItself) {
  AMember m;
  m.Running().Token("w");
  m.own.facts.nodes = m.own.facts.running = {"rabbit@h1", "rabbit@h2", "rabbit@h3"};
  m.own.facts.draining = true;
  m.own.facts.critical = {"queue 'orders'"};
  EXPECT_EQ(m.What(), Did::kStop);
}

TEST(MemberRemoval, DrainsWaitsStopsAndStaysDown) {
  AMember m;
  m.Running();
  m.mem().removal = maintenance::Removal{.name = "n2", .disk = "d2"};
  EXPECT_EQ(m.What(), Did::kDrain);
  m.own.facts.draining = true;
  EXPECT_EQ(m.Row(), "removal.wait");
  m.mem().removal->step = RemovalStep::kStop;
  EXPECT_EQ(m.What(), Did::kStop);
  m.own.facts.broker = Broker::kStopped;
  EXPECT_EQ(m.Row(), "stay.removed");
}

}  // namespace
}  // namespace mainstay::maintenance
