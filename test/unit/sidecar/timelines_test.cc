#include "agent/sidecar/timelines.h"

#include <gtest/gtest.h>

namespace mainstay::agent {
namespace {

using std::chrono::seconds;

class TimelinesTest : public ::testing::Test {
 protected:
  // This member streams timeline `timeline` from b, whose log began with the promotion of epoch `base`.
  void Streams(uint32_t timeline, election::Epoch base, election::Epoch epoch) {
    election::Record r;
    r.holder_name = "b";
    r.base = base;
    r.epoch = epoch;
    state_.view = std::make_shared<const election::Record>(r);
    state_.db.timeline = timeline;
    state_.db.streaming_from = "b";
    state_.db.streaming_epoch = epoch;
  }
  void Look(Duration later) {
    now_ += later;
    timelines_.Look(state_, former_, now_);
  }
  void Former(std::vector<engine::FormerTimeline> former) {
    former_ = std::make_shared<const std::vector<engine::FormerTimeline>>(std::move(former));
  }
  // "1@100>3 2@200>?"
  std::string Known() {
    std::string out;
    if (timelines_.former() == nullptr) return "nothing";
    for (const rpc::FormerTimeline& t : *timelines_.former()) {
      out += (out.empty() ? "" : " ") + std::to_string(t.timeline) + "@" + std::to_string(t.end) + ">" +
             (t.next_epoch == 0 ? "?" : std::to_string(t.next_epoch));
    }
    return out;
  }
  election::State state_;
  engine::FormerTimelines former_;
  MonoTime now_ = MonoTime::FromNanos(1);
  Timelines timelines_;
};

TEST_F(TimelinesTest, AreNamedByThePromotionThatThisAgentSaw) {
  Look(seconds(1));
  EXPECT_EQ(Known(), "nothing");
  Former({{1, 100, "r"}, {2, 200, "r"}});
  Streams(3, 7, 9);  // reopened in place since: the base is older than the reign
  Look(seconds(1));
  EXPECT_EQ(Known(), "1@100>? 2@200>?");
  Look(Timelines::kSettled);
  EXPECT_EQ(Known(), "1@100>? 2@200>7");
  const auto same = timelines_.former();
  Look(seconds(100));
  EXPECT_EQ(timelines_.former(), same) << "made anew without a change";
  // The next failover: what was seen stays known.
  Former({{1, 100, "r"}, {2, 200, "r"}, {3, 300, "r"}});
  Streams(4, 10, 10);
  Look(seconds(1));
  Look(Timelines::kSettled);
  EXPECT_EQ(Known(), "1@100>? 2@200>7 3@300>10");
}

TEST_F(TimelinesTest, ThePairOfAMomentIsNotBelieved) {
  Former({{1, 100, "r"}});
  Streams(2, 7, 7);
  Look(seconds(1));
  Streams(2, 3, 7);  // the record of a moment ago
  Look(Timelines::kSettled);
  EXPECT_EQ(Known(), "1@100>?");
  Streams(2, 7, 7);
  Look(seconds(1));
  EXPECT_EQ(Known(), "1@100>?");
  Look(Timelines::kSettled);
  EXPECT_EQ(Known(), "1@100>7");
  // Streaming from somebody else than the record's holder, or under another epoch, tells nothing.
  Former({{1, 100, "r"}, {2, 200, "r"}});
  Streams(3, 9, 9);
  state_.db.streaming_epoch = 7;
  Look(seconds(1));
  Look(Timelines::kSettled);
  EXPECT_EQ(Known(), "1@100>7 2@200>?");
}

TEST_F(TimelinesTest, APrimaryKnowsItsOwnOnceItIsOpen) {
  Former({{1, 100, "r"}});
  Streams(2, 7, 7);
  state_.db.streaming_from.clear();
  state_.lead = true;
  Look(seconds(1));
  Look(Timelines::kSettled);
  EXPECT_EQ(Known(), "1@100>?");
  state_.open_epoch = 7;
  state_.db.writable = true;
  Look(seconds(1));
  Look(Timelines::kSettled);
  EXPECT_EQ(Known(), "1@100>7");
}

}  // namespace
}  // namespace mainstay::agent
