#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <condition_variable>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "agent/sidecar/incarnation.h"
#include "agent/sidecar/role_publisher.h"

namespace mainstay::agent {
namespace {

using election::Role;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using namespace std::chrono_literals;  // NOLINT(google-build-using-namespace): tests

// Pods with labels, an API server that can be down.
struct World {
  std::mutex mutex;
  std::condition_variable changed;
  std::map<std::string, std::string> labels;
  std::vector<std::string> calls;
  std::vector<RoleEvent> events;
  bool down = false;
  std::string forbidden;  // a pod that answers 403

  template <typename Condition>
  bool Wait(Condition condition) {
    std::unique_lock<std::mutex> lock(mutex);
    return changed.wait_for(lock, 10s, condition);
  }
};

class FakePods : public PodApi {
 public:
  explicit FakePods(std::shared_ptr<World> world) : world_(std::move(world)) {}
  absl::Status SetRole(const std::string& pod, const std::string& role, MonoTime) override {
    std::lock_guard<std::mutex> lock(world_->mutex);
    if (!Called(pod, role.empty() ? "-" : "=" + role)) return absl::UnavailableError("HTTP 403");
    world_->labels[pod] = role;
    return absl::OkStatus();
  }
  absl::Status TakeOff(const std::string& pod, const std::string& role, MonoTime) override {
    std::lock_guard<std::mutex> lock(world_->mutex);
    if (!Called(pod, "-?" + role)) return absl::UnavailableError("HTTP 403");
    if (world_->labels[pod] == role) world_->labels[pod].clear();
    return absl::OkStatus();
  }
  absl::Status PostEvent(const RoleEvent& event, MonoTime) override {
    std::lock_guard<std::mutex> lock(world_->mutex);
    world_->changed.notify_all();
    if (world_->down) return absl::UnavailableError("down");
    world_->events.push_back(event);
    return absl::OkStatus();
  }
  void Interrupt() override {}

 private:
  bool Called(const std::string& pod, const std::string& what) {
    world_->calls.push_back(pod + what);
    world_->changed.notify_all();
    return !world_->down && pod != world_->forbidden;
  }
  const std::shared_ptr<World> world_;
};

class Publisher : public ::testing::Test {
 protected:
  void Make(LabelPublisher::Options options) {
    options.self = "pg-0";
    options.retry_least = 5ms;
    options.retry_most = 50ms;
    publisher_ = std::make_unique<LabelPublisher>(std::make_unique<FakePods>(world_), options);
  }
  std::string Label(const std::string& pod) { return world_->labels[pod]; }

  const std::shared_ptr<World> world_ = std::make_shared<World>();
  std::unique_ptr<LabelPublisher> publisher_;
};

TEST_F(Publisher, TheOthersLoseTheLabelBeforeTheOwnOneIsSet) {
  Make({});
  world_->labels = {{"pg-0", "replica"}, {"pg-1", "primary"}, {"pg-2", "replica"}};
  publisher_->Opening({"pg-1", "pg-2"});
  ASSERT_TRUE(world_->Wait([&] { return world_->calls.size() == 3; }));
  publisher_->Publish({Role::kPrimary, 7, {"pg-1", "pg-2"}, "The lock is ours."});
  ASSERT_TRUE(world_->Wait([&] { return !world_->events.empty(); }));
  EXPECT_EQ(Label("pg-0"), "primary");
  EXPECT_EQ(Label("pg-1"), "");
  EXPECT_EQ(Label("pg-2"), "replica") << "only the label primary is taken off";
  std::lock_guard<std::mutex> lock(world_->mutex);
  ASSERT_GE(world_->calls.size(), 3U);
  const std::vector<std::string> first(world_->calls.begin(), world_->calls.begin() + 3);
  EXPECT_THAT(first, ElementsAre("pg-1-?primary", "pg-0=primary", "pg-2-?primary"));
  ASSERT_EQ(world_->events.size(), 1U);
  EXPECT_EQ(world_->events[0].reason, "BecamePrimary");
  EXPECT_THAT(world_->events[0].note, HasSubstr("epoch 7). The lock is ours."));
}

TEST_F(Publisher, AnOpeningThatComesToNothingIsUndone) {
  Make({.self = "", .undo = 100ms});
  publisher_->Publish({Role::kReplica, 6, {"pg-1"}, ""});
  ASSERT_TRUE(world_->Wait([&] { return Label("pg-0") == "replica"; }));
  publisher_->Opening({"pg-1"});
  ASSERT_TRUE(world_->Wait([&] { return Label("pg-0") == "primary"; }));
  ASSERT_TRUE(world_->Wait([&] { return Label("pg-0") == "replica"; }));
}

TEST_F(Publisher, AnApiServerThatIsDownIsTriedUntilItIsBack) {
  Make({});
  world_->labels = {{"pg-1", "primary"}};
  world_->down = true;
  publisher_->Publish({Role::kPrimary, 7, {"pg-1"}, ""});
  ASSERT_TRUE(world_->Wait([&] { return world_->calls.size() > 8; }));
  {
    std::lock_guard<std::mutex> lock(world_->mutex);
    world_->down = false;
  }
  ASSERT_TRUE(world_->Wait([&] { return Label("pg-0") == "primary" && Label("pg-1").empty(); }));
}

TEST_F(Publisher, APodThatCannotBeChangedDoesNotHoldUpTheOwnLabel) {
  Make({});
  world_->forbidden = "pg-1";
  publisher_->Publish({Role::kPrimary, 7, {"pg-1"}, ""});
  ASSERT_TRUE(world_->Wait([&] { return Label("pg-0") == "primary"; }));
}

TEST_F(Publisher, TheNewestRoleWins) {
  Make({});
  world_->down = true;
  publisher_->Publish({Role::kPrimary, 7, {"pg-1"}, ""});
  ASSERT_TRUE(world_->Wait([&] { return !world_->calls.empty(); }));
  publisher_->Publish({Role::kReplica, 8, {"pg-1"}, ""});
  {
    std::lock_guard<std::mutex> lock(world_->mutex);
    world_->down = false;
    world_->labels["pg-1"] = "primary";
  }
  ASSERT_TRUE(world_->Wait([&] { return Label("pg-0") == "replica"; }));
  EXPECT_EQ(Label("pg-1"), "primary") << "a replica takes nothing off anybody";
}

TEST_F(Publisher, ALateWriterIsPutRightAndTheOwnLabelSaidAgain) {
  Make({.self = "", .second_look = 50ms, .say_again = 50ms});
  publisher_->Publish({Role::kPrimary, 7, {"pg-1"}, ""});
  ASSERT_TRUE(world_->Wait([&] { return Label("pg-0") == "primary"; }));
  {
    std::lock_guard<std::mutex> lock(world_->mutex);
    world_->labels["pg-1"] = "primary";  // what the old primary had asked for before it was frozen
    world_->labels["pg-0"] = "";         // somebody edited it
  }
  ASSERT_TRUE(world_->Wait([&] { return Label("pg-0") == "primary" && Label("pg-1").empty(); }));
}

TEST_F(Publisher, FencedAndUnknownHaveNoLabelAndStopSaysTheLastWord) {
  Make({});
  world_->labels = {{"pg-0", "replica"}};
  publisher_->Publish({Role::kFenced, 7, {}, ""});
  publisher_->Stop(5s);
  EXPECT_EQ(Label("pg-0"), "");
  ASSERT_EQ(world_->events.size(), 1U);
  EXPECT_TRUE(world_->events[0].warning);
}

TEST_F(Publisher, StopEndsAlsoWithTheServerDown) {
  Make({});
  world_->down = true;
  publisher_->Publish({Role::kReplica, 7, {}, ""});
  const MonoTime begin = BootClock().Now();
  publisher_->Stop(50ms);
  EXPECT_LT(BootClock().Now() - begin, 5s);
}

// ---- incarnation ----

class IncarnationTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = ::testing::TempDir() + "incarnation-XXXXXX";
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    dir_ = pattern;
    socket_ = dir_ + "/shim.sock";
  }
  void TearDown() override { std::filesystem::remove_all(dir_); }
  std::string dir_;
  std::string socket_;
};

TEST_F(IncarnationTest, IsTheShimsWhenThatIsThereFirst) {
  Incarnation a(socket_, "aaaa");
  a.Begin(0x12);
  EXPECT_EQ(a.id(), "s0000000000000012");
  a.Connected(0x12);
  Incarnation again(socket_, "bbbb");
  again.Begin(0x12);
  EXPECT_EQ(again.id(), a.id());
}

TEST_F(IncarnationTest, IsRememberedWhenTheAgentCameFirst) {
  Incarnation a(socket_, "aaaa");
  a.Begin(std::nullopt);
  EXPECT_EQ(a.id(), "aaaa");
  a.Connected(0x12);
  Incarnation again(socket_, "bbbb");
  again.Begin(0x12);
  EXPECT_EQ(again.id(), "aaaa") << "the same shim, so the same databases";
  Incarnation other(socket_, "cccc");
  other.Begin(0x13);
  EXPECT_EQ(other.id(), "s0000000000000013") << "no database of before lives";
}

TEST_F(IncarnationTest, FollowsAContainerThatIsRestartedWhileTheAgentLives) {
  Incarnation a(socket_, "aaaa");
  a.Begin(0x12);
  a.Connected(0x13);
  Incarnation again(socket_, "bbbb");
  again.Begin(0x13);
  EXPECT_EQ(again.id(), a.id());
}

TEST_F(IncarnationTest, ADamagedFileIsNoIncarnation) {
  for (const char* text : {"", "0000000000000012", "0000000000000012 ", "0000000000000012 a b", "12 aaaa",
                           "0000000000000012 ../../x\n"}) {
    std::ofstream(socket_ + ".incarnation") << text;
    Incarnation a(socket_, "aaaa");
    a.Begin(0x12);
    EXPECT_EQ(a.id(), "s0000000000000012") << text;
  }
}

}  // namespace
}  // namespace mainstay::agent
