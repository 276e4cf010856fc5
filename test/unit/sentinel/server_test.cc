// The port under clients that are many, slow, silent or wrong.
#include "lib/sentinel/server.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <future>
#include <string>
#include <thread>

#include "absl/strings/numbers.h"

namespace mainstay::sentinel {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::HasSubstr;
using ::testing::StartsWith;

class Client {
 public:
  explicit Client(const std::string& address) : fd_(socket(AF_INET, SOCK_STREAM, 0)) {
    uint32_t port = 0;
    EXPECT_TRUE(absl::SimpleAtoi(address.substr(address.rfind(':') + 1), &port));
    sockaddr_in to = {};
    to.sin_family = AF_INET;
    to.sin_port = htons(static_cast<uint16_t>(port));
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(connect(fd_, reinterpret_cast<sockaddr*>(&to), sizeof to), 0);
    const timeval patience{20, 0};
    setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    setsockopt(fd_, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
  }
  ~Client() { close(fd_); }
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  bool Send(const std::string& text) const {
    return send(fd_, text.data(), text.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(text.size());
  }
  // Until `end` was read, or the other side closed, or patience ended.
  std::string Until(const std::string& end) {
    while (got_.find(end) == std::string::npos) {
      char some[4096];
      const ssize_t n = recv(fd_, some, sizeof some, 0);
      if (n <= 0) {
        closed_ = n == 0 || errno == ECONNRESET;
        break;
      }
      got_.append(some, static_cast<size_t>(n));
    }
    return std::exchange(got_, "");
  }
  // Nothing but the end comes.
  bool Closed() {
    Until("\1no such byte");
    return closed_;
  }

 private:
  const int fd_;
  std::string got_;
  bool closed_ = false;
};

class SentinelServer : public ::testing::Test {
 protected:
  void Begin(Server::Options options) {
    options.address = "127.0.0.1:0";
    options.identity.names = {"shop"};
    options.identity.id = IdOf("shop", "a");
    auto server = Server::Start(loop_, std::move(options));
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
    address_ = server_->address();
    thread_ = std::thread([this] { loop_.run(); });
  }
  ~SentinelServer() override {
    if (thread_.joinable()) {
      boost::asio::post(loop_, [this] {
        server_.reset();
        work_.reset();
      });
      thread_.join();
    }
  }
  template <typename Do>
  auto OnLoop(Do what) {
    std::packaged_task<decltype(what())()> task(what);
    auto result = task.get_future();
    boost::asio::post(loop_, [&task] { task(); });
    return result.get();
  }
  void Publish(const std::string& host) {
    OnLoop([&] {
      View v;
      v.primary = Address{host, 6379};
      server_->Publish(v);
      return 0;
    });
  }
  Counters Counted() {
    return OnLoop([this] { return server_->counters(); });
  }
  bool Reached(size_t connections) {
    for (int i = 0; i < 1000; ++i) {
      if (OnLoop([this] { return server_->connections(); }) == connections) return true;
      std::this_thread::sleep_for(milliseconds(10));
    }
    return false;
  }

  boost::asio::io_context loop_;
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work_{loop_.get_executor()};
  std::unique_ptr<Server> server_;
  std::string address_;
  std::thread thread_;
};

TEST_F(SentinelServer, AnswersAndTells) {
  Begin({});
  Publish("10.0.0.1");
  Client asks(address_);
  Client hears(address_);
  ASSERT_TRUE(asks.Send("SENTINEL get-master-addr-by-name shop\r\nPING\r\n"));
  EXPECT_EQ(asks.Until("+PONG\r\n"), "*2\r\n$8\r\n10.0.0.1\r\n$4\r\n6379\r\n+PONG\r\n");
  ASSERT_TRUE(hears.Send("SUBSCRIBE +switch-master\r\n"));
  hears.Until(":1\r\n");
  Publish("10.0.0.2");
  EXPECT_THAT(hears.Until("10.0.0.2 6379\r\n"), HasSubstr("shop 10.0.0.1 6379 10.0.0.2 6379"));
  ASSERT_TRUE(asks.Send("QUIT\r\n"));
  EXPECT_EQ(asks.Until("+OK\r\n"), "+OK\r\n");
  EXPECT_TRUE(asks.Closed());
  EXPECT_TRUE(Reached(1));
  EXPECT_EQ(Counted().switches, 1u);
  EXPECT_EQ(Counted().messages, 1u);
}

TEST_F(SentinelServer, SpeaksAProtocolErrorAndCloses) {
  Begin({});
  Client c(address_);
  ASSERT_TRUE(c.Send("*1\r\n!\r\n"));
  EXPECT_THAT(c.Until("\r\n"), StartsWith("-ERR Protocol error: expected '$'"));
  EXPECT_TRUE(c.Closed());
  Client http(address_);  // HTTP is read as typed words
  ASSERT_TRUE(http.Send("GET / HTTP/1.1\r\n"));
  EXPECT_THAT(http.Until("\r\n"), StartsWith("-ERR unknown command 'GET'"));
}

TEST_F(SentinelServer, ANewcomerTakesTheLongestWaitingPlace) {
  Server::Options options;
  options.max_connections = 2;
  Begin(std::move(options));
  Client subscriber(address_);
  ASSERT_TRUE(subscriber.Send("SUBSCRIBE x\r\n"));
  subscriber.Until(":1\r\n");
  Client idle(address_);
  ASSERT_TRUE(idle.Send("PING\r\n"));
  idle.Until("PONG\r\n");
  Client second(address_);
  ASSERT_TRUE(second.Send("SUBSCRIBE x\r\n"));
  EXPECT_THAT(second.Until(":1\r\n"), HasSubstr("subscribe"));
  EXPECT_TRUE(idle.Closed());
  Client refused(address_);
  EXPECT_EQ(refused.Until("\r\n"), "-ERR max number of clients reached\r\n");
  EXPECT_TRUE(refused.Closed());
  EXPECT_EQ(Counted().evicted, 1u);
  EXPECT_EQ(Counted().refused, 1u);
}

TEST_F(SentinelServer, WhoDripsIdlesOrDoesNotLogInIsClosed) {
  Server::Options options;
  options.request_deadline = milliseconds(200);
  options.idle_deadline = milliseconds(600);
  Begin(std::move(options));
  Client drips(address_);
  Client idles(address_);
  Client subscriber(address_);
  ASSERT_TRUE(drips.Send("*2\r\n$4\r\nPI"));
  ASSERT_TRUE(subscriber.Send("SUBSCRIBE x\r\n"));
  subscriber.Until(":1\r\n");
  EXPECT_TRUE(drips.Closed());
  EXPECT_TRUE(idles.Closed());
  std::this_thread::sleep_for(seconds(2));
  ASSERT_TRUE(subscriber.Send("PING\r\n"));
  EXPECT_THAT(subscriber.Until("pong"), HasSubstr("pong")) << "a subscriber may be silent";
  EXPECT_EQ(Counted().cut, 2u);
}

TEST_F(SentinelServer, LoginsAreBounded) {
  Server::Options options;
  options.login_deadline = seconds(1);
  options.identity.passwords = []() -> absl::StatusOr<std::vector<std::string>> {
    return std::vector<std::string>{"secret"};
  };
  Begin(std::move(options));
  Client tries(address_);
  for (int i = 0; i < kMaxRefusedLogins; ++i) ASSERT_TRUE(tries.Send("AUTH wrong\r\n"));
  EXPECT_TRUE(tries.Closed());
  Client silent(address_);
  EXPECT_TRUE(silent.Closed());
  Client knows(address_);
  ASSERT_TRUE(knows.Send("AUTH secret\r\nPING\r\n"));
  EXPECT_EQ(knows.Until("PONG\r\n"), "+OK\r\n+PONG\r\n");
}

TEST_F(SentinelServer, WhoDoesNotReadIsCut) {
  Server::Options options;
  options.write_deadline = seconds(1);
  options.max_waiting_bytes = 64 * 1024;
  Begin(std::move(options));
  Publish("10.0.0.1");
  Client deaf(address_);  // asks for ever, reads never: its socket fills, then it is closed
  std::string many;
  for (int i = 0; i < 200; ++i) many += "SENTINEL MASTERS\r\n";
  int sent = 0;
  while (sent < 100'000 && deaf.Send(many)) ++sent;
  EXPECT_LT(sent, 100'000);
  Client subscriber(address_);
  ASSERT_TRUE(subscriber.Send("PSUBSCRIBE *\r\n"));
  subscriber.Until(":1\r\n");
  // Two hundred thousand messages that are not read: more than any socket holds.
  bool gone = false;
  for (int i = 0; i < 2000 && !gone; ++i) {
    gone = OnLoop([this] {
      for (int n = 0; n < 100; ++n) {
        View v;
        v.primary = Address{n % 2 == 0 ? "10.0.0.2" : "10.0.0.1", 6379};
        server_->Publish(v);
      }
      return server_->connections() == 0;
    });
  }
  EXPECT_TRUE(gone);
  Client fine(address_);
  ASSERT_TRUE(fine.Send("PING\r\n"));
  EXPECT_EQ(fine.Until("PONG\r\n"), "+PONG\r\n");
}

TEST_F(SentinelServer, BadOptions) {
  Server::Options options;
  options.address = "127.0.0.1:0";
  EXPECT_EQ(Server::Start(loop_, options).status().code(), absl::StatusCode::kInvalidArgument);
  options.identity.names = {"shop"};
  options.identity.id = IdOf("a", "b");
  options.address = "nonsense";
  EXPECT_FALSE(Server::Start(loop_, options).ok());
}

}  // namespace
}  // namespace mainstay::sentinel
