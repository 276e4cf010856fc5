// The agent's threads for real: a loop, two workers, and strangers at the port, all at the same time. What
// one thread may do alone is tested on simulated time (cluster_test.cc); this is what ThreadSanitizer looks
// at.
#include <gtest/gtest.h>

#include <atomic>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <chrono>
#include <future>
#include <thread>

#include "agent/sidecar/driver.h"
#include "agent/sidecar/loop.h"
#include "agent/sidecar/port.h"
#include "agent/sidecar/worker.h"
#include "lib/base/log.h"
#include "lib/engine/fake/fake_engine.h"
#include "lib/lease/memory_store.h"

namespace mainstay::agent {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

class Nobody : public PeerLink {
 public:
  void Report(const std::string&, const election::PeerReport&, Duration,
              Done<election::PeerReport> done) override {
    done(absl::UnavailableError("nobody"));
  }
  void Freeze(const std::string&, const election::FreezeAsked&, Duration,
              Done<election::FreezeAnswered> done) override {
    done(absl::UnavailableError("nobody"));
  }
  void Promise(const std::string&, const election::PromiseAsked&, Duration,
               Done<election::PromiseAnswered> done) override {
    done(absl::UnavailableError("nobody"));
  }
  void Keep(const std::vector<std::string>&) override {}
};

// Confirms at once, kills when asked to. Its deadline never comes: the agent lives and renews.
class Agreeable : public FencePort {
 public:
  Agreeable(Loop* loop, engine::FakeWorld* world) : loop_(loop), world_(world) {}
  void Attach(FenceSink* sink) { sink_ = sink; }
  void Arm(MonoTime until, election::Epoch epoch) override {
    loop_->Post([this, until, epoch] { sink_->OnArmed(until, epoch); });
  }
  void Shutdown() override {}
  void Kill(Duration, std::function<void(bool)> done) override {
    world_->Kill("a");
    loop_->Post([this, done] {
      sink_->OnExit({.kind = ExitKind::kAsked, .at = loop_->Now(), .latency = {}, .detail = "killed"});
      done(true);
    });
  }

 private:
  Loop* const loop_;
  engine::FakeWorld* const world_;
  FenceSink* sink_ = nullptr;
};

std::shared_ptr<const election::Settings> Quick() {
  auto s = std::make_shared<election::Settings>();
  s->cluster = "threads";
  s->identity = "a_u_1";
  s->self.name = "a";
  s->self.peer_address = "127.0.0.1:1";
  s->self.db_address = "127.0.0.1:2";
  s->lease = milliseconds(3000);
  s->validity = milliseconds(2200);
  s->fence = milliseconds(700);
  s->renew = milliseconds(100);
  s->suspicion = milliseconds(300);
  s->freeze_wait = milliseconds(100);
  EXPECT_EQ(election::CheckTiming(*s), "");
  return s;
}

// One agent with everything but a database and a network. Made and ended on its loop's thread, as the sidecar
// does it.
class Agent {
 public:
  Agent() : loop_(io_), fence_(&loop_, world_.get()), store_worker_("store", 4), engine_worker_("engine", 4) {
    DriverOptions options;
    options.settings = Quick();
    options.heartbeat = milliseconds(50);
    options.engine.probe_interval = milliseconds(20);
    DriverParts parts;
    parts.loop = &loop_;
    parts.store_worker = &store_worker_;
    parts.store = &store_;
    parts.engine_worker = &engine_worker_;
    parts.engine = &engine_;
    parts.fence = &fence_;
    parts.peers = &nobody_;
    parts.publisher = &no_role_;
    parts.instruments = &instruments_;
    driver_ = std::make_unique<Driver>(options, parts, election::Memory());
    fence_.Attach(driver_.get());
    port_ = std::make_unique<AgentPort>(&loop_, driver_.get(), [this] { return loop_.turned_at(); });
    thread_ = std::thread([this] { io_.run(); });
    OnLoop([this] {
      driver_->OnShim({.connected = true, .running = false, .ending = false, .armed_until = MonoTime()},
                      false);
      driver_->Start();
    });
  }
  ~Agent() {
    OnLoop([this] { driver_->Stop(); });
    EXPECT_TRUE(engine_worker_.Stop(seconds(10)));
    EXPECT_TRUE(store_worker_.Stop(seconds(10)));
    work_.reset();
    io_.stop();
    thread_.join();
  }
  AgentPort& port() { return *port_; }
  engine::FakeWorld& world() { return *world_; }
  bool WaitRole(election::Role role, Duration bound) {
    const MonoTime end = BootClock().Now() + bound;
    while (BootClock().Now() < end) {
      if (port_->Snapshot()->role == role) return true;
      std::this_thread::sleep_for(milliseconds(10));
    }
    return false;
  }

 private:
  void OnLoop(std::function<void()> task) {
    std::promise<void> done;
    loop_.Post([&] {
      task();
      done.set_value();
    });
    done.get_future().wait();
  }
  boost::asio::io_context io_;
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work_{io_.get_executor()};
  AsioLoop loop_;
  std::shared_ptr<engine::FakeWorld> world_ = std::make_shared<engine::FakeWorld>();
  Agreeable fence_;
  ThreadWorker store_worker_;
  ThreadWorker engine_worker_;
  engine::FakeEngine engine_{world_, "a", "127.0.0.1:2"};
  lease::MemoryStore store_{std::make_shared<lease::MemoryCell>()};
  Nobody nobody_;
  NoRolePublisher no_role_;
  metrics::AgentInstruments instruments_;
  std::unique_ptr<Driver> driver_;
  std::unique_ptr<AgentPort> port_;
  std::thread thread_;
};

TEST(Threads, APrimaryUnderStrangersAtItsDoor) {
  SetLogOptions({.level = LogLevel::kError, .format = LogFormat::kText, .fd = 2});
  std::atomic<bool> stop{false};
  std::atomic<int> told{0};
  std::atomic<int> answered{0};  // outlives the agent, whose end answers what is left
  Agent agent;
  ASSERT_TRUE(agent.WaitRole(election::Role::kPrimary, seconds(30)));
  const uint64_t subscription = agent.port().Subscribe([&told] { ++told; });
  const auto peer = [&] {
    for (uint64_t n = 0; !stop; ++n) {
      election::PeerReport report;
      report.name = report.self.name = "b";
      report.self.peer_address = "127.0.0.1:3";
      agent.port().OnReport(report, [&answered](const election::PeerReport&) { ++answered; });
      std::this_thread::sleep_for(milliseconds(1));
    }
  };
  const auto person = [&] {
    for (int n = 0; !stop; ++n) {
      rpc::AdminCommand command;
      command.id = "r" + std::to_string(n);
      command.verb = n % 2 == 0 ? rpc::AdminVerb::kReload : rpc::AdminVerb::kRestart;
      command.deadline = BootClock().Now() + seconds(5);
      agent.port().Submit(command, [&answered](const rpc::AdminAnswer&) { ++answered; });
      (void)agent.port().Snapshot()->decisions.size();
      (void)agent.port().LoopTurnedAt();
      std::this_thread::sleep_for(milliseconds(3));
    }
  };
  std::thread one(peer);
  std::thread two(person);
  for (int i = 0; i < 200; ++i) {
    agent.world().Write("a");
    std::this_thread::sleep_for(milliseconds(5));
  }
  stop = true;
  one.join();
  two.join();
  agent.port().Unsubscribe(subscription);
  const int last = told;
  EXPECT_GT(last, 0);
  EXPECT_GT(answered, 10);
  // Still, or (on a machine that stood still for longer than the lease) again.
  EXPECT_TRUE(agent.WaitRole(election::Role::kPrimary, seconds(30)));
  std::this_thread::sleep_for(milliseconds(50));
  EXPECT_EQ(told, last) << "told after Unsubscribe returned";
}

TEST(Worker, IsBoundedAndLeavesAHangingJobBehind) {
  SetLogOptions({.level = LogLevel::kError, .format = LogFormat::kText, .fd = 2});
  auto release = std::make_shared<std::promise<void>>();
  std::shared_future<void> gate = release->get_future().share();
  std::promise<void> begun;
  ThreadWorker worker("w", 2);
  ASSERT_TRUE(worker.Run([gate, &begun] {
    begun.set_value();
    gate.wait();
  }));
  begun.get_future().wait();
  EXPECT_TRUE(worker.Run([] {}));
  EXPECT_TRUE(worker.Run([] {}));
  EXPECT_FALSE(worker.Run([] {})) << "two wait already";
  EXPECT_FALSE(worker.Stop(milliseconds(50))) << "the first job hangs";
  EXPECT_FALSE(worker.Run([] {})) << "stopped";
  release->set_value();
  std::this_thread::sleep_for(milliseconds(100));  // the thread that was left behind ends by itself
}

TEST(Loop, TimersRunInOrderAndCancelledOnesNever) {
  boost::asio::io_context io;
  AsioLoop loop(io);
  std::string ran;
  const MonoTime now = loop.Now();
  loop.At(now + milliseconds(20), [&] { ran += 'c'; });
  loop.At(now + milliseconds(10), [&] { ran += 'b'; });
  loop.At(now - seconds(1), [&] { ran += 'a'; });
  const TimerId never = loop.At(now + milliseconds(5), [&] { ran += 'x'; });
  loop.At(MonoTime::Never(), [&] { ran += 'y'; });
  loop.Cancel(never);
  std::thread other([&] { loop.Post([&] { ran += 'p'; }); });
  other.join();
  io.run_for(milliseconds(200));
  EXPECT_EQ(ran, "pabc");
}

// A time-out that was not needed wakes nobody.
TEST(Loop, ACancelledTimerDoesNotRing) {
  boost::asio::io_context io;
  AsioLoop loop(io);
  const MonoTime now = loop.Now();
  const TimerId first = loop.At(now + milliseconds(10), [] {});
  const TimerId second = loop.At(now + milliseconds(20), [] {});
  loop.Cancel(first);
  loop.Cancel(second);
  EXPECT_EQ(io.run_for(milliseconds(100)), 0U);
  bool ran = false;
  loop.At(loop.Now() + milliseconds(5), [&] { ran = true; });
  io.restart();
  io.run_for(milliseconds(200));
  EXPECT_TRUE(ran);
}

}  // namespace
}  // namespace mainstay::agent
