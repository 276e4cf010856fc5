// What people see of work on a cluster.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "agent/rabbit/clustered.h"

namespace mainstay::agent {
namespace {

using maintenance::MaintainerStatus;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST(Work, NothingIsSaidOfAMemberThatRuns) {
  MaintainerStatus s;
  s.own_row = "run";
  s.own_sentence = "runs";
  s.memory = maintenance::Memory();
  EXPECT_THAT(WorkSentences(s), IsEmpty());
}

TEST(Work, EachStepOfARepairIsNamed) {
  MaintainerStatus s;
  s.memory = maintenance::Memory();
  s.memory->repair = maintenance::Repair{"c", "d9", maintenance::RepairStep::kGrow};
  s.sentence = "queue 'q' gets a replica on c";
  s.own_row = "wait.turn";
  s.own_sentence = "blank: waits for its turn";
  s.trouble = "no answer";
  EXPECT_THAT(WorkSentences(s), ElementsAre("repair of c: grow (of forget, join, grow, sync, rebalance)",
                                            "leader: queue 'q' gets a replica on c",
                                            "here: blank: waits for its turn", "trouble: no answer"));
}

TEST(Work, WhoMayBeDown) {
  MaintainerStatus s;
  s.memory = maintenance::Memory();
  s.memory->token = maintenance::Token{.name = "b", .phase = maintenance::TokenPhase::kReturned};
  s.findings = {"a does not see b"};
  EXPECT_THAT(WorkSentences(s), ElementsAre("restart of b: returned", "a does not see b"));
}

}  // namespace
}  // namespace mainstay::agent
