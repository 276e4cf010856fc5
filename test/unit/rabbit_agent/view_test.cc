#include "agent/rabbit/view.h"

#include <gtest/gtest.h>

namespace mainstay::agent {
namespace {

using engine::rabbitmq::NodeState;

NodeView In(NodeState state) {
  NodeView v;
  v.judgement.state = state;
  v.judgement.sentence = "a sentence";
  v.judgement.ready = {state == NodeState::kRunning, "why"};
  v.version = "3.10.8";
  v.cluster_id = "id";
  v.members.all = {"rabbit@a", "rabbit@b"};
  v.members.running = {"rabbit@a"};
  return v;
}

TEST(RabbitView, WhatIsShownOfANode) {
  const rpc::BrokerView b = ShowBroker(In(NodeState::kRunning), "rabbit@a");
  EXPECT_EQ(b.state, "running");
  EXPECT_EQ(b.node, "rabbit@a");
  EXPECT_TRUE(b.ready);
  EXPECT_EQ(b.ready_why, "why");
  EXPECT_EQ(b.members.size(), 2u);
  const rpc::DatabaseView d = ShowDatabase(In(NodeState::kRunning));
  EXPECT_EQ(d.state, election::DbState::kRunning);
  EXPECT_TRUE(d.writable);
  EXPECT_EQ(d.version, "3.10.8");
  EXPECT_EQ(ShowDatabase(In(NodeState::kBlocked)).state, election::DbState::kRunning);
  EXPECT_FALSE(ShowDatabase(In(NodeState::kBlocked)).writable);
  EXPECT_EQ(ShowDatabase(In(NodeState::kHung)).verdict, election::Verdict::kHung);
  EXPECT_EQ(ShowDatabase(In(NodeState::kDead)).state, election::DbState::kDead);
}

TEST(RabbitView, ItsKeyChangesWithWhatPeopleSee) {
  const std::string before = ViewKey(In(NodeState::kRunning));
  EXPECT_EQ(before, ViewKey(In(NodeState::kRunning)));
  EXPECT_NE(before, ViewKey(In(NodeState::kBlocked)));
  NodeView v = In(NodeState::kRunning);
  v.facts.doing = "joining";
  EXPECT_NE(before, ViewKey(v));
  v = In(NodeState::kRunning);
  v.members.running.push_back("rabbit@b");
  EXPECT_NE(before, ViewKey(v));
}

}  // namespace
}  // namespace mainstay::agent
