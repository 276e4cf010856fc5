// The real server and the real clients over loopback and unix sockets.
#include <gmock/gmock.h>
#include <grpc/support/cpu.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <future>
#include <thread>

#include "lib/base/file.h"
#include "lib/rpc/admin_client.h"
#include "lib/rpc/peer_client.h"
#include "lib/rpc/server.h"
#include "lib/rpc/status.h"
#include "test/unit/rpc/fake_port.h"

namespace mainstay::rpc {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::HasSubstr;

struct Agent {
  explicit Agent(const std::string& name, const std::string& address = "127.0.0.1:0") : port(name) {
    Server::Options o;
    o.address = address;
    o.cluster = "demo";
    o.member = name;
    o.port = &port;
    o.audit = [this](const CallRecord& r) {
      std::lock_guard lock(mu);
      calls.push_back(r);
    };
    auto started = Server::Start(o);
    EXPECT_TRUE(started.ok()) << started.status();
    if (started.ok()) server = *std::move(started);
  }
  std::mutex mu;
  std::vector<CallRecord> calls;
  FakePort port;
  std::unique_ptr<Server> server;
};

PeerClient::Options Direct(const std::string& cluster = "demo") {
  return {.cluster = cluster, .post = [](const std::function<void()>& f) { f(); }};
}

election::PeerReport Report() {
  election::PeerReport r;
  r.name = r.self.name = "a";
  r.record_epoch = 4;
  return r;
}

absl::StatusOr<election::PeerReport> Exchange(PeerClient& peers, const std::string& address,
                                              Duration timeout) {
  std::promise<absl::StatusOr<election::PeerReport>> done;
  peers.Report(address, Report(), timeout,
               [&](absl::StatusOr<election::PeerReport> r) { done.set_value(std::move(r)); });
  return done.get_future().get();
}

TEST(Peers, ExchangeFreezeAndPromise) {
  Agent b("b");
  PeerClient peers(Direct());
  const auto report = Exchange(peers, b.server->address(), seconds(5));
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_EQ(report->name, "b");
  EXPECT_EQ(report->record_epoch, 5);
  std::promise<absl::StatusOr<election::FreezeAnswered>> frozen;
  peers.Freeze(b.server->address(), {.ask = 9, .from = "a", .epoch = 6}, seconds(5),
               [&](auto r) { frozen.set_value(std::move(r)); });
  const auto f = frozen.get_future().get();
  ASSERT_TRUE(f.ok()) << f.status();
  EXPECT_EQ(f->ask, 9u);
  EXPECT_EQ(f->position.offset, 0x5000060u);
  EXPECT_THAT(f->known, ::testing::ElementsAre("a", "b"));
  std::promise<absl::StatusOr<election::PromiseAnswered>> promised;
  peers.Promise(b.server->address(), {.ask = 10, .from = "a", .epoch = 6}, seconds(5),
                [&](auto r) { promised.set_value(std::move(r)); });
  EXPECT_TRUE(promised.get_future().get()->promised);
}

TEST(Peers, AnotherClusterIsRefused) {
  Agent b("b");
  PeerClient peers(Direct("other"));
  const auto r = Exchange(peers, b.server->address(), seconds(5));
  EXPECT_EQ(r.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(r.status().message()), HasSubstr("another one"));
}

absl::StatusOr<std::string> AskFacts(PeerClient& peers, const std::string& address) {
  std::promise<absl::StatusOr<std::string>> done;
  peers.BrokerFacts(address, "a", seconds(5), [&](auto r) { done.set_value(std::move(r)); });
  return done.get_future().get();
}

TEST(Peers, FactsOfABrokerComeAsTheyAreOrNotAtAll) {
  Agent b("b");
  PeerClient peers(Direct()), others(Direct("other"));
  EXPECT_EQ(AskFacts(peers, b.server->address()).status().code(), absl::StatusCode::kUnavailable);
  b.port.SetFacts("{\"v\":1}");
  const auto facts = AskFacts(peers, b.server->address());
  ASSERT_TRUE(facts.ok()) << facts.status();
  EXPECT_EQ(*facts, "{\"v\":1}");
  EXPECT_EQ(AskFacts(others, b.server->address()).status().code(), absl::StatusCode::kFailedPrecondition);
  b.port.SetFacts(std::string(64 * 1024 + 1, 'x'));
  EXPECT_EQ(AskFacts(peers, b.server->address()).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST(Peers, AMuteAgentCostsTheTimeoutAndNoMore) {
  Agent b("b");
  b.port.silent = true;
  PeerClient peers(Direct());
  const MonoTime began = BootClock().Now();
  EXPECT_EQ(Exchange(peers, b.server->address(), milliseconds(300)).status().code(),
            absl::StatusCode::kDeadlineExceeded);
  EXPECT_LT(BootClock().Now() - began, seconds(2));
}

TEST(Peers, NobodyThereIsKnownAtOnceAndAReturnWithinASecondOrTwo) {
  std::string address;
  {
    Agent b("b");
    address = b.server->address();
  }
  PeerClient peers(Direct());
  MonoTime began = BootClock().Now();
  EXPECT_EQ(Exchange(peers, address, seconds(5)).status().code(), absl::StatusCode::kUnavailable);
  EXPECT_LT(BootClock().Now() - began, seconds(2));
  for (int i = 0; i < 10; ++i) {  // the back-off grows
    Exchange(peers, address, seconds(5)).IgnoreError();
    std::this_thread::sleep_for(milliseconds(100));
  }
  Agent again("b", address);
  began = BootClock().Now();
  while (!Exchange(peers, address, milliseconds(500)).ok()) {
    ASSERT_LT(BootClock().Now() - began, seconds(5));
    std::this_thread::sleep_for(milliseconds(20));
  }
  EXPECT_LT(BootClock().Now() - began, milliseconds(2500));
}

TEST(Peers, CallsAreBoundedAndAllAreAnsweredWhenTheClientGoes) {
  Agent b("b");
  b.port.silent = true;
  std::atomic<int> cancelled{0};
  std::atomic<int> refused{0};
  {
    PeerClient peers(Direct());
    for (int i = 0; i < kMaxCallsPerPeer + 3; ++i) {
      peers.Report(b.server->address(), Report(), seconds(60),
                   [&](const absl::StatusOr<election::PeerReport>& r) {
                     absl::IsResourceExhausted(r.status()) ? ++refused : ++cancelled;
                   });
    }
    EXPECT_EQ(refused.load(), 3);
    peers.Keep({});  // running calls keep their channel
  }
  EXPECT_EQ(cancelled.load(), kMaxCallsPerPeer);
}

AdminCommand Command(AdminVerb verb, const std::string& id, const std::string& target = "") {
  AdminCommand c;
  c.verb = verb;
  c.id = id;
  c.target = target;
  return c;
}

TEST(Admin, EveryVerbArrivesAsItself) {
  Agent a("a");
  AdminClient client(a.server->address());
  for (int i = 0; i <= static_cast<int>(AdminVerb::kReinit); ++i) {
    AdminCommand c = Command(static_cast<AdminVerb>(i), "id-0000" + std::to_string(i));
    c.target = c.verb == AdminVerb::kForget || c.verb == AdminVerb::kSwitchover ? "b" : "";
    c.accept_loss = c.verb == AdminVerb::kFailover;
    c.durability = election::Durability::kStrict;
    const auto reply = client.Call(c, {}, seconds(5));
    ASSERT_TRUE(reply.ok()) << ToString(c.verb) << reply.status();
    EXPECT_EQ(reply->status(), v1::ADMIN_STATUS_DONE);
    EXPECT_EQ(reply->member(), "a");
    const auto commands = a.port.commands();
    ASSERT_EQ(commands.size(), static_cast<size_t>(i) + 1);
    EXPECT_EQ(commands.back().verb, c.verb);
    EXPECT_EQ(commands.back().accept_loss, c.accept_loss);
    if (c.verb == AdminVerb::kSetDurability) {
      EXPECT_EQ(commands.back().durability, election::Durability::kStrict);
    }
    EXPECT_GT(commands.back().deadline, BootClock().Now());
  }
  std::lock_guard lock(a.mu);
  EXPECT_EQ(a.calls.size(), 22u);  // before and after each
  EXPECT_TRUE(a.calls[0].started);
  EXPECT_FALSE(a.calls[1].started);
  EXPECT_EQ(a.calls[0].method, "/mainstay.v1.Agent/Switchover");
}

TEST(Admin, TheSameIdIsDoneOnce) {
  Agent a("a");
  AdminClient client(a.server->address());
  for (int i = 0; i < 3; ++i)
    EXPECT_TRUE(client.Call(Command(AdminVerb::kPause, "same-id-1"), {}, seconds(5)).ok());
  EXPECT_EQ(a.port.commands().size(), 1u);
  EXPECT_EQ(client.Call(Command(AdminVerb::kResume, "same-id-1"), {}, seconds(5)).status().code(),
            absl::StatusCode::kInvalidArgument);
}

TEST(Admin, ExpectationsAreChecked) {
  Agent a("a");
  a.port.Publish([](StatusView& v) {
    v.leader = "a";
    v.epoch = 7;
  });
  AdminClient client(a.server->address());
  v1::RequestMeta meta;
  meta.set_expected_leader("b");
  auto reply = client.Call(Command(AdminVerb::kSwitchover, "expect-01"), meta, seconds(5));
  EXPECT_EQ(reply->status(), v1::ADMIN_STATUS_REFUSED);
  EXPECT_THAT(reply->message(), HasSubstr("expected b to lead"));
  meta.set_expected_leader("a");
  meta.set_expected_epoch(6);
  EXPECT_EQ(client.Call(Command(AdminVerb::kSwitchover, "expect-02"), meta, seconds(5))->status(),
            v1::ADMIN_STATUS_REFUSED);
  meta.set_expected_epoch(7);
  EXPECT_EQ(client.Call(Command(AdminVerb::kSwitchover, "expect-03"), meta, seconds(5))->status(),
            v1::ADMIN_STATUS_DONE);
}

TEST(Admin, BadRequestsNeverReachTheLoop) {
  Agent a("a");
  AdminClient client(a.server->address());
  EXPECT_EQ(client.Call(Command(AdminVerb::kPause, ""), {}, seconds(5)).status().code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(client.Call(Command(AdminVerb::kSwitchover, "bad-00001", "B\n"), {}, seconds(5)).status().code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(client.Call(Command(AdminVerb::kForget, "bad-00002", ""), {}, seconds(5)).status().code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(client.Call(Command(AdminVerb::kRestart, "bad-00003", "b"), {}, seconds(5)).status().code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(client.Call(Command(AdminVerb::kPause, "bad-00004"), {}, std::chrono::hours(1)).status().code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_TRUE(a.port.commands().empty());
}

TEST(Admin, ALateAnswerAfterTheCallersDeadlineHarmsNobody) {
  Agent a("a");
  std::function<void(AdminAnswer)> kept;
  a.port.on_submit = [&](const AdminCommand&, std::function<void(AdminAnswer)> done) {
    kept = std::move(done);
  };
  AdminClient client(a.server->address());
  EXPECT_EQ(client.Call(Command(AdminVerb::kPause, "late-0001"), {}, milliseconds(200)).status().code(),
            absl::StatusCode::kDeadlineExceeded);
  kept({election::AdminStatus::kDone, "late"});
  const auto again =
      client.Call(Command(AdminVerb::kPause, "late-0001"), {}, seconds(5));  // who asks again learns it
  ASSERT_TRUE(again.ok());
  EXPECT_EQ(again->message(), "late");
}

TEST(Admin, WatchTellsChanges) {
  Agent a("a");
  AdminClient client(a.server->address());
  std::thread publisher([&] {
    for (int i = 1; i <= 3; ++i) {
      std::this_thread::sleep_for(milliseconds(150));
      a.port.Publish([i](StatusView& v) { v.epoch = i; });
    }
  });
  int64_t last = -1;
  const absl::Status end = client.Watch(false, milliseconds(100), seconds(10), [&](const v1::Status& s) {
    EXPECT_GE(s.epoch(), last);
    last = s.epoch();
    return last < 3;
  });
  publisher.join();
  EXPECT_EQ(last, 3);
  EXPECT_EQ(end.code(), absl::StatusCode::kCancelled);
  for (int i = 0; i < 100 && a.port.subscribers() > 0; ++i) std::this_thread::sleep_for(milliseconds(20));
  EXPECT_EQ(a.port.subscribers(), 0u);
}

TEST(Admin, TheServersEndEndsWatchers) {
  auto a = std::make_unique<Agent>("a");
  AdminClient client(a->server->address());
  std::promise<void> first;
  std::atomic<bool> told{false};
  std::thread watcher([&] {
    client
        .Watch(false, milliseconds(100), seconds(60),
               [&](const v1::Status&) {
                 if (!told.exchange(true)) first.set_value();
                 return true;
               })
        .IgnoreError();
  });
  first.get_future().wait();
  const MonoTime began = BootClock().Now();
  a->server.reset();
  watcher.join();
  EXPECT_LT(BootClock().Now() - began, seconds(4));
}

TEST(Admin, SeveralStatusesAtOnce) {
  Agent a("a");
  Agent b("b");
  const auto all = GetStatuses({a.server->address(), "127.0.0.1:1", b.server->address()}, false, seconds(2));
  ASSERT_EQ(all.size(), 3u);
  EXPECT_EQ(all[0]->member(), "a");
  EXPECT_FALSE(all[1].ok());
  EXPECT_EQ(all[2]->member(), "b");
}

// gRPC keeps arrays as long as its count of CPUs and indexes them by the CPU that it runs on: on every CPU of
// this machine that must be inside.
TEST(Cpus, TheOneItRunsOnIsAmongThoseItCounts) {
  const long cpus = sysconf(_SC_NPROCESSORS_CONF);
  for (int cpu = 0; cpu < cpus; ++cpu) {
    std::thread([cpu] {
      cpu_set_t one;
      CPU_ZERO(&one);
      CPU_SET(cpu, &one);
      if (sched_setaffinity(0, sizeof one, &one) != 0) return;  // not ours to use
      EXPECT_LT(gpr_cpu_current_cpu(), gpr_cpu_num_cores()) << "on CPU " << cpu;
    }).join();
  }
}

TEST(Listening, UnixSocketsArePrivateAndNotStolen) {
  char dir[] = "/tmp/rpc_test.XXXXXX";
  ASSERT_NE(mkdtemp(dir), nullptr);
  const std::string path = std::string(dir) + "/s";
  {
    Agent a("a", "unix:" + path);
    struct stat st = {};
    ASSERT_EQ(stat(path.c_str(), &st), 0);
    EXPECT_EQ(st.st_mode & 0777, 0600u);
    FakePort port("x");
    EXPECT_EQ(
        Server::Start(
            {.address = "unix:" + path, .cluster = "demo", .member = "x", .port = &port, .audit = nullptr})
            .status()
            .code(),
        absl::StatusCode::kAlreadyExists);
    EXPECT_TRUE(AdminClient("unix:" + path).GetStatus(false, seconds(2)).ok());
  }
  unlink(path.c_str());
  rmdir(dir);
}

TEST(Listening, PortsAreNotSharedAndOthersThanLoopbackRefused) {
  Agent a("a");
  FakePort port("x");
  EXPECT_FALSE(
      Server::Start(
          {.address = a.server->address(), .cluster = "demo", .member = "x", .port = &port, .audit = nullptr})
          .ok());
  const auto open = Server::Start(
      {.address = "0.0.0.0:0", .cluster = "demo", .member = "x", .port = &port, .audit = nullptr});
  EXPECT_EQ(open.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(open.status().message()), HasSubstr("no TLS"));
}

TEST(Messages, OfFailedConnectionsAreOneSentence) {
  const std::string nested = "failed to connect to all addresses; last error: ";
  EXPECT_EQ(PlainMessage(nested +
                         "UNKNOWN: ipv4:127.0.0.1:1: Failed to connect to remote host: Connection refused"),
            "cannot connect: Connection refused");
  EXPECT_EQ(
      PlainMessage(
          nested +
          "UNAVAILABLE: ipv6:%5B::1%5D:7400: connection attempt timed out before receiving SETTINGS frame"),
      "cannot connect: connection attempt timed out before receiving SETTINGS frame");
  EXPECT_EQ(PlainMessage(nested + "UNKNOWN: unix:/run/a.sock: No such file or directory"),
            "cannot connect: No such file or directory");
  EXPECT_EQ(PlainMessage(nested), "cannot connect: ");
  EXPECT_EQ(PlainMessage(nested + "no colon"), "cannot connect: no colon");
  EXPECT_EQ(PlainMessage("I lead and my permission runs"), "I lead and my permission runs");
}

}  // namespace
}  // namespace mainstay::rpc
