#include "agent/sidecar/sentinel_port.h"

#include <gtest/gtest.h>

#include <chrono>
#include <string>

namespace mainstay::agent {
namespace {

using std::chrono::seconds;

const MonoTime kNow = MonoTime::FromNanos(0) + seconds(1000);

rpc::MemberView Member(const std::string& name, election::Role role, uint16_t port) {
  rpc::MemberView m;
  m.name = name;
  m.role = role;
  m.state = election::DbState::kRunning;
  m.heard_at = kNow;
  m.db_address = "10.0.0.1:" + std::to_string(port);
  m.offset = 7;
  return m;
}

// Seen by b: a leads, c follows.
rpc::StatusView Cluster() {
  rpc::StatusView v;
  v.cluster = "shop";
  v.member = "b";
  v.leader = "a";
  v.epoch = 3;
  v.members = {Member("a", election::Role::kPrimary, 1), Member("b", election::Role::kReplica, 2),
               Member("c", election::Role::kReplica, 3)};
  return v;
}

sentinel::View Seen(const rpc::StatusView& v) { return ToSentinelView(v, 26379, seconds(3), kNow); }

TEST(SentinelPort, TellsTheMembersAsTheyAre) {
  const sentinel::View view = Seen(Cluster());
  ASSERT_TRUE(view.primary.has_value());
  EXPECT_EQ(view.primary->port, 1);
  EXPECT_EQ(view.epoch, 3u);
  ASSERT_EQ(view.replicas.size(), 2u);
  EXPECT_TRUE(view.replicas[0].link_up);
  ASSERT_EQ(view.peers.size(), 2u);  // not itself
  EXPECT_EQ(view.peers[0].address.port, 26379);
  EXPECT_EQ(view.voters, 3);
  EXPECT_TRUE(view.can_elect);
}

TEST(SentinelPort, APrimaryThatWasNotHeardOfIsNotTold) {
  rpc::StatusView v = Cluster();
  v.members[0].heard_at = kNow - seconds(4);  // the record still names it
  EXPECT_FALSE(Seen(v).primary.has_value());
}

TEST(SentinelPort, AHolderThatDoesNotLeadYetIsNotTold) {
  rpc::StatusView v = Cluster();
  v.members[0].role = election::Role::kReplica;
  EXPECT_FALSE(Seen(v).primary.has_value());
}

TEST(SentinelPort, TheOwnPermissionMustRunAndTheDatabaseBeOpen) {
  rpc::StatusView v = Cluster();
  v.member = "a";
  v.database.writable = true;
  v.lock.permitted_until = kNow + seconds(1);
  EXPECT_TRUE(Seen(v).primary.has_value());
  v.lock.permitted_until = kNow;
  EXPECT_FALSE(Seen(v).primary.has_value());
  v.lock.permitted_until = kNow + seconds(1);
  v.database.writable = false;
  EXPECT_FALSE(Seen(v).primary.has_value());
}

TEST(SentinelPort, NobodyToElectIsSaid) {
  rpc::StatusView v = Cluster();
  v.members[2].heard_at = kNow - seconds(60);
  v.members[1].no_failover = true;
  const sentinel::View view = Seen(v);
  EXPECT_FALSE(view.can_elect);
  EXPECT_FALSE(view.replicas[1].reachable);
  EXPECT_EQ(view.replicas[0].priority, 0);
}

TEST(SentinelPort, AMemberWithoutAnAddressIsLeftOut) {
  rpc::StatusView v = Cluster();
  v.members[0].db_address = "";
  v.members[2].db_address = "[fd00::1]:70000";
  const sentinel::View view = Seen(v);
  EXPECT_FALSE(view.primary.has_value());
  EXPECT_EQ(view.replicas.size(), 1u);
}

}  // namespace
}  // namespace mainstay::agent
