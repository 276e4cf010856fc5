#include "agent/sidecar/losses.h"

#include <gtest/gtest.h>

namespace mainstay::agent {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

class LossesTest : public ::testing::Test {
 protected:
  LossesTest() {
    auto set = std::make_shared<election::Settings>();
    set->self.name = "b";
    state_.set = set;
    record_.holder_name = "a";
    record_.epoch = 6;
    record_.durability = election::Durability::kAsync;
    state_.peers.resize(1);
    election::PeerReport& a = state_.peers[0].report;
    a.name = "a";
    a.leads = true;
    a.record_epoch = 6;
    a.position.offset = 5000;
    state_.db.streaming_from = "a";
    state_.db.streaming_epoch = 6;
    state_.db.stream_at = now_ - milliseconds(300);
  }
  void Look() {
    state_.view = std::make_shared<const election::Record>(record_);
    losses_.Look(state_, now_, 1'000'000);
  }
  void Open(uint64_t offset) {
    election::EngineDone done;
    done.op = election::EngineOp::kPromote;
    done.ok = true;
    done.offset = offset;
    losses_.Opened(state_, done, 1'009'000);
  }
  election::State state_;
  election::Record record_;
  Losses losses_;
  MonoTime now_ = MonoTime::FromNanos(int64_t{1} << 40);
};

TEST_F(LossesTest, TheSuccessorTellsWhatItLastHeard) {
  Look();
  Open(4200);
  const auto told = losses_.TakeNew();
  ASSERT_EQ(told.size(), 1u);
  EXPECT_EQ(told[0].found, "takeover");
  EXPECT_EQ(told[0].epoch, 6);
  EXPECT_EQ(told[0].from, "a");
  EXPECT_EQ(told[0].leader, "b");
  EXPECT_EQ(told[0].bytes, 800u);
  EXPECT_TRUE(told[0].at_least);
  EXPECT_EQ(told[0].since_ms, 999'700);
  EXPECT_EQ(told[0].until_ms, 1'009'000);
  EXPECT_TRUE(losses_.TakeNew().empty());
  Open(4200);  // once
  EXPECT_TRUE(losses_.TakeNew().empty());
  EXPECT_EQ(losses_.view().takeovers, 1u);
  EXPECT_EQ(losses_.view().bytes_unknown, 0u);
}

TEST_F(LossesTest, WithEverythingThatWasReportedTheSizeIsNotKnown) {
  Look();
  Open(5000);
  const auto told = losses_.TakeNew();
  ASSERT_EQ(told.size(), 1u);
  EXPECT_FALSE(told[0].bytes.has_value());
  EXPECT_EQ(losses_.view().bytes_unknown, 1u);
}

TEST_F(LossesTest, NothingAfterAHandover) {
  record_.release.released = record_.release.complete = true;
  Look();
  Open(5000);
  EXPECT_TRUE(losses_.TakeNew().empty());
}

TEST_F(LossesTest, NothingWhereStandbysAcknowledge) {
  record_.durability = election::Durability::kGuarded;
  Look();
  Open(4200);
  EXPECT_TRUE(losses_.TakeNew().empty());
  Look();
  state_.forced_loss = true;
  Open(4200);
  EXPECT_EQ(losses_.TakeNew().size(), 1u);
}

TEST_F(LossesTest, APositionOfAnotherReignIsNotCompared) {
  state_.peers[0].report.record_epoch = 5;
  Look();
  Open(4200);
  const auto told = losses_.TakeNew();
  ASSERT_EQ(told.size(), 1u);
  EXPECT_FALSE(told[0].bytes.has_value());
}

TEST_F(LossesTest, TheEnginesOwnAreToldOnce) {
  engine::Details details;
  engine::Loss loss;
  loss.number = 1;
  loss.bytes = 7;
  details.losses = {loss};
  losses_.Rejoined(state_, details);
  losses_.Rejoined(state_, details);
  EXPECT_EQ(losses_.TakeNew().size(), 1u);
  loss.number = 2;
  details.losses.push_back(loss);
  losses_.Rejoined(state_, details);
  const auto told = losses_.TakeNew();
  ASSERT_EQ(told.size(), 1u);
  EXPECT_EQ(told[0].found, "rejoin");
  EXPECT_EQ(losses_.view().rejoins, 2u);
}

}  // namespace
}  // namespace mainstay::agent
