// Client and FenceLink against the real shim with a stand-in database.
#include "lib/shim/client.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <pwd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <thread>

#include "lib/base/time.h"

namespace mainstay::shim {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
namespace fs = std::filesystem;

MonoTime In(Duration d) { return BootClock().Now() + d; }

// A shim in a temporary directory. The database is the storm of storm.cc.
class ShimTest : public testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/mainstay-shim-client.XXXXXX";
    ASSERT_NE(mkdtemp(name), nullptr);
    base_ = name;
    fs::create_directories(Data());
    fs::create_directories(base_ + "/bin");
    fs::copy_file(MAINSTAY_STORM, base_ + "/bin/postgres");
    Write(Data() + "/mode", "plain");
    Write(Data() + "/standby.signal", "");
    chmod(base_.c_str(), 0755);
    if (geteuid() == 0) {
      const passwd* user = getpwnam("postgres");
      if (user == nullptr) GTEST_SKIP() << "needs a user postgres";
      for (const auto& e : fs::recursive_directory_iterator(base_))
        ASSERT_EQ(chown(e.path().c_str(), user->pw_uid, user->pw_gid), 0);
    }
    Spawn();
  }
  void TearDown() override {
    Stop();
    std::error_code ignored;
    fs::remove_all(base_, ignored);
  }
  void Spawn() {
    const std::string socket = Socket(), bin = base_ + "/bin", data = Data();
    pid_ = fork();
    ASSERT_GE(pid_, 0);
    if (pid_ == 0) {
      if (geteuid() == 0) {
        execl(MAINSTAY_SHIM, "mainstay-shim", "--socket", socket.c_str(), "--bin-dir", bin.c_str(),
              "--data-dir", data.c_str(), "--mode", "namespace", "--user", "postgres", nullptr);
      } else {
        execl(MAINSTAY_SHIM, "mainstay-shim", "--socket", socket.c_str(), "--bin-dir", bin.c_str(),
              "--data-dir", data.c_str(), nullptr);
      }
      _exit(127);
    }
  }
  void Stop() {
    if (pid_ <= 0) return;
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
    pid_ = -1;
  }
  void Write(const std::string& path, const std::string& text) {
    std::ofstream(path, std::ios::trunc) << text;
  }
  void Tool(const std::string& name, const std::string& script) {
    Write(base_ + "/bin/" + name, "#!/bin/sh\n" + script);
    chmod((base_ + "/bin/" + name).c_str(), 0755);
  }
  std::string Socket() const { return base_ + "/run/shim.sock"; }
  std::string Data() const { return base_ + "/vol/data"; }

  // Waits for the first event of type T.
  template <typename T>
  std::optional<T> Await(FenceLink* link, Duration wait) {
    const MonoTime end = In(wait);
    while (BootClock().Now() < end) {
      for (const FenceEvent& e : link->OnReadable()) {
        if (const T* found = std::get_if<T>(&e)) return *found;
      }
      pollfd fd{link->fd(), POLLIN, 0};
      poll(&fd, 1, 20);
    }
    return std::nullopt;
  }

  std::string base_;
  pid_t pid_ = -1;
};

TEST_F(ShimTest, LifeOfADatabase) {
  Client client(Socket());
  ASSERT_TRUE(client.Connect(In(seconds(5))).ok());
  EXPECT_NE(client.nonce(), 0u);
  auto state = client.GetState(In(seconds(1)));
  ASSERT_TRUE(state.ok()) << state.status();
  EXPECT_FALSE(state->running());
  EXPECT_FALSE(state->armed.has_value());
  EXPECT_FALSE(state->last_exit.has_value());

  EXPECT_EQ(RefusalCode(client.Start(StartKind::kPrimary, 4, In(seconds(1))).status()),
            wire::Code::kNotArmed);
  ASSERT_TRUE(client.Arm(In(seconds(30)), 4, In(seconds(1))).ok());
  const absl::Status lower = client.Arm(In(seconds(40)), 3, In(seconds(1)));
  EXPECT_TRUE(absl::IsAborted(lower)) << lower;
  EXPECT_EQ(RefusalCode(lower), wire::Code::kEpoch);

  auto starts = client.Start(StartKind::kPrimary, 4, In(seconds(2)));
  ASSERT_TRUE(starts.ok()) << starts.status();
  state = client.GetState(In(seconds(1)));
  ASSERT_TRUE(state.ok());
  EXPECT_EQ(state->phase, Phase::kRunning);
  EXPECT_EQ(state->starts, *starts);
  ASSERT_TRUE(state->armed.has_value());
  EXPECT_EQ(state->armed->epoch, 4);

  usleep(200000);
  auto exited = client.Stop(In(seconds(5)));
  ASSERT_TRUE(exited.ok()) << exited.status();
  EXPECT_TRUE(exited->clean());
  EXPECT_EQ(exited->cause, Cause::kSignal);
  EXPECT_EQ(client.WaitExit(*starts, In(seconds(1)))->starts, *starts) << "known afterwards as well";
  EXPECT_TRUE(absl::IsFailedPrecondition(client.WaitExit(*starts + 5, In(seconds(1))).status()));
}

TEST_F(ShimTest, StopTimesOutAndKillDoesNot) {
  Write(Data() + "/mode", "deaf");
  Client client(Socket());
  ASSERT_TRUE(client.Start(StartKind::kStandby, 0, In(seconds(5))).ok());
  usleep(200000);
  EXPECT_TRUE(absl::IsDeadlineExceeded(client.Stop(In(milliseconds(300))).status()));
  EXPECT_TRUE(client.Kill(In(seconds(3))).ok());
  EXPECT_FALSE(client.GetState(In(seconds(1)))->running());
  EXPECT_EQ(client.GetState(In(seconds(1)))->last_exit->cause, Cause::kKill);
}

TEST_F(ShimTest, ToolsStreamFailAndAreRefused) {
  Tool("initdb", "echo out; echo progress >&2; exit 3\n");
  Client client(Socket());
  ToolRequest request;
  request.tool = shim::Tool::kInitdb;
  request.args = {"-D", Data(), "-k"};
  std::string seen;
  auto result = client.RunTool(
      request, [&](int stream, absl::string_view t) { seen += std::to_string(stream) + std::string(t); },
      In(seconds(5)));
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_FALSE(result->ok());
  EXPECT_EQ(result->Describe(), "exit code 3");
  EXPECT_EQ(result->out, "out\n");
  EXPECT_EQ(result->err, "progress\n");
  EXPECT_THAT(seen, testing::AllOf(testing::HasSubstr("1out"), testing::HasSubstr("2progress")));

  request.args = {"-D", "/etc"};
  result = client.RunTool(request, nullptr, In(seconds(5)));
  EXPECT_TRUE(absl::IsInvalidArgument(result.status()));
  EXPECT_EQ(RefusalCode(result.status()), wire::Code::kNotAllowed);
  EXPECT_THAT(std::string(result.status().message()), testing::HasSubstr("/etc"));
  request.args = {std::string("a\0b", 3)};
  EXPECT_TRUE(absl::IsInvalidArgument(client.RunTool(request, nullptr, In(seconds(5))).status()));
  request.args.assign(100, "-k");
  EXPECT_TRUE(absl::IsInvalidArgument(client.RunTool(request, nullptr, In(seconds(5))).status()));
}

TEST_F(ShimTest, CancelFromAnotherThreadAndDeadline) {
  Tool("initdb", "exec sleep 30\n");
  Client client(Socket());
  ToolRequest request;
  request.tool = shim::Tool::kInitdb;
  request.args = {"-k"};
  std::thread canceller([&] {
    usleep(300000);
    client.Cancel();
  });
  const MonoTime began = BootClock().Now();
  EXPECT_TRUE(absl::IsCancelled(client.RunTool(request, nullptr, In(seconds(20))).status()));
  EXPECT_LT(BootClock().Now() - began, seconds(3));
  canceller.join();
  EXPECT_TRUE(absl::IsCancelled(client.GetState(In(seconds(1))).status())) << "stays until cleared";
  client.ClearCancel();
  ASSERT_TRUE(client.GetState(In(seconds(1))).ok());
  EXPECT_EQ(client.GetState(In(seconds(1)))->tool_id, 0u);
  auto result = client.RunTool(request, nullptr, In(milliseconds(300)));
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->end, ToolEnd::kDeadline);
  EXPECT_TRUE(absl::IsCancelled(client.GetState(In(seconds(1))).status()) == false);
}

TEST_F(ShimTest, DirectoriesAreSwappedAndRemoved) {
  Client client(Socket());
  ASSERT_TRUE(client.Connect(In(seconds(5))).ok());
  EXPECT_TRUE(absl::IsInternal(client.SwapDataDir(Data() + ".new", In(seconds(2))).status()));
  fs::create_directories(Data() + ".new");
  Write(Data() + ".new/PG_VERSION", "15");
  auto old_dir = client.SwapDataDir(Data() + ".new", In(seconds(5)));
  ASSERT_TRUE(old_dir.ok()) << old_dir.status();
  EXPECT_TRUE(fs::exists(*old_dir + "/standby.signal"));
  EXPECT_TRUE(fs::exists(Data() + "/PG_VERSION"));
  EXPECT_TRUE(client.RemoveStale(*old_dir, In(seconds(5))).ok());
  EXPECT_FALSE(fs::exists(*old_dir));
  EXPECT_TRUE(client.RemoveStale(*old_dir, In(seconds(5))).ok());
  EXPECT_TRUE(absl::IsInvalidArgument(client.RemoveStale(Data(), In(seconds(5)))));
}

TEST_F(ShimTest, NobodyThere) {
  Client client(base_ + "/nothing.sock");
  EXPECT_TRUE(absl::IsUnavailable(client.GetState(In(milliseconds(100))).status()));
}

TEST_F(ShimTest, ReconnectsToANewShimAndSeesItsNonce) {
  Client client(Socket());
  ASSERT_TRUE(client.Connect(In(seconds(5))).ok());
  const uint64_t before = client.nonce();
  Stop();
  usleep(100000);
  Spawn();
  absl::StatusOr<State> state = client.GetState(In(seconds(5)));
  if (!state.ok()) state = client.GetState(In(seconds(5)));  // the first call may find the dead connection
  ASSERT_TRUE(state.ok()) << state.status();
  EXPECT_NE(state->nonce, before);
  EXPECT_EQ(state->starts, 0u);
}

TEST_F(ShimTest, FenceLinkArmsExtendsAndIsFenced) {
  Write(Data() + "/mode", "storm");
  Client client(Socket());
  ASSERT_TRUE(client.Start(StartKind::kStandby, 0, In(seconds(5))).ok());
  FenceLink link(Socket());
  EXPECT_EQ(link.fd(), -1);
  EXPECT_TRUE(absl::IsUnavailable(link.Arm(In(seconds(1)), 1)));
  auto connected = Await<Connected>(&link, seconds(2));
  ASSERT_TRUE(connected.has_value());
  EXPECT_EQ(connected->state.phase, Phase::kRunning);

  const MonoTime first = In(milliseconds(400)), second = In(milliseconds(800));
  ASSERT_TRUE(link.Arm(first, 7).ok());
  auto armed = Await<Armed>(&link, seconds(1));
  ASSERT_TRUE(armed.has_value());
  EXPECT_EQ(armed->until, first);
  EXPECT_EQ(armed->epoch, 7);
  ASSERT_TRUE(link.Arm(second, 7).ok());
  EXPECT_EQ(Await<Armed>(&link, seconds(1))->until, second);
  ASSERT_TRUE(link.Arm(first, 7).ok());
  auto refused = Await<Refused>(&link, seconds(1));
  ASSERT_TRUE(refused.has_value());
  EXPECT_EQ(refused->code, wire::Code::kShorter);
  ASSERT_TRUE(link.Refresh().ok());
  EXPECT_EQ(Await<Connected>(&link, seconds(1))->state.armed->until, second);

  auto exited = Await<Exited>(&link, seconds(3));
  ASSERT_TRUE(exited.has_value());
  EXPECT_EQ(exited->cause, Cause::kFence);
  auto fenced = Await<Fenced>(&link, seconds(1));
  // Exited and Fenced may come in one batch; then the state tells it.
  auto state = client.GetState(In(seconds(1)));
  ASSERT_TRUE(state.ok());
  ASSERT_TRUE(state->last_fence.has_value());
  EXPECT_EQ(state->last_fence->deadline, second);
  EXPECT_GE(state->last_fence->killed_at, second);
  EXPECT_GE(state->last_fence->empty_at, state->last_fence->killed_at);
  if (fenced.has_value()) {
    EXPECT_EQ(fenced->deadline, second);
  }
}

TEST_F(ShimTest, FenceLinkTellsOfTheLossAndComesBack) {
  FenceLink link(Socket());
  ASSERT_TRUE(Await<Connected>(&link, seconds(5)).has_value());
  Stop();
  ASSERT_TRUE(Await<Disconnected>(&link, seconds(2)).has_value());
  EXPECT_TRUE(absl::IsUnavailable(link.Arm(In(seconds(1)), 1)));
  Spawn();
  EXPECT_TRUE(Await<Connected>(&link, seconds(5)).has_value());
}

// Killed, not told to end: the socket refuses at once, long before another shim is there to tell.
TEST_F(ShimTest, FenceLinkTellsThatTheShimWasKilled) {
  FenceLink link(Socket());
  const auto connected = Await<Connected>(&link, seconds(5));
  ASSERT_TRUE(connected.has_value());
  Stop();
  ASSERT_TRUE(Await<Disconnected>(&link, seconds(2)).has_value());
  const auto ended = Await<Ended>(&link, seconds(2));
  ASSERT_TRUE(ended.has_value());
  EXPECT_EQ(ended->namespaced, connected->state.mode != wire::Mode::kSession);
  EXPECT_FALSE(Await<Ended>(&link, milliseconds(500)).has_value()) << "told once";
  Spawn();
  EXPECT_TRUE(Await<Connected>(&link, seconds(5)).has_value());
}

TEST_F(ShimTest, FenceLinkSeesTermination) {
  FenceLink link(Socket());
  Client client(Socket());
  ASSERT_TRUE(client.Start(StartKind::kStandby, 0, In(seconds(5))).ok());
  usleep(200000);
  ASSERT_TRUE(Await<Connected>(&link, seconds(5)).has_value());
  kill(pid_, SIGTERM);
  EXPECT_TRUE(Await<Terminating>(&link, seconds(2)).has_value());
}

}  // namespace
}  // namespace mainstay::shim
