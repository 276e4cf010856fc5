// When a queue's replicas count as caught up.
#include "lib/maintenance/progress.h"

#include <gtest/gtest.h>

namespace mainstay::maintenance {
namespace {

using engine::rabbitmq::QuorumQueue;
using engine::rabbitmq::ReplicaProgress;

QuorumQueue Orders() {
  QuorumQueue q;
  q.vhost = "/";
  q.name = "orders";
  q.members = q.online = {"a", "b"};
  q.leader = "a";
  return q;
}

std::vector<ReplicaProgress> At(int64_t leader, int64_t follower) {
  return {{.node = "a", .running = true, .leader = true, .last = leader, .commit = leader},
          {.node = "b", .running = true, .last = follower, .commit = follower}};
}

struct AQueue {
  AQueue() { p.Update({Orders()}, "s"); }
  std::vector<std::string> Behind() const { return p.Facts()[0].behind; }
  void Answer(int64_t leader, int64_t follower) { p.Answer("/", "orders", At(leader, follower)); }
  Progress p;
};

TEST(CaughtUp, NotBeforeItWasAskedTwice) {
  AQueue q;
  EXPECT_EQ(q.Behind().size(), 2u);
  q.Answer(100, 100);
  EXPECT_EQ(q.Behind().size(), 2u);
  q.Answer(120, 101);
  EXPECT_TRUE(q.Behind().empty()) << "it has what was committed when it was asked first";
  EXPECT_TRUE(q.p.ToAsk(9).empty());
}

TEST(CaughtUp, OneThatLacksWhatWasCommittedIsBehind) {
  AQueue q;
  q.Answer(100, 3);
  q.Answer(120, 99);
  EXPECT_EQ(q.Behind(), std::vector<std::string>{"b"});
  q.Answer(140, 100);
  EXPECT_TRUE(q.Behind().empty());
}

TEST(CaughtUp, AReplicaThatDoesNotAnswerIsBehind) {
  AQueue q;
  q.Answer(100, 100);
  auto replicas = At(100, 100);
  replicas[1].running = false;
  q.p.Answer("/", "orders", replicas);
  EXPECT_EQ(q.Behind(), std::vector<std::string>{"b"});
}

TEST(CaughtUp, ANewRunOrMemberIsAskedAnew) {
  AQueue q;
  q.Answer(1, 1);
  q.Answer(1, 1);
  q.p.Update({Orders()}, "s");
  EXPECT_TRUE(q.Behind().empty());
  q.p.Update({Orders()}, "another run");
  EXPECT_EQ(q.Behind().size(), 2u);
  q.Answer(1, 1);
  q.Answer(1, 1);
  QuorumQueue more = Orders();
  more.members = more.online = {"a", "b", "c"};
  q.p.Update({more}, "another run");
  EXPECT_EQ(q.Behind().size(), 3u);
}

TEST(CaughtUp, WithoutALeaderNothingIsKnown) {
  AQueue q;
  auto replicas = At(5, 5);
  replicas[0].leader = false;
  q.p.Answer("/", "orders", replicas);
  q.p.Answer("/", "orders", replicas);
  EXPECT_EQ(q.Behind().size(), 2u);
}

}  // namespace
}  // namespace mainstay::maintenance
