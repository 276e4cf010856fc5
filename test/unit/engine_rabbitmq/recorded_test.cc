// Answers as RabbitMQ 3.10.8 gave them: the seeds of the fuzzer, which are recordings of a cluster of three
// with two quorum queues.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <iterator>

#include "lib/engine/rabbitmq/parse.h"
#include "lib/engine/rabbitmq/traits.h"
#include "lib/erlang/codec.h"
#include "lib/erlang/protocol.h"

namespace mainstay::engine::rabbitmq {
namespace {

using ::testing::ElementsAre;
using ::testing::StartsWith;

std::string Recorded(const std::string& name) {
  std::ifstream in("test/fuzz/corpus/erlang/" + name, std::ios::binary);
  EXPECT_TRUE(in.good()) << name << ": run from the top of the repository";
  const std::string all{std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
  return all.empty() ? all : all.substr(1);  // the first byte picks the reader
}

erlang::Term RecordedTerm(const std::string& name) {
  auto t = erlang::Decode(Recorded(name));
  EXPECT_TRUE(t.ok()) << name << ": " << t.status();
  return t.ok() ? *std::move(t) : erlang::Term();
}

const char* const kFirst = "rmq1@localhost";
const char* const kSecond = "rmq2@localhost";
const char* const kThird = "rmq3@localhost";

TEST(Recorded, Answers) {
  EXPECT_EQ(*ParseBootState(RecordedTerm("boot_state")), BootState::kReady);
  EXPECT_THAT(*ParseAlarms(RecordedTerm("alarms")), ElementsAre(Alarm{"memory", kThird}));
  EXPECT_THAT(*ParseNodes(RecordedTerm("members")), ElementsAre(kFirst, kSecond, kThird));
  const auto files = ParseClusterFiles(RecordedTerm("files"));
  ASSERT_TRUE(files.ok()) << files.status();
  EXPECT_THAT(files->running_at_shutdown, ElementsAre(kFirst, kSecond, kThird));
  EXPECT_THAT(*ParseNodesFile(Recorded("nodes_file")), ElementsAre(kFirst, kSecond, kThird));
  EXPECT_THAT(RecordedTerm("cluster_id").Words(), StartsWith("rabbitmq-cluster-id-"));
  EXPECT_EQ(*ParseVersion(RecordedTerm("version").Words()), (Version{3, 10, 8}));
  const auto flags = ParseFeatureFlags(RecordedTerm("flags"));
  ASSERT_TRUE(flags.ok()) << flags.status();
  EXPECT_EQ(flags->size(), 9u);
}

TEST(Recorded, Queues) {
  auto queues = ParseQueueRecords(RecordedTerm("queues"));
  ASSERT_TRUE(queues.ok()) << queues.status();
  ASSERT_EQ(queues->size(), 2u);
  EXPECT_EQ((*queues)[0].name, "q1");
  EXPECT_EQ((*queues)[0].raft_name, "%2F_q1");
  EXPECT_THAT((*queues)[0].members, ElementsAre(kFirst, kSecond, kThird));
  const erlang::Term answers =
      erlang::Term::List({erlang::Term::Tuple({erlang::Term::Atom("ok"), RecordedTerm("states")})});
  ASSERT_TRUE(AddReplicaStates({kFirst}, answers, &*queues).ok());
  EXPECT_THAT((*queues)[0].online, ElementsAre(kFirst));
  EXPECT_EQ((*queues)[0].leader, kFirst);
  const auto critical = ParseCritical(RecordedTerm("critical"));
  ASSERT_TRUE(critical.ok()) << critical.status();
  ASSERT_EQ(critical->size(), 2u);
  EXPECT_EQ((*critical)[0].type, "quorum");
}

TEST(Recorded, Handshake) {
  const erlang::HandshakeSeen seen = erlang::ParseHandshake(Recorded("handshake"));
  EXPECT_EQ(seen.status, "ok");
  EXPECT_EQ(seen.name, kFirst);
  EXPECT_TRUE(erlang::ParseEpmdAnswer(Recorded("epmd_rmq1")).ok());
  EXPECT_TRUE(absl::IsNotFound(erlang::ParseEpmdAnswer(Recorded("epmd_nosuch")).status()));
}

}  // namespace
}  // namespace mainstay::engine::rabbitmq
