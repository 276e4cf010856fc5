// Which calls each function makes in each version, and what it makes of answers and errors.
#include "lib/engine/rabbitmq/control.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "absl/strings/str_cat.h"
#include "test/unit/engine_rabbitmq/term_text.h"

namespace mainstay::engine::rabbitmq {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// Answers by "module:function/arity"; what is not there is undef. Remembers the calls with their arguments.
class Node : public erlang::Caller {
 public:
  explicit Node(const std::string& version) { Says("rabbit_misc:version/0", "\"" + version + "\""); }
  void Says(const std::string& call, const std::string& answer) {
    answers_.insert_or_assign(call, T(answer));
  }
  void Fails(const std::string& call, absl::Status status) {
    answers_.insert_or_assign(call, std::move(status));
  }
  absl::StatusOr<erlang::Term> Call(absl::string_view module, absl::string_view function,
                                    std::vector<erlang::Term> arguments, Duration deadline) override {
    EXPECT_GT(deadline, Duration::zero());
    EXPECT_LE(deadline, erlang::kCallDeadline);
    const std::string name = absl::StrCat(module, ":", function, "/", arguments.size());
    calls.push_back(absl::StrCat(module, ":", function, erlang::Term::List(std::move(arguments)).ToString()));
    const auto answer = answers_.find(name);
    return answer == answers_.end() ? absl::UnimplementedError(name) : answer->second;
  }
  std::vector<std::string> calls;

 private:
  std::map<std::string, absl::StatusOr<erlang::Term>> answers_;
};

TEST(Control, LooksFurtherOnlyWhenReady) {
  Node node("3.10.8");
  node.Says("rabbit_boot_state:get/0", "booting");
  Control control(&node, "r@a");
  auto check = control.Look();
  ASSERT_TRUE(check.ok());
  EXPECT_EQ(check->boot, BootState::kBooting);
  EXPECT_EQ(node.calls.size(), 1u);
  node.Says("rabbit_boot_state:get/0", "ready");
  node.Says("rabbit_alarm:get_alarms/0", "[{{resource_limit,memory,'r@b'},[]}]");
  node.Says("rabbit_node_monitor:partitions/0", "['r@b']");
  check = control.Look();
  ASSERT_TRUE(check.ok()) << check.status();
  EXPECT_THAT(check->alarms, ElementsAre(Alarm{"memory", "r@b"}));
  EXPECT_THAT(check->partitions, ElementsAre("r@b"));
  node.Fails("rabbit_alarm:get_alarms/0", absl::DeadlineExceededError("no"));
  EXPECT_TRUE(absl::IsDeadlineExceeded(control.Look().status()));  // never "no alarm"
}

TEST(Control, NoPartitionsWithoutMnesia) {
  Node node("4.3.5");
  node.Says("rabbit_boot_state:get/0", "ready");
  node.Says("rabbit_alarm:get_alarms/0", "[]");
  Control control(&node, "r@a");
  EXPECT_TRUE(control.Look().ok());
  EXPECT_THAT(*control.Partitions(), IsEmpty());
}

TEST(Control, MembersByVersion) {
  Node old("3.10.8");
  old.Says("rabbit_nodes:all/0", "['r@a','r@b']");
  old.Says("rabbit_nodes:all_running/0", "['r@a']");
  old.Says("rabbit_mnesia:cluster_nodes/1", "['r@b']");
  const auto m = Control(&old, "r@a").Members();
  ASSERT_TRUE(m.ok()) << m.status();
  EXPECT_THAT(m->running, ElementsAre("r@a"));
  EXPECT_THAT(m->disc, ElementsAre("r@b"));
  Node later("4.2.0");
  later.Says("rabbit_nodes:list_members/0", "['r@a','r@b']");
  later.Says("rabbit_nodes:list_running/0", "['r@a']");
  const auto n = Control(&later, "r@a").Members();
  ASSERT_TRUE(n.ok()) << n.status();
  EXPECT_EQ(n->disc, n->all);
}

TEST(Control, DrainIsJudgedByTheNodesOwnMark) {
  Node node("3.10.8");
  node.Says("rabbit_maintenance:drain/0", "{error,something}");
  node.Says("rabbit_maintenance:is_being_drained_local_read/1", "true");
  Control control(&node, "r@a");
  EXPECT_TRUE(control.Drain().ok());
  EXPECT_EQ(node.calls.back(), "rabbit_maintenance:is_being_drained_local_read[r@a]");
  node.Says("rabbit_maintenance:is_being_drained_local_read/1", "false");
  EXPECT_TRUE(absl::IsFailedPrecondition(control.Drain()));
  node.Fails("rabbit_maintenance:drain/0", absl::DeadlineExceededError("no answer"));
  EXPECT_TRUE(absl::IsDeadlineExceeded(control.Drain()));  // unknown stays unknown
  node.Says("rabbit_maintenance:revive/0", "ok");
  EXPECT_TRUE(control.Revive().ok());
}

TEST(Control, ReplicasByVersion) {
  Node old("3.12.1");
  old.Says("rabbit_quorum_queue:add_member/4", "ok");
  EXPECT_TRUE(Control(&old, "r@a").AddMember("/", "q", "r@b").ok());
  Node later("3.13.1");
  later.Says("rabbit_quorum_queue:add_member/5", "{error,not_found}");
  const absl::Status s = Control(&later, "r@a").AddMember("/", "q", "r@b");
  EXPECT_TRUE(absl::IsFailedPrecondition(s));
  EXPECT_THAT(s.ToString(), HasSubstr("a replica of q on r@b"));
  EXPECT_THAT(later.calls.back(), HasSubstr("promotable"));
}

Node ClusterOfTwo(const std::string& version) {
  Node node(version);
  node.Says("rabbit_nodes:all/0", "['r@a','r@b']");
  node.Says("rabbit_nodes:all_running/0", "['r@a']");
  node.Says("rabbit_quorum_queue:shrink_all/1", "[{{resource,<<\"/\">>,queue,<<\"q\">>},{ok,1}}]");
  node.Says("rabbit_mnesia:forget_cluster_node/2", "ok");
  return node;
}

TEST(Control, ForgetsReplicasFirst) {
  Node node = ClusterOfTwo("3.10.8");
  EXPECT_TRUE(Control(&node, "r@a").Forget("r@b").ok());
  ASSERT_GE(node.calls.size(), 2u);
  EXPECT_THAT(node.calls[node.calls.size() - 2], HasSubstr("shrink_all"));
  EXPECT_THAT(node.calls.back(), HasSubstr("forget_cluster_node"));
}

TEST(Control, ForgettingStopsWhereItIsNotSafe) {
  Node node = ClusterOfTwo("3.10.8");
  node.Says("rabbit_quorum_queue:shrink_all/1", "[{{resource,<<\"/\">>,queue,<<\"q\">>},{error,2,timeout}}]");
  EXPECT_TRUE(absl::IsFailedPrecondition(Control(&node, "r@a").Forget("r@b")));
  EXPECT_THAT(node.calls.back(), HasSubstr("shrink_all"));
  Node running = ClusterOfTwo("3.10.8");
  running.Says("rabbit_nodes:all_running/0", "['r@a','r@b']");
  EXPECT_TRUE(absl::IsFailedPrecondition(Control(&running, "r@a").Forget("r@b")));
  EXPECT_THAT(running.calls.back(), HasSubstr("all_running"));
  Node gone = ClusterOfTwo("3.10.8");
  EXPECT_TRUE(Control(&gone, "r@a").Forget("r@c").ok());  // is forgotten already
}

TEST(Control, ForceBootWhereThereIsSuchAThing) {
  Node old("3.10.8");
  old.Says("rabbit_mnesia:force_load_next_boot/0", "ok");
  EXPECT_TRUE(Control(&old, "r@a").ForceBoot().ok());
  Node either("4.1.0");
  either.Says("rabbit_khepri:is_enabled/0", "true");
  either.Says("rabbit_mnesia:force_load_next_boot/0", "ok");
  EXPECT_TRUE(absl::IsUnimplemented(Control(&either, "r@a").ForceBoot()));
  either.Says("rabbit_khepri:is_enabled/0", "false");
  EXPECT_TRUE(Control(&either, "r@a").ForceBoot().ok());
  Node khepri("4.3.0");
  EXPECT_THAT(Control(&khepri, "r@a").ForceBoot().ToString(), HasSubstr("force_standalone_khepri_boot"));
}

TEST(Control, QueuesAskAllMembersAtOnce) {
  Node node("3.10.8");
  node.Says("rabbit_amqqueue:list_by_type/1", "[]");
  Control control(&node, "r@a");
  EXPECT_THAT(*control.QuorumQueues(), IsEmpty());
  EXPECT_EQ(node.calls.size(), 1u);
}

TEST(Control, Rebalance) {
  Node node("3.10.8");
  node.Says("rabbit_amqqueue:rebalance/3", "{ok,[]}");
  EXPECT_TRUE(Control(&node, "r@a").Rebalance().ok());
  node.Says("rabbit_amqqueue:rebalance/3", "{error,rebalance_in_progress}");
  EXPECT_TRUE(absl::IsAborted(Control(&node, "r@a").Rebalance()));
}

TEST(Control, ReadsTheRest) {
  Node node("3.10.8");
  node.Says("rabbit:is_running/0", "true");
  node.Says("rabbit:is_booting/0", "false");
  node.Says("rabbit_nodes:persistent_cluster_id/0", "<<\"rabbitmq-cluster-id-x\">>");
  node.Says("rabbit_node_monitor:read_cluster_status/0", "{['r@a'],['r@a'],['r@a']}");
  node.Says("rabbit_quorum_queue:list_with_minimum_quorum_for_cli/0", "[]");
  Control control(&node, "r@a");
  EXPECT_TRUE(*control.IsRunning());
  EXPECT_FALSE(*control.IsBooting());
  EXPECT_EQ(*control.ClusterId(), "rabbitmq-cluster-id-x");
  EXPECT_THAT(*control.NodesAtShutdown(), ElementsAre("r@a"));
  EXPECT_THAT(*control.QuorumCritical(), IsEmpty());
  EXPECT_EQ(*control.GetVersion(), (Version{3, 10, 8}));
  Node later("4.3.0");
  EXPECT_TRUE(absl::IsUnimplemented(Control(&later, "r@a").NodesAtShutdown().status()));
  Node ancient("3.8.2");
  EXPECT_TRUE(absl::IsFailedPrecondition(Control(&ancient, "r@a").Members().status()));
}

}  // namespace
}  // namespace mainstay::engine::rabbitmq
