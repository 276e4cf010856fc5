// The memory and the facts as text: they come back as they were, and damage is told.
#include "lib/maintenance/memory.h"

#include <gtest/gtest.h>

#include "lib/maintenance/facts.h"

namespace mainstay::maintenance {
namespace {

Memory Full() {
  Memory m;
  m.epoch = 12;
  m.cluster_id = "rabbitmq-cluster-id-x";
  m.founding = Founding{"n1", "d1", "nonce", true};
  m.members = {{"n1", "rabbit@h1", "d1", "run1", MemberState::kMember},
               {"n2", "rabbit@h2", "d2", "", MemberState::kJoining}};
  m.forgotten = {{"n9", "d9"}};
  m.repair = Repair{"n2", "d2", RepairStep::kSync};
  m.token = Token{"n1", "d1", "run1", "w", TokenPhase::kReturned};
  m.removal = Removal{"n3", "d3", RemovalStep::kShrink};
  m.force_boot = NamedDisk{"n1", "d1"};
  m.rebalance_due = true;
  return m;
}

TEST(MemoryText, ComesBackAsItWas) {
  for (const Memory& m : {Full(), Memory{}}) {
    const auto back = DecodeMemory(EncodeMemory(m));
    ASSERT_TRUE(back.ok()) << back.status();
    EXPECT_EQ(*back, m);
  }
}

TEST(MemoryText, AnEditByHandIsSeen) {
  std::string text = EncodeMemory(Full());
  text.replace(text.find("\"epoch\":12"), 10, "\"epoch\":13");
  const auto back = DecodeMemory(text);
  ASSERT_FALSE(back.ok());
  EXPECT_EQ(back.status().code(), absl::StatusCode::kDataLoss);
  EXPECT_NE(back.status().message().find("edited by hand"), std::string::npos) << back.status();
}

TEST(MemoryText, EmptyOrCutTextIsDamage) {
  const std::string text = EncodeMemory(Full());
  for (size_t n : {size_t{0}, size_t{1}, text.size() / 2, text.size() - 1})
    EXPECT_FALSE(DecodeMemory(text.substr(0, n)).ok()) << n;
}

TEST(FactsText, ComeBackAsTheyWere) {
  MemberFacts f;
  f.name = "n1";
  f.node = "rabbit@h1";
  f.disk = "d";
  f.begun = Begun::kJoin;
  f.marker = "C";
  f.at_shutdown = {"rabbit@h1"};
  f.broker = Broker::kPaused;
  f.start = "run";
  f.nodes = {"rabbit@h1", "rabbit@h2"};
  f.running = {"rabbit@h1"};
  f.partitions = {"rabbit@h2"};
  f.draining = f.alarm = f.critical_known = true;
  f.wish = "w";
  f.critical = {"q"};
  f.seen_founding = "nonce";
  const auto back = DecodeFacts(EncodeFacts(f));
  ASSERT_TRUE(back.ok()) << back.status();
  EXPECT_EQ(*back, f);
}

TEST(FactsText, AnUnknownWordIsAnErrorNotAGuess) {
  std::string text = EncodeFacts(MemberFacts{});
  text.replace(text.find("unknown"), 7, "flying");
  EXPECT_EQ(DecodeFacts(text).status().code(), absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace mainstay::maintenance
