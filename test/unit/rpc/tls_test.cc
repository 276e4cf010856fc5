// The real server and the real clients over mutual TLS: who gets in, who does not, and what a change of
// certificates costs.
#include <gmock/gmock.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/security/credentials.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <future>
#include <thread>

#include "absl/strings/numbers.h"
#include "lib/base/file.h"
#include "lib/rpc/admin_client.h"
#include "lib/rpc/peer_client.h"
#include "lib/rpc/server.h"
#include "mainstay/v1/agent.grpc.pb.h"
#include "test/unit/rpc/fake_port.h"
#include "test/unit/rpc/pki.h"

namespace mainstay::rpc {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::HasSubstr;

constexpr char kName[] = "agent.demo.mainstay";

// Certificates of one program in a directory of its own.
class Home {
 public:
  Home(const std::string& ca, const Leaf& leaf) {
    char dir[] = "/tmp/rpc_tls_test.XXXXXX";
    EXPECT_NE(mkdtemp(dir), nullptr);
    dir_ = dir;
    Write(ca, leaf);
  }
  ~Home() {
    for (const char* name : {"/ca", "/cert", "/key", "/admin.sock"}) unlink((dir_ + name).c_str());
    rmdir(dir_.c_str());
  }
  void Write(const std::string& ca, const Leaf& leaf) const {
    EXPECT_TRUE(AtomicWriteFile(dir_ + "/ca", ca).ok());
    EXPECT_TRUE(AtomicWriteFile(dir_ + "/cert", leaf.cert).ok());
    EXPECT_TRUE(AtomicWriteFile(dir_ + "/key", leaf.key).ok());
  }
  std::shared_ptr<TlsFiles> Files(Duration look_every = Duration(0), const std::string& name = kName) const {
    auto files = TlsFiles::Open({.ca = dir_ + "/ca",
                                 .cert = dir_ + "/cert",
                                 .key = dir_ + "/key",
                                 .peer_name = name,
                                 .look_every = look_every});
    EXPECT_TRUE(files.ok()) << files.status();
    return files.ok() ? *files : nullptr;
  }
  std::string admin() const { return "unix:" + dir_ + "/admin.sock"; }

 private:
  std::string dir_;
};

struct Agent {
  explicit Agent(std::shared_ptr<TlsFiles> tls, const std::string& admin = "",
                 Duration max_age = std::chrono::hours(1))
      : port("b") {
    Server::Options o;
    o.max_connection_age = max_age;
    o.address = "127.0.0.1:0";
    o.tls = std::move(tls);
    o.admin_address = admin;
    o.cluster = "demo";
    o.member = "b";
    o.port = &port;
    auto started = Server::Start(o);
    EXPECT_TRUE(started.ok()) << started.status();
    if (started.ok()) server = *std::move(started);
  }
  std::string address() const { return server->address(); }
  uint16_t tcp_port() const {
    uint32_t n = 0;
    EXPECT_TRUE(absl::SimpleAtoi(address().substr(address().rfind(':') + 1), &n));
    return static_cast<uint16_t>(n);
  }
  FakePort port;
  std::unique_ptr<Server> server;
};

PeerClient::Options With(std::shared_ptr<TlsFiles> tls) {
  PeerClient::Options o;
  o.cluster = "demo";
  o.post = [](const std::function<void()>& f) { f(); };
  o.tls = std::move(tls);
  return o;
}

absl::Status Exchange(PeerClient& peers, const std::string& address, Duration timeout = seconds(5)) {
  election::PeerReport report;
  report.name = report.self.name = "a";
  std::promise<absl::Status> done;
  peers.Report(address, report, timeout,
               [&](const absl::StatusOr<election::PeerReport>& r) { done.set_value(r.status()); });
  return done.get_future().get();
}

// A caller with whatever certificate, or none, that does not look at the server's name.
grpc::Status Raw(const std::string& address, const std::string& ca, const Leaf& leaf) {
  grpc::ChannelArguments args;
  args.SetSslTargetNameOverride(kName);
  const auto channel = grpc::CreateCustomChannel(
      address,
      grpc::SslCredentials({.pem_root_certs = ca, .pem_private_key = leaf.key, .pem_cert_chain = leaf.cert}),
      args);
  const auto stub = v1::Agent::NewStub(channel);
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + seconds(5));
  v1::Status reply;
  return stub->GetStatus(&context, v1::StatusRequest(), &reply);
}

class TlsTest : public ::testing::Test {
 protected:
  const Authority ca_{"authority"};
  const Authority other_{"other"};
  const Home server_{ca_.pem(), ca_.Issue({.name = "server"})};
  const Home client_{ca_.pem(), ca_.Issue({.name = "client"})};
};

TEST_F(TlsTest, MembersAndAdministratorsTalk) {
  Agent b(server_.Files());
  PeerClient peers(With(client_.Files()));
  EXPECT_EQ(Exchange(peers, b.address()), absl::OkStatus());
  AdminClient admin(b.address(), client_.Files());
  const auto status = admin.GetStatus(false, seconds(5));
  ASSERT_TRUE(status.ok()) << status.status();
  EXPECT_EQ(status->peer_tls_name(), kName);
  AdminCommand command;
  command.id = "018f0000-0000-7000-8000-000000000001";
  command.verb = AdminVerb::kPause;
  const auto paused = admin.Call(command, {}, seconds(5));
  ASSERT_TRUE(paused.ok()) << paused.status();
  ASSERT_EQ(b.port.commands().size(), 1u);
  EXPECT_EQ(b.port.commands()[0].actor, "client");  // for the audit log
}

TEST_F(TlsTest, WhoHasNoCertificateOfTheAuthorityStaysOutside) {
  Agent b(server_.Files());
  EXPECT_EQ(Raw(b.address(), ca_.pem(), ca_.Issue({})).error_code(), grpc::StatusCode::OK);
  const auto refused = [&](const Leaf& leaf) {
    const grpc::Status status = Raw(b.address(), ca_.pem(), leaf);
    EXPECT_EQ(status.error_code(), grpc::StatusCode::UNAVAILABLE) << status.error_message();
  };
  refused({});                                        // none
  refused(other_.Issue({}));                          // of another authority
  refused(ca_.Issue({.from = -7200, .until = -60}));  // expired
  refused(ca_.Issue({.from = 3600}));                 // not yet valid
  refused(ca_.Issue({.usage = "serverAuth"}));        // not for callers
  EXPECT_EQ(Raw(b.address(), ca_.pem(), ca_.Issue({})).error_code(), grpc::StatusCode::OK);
}

TEST_F(TlsTest, ACertificateWithAnotherNameMayDoNothing) {
  Agent b(server_.Files());
  for (const char* san : {"DNS:agent.other.mainstay", "", "DNS:*.demo.mainstay", "URI:agent.demo.mainstay",
                          "DNS:agent.demo.mainstay.evil", "email:agent.demo.mainstay"}) {
    const Leaf leaf = ca_.Issue({.name = kName, .san = san});
    const grpc::Status status = Raw(b.address(), ca_.pem(), leaf);
    EXPECT_EQ(status.error_code(), grpc::StatusCode::PERMISSION_DENIED) << san << status.error_message();
    EXPECT_THAT(status.error_message(), HasSubstr("does not hold the DNS name agent.demo.mainstay"));
  }
  EXPECT_EQ(Raw(b.address(), ca_.pem(), ca_.Issue({.san = "DNS:x,DNS:Agent.Demo.Mainstay"})).error_code(),
            grpc::StatusCode::OK);
  // Health and reflection are behind the same door.
  grpc::ChannelArguments args;
  args.SetSslTargetNameOverride(kName);
  const Leaf leaf = ca_.Issue({.san = "DNS:else"});
  grpc::GenericStub stub(
      grpc::CreateCustomChannel(b.address(), grpc::SslCredentials({ca_.pem(), leaf.key, leaf.cert}), args));
  for (const char* method :
       {"/grpc.health.v1.Health/Check", "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"}) {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + seconds(5));
    const grpc::Slice nothing("");
    grpc::ByteBuffer request(&nothing, 1);
    grpc::ByteBuffer reply;
    std::promise<grpc::Status> done;
    stub.UnaryCall(&context, method, {}, &request, &reply, [&](const grpc::Status& s) { done.set_value(s); });
    EXPECT_EQ(done.get_future().get().error_code(), grpc::StatusCode::PERMISSION_DENIED) << method;
  }
}

TEST_F(TlsTest, AServerThatIsNoMemberIsNotTalkedTo) {
  PeerClient peers(With(client_.Files()));
  const auto refused = [&](const Leaf& leaf, const std::string& name) {
    const Home home(ca_.pem(), leaf);
    Agent b(home.Files(Duration(0), name));
    const absl::Status status = Exchange(peers, b.address());
    EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable) << status;
    EXPECT_TRUE(b.port.commands().empty());
  };
  refused(other_.Issue({}), kName);
  refused(ca_.Issue({.san = "DNS:agent.other.mainstay"}), "agent.other.mainstay");
  refused(ca_.Issue({.from = -7200, .until = -60}), kName);
}

TEST_F(TlsTest, PlaintextAndTlsDoNotMix) {
  Agent tls(server_.Files());
  Agent plain(nullptr);
  PeerClient without(With(nullptr));
  PeerClient with(With(client_.Files()));
  EXPECT_FALSE(Exchange(without, tls.address(), seconds(2)).ok());
  EXPECT_FALSE(Exchange(with, plain.address(), seconds(2)).ok());
  EXPECT_EQ(Exchange(without, plain.address()), absl::OkStatus());
  EXPECT_EQ(Exchange(with, tls.address()), absl::OkStatus());
}

TEST_F(TlsTest, TheAdminSocketNeedsNoCertificateAndIsForItsOwnerOnly) {
  Agent b(server_.Files(), server_.admin());
  struct stat st = {};
  ASSERT_EQ(stat(server_.admin().substr(5).c_str(), &st), 0);
  EXPECT_EQ(st.st_mode & 0777, 0600u);
  EXPECT_TRUE(AdminClient(server_.admin()).GetStatus(false, seconds(5)).ok());
  EXPECT_TRUE(AdminClient(server_.admin(), client_.Files()).GetStatus(false, seconds(5)).ok());
  EXPECT_FALSE(AdminClient(b.address()).GetStatus(false, seconds(2)).ok());
  // Both at once, each with its own.
  const auto statuses = GetStatuses({server_.admin(), b.address()}, false, seconds(5), client_.Files());
  EXPECT_TRUE(statuses[0].ok());
  EXPECT_TRUE(statuses[1].ok()) << statuses[1].status();
  // A second agent does not take it away.
  FakePort port("c");
  Server::Options o;
  o.address = "127.0.0.1:0";
  o.admin_address = server_.admin();
  o.port = &port;
  EXPECT_EQ(Server::Start(o).status().code(), absl::StatusCode::kAlreadyExists);
  EXPECT_TRUE(AdminClient(server_.admin()).GetStatus(false, seconds(5)).ok());
  o.admin_address = "127.0.0.1:1";
  EXPECT_EQ(Server::Start(o).status().code(), absl::StatusCode::kInvalidArgument);
  o.admin_address = "";
  o.address = "0.0.0.0:0";
  EXPECT_EQ(Server::Start(o).status().code(), absl::StatusCode::kInvalidArgument);  // without TLS
}

// Certificates, then authorities, change on both sides while members talk: not one call fails, and in the end
// only the new authority counts.
TEST_F(TlsTest, NoCallFailsWhileEverythingIsReplaced) {
  Agent b(server_.Files(milliseconds(1)));
  const auto client_files = client_.Files(milliseconds(1));
  PeerClient peers(With(client_files));
  std::atomic<bool> ending = false;
  std::atomic<int> calls = 0;
  std::atomic<int> failed = 0;
  std::vector<std::thread> callers;
  for (int i = 0; i < 3; ++i) {
    callers.emplace_back([&] {
      while (!ending) {
        const absl::Status status = Exchange(peers, b.address());
        ++calls;
        if (!status.ok()) ADD_FAILURE() << status;
        failed += status.ok() ? 0 : 1;
      }
    });
  }
  const auto some_calls = [&] {
    const int before = calls;
    const MonoTime until = BootClock().Now() + seconds(20);
    while (calls < before + 50 && BootClock().Now() < until) std::this_thread::sleep_for(milliseconds(5));
    EXPECT_GE(calls, before + 50);
  };
  some_calls();
  const std::string both = ca_.pem() + other_.pem();
  for (int round = 0; round < 5; ++round) {
    server_.Write(ca_.pem(), ca_.Issue({.name = "server" + std::to_string(round)}));
    some_calls();
    client_.Write(ca_.pem(), ca_.Issue({.name = "client" + std::to_string(round)}));
    some_calls();
  }
  // An authority is replaced: both are trusted first, then the leaves change, then the old one goes.
  server_.Write(both, ca_.Issue({}));
  client_.Write(both, ca_.Issue({}));
  some_calls();
  server_.Write(both, other_.Issue({}));
  client_.Write(both, other_.Issue({}));
  some_calls();
  server_.Write(other_.pem(), other_.Issue({}));
  client_.Write(other_.pem(), other_.Issue({.name = "last"}));
  some_calls();
  ending = true;
  for (std::thread& t : callers) t.join();
  EXPECT_EQ(failed, 0);
  EXPECT_EQ(client_files->Current()->subject, "CN=last");
  EXPECT_GE(client_files->Current()->generation, 9u);
  // New connections are judged by the new authority only.
  EXPECT_EQ(Raw(b.address(), other_.pem(), ca_.Issue({})).error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(Raw(b.address(), ca_.pem(), other_.Issue({})).error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(Raw(b.address(), other_.pem(), other_.Issue({})).error_code(), grpc::StatusCode::OK);
}

TEST_F(TlsTest, ChannelsAreMadeAnewWithoutAFailedCall) {
  Agent b(server_.Files());
  PeerClient::Options options = With(client_.Files());
  options.renew_channel = milliseconds(20);
  PeerClient peers(options);
  // Several channels' ages, and calls enough that some are under way when one changes.
  const MonoTime until = BootClock().Now() + milliseconds(500);
  for (int calls = 0; calls < 60 || BootClock().Now() < until; ++calls)
    ASSERT_EQ(Exchange(peers, b.address()), absl::OkStatus()) << "after " << calls;
}

// Whoever does not do that is made to: the caller's certificate is judged again and again.
TEST_F(TlsTest, AConnectionEndsForItsAge) {
  Agent b(server_.Files(milliseconds(1)), "", milliseconds(100));
  const auto channel = [&] {
    grpc::ChannelArguments args;
    args.SetSslTargetNameOverride(kName);
    const Leaf leaf = ca_.Issue({});
    return grpc::CreateCustomChannel(b.address(), grpc::SslCredentials({ca_.pem(), leaf.key, leaf.cert}),
                                     args);
  }();
  const auto stub = v1::Agent::NewStub(channel);
  const auto ask = [&] {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + seconds(5));
    v1::Status reply;
    return stub->GetStatus(&context, v1::StatusRequest(), &reply).error_code();
  };
  EXPECT_EQ(ask(), grpc::StatusCode::OK);
  server_.Write(other_.pem(), other_.Issue({}));  // the authority of before is trusted no more
  const MonoTime until = BootClock().Now() + seconds(10);
  while (ask() == grpc::StatusCode::OK && BootClock().Now() < until)
    std::this_thread::sleep_for(milliseconds(20));
  EXPECT_LT(BootClock().Now(), until);
  EXPECT_NE(ask(), grpc::StatusCode::OK);
}

UniqueFd Dial(uint16_t port) {
  UniqueFd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  struct sockaddr_in to = {};
  to.sin_family = AF_INET;
  to.sin_port = htons(port);
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const struct timeval patience = {10, 0};
  setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  EXPECT_EQ(connect(fd.get(), reinterpret_cast<struct sockaddr*>(&to), sizeof to), 0);
  return fd;
}

TEST_F(TlsTest, GarbageAndSilenceCostNobodyElseAnything) {
  Agent b(server_.Files());
  std::vector<UniqueFd> mute;
  for (int i = 0; i < 100; ++i) mute.push_back(Dial(b.tcp_port()));  // connected, never a byte
  std::vector<UniqueFd> slow;
  const char hello[] = {0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00, 0x01};  // the beginning of a ClientHello
  for (int i = 0; i < 50; ++i) {
    slow.push_back(Dial(b.tcp_port()));
    EXPECT_EQ(send(slow.back().get(), hello, 1 + i % sizeof hello, MSG_NOSIGNAL),
              1 + static_cast<int>(i % sizeof hello));
  }
  for (const std::string& garbage :
       {std::string("GET / HTTP/1.1\r\n\r\n"), std::string("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
        std::string(20000, '\xff'), std::string("\x16\x03\x01\xff\xff", 5) + std::string(70000, 'a'),
        std::string(1, '\0')}) {
    const UniqueFd fd = Dial(b.tcp_port());
    // NOLINTNEXTLINE(bugprone-unused-return-value): the server may close before all is sent
    (void)send(fd.get(), garbage.data(), garbage.size(), MSG_NOSIGNAL);
    shutdown(fd.get(), SHUT_WR);
  }
  PeerClient peers(With(client_.Files()));
  const MonoTime began = BootClock().Now();
  EXPECT_EQ(Exchange(peers, b.address()), absl::OkStatus());
  EXPECT_LT(BootClock().Now() - began, seconds(2));
  // The handshake's own bound (5 s) ends them.
  char byte = 0;
  EXPECT_EQ(recv(mute[0].get(), &byte, 1, 0), 0);
  EXPECT_LE(recv(slow[0].get(), &byte, 1, 0), 0);
  EXPECT_LT(BootClock().Now() - began, seconds(9));
  EXPECT_EQ(Exchange(peers, b.address()), absl::OkStatus());
}

}  // namespace
}  // namespace mainstay::rpc
