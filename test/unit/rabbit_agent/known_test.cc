// From looks, messages and the shim's word to what a node is judged by.
#include "agent/rabbit/known.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace mainstay::agent {
namespace {

using engine::rabbitmq::BootState;
using engine::rabbitmq::Judge;
using engine::rabbitmq::NodeState;
using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

MonoTime At(int s) { return MonoTime::FromNanos(int64_t{1000000000} * (1000 + s)); }

Looked Answer(int at, BootState boot = BootState::kReady) {
  Looked l;
  l.began = At(at);
  l.ended = At(at) + std::chrono::milliseconds(5);
  l.boot = boot;
  if (boot == BootState::kReady) {
    l.running = true;
    l.alarms.emplace();
    l.partitions.emplace();
  }
  l.draining = false;
  l.connected = {"rabbit@b", "rabbit@c"};
  l.members = engine::rabbitmq::ClusterMembers{.all = {"rabbit@a", "rabbit@b", "rabbit@c"},
                                               .running = {"rabbit@a", "rabbit@b", "rabbit@c"},
                                               .disc = {}};
  return l;
}

Looked Silence(int at, int until) {
  Looked l;
  l.began = At(at);
  l.ended = At(until);
  l.status = absl::DeadlineExceededError("no answer");
  return l;
}

class KnownTest : public testing::Test {
 protected:
  NodeState State(int at) { return Judge(known_.Now(At(at))).state; }
  Known known_{"rabbit@a", seconds(1)};
};

TEST_F(KnownTest, NothingIsKnownUntilSomebodySaysSomething) {
  EXPECT_EQ(State(0), NodeState::kUnknown);
  EXPECT_FALSE(known_.Shim(false, false, At(0)));
  EXPECT_EQ(State(1), NodeState::kUnknown);
  EXPECT_FALSE(known_.Shim(true, false, At(1)));
  EXPECT_EQ(State(1), NodeState::kDead);
  EXPECT_TRUE(known_.Shim(true, true, At(2)));
  EXPECT_EQ(State(3), NodeState::kStarting);
  known_.Add(Answer(4));
  EXPECT_EQ(State(4), NodeState::kRunning);
  EXPECT_EQ(known_.starts(), 1u);
}

TEST_F(KnownTest, AnEndForgetsTheNodeAndKeepsItsCluster) {
  known_.Shim(true, true, At(0));
  Looked l = Answer(1);
  l.version = "3.10.8";
  l.cluster_id = "rabbitmq-cluster-id-x";
  known_.Add(l);
  EXPECT_TRUE(known_.Shim(true, false, At(2)));
  EXPECT_EQ(State(2), NodeState::kDead);
  known_.Add(Answer(1));  // on its way while the process ended
  EXPECT_EQ(State(2), NodeState::kDead);
  EXPECT_TRUE(known_.Shim(true, true, At(3)));
  known_.Add(Answer(2));  // asked before this one began
  EXPECT_EQ(State(4), NodeState::kStarting);
  EXPECT_EQ(known_.cluster_id(), "rabbitmq-cluster-id-x");
  EXPECT_EQ(known_.members().all.size(), 3u);
  EXPECT_EQ(known_.starts(), 2u);
}

TEST_F(KnownTest, AShimThatIsAwayChangesNothing) {
  known_.Shim(true, true, At(0));
  known_.Add(Answer(1));
  EXPECT_FALSE(known_.Shim(false, true, At(2)));
  EXPECT_EQ(State(2), NodeState::kRunning);
  EXPECT_FALSE(known_.Shim(true, true, At(3)));
  EXPECT_EQ(known_.starts(), 1u);
}

TEST_F(KnownTest, HungNeedsSilenceThatWasLookedAt) {
  known_.Shim(true, true, At(0));
  known_.Add(Answer(1));
  // The agent stood still for ten minutes; then one look without an answer.
  known_.Add(Silence(600, 603));
  EXPECT_EQ(known_.Now(At(603)).silence, seconds(5));
  EXPECT_EQ(State(603), NodeState::kRunning);
  for (int t = 603; t < 630; t += 3) known_.Add(Silence(t, t + 3));
  EXPECT_EQ(State(630), NodeState::kHung);
  known_.Add(Answer(631));
  EXPECT_EQ(State(631), NodeState::kRunning);
  EXPECT_EQ(known_.Now(At(631)).silence, Duration::zero());
}

TEST_F(KnownTest, ABootThatWaitsNamesWhomItWaitsFor) {
  known_.Shim(true, true, At(0));
  Looked l = Answer(2, BootState::kBooting);
  l.at_shutdown = {"rabbit@a", "rabbit@b", "rabbit@c"};
  l.connected = {"rabbit@c"};
  known_.Add(l);
  EXPECT_THAT(known_.Now(At(2)).awaited, IsEmpty()) << "it had no time to find them";
  l.began = l.ended = At(9);
  known_.Add(l);
  EXPECT_THAT(known_.Now(At(9)).awaited, ElementsAre("rabbit@b"));
  EXPECT_EQ(State(9), NodeState::kWaiting);
  known_.Add(Answer(10));
  EXPECT_THAT(known_.Now(At(10)).awaited, IsEmpty());
}

TEST_F(KnownTest, PausedIsStoppedWithoutAMajority) {
  known_.Shim(true, true, At(0));
  known_.Add(Answer(1));
  Looked l = Answer(2, BootState::kStopped);
  l.connected.emplace();
  l.members.reset();
  known_.Add(l);
  EXPECT_EQ(State(2), NodeState::kPaused);
  EXPECT_THAT(*known_.Now(At(2)).unreachable, ElementsAre("rabbit@b", "rabbit@c"));
  l.connected = {"rabbit@b", "rabbit@c"};
  l.began = l.ended = At(3);
  known_.Add(l);
  EXPECT_EQ(State(3), NodeState::kStopped) << "an administrator's stop_app";
}

TEST_F(KnownTest, AlarmsOfItselfAndOthers) {
  known_.Shim(true, true, At(0));
  Looked l = Answer(1);
  l.alarms = {{"memory", ""}, {"disk", "rabbit@b"}};
  known_.Add(l);
  EXPECT_THAT(known_.Now(At(1)).alarms_memory, ElementsAre("rabbit@a"));
  EXPECT_THAT(known_.Now(At(1)).alarms_disk, ElementsAre("rabbit@b"));
  EXPECT_EQ(State(1), NodeState::kBlocked);
  known_.Add(Answer(2));
  EXPECT_EQ(State(2), NodeState::kRunning);
}

TEST_F(KnownTest, DrainedUntilItIsRevivedOrStartedAgain) {
  known_.Shim(true, true, At(0));
  Looked l = Answer(1);
  l.draining = true;
  known_.Add(l);
  EXPECT_EQ(State(1), NodeState::kDraining);
  l = Answer(2);
  l.draining.reset();  // not learned this time
  known_.Add(l);
  EXPECT_EQ(State(2), NodeState::kDraining);
  known_.Add(Answer(3));
  EXPECT_EQ(State(3), NodeState::kRunning);
}

}  // namespace
}  // namespace mainstay::agent
