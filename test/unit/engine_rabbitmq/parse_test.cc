// What answers mean, and that nothing of another shape is taken for "nothing wrong".
#include "lib/engine/rabbitmq/parse.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "test/unit/engine_rabbitmq/term_text.h"

namespace mainstay::engine::rabbitmq {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST(Parse, BootStates) {
  EXPECT_EQ(*ParseBootState(T("ready")), BootState::kReady);
  EXPECT_EQ(*ParseBootState(T("core_started")), BootState::kCoreStarted);
  EXPECT_EQ(*ParseBootState(T("stopped")), BootState::kStopped);
  EXPECT_TRUE(absl::IsDataLoss(ParseBootState(T("sleeping")).status()));
  EXPECT_TRUE(absl::IsDataLoss(ParseBootState(T("\"ready\"")).status()));
}

TEST(Parse, Alarms) {
  EXPECT_THAT(*ParseAlarms(T("[]")), IsEmpty());
  EXPECT_THAT(*ParseAlarms(T("[{{resource_limit,disk,'r@a'},[]},{{resource_limit,memory,'r@b'},[]},{file_"
                             "descriptor_limit,[]}]")),
              ElementsAre(Alarm{"disk", "r@a"}, Alarm{"memory", "r@b"}, Alarm{"file_descriptor_limit", ""}));
  for (const char* wrong : {"ok", "[disk]", "[{{limit,disk},[]}]", "[{\"x\",[]}]", "{error,x}"})
    EXPECT_TRUE(absl::IsDataLoss(ParseAlarms(T(wrong)).status())) << wrong;
}

TEST(Parse, Nodes) {
  EXPECT_THAT(*ParseNodes(T("['r@b','r@a']")), ElementsAre("r@a", "r@b"));
  EXPECT_TRUE(absl::IsDataLoss(ParseNodes(T("[<<\"r@a\">>]")).status()));
  EXPECT_TRUE(absl::IsDataLoss(ParseNodes(T("{[],[],[]}")).status()));
  const auto files = ParseClusterFiles(T("{['r@a','r@b'],['r@a'],[]}"));
  ASSERT_TRUE(files.ok());
  EXPECT_THAT(files->all, ElementsAre("r@a", "r@b"));
  EXPECT_THAT(files->disc, ElementsAre("r@a"));
  EXPECT_THAT(files->running_at_shutdown, IsEmpty());
}

TEST(Parse, TheFileOfNodes) {
  EXPECT_THAT(*ParseNodesFile("[rmq1@localhost,\n 'rabbit@b-1'].\n"),
              ElementsAre("rabbit@b-1", "rmq1@localhost"));
  EXPECT_THAT(*ParseNodesFile("[]."), IsEmpty());
  for (const char* wrong : {"", "[a", "[a]", "[a,].", "[,].", "['a].", "[{a}].", "[\"a\"].", "[a b].", "a."})
    EXPECT_TRUE(absl::IsDataLoss(ParseNodesFile(wrong).status())) << wrong;
}

TEST(Parse, Critical) {
  EXPECT_THAT(*ParseCritical(T("[]")), IsEmpty());
  const auto q =
      ParseCritical(T("[#{<<\"name\">> => <<\"a\">>, <<\"readable_name\">> => <<\"queue a\">>, <<\"type\">> "
                      "=> <<\"quorum\">>},"
                      " #{<<\"readable_name\">> => \"stream_coordinator\", <<\"type\">> => process}]"));
  ASSERT_TRUE(q.ok()) << q.status();
  ASSERT_EQ(q->size(), 2u);
  EXPECT_EQ((*q)[0].name, "queue a");
  EXPECT_EQ((*q)[0].type, "quorum");
  EXPECT_EQ((*q)[1].type, "process");
  EXPECT_TRUE(absl::IsDataLoss(ParseCritical(T("[#{}]")).status()));
  EXPECT_TRUE(absl::IsDataLoss(ParseCritical(T("{error,x}")).status()));
}

std::string Record(const std::string& name, const std::string& raft, const std::string& nodes) {
  return "{amqqueue,{resource,<<\"/\">>,queue,<<\"" + name + "\">>},true,false,none,[],{" + raft +
         ",'r@a'},[],[],[],undefined,undefined,[],[],live,0,[],<<\"/\">>,#{},rabbit_quorum_queue,#{nodes "
         "=> " +
         nodes + "}}";
}

TEST(Parse, QueuesAndTheirReplicas) {
  auto queues = ParseQueueRecords(T("[" + Record("two", "q2", "#{'r@c' => #{}, 'r@a' => #{}}") + "," +
                                    Record("one", "q1", "['r@b','r@a','r@c']") + "]"));
  ASSERT_TRUE(queues.ok()) << queues.status();
  ASSERT_EQ(queues->size(), 2u);
  const absl::Status s = AddReplicaStates(
      {"r@a", "r@b", "r@c"},
      T("[{ok,{'r@a',#{q1 => follower, q2 => leader}}},{ok,{'r@b',#{q1 => leader}}},{error,{erpc,timeout}}]"),
      &*queues);
  ASSERT_TRUE(s.ok()) << s;
  const QuorumQueue& one = (*queues)[0];
  EXPECT_EQ(one.name, "one");
  EXPECT_EQ(one.vhost, "/");
  EXPECT_THAT(one.members, ElementsAre("r@a", "r@b", "r@c"));
  EXPECT_THAT(one.online, ElementsAre("r@a", "r@b"));
  EXPECT_THAT(one.unknown, ElementsAre("r@c"));
  EXPECT_EQ(one.leader, "r@b");
  EXPECT_THAT((*queues)[1].members, ElementsAre("r@a", "r@c"));
  EXPECT_EQ((*queues)[1].leader, "r@a");
}

TEST(Parse, QueuesOfAnotherShape) {
  for (const char* wrong : {"{error,x}", "[{amqqueue}]", "[q]"})
    EXPECT_TRUE(absl::IsDataLoss(ParseQueueRecords(T(wrong)).status())) << wrong;
  EXPECT_TRUE(absl::IsDataLoss(ParseQueueRecords(T("[" + Record("a", "<<\"b\">>", "[]") + "]")).status()));
  std::vector<QuorumQueue> none;
  EXPECT_TRUE(absl::IsDataLoss(AddReplicaStates({"r@a"}, T("[]"), &none)));
  EXPECT_TRUE(absl::IsDataLoss(AddReplicaStates({"r@a"}, T("[{ok,x}]"), &none)));
}

TEST(Parse, HowFarReplicasAre) {
  const auto p =
      ParseProgress(T("[[{<<\"Node Name\">>,'r@a'},{<<\"Raft State\">>,leader},{<<\"Log "
                      "Index\">>,12},{<<\"Commit Index\">>,11}],"
                      " [{<<\"Node Name\">>,'r@b'},{<<\"Raft State\">>,noproc},{<<\"Log "
                      "Index\">>,<<>>},{<<\"Commit Index\">>,<<>>}]]"));
  ASSERT_TRUE(p.ok()) << p.status();
  ASSERT_EQ(p->size(), 2u);
  EXPECT_EQ((*p)[0].node, "r@a");
  EXPECT_TRUE((*p)[0].running && (*p)[0].leader);
  EXPECT_EQ((*p)[0].last, 12);
  EXPECT_EQ((*p)[0].commit, 11);
  EXPECT_FALSE((*p)[1].running);
  for (const char* wrong : {"{error,not_found}", "[ok]", "[[{<<\"Node Name\">>,'r@a'}]]"})
    EXPECT_TRUE(absl::IsDataLoss(ParseProgress(T(wrong)).status())) << wrong;
}

TEST(Parse, MemberChanges) {
  const auto c = ParseMemberChanges(
      T("[{{resource,<<\"/"
        "\">>,queue,<<\"a\">>},{ok,3}},{{resource,<<\"v\">>,queue,<<\"b\">>},{error,2,timeout}}]"));
  ASSERT_TRUE(c.ok()) << c.status();
  EXPECT_EQ((*c)[0].members, 3);
  EXPECT_EQ((*c)[0].error, "");
  EXPECT_EQ((*c)[1].vhost, "v");
  EXPECT_EQ((*c)[1].error, "timeout");
  EXPECT_TRUE(absl::IsDataLoss(ParseMemberChanges(T("[{a,{ok,3}}]")).status()));
}

TEST(Parse, FlagsAndResults) {
  const auto f =
      ParseFeatureFlags(T("[[{name,quorum_queue},{desc,<<>>},{state,enabled}],[{name,x},{state,disabled}]]"));
  ASSERT_TRUE(f.ok()) << f.status();
  EXPECT_TRUE((*f)[0].enabled);
  EXPECT_EQ((*f)[1].name, "x");
  EXPECT_FALSE((*f)[1].enabled);
  EXPECT_TRUE(absl::IsDataLoss(ParseFeatureFlags(T("[[{name,x}]]")).status()));
  EXPECT_TRUE(ParseDone(T("ok")).ok());
  EXPECT_TRUE(ParseDone(T("{ok,[]}")).ok());
  EXPECT_TRUE(absl::IsFailedPrecondition(ParseDone(T("{error,not_found}"))));
  EXPECT_TRUE(absl::IsDataLoss(ParseDone(T("maybe"))));
  EXPECT_TRUE(absl::IsDataLoss(ParseDone(T("{}"))));
}

}  // namespace
}  // namespace mainstay::engine::rabbitmq
