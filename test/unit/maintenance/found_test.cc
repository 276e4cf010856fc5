// Formation: who founds a cluster, and when nobody does.
#include <gtest/gtest.h>

#include "test/unit/maintenance/a_cluster.h"

namespace mainstay::maintenance {
namespace {

using Kind = Step::Kind;

void AllSeen(ACluster* c, const std::string& nonce) {
  for (MemberFacts& f : c->view.members) f.seen_founding = nonce;
}

TEST(Founding, TheHolderOfTheLeaseFoundsWhateverItsNumber) {
  ACluster c(3, "n3");
  c.Blank();
  EXPECT_EQ(c.Take(), "found.propose");
  EXPECT_EQ(c.mem().founding->name, "n3");
  EXPECT_FALSE(c.mem().founding->confirmed);
  EXPECT_EQ(c.Take(), "found.seen");
  AllSeen(&c, "nonce");
  EXPECT_EQ(c.Take(), "found.confirm");
  EXPECT_TRUE(c.mem().founding->confirmed);
  EXPECT_EQ(c.Take(), "found.boot");
  c.Up("n3", "first");
  EXPECT_EQ(c.Take(), "found.done");
  EXPECT_EQ(c.mem().cluster_id, "C");
  ASSERT_EQ(c.mem().members.size(), 1u);
  EXPECT_EQ(c.mem().members[0].name, "n3");
  EXPECT_FALSE(c.mem().founding.has_value());
}

TEST(Founding, NobodyFoundsBeforeEveryMemberWasSeenBlank) {
  ACluster c;
  c.Blank();
  c["n2"].heard = false;
  EXPECT_STREQ(c.Next().row, "found.wait");
  EXPECT_NE(c.Next().sentence.find("n2"), std::string::npos);
}

TEST(Founding, DataOnAnyMemberMeansThatThereIsACluster) {
  ACluster c;
  c.Blank();
  c["n2"].blank = false;
  EXPECT_STREQ(c.Next().row, "adopt.boot");
}

TEST(Founding, OneWhoHasNotSeenTheProposalKeepsItFromBeingConfirmed) {
  ACluster c;
  c.Blank();
  c.Take();
  AllSeen(&c, "nonce");
  c["n3"].seen_founding = "of before";
  EXPECT_STREQ(c.Next().row, "found.seen");
  c["n3"].seen_founding = "nonce";
  c["n3"].heard = false;
  EXPECT_STREQ(c.Next().row, "found.seen");
}

TEST(Founding, WhoeverBeganUnderAFormerOneStopsANewOne) {
  ACluster c;
  c.Blank();
  c.Take();
  AllSeen(&c, "nonce");
  c["n2"].blank = false;  // it was the founder of a record that was deleted
  c["n2"].begun = Begun::kFound;
  EXPECT_STREQ(c.Next().row, "adopt.boot");
}

TEST(Founding, ANewLeaderWaitsForTheFounderOnRecord) {
  ACluster c;
  c.Blank();
  c.Take();
  AllSeen(&c, "nonce");
  c.Take();
  c.view.self = "n2";
  c.view.epoch = 8;
  EXPECT_EQ(c.Take(), "claim");
  EXPECT_STREQ(c.Next().row, "found.boot");
  c["n1"].heard = false;
  EXPECT_STREQ(c.Next().row, "found.boot");
}

TEST(Founding, AFounderThatLostItsDiskBeforeItWasUpFoundedNothing) {
  ACluster c;
  c.Blank();
  c.Take();
  AllSeen(&c, "nonce");
  c.Take();
  c["n1"].disk = "another";
  c.view.nonce = "nonce2";
  EXPECT_EQ(c.Take(), "found.propose");
  EXPECT_EQ(c.mem().founding->nonce, "nonce2");
}

TEST(Memory, AnIdOnRecordAndNobodyWithDataIsLostNotFoundedAnew) {
  ACluster c;
  for (const char* n : {"n1", "n2", "n3"}) c.LoseDisk(n);
  const Step step = c.Next();
  EXPECT_STREQ(step.row, "lost");
  EXPECT_EQ(step.kind, Kind::kWait);
}

TEST(Memory, BeginningAnewNeedsTheIdAndEverybodyBlank) {
  ACluster c;
  for (const char* n : {"n1", "n2", "n3"}) c.LoseDisk(n);
  c.view.request = Request{Request::Kind::kReinitialize, "", "wrong"};
  EXPECT_EQ(c.Next().kind, Kind::kRefuse);
  c.view.request->confirm = "C";
  c["n3"].heard = false;
  EXPECT_EQ(c.Next().kind, Kind::kRefuse);
  c["n3"].heard = true;
  EXPECT_EQ(c.Take(), "reinitialize");
  EXPECT_EQ(c.Take(), "found.propose");
}

TEST(Memory, WhenItIsMissingTheRunningClusterIsPutOnRecord) {
  ACluster c;
  c.memory.reset();
  EXPECT_EQ(c.Take(), "adopt");
  EXPECT_EQ(c.mem().cluster_id, "C");
  EXPECT_EQ(c.mem().members.size(), 3u);
  EXPECT_EQ(c.mem().Find("n2")->disk, "disk2");
}

TEST(Memory, MissingWithAMemberThatLostItsDiskLeadsToItsRepair) {
  ACluster c;
  c.LoseDisk("n2");
  c.memory.reset();
  EXPECT_EQ(c.Take(), "adopt");
  EXPECT_EQ(c.mem().Find("n2")->disk, "");
  EXPECT_EQ(c.Take(), "repair.begin");
}

TEST(Memory, MissingWhileAMinorityRunsWaitsForTheOthersAgents) {
  ACluster c;
  c.Down("n2");
  c.Down("n3");
  c["n2"].heard = c["n3"].heard = false;
  c.memory.reset();
  EXPECT_STREQ(c.Next().row, "adopt.wait");
}

TEST(Memory, OfTwoClustersTheLargerIsPutOnRecordAndTheOtherIsFound) {
  ACluster c(3, "n2");
  c.memory.reset();
  c["n1"].cluster_id = "B";
  c["n1"].nodes = c["n1"].running = {"rabbit@h1"};
  for (const char* n : {"n2", "n3"}) c[n].nodes = c[n].running = {"rabbit@h2", "rabbit@h3"};
  EXPECT_EQ(c.Take(), "adopt");
  EXPECT_EQ(c.mem().cluster_id, "C");
  EXPECT_EQ(c.mem().Find("n1"), nullptr);
  const std::vector<std::string> findings = Findings(c.view, c.memory);
  ASSERT_FALSE(findings.empty());
  EXPECT_EQ(findings[0].find("second cluster: n1"), 0u) << findings[0];
}

TEST(Memory, AWriterOfALaterEpochEndsAFormerLead) {
  ACluster c;
  c.mem().epoch = 9;
  EXPECT_EQ(c.Next().kind, Kind::kYield);
  EXPECT_STREQ(c.Next().row, "superseded");
}

TEST(FullStop, SaysForWhomItWaits) {
  ACluster c;
  for (const char* n : {"n1", "n2", "n3"}) c.Down(n);
  c["n1"].broker = c["n2"].broker = Broker::kStarting;
  c["n1"].at_shutdown = {"rabbit@h1", "rabbit@h2", "rabbit@h3"};
  c["n2"].at_shutdown = {"rabbit@h2", "rabbit@h3"};
  c["n3"].heard = false;
  EXPECT_NE(c.Next().sentence.find("waited for: rabbit@h3"), std::string::npos) << c.Next().sentence;
  c["n3"].heard = true;
  c["n3"].at_shutdown = {"rabbit@h3"};
  EXPECT_NE(c.Next().sentence.find("n3 stopped last"), std::string::npos) << c.Next().sentence;
}

TEST(FullStop, AForcedBootNeedsConfirmationAndThatNobodyIsReady) {
  ACluster c;
  c.view.request = Request{Request::Kind::kForceBoot, "n2", "C"};
  EXPECT_EQ(c.Next().kind, Kind::kRefuse);
  for (const char* n : {"n1", "n2", "n3"}) c.Down(n);
  c.view.request->confirm = "";
  EXPECT_EQ(c.Next().kind, Kind::kRefuse);
  c.view.request->confirm = "C";
  EXPECT_EQ(c.Take(), "force_boot");
  EXPECT_EQ(c.mem().force_boot->disk, "disk2");
  c.Up("n2", "run2b");
  c.view.self = "n2";
  EXPECT_EQ(c.Take(), "learn");
  EXPECT_FALSE(c.mem().force_boot.has_value());
}

TEST(Lead, WhoseBrokerIsDownGivesTheLeadToOneWhoCan) {
  ACluster c;
  c.Down("n1");
  EXPECT_EQ(c.Next().kind, Kind::kYield);
  c.Down("n2");
  c.Down("n3");
  EXPECT_EQ(c.Next().kind, Kind::kWait);
}

}  // namespace
}  // namespace mainstay::maintenance
