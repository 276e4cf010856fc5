#include "agent/rabbit/alone.h"

#include <gtest/gtest.h>

#include "test/unit/sidecar/sim_loop.h"

namespace mainstay::agent {
namespace {

using std::chrono::minutes;
using std::chrono::seconds;

class FakeNode : public NodePort {
 public:
  std::shared_ptr<const NodeView> View() const override { return std::make_shared<NodeView>(); }
  void Start(const engine::rabbitmq::StartPlan&, Done done) override {
    ++starts;
    done(start_status);
  }
  void Stop(Duration, Done done) override { done(absl::OkStatus()); }
  void SetDataAside(Done done) override { done(absl::OkStatus()); }
  void SetDoing(const std::string&) override {}
  void SetWaits(bool) override {}
  void SetTakenOut(const std::string&) override {}

  absl::Status start_status;
  int starts = 0;
};

class AloneTest : public testing::Test {
 protected:
  static void Look(AloneMaintenance* care, bool running, bool blank = false, bool connected = true,
                   bool ending = false) {
    NodeView v;
    v.shim_connected = connected;
    v.running = running;
    v.blank = blank;
    v.pod_ending = ending;
    care->OnNode(v);
  }
  // Looks once a second for as long.
  void LookFor(AloneMaintenance* care, bool running, Duration time) {
    for (const MonoTime end = loop_.Now() + time; loop_.Now() < end;) {
      loop_.RunFor(seconds(1));
      Look(care, running);
    }
  }
  SimLoop loop_;
  FakeNode node_;
};

TEST_F(AloneTest, StartsWhatDoesNotRun) {
  AloneMaintenance care(&loop_);
  care.Begin(&node_);
  Look(&care, false, true, false);
  EXPECT_EQ(node_.starts, 0) << "no shim yet";
  Look(&care, false, true);
  EXPECT_EQ(node_.starts, 1);
  Look(&care, true);
  EXPECT_EQ(node_.starts, 1);
}

TEST_F(AloneTest, AnEndIsAnsweredByAStartWithAPauseThatGrows) {
  AloneMaintenance care(&loop_);
  care.Begin(&node_);
  Look(&care, true);
  Look(&care, false);
  EXPECT_EQ(node_.starts, 0);
  LookFor(&care, false, seconds(1));
  EXPECT_EQ(node_.starts, 1);
  Look(&care, true);
  Look(&care, false);
  LookFor(&care, false, seconds(1));
  EXPECT_EQ(node_.starts, 1);
  LookFor(&care, false, seconds(1));
  EXPECT_EQ(node_.starts, 2);
  Look(&care, true);
  LookFor(&care, true, minutes(6));
  Look(&care, false);
  LookFor(&care, false, seconds(1));
  EXPECT_EQ(node_.starts, 3) << "what ran for long is started at once";
}

TEST_F(AloneTest, AStartThatFailsIsTriedAgainLater) {
  AloneMaintenance care(&loop_);
  care.Begin(&node_);
  node_.start_status = absl::InternalError("exec failed");
  Look(&care, false);
  Look(&care, false);
  EXPECT_EQ(node_.starts, 1);
  LookFor(&care, false, seconds(1));
  EXPECT_EQ(node_.starts, 2);
}

TEST_F(AloneTest, NothingIsStartedInAPodThatEnds) {
  AloneMaintenance care(&loop_);
  care.Begin(&node_);
  Look(&care, false, false, true, true);
  EXPECT_EQ(node_.starts, 0);
}

}  // namespace
}  // namespace mainstay::agent
