// Whom the client trusts, and who it is: tokens and certificates that change, servers that lie.
#include <thread>

#include "test/unit/kube/client_test.h"

namespace mainstay::kube {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

// Answers 401 unless the request has the token.
FakeServer::Handler Wants(const std::atomic<int>* generation) {
  return [generation](FakeServer::Connection& c) {
    for (std::string r; !(r = c.Request()).empty();) {
      const std::string want = "Bearer secret-" + std::to_string(generation->load()) + "\r\n";
      c.Send(r.find(want) != std::string::npos ? Answer(200, kObject) : StatusAnswer(401, "Unauthorized"));
    }
  };
}

TEST_F(KubeClient, ARotatedTokenIsReadWhenTheFileChanges) {
  std::atomic<int> generation{1};
  Serve(Wants(&generation));
  Make();
  ASSERT_TRUE(Get().ok());
  generation = 2;
  WriteText("token", "secret-2");
  EXPECT_TRUE(Put().ok());
  EXPECT_EQ(client_->counters().requests, 2u) << "no 401 was needed";
}

TEST_F(KubeClient, ARefusedTokenIsReadAgainOnce) {
  std::atomic<int> generation{1};
  Serve(Wants(&generation));
  Make();
  ASSERT_TRUE(Get().ok());
  generation = 3;  // the file is as it was: nothing to try again with
  const Result r = Put();
  EXPECT_EQ(r.error.code, 401);
  EXPECT_FALSE(r.error.maybe_executed);
  EXPECT_THAT(r.error.message, AllOf(HasSubstr("token is not accepted"), Not(HasSubstr("secret-"))));
  EXPECT_EQ(client_->counters().requests, 2u);
  WriteText("token", "");  // swapped just now: the old one is tried
  EXPECT_EQ(Put().error.code, 401);
  WriteText("token", "  secret-3\n\n");
  EXPECT_TRUE(Put().ok()) << "with the spaces cut off";
}

TEST_F(KubeClient, WithoutATokenNothingIsSent) {
  Always(Answer(200, kObject));
  WriteText("token", "");
  EXPECT_THAT(std::string(Client::Create(Config(), {}).status().message()), HasSubstr("is empty"));
  WriteText("token", "two words");
  const auto bad = Client::Create(Config(), {});
  EXPECT_THAT(std::string(bad.status().message()),
              AllOf(HasSubstr("characters that no token has"), Not(HasSubstr("words"))));
  ClusterConfig config = Config();
  config.token.file = dir_ + "/none";
  EXPECT_THAT(std::string(Client::Create(config, {}).status().message()), HasSubstr("none"));
}

TEST_F(KubeClient, AServerOfAnotherAuthorityIsNotTrusted) {
  const Authority other("another authority");
  Always(Answer(200, kObject));
  server_->Use(other.Issue("server", "IP:127.0.0.1"));
  Make();
  const Result r = Put();
  ASSERT_FALSE(r.ok());
  EXPECT_EQ(r.error.reason, reason::kNotTrusted) << r.error.message;
  EXPECT_FALSE(r.error.maybe_executed);
  EXPECT_THAT(r.error.message, HasSubstr("does the authority (ca.crt) belong to this API server"));
  EXPECT_EQ(client_->counters().requests, 0u) << "not a byte of the token";
}

TEST_F(KubeClient, AServerUnderAnotherNameIsNotTrusted) {
  Serve([](FakeServer::Connection& c) { c.Request(); }, "IP:127.0.0.2,DNS:elsewhere");
  Make();
  EXPECT_EQ(Put().error.reason, reason::kNotTrusted);
  EXPECT_EQ(client_->counters().requests, 0u);
  // A common name is no name.
  server_ = std::make_unique<FakeServer>(authority_.Issue("127.0.0.1", ""), [](FakeServer::Connection&) {});
  Make();
  EXPECT_EQ(Put().error.reason, reason::kNotTrusted);
  // tls-server-name: verified in place of the address.
  Serve(
      [](FakeServer::Connection& c) {
        c.Request();
        c.Send(Answer(200, kObject));
      },
      "DNS:kubernetes.default");
  ClusterConfig config = Config();
  config.tls_server_name = "kubernetes.default";
  EXPECT_TRUE((*Client::Create(config, {}))->Get(kThing, {In(5s)}).ok());
  config.tls_server_name = "kubernetes";
  EXPECT_EQ((*Client::Create(config, {}))->Get(kThing, {In(5s)}).error.reason, reason::kNotTrusted);
}

TEST_F(KubeClient, ANameIsLookedUpAndVerified) {
  Serve(
      [](FakeServer::Connection& c) {
        c.Request();
        c.Send(Answer(200, kObject));
      },
      "DNS:localhost");
  ClusterConfig config = Config();
  config.host = "localhost";
  const Result r = (*Client::Create(config, {}))->Get(kThing, {In(5s)});
  EXPECT_TRUE(r.ok()) << r.error.message;
  config.host = "no-such-host.invalid";
  const Result none = (*Client::Create(config, {}))->Get(kThing, {In(5s)});
  EXPECT_EQ(none.error.reason, reason::kUnreachable) << none.error.message;
}

TEST_F(KubeClient, NewAuthoritiesAreReadWhenTheOldOnesDoNotFit) {
  const Authority next("next authority");
  Serve([](FakeServer::Connection& c) {
    c.Request();
    c.Send(Answer(200, kObject, "Connection: close\r\n"));  // the next call is a new handshake
  });
  Make();
  ASSERT_TRUE(Put().ok());
  server_->Use(next.Issue("server", "IP:127.0.0.1"));
  EXPECT_EQ(Put().error.reason, reason::kNotTrusted);
  WriteText("ca.crt", "half a fi");
  EXPECT_EQ(Put().error.reason, reason::kNotTrusted) << "the old ones stay";
  WriteText("ca.crt", authority_.Pem() + next.Pem());
  // After a file that was of no use the next look may take Credentials' rest of five seconds.
  Result r;
  for (const MonoTime end = In(10s); !r.ok() && BootClock().Now() < end;) {
    r = Put();
    std::this_thread::sleep_for(100ms);
  }
  EXPECT_TRUE(r.ok()) << r.error.message;
}

TEST_F(KubeClient, NewAuthoritiesAreTakenWithinTheCall) {
  const Authority next("next authority");
  Serve([](FakeServer::Connection& c) {
    c.Request();
    c.Send(Answer(200, kObject, "Connection: close\r\n"));  // the next call is a new handshake
  });
  Make();
  ASSERT_TRUE(Put().ok());
  server_->Use(next.Issue("server", "IP:127.0.0.1"));
  WriteText("ca.crt", next.Pem());
  const Result r = Put();
  EXPECT_TRUE(r.ok()) << r.error.message;
}

TEST_F(KubeClient, OldTlsIsRefused) {
  server_ = std::make_unique<FakeServer>(
      authority_.Issue("server", "IP:127.0.0.1"), [](FakeServer::Connection&) {}, TLS1_1_VERSION);
  Make();
  EXPECT_EQ(Put().error.reason, reason::kTlsFailed);
}

TEST_F(KubeClient, NotTlsAtAll) {
  // A server that never says a word: the handshake ends at the deadline.
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  ASSERT_EQ(bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  listen(fd, 1);
  socklen_t size = sizeof address;
  getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size);
  Always("");
  ClusterConfig config = Config();
  config.port = ntohs(address.sin_port);
  const MonoTime begin = BootClock().Now();
  const Result r = (*Client::Create(config, {}))->Get(kThing, {In(300ms)});
  EXPECT_LT(BootClock().Now() - begin, 700ms);
  EXPECT_EQ(r.error.reason, reason::kTimeout);
  EXPECT_FALSE(r.error.maybe_executed);
  close(fd);
}

TEST_F(KubeClient, AClientCertificateIsShown) {
  Serve([](FakeServer::Connection& c) {
    c.Request();
    c.Send(Answer(200, kObject));
  });
  server_->Use(authority_.Issue("server", "IP:127.0.0.1"), authority_.Pem());
  Make();
  EXPECT_FALSE(Put().ok()) << "none to show";
  const KeyPair pair = authority_.Issue("admin", "");
  ClusterConfig config = Config();
  config.token = {};
  config.client_cert.text = pair.cert;
  config.client_key.text = pair.key;
  const Result r = (*Client::Create(config, {}))->Get(kThing, {In(5s)});
  EXPECT_TRUE(r.ok()) << r.error.message;
  config.client_key.text = authority_.Issue("other", "").key;
  EXPECT_THAT(std::string(Client::Create(config, {}).status().message()), HasSubstr("client key"));
}

}  // namespace
}  // namespace mainstay::kube
