#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <future>
#include <thread>

#include "lib/base/file.h"
#include "lib/base/random.h"
#include "lib/http/server.h"

namespace mainstay::http {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

// A server on a loop of its own thread, on a free port.
class Running {
 public:
  explicit Running(Handler handler, Server::Options options = {})
      : work_(boost::asio::make_work_guard(loop_)) {
    if (options.address.empty()) options.address = "127.0.0.1:0";
    thread_ = std::thread([this] { loop_.run(); });
    OnLoop([&] {
      auto server = Server::Start(loop_, options, std::move(handler));
      EXPECT_TRUE(server.ok()) << server.status();
      if (server.ok()) server_ = *std::move(server);
    });
  }
  ~Running() {
    OnLoop([&] { server_.reset(); });
    work_.reset();
    thread_.join();
  }
  void OnLoop(std::function<void()> f) {
    std::promise<void> done;
    boost::asio::post(loop_, [&] {
      f();
      done.set_value();
    });
    done.get_future().wait();
  }
  int Port() {
    const std::string a = server_->address();
    return std::stoi(a.substr(a.rfind(':') + 1));
  }
  Counters Count() {
    Counters c;
    OnLoop([&] { c = server_->counters(); });
    return c;
  }
  boost::asio::io_context& loop() { return loop_; }

 private:
  boost::asio::io_context loop_;
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work_;
  std::thread thread_;
  std::unique_ptr<Server> server_;
};

UniqueFd Connect(int port) {
  UniqueFd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  struct sockaddr_in a = {};
  a.sin_family = AF_INET;
  a.sin_port = htons(static_cast<uint16_t>(port));
  a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  EXPECT_EQ(connect(fd.get(), reinterpret_cast<struct sockaddr*>(&a), sizeof a), 0);
  return fd;
}

void Send(const UniqueFd& fd, const std::string& text) {
  (void)!send(fd.get(), text.data(), text.size(), MSG_NOSIGNAL);
}

// Until the other end closes, or `patience` without a byte.
std::string ReadAll(const UniqueFd& fd, Duration patience = seconds(2)) {
  std::string out;
  char buffer[4096];
  struct pollfd p = {fd.get(), POLLIN, 0};
  while (poll(&p, 1, static_cast<int>(std::chrono::duration_cast<milliseconds>(patience).count())) == 1) {
    const ssize_t n = read(fd.get(), buffer, sizeof buffer);
    if (n <= 0) break;
    out.append(buffer, static_cast<size_t>(n));
  }
  return out;
}

std::string Get(int port, const std::string& request) {
  const UniqueFd fd = Connect(port);
  Send(fd, request);
  return ReadAll(fd);
}

Handler Echo() {
  return [](const Request& r, const Reply& reply) {
    reply({.status = 200, .body = r.path + "|" + r.Param("q").value_or("-") + "\n"});
  };
}

TEST(HttpServer, AnswersGetAndHead) {
  Running server(Echo());
  const std::string got =
      Get(server.Port(), "GET /a%20b?x=1&q=%41+c HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  EXPECT_THAT(got, StartsWith("HTTP/1.1 200 OK\r\n"));
  EXPECT_THAT(got, HasSubstr("\r\n\r\n/a b|A c\n"));
  const std::string head = Get(server.Port(), "HEAD /x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  EXPECT_THAT(head, HasSubstr("Content-Length: 5\r\n"));
  EXPECT_THAT(head, Not(HasSubstr("/x|-")));
}

TEST(HttpServer, KeepsConnectionsAlive) {
  Running server(Echo());
  const UniqueFd fd = Connect(server.Port());
  for (int i = 0; i < 3; ++i) {
    Send(fd, "GET /k HTTP/1.1\r\nHost: x\r\n\r\n");
    EXPECT_THAT(ReadAll(fd, milliseconds(200)), HasSubstr("/k|-"));
  }
  Send(fd, "GET /1 HTTP/1.1\r\nHost: x\r\n\r\nGET /2 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  const std::string both = ReadAll(fd);
  EXPECT_THAT(both, HasSubstr("/1|-"));
  EXPECT_THAT(both, HasSubstr("/2|-"));
}

TEST(HttpServer, RefusesWhatItDoesNotDo) {
  Running server(Echo());
  EXPECT_THAT(Get(server.Port(), "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"),
              StartsWith("HTTP/1.1 405"));
  EXPECT_THAT(Get(server.Port(), "GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello"),
              StartsWith("HTTP/1.1 413"));
  EXPECT_THAT(Get(server.Port(), "GET /%0d%0aX:y HTTP/1.1\r\nHost: x\r\n\r\n"), StartsWith("HTTP/1.1 400"));
  EXPECT_THAT(Get(server.Port(), "GET http://evil/ HTTP/1.1\r\nHost: x\r\n\r\n"), StartsWith("HTTP/1.1 400"));
  EXPECT_THAT(Get(server.Port(), "\x16\x03\x01 rubbish\r\n\r\n"), StartsWith("HTTP/1.1 400"));
  EXPECT_THAT(Get(server.Port(), "GET / HTTP/1.1\r\nX: " + std::string(9000, 'x') + "\r\n\r\n"),
              StartsWith("HTTP/1.1 431"));
}

TEST(HttpServer, ASlowSenderIsDropped) {
  Server::Options options;
  options.read_deadline = milliseconds(300);
  Running server(Echo(), options);
  const UniqueFd fd = Connect(server.Port());
  Send(fd, "GET / HT");
  const MonoTime began = BootClock().Now();
  EXPECT_EQ(ReadAll(fd, seconds(5)), "");
  const Duration took = BootClock().Now() - began;
  EXPECT_GT(took, milliseconds(200));
  EXPECT_LT(took, seconds(3));
  EXPECT_EQ(server.Count().timeouts, 1u);
}

TEST(HttpServer, ASilentHandlerIsAnsweredFor) {
  Server::Options options;
  options.answer_deadline = milliseconds(200);
  Reply kept;
  Running server([&](const Request&, Reply reply) { kept = std::move(reply); }, options);
  EXPECT_THAT(Get(server.Port(), "GET / HTTP/1.1\r\nHost: x\r\n\r\n"), StartsWith("HTTP/1.1 504"));
  kept({.status = 200, .body = "late"});  // nobody is there: must not crash
}

TEST(HttpServer, RepliesMayComeFromAnyThread) {
  std::vector<std::thread> threads;
  Running server([&](const Request&, const Reply& reply) {
    threads.emplace_back([reply] {
      std::this_thread::sleep_for(milliseconds(20));
      reply({.status = 200, .body = "from afar"});
    });
  });
  EXPECT_THAT(Get(server.Port(), "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"),
              HasSubstr("from afar"));
  for (auto& t : threads) t.join();
}

TEST(HttpServer, ConnectionsAreBounded) {
  Running server(Echo());
  std::vector<UniqueFd> idle;
  for (int i = 0; i < 16; ++i) idle.push_back(Connect(server.Port()));
  std::this_thread::sleep_for(milliseconds(200));
  EXPECT_THAT(ReadAll(Connect(server.Port())), StartsWith("HTTP/1.1 503"));
  EXPECT_EQ(server.Count().refused_connections, 1u);
  idle.clear();
  std::this_thread::sleep_for(milliseconds(200));
  EXPECT_THAT(Get(server.Port(), "GET /again HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"),
              HasSubstr("/again"));
}

TEST(HttpServer, ATooLongAnswerBecomesAnError) {
  Server::Options options;
  options.max_answer_bytes = 1000;
  Running server([](const Request&, Reply reply) { reply({.status = 200, .body = std::string(1001, 'x')}); },
                 options);
  EXPECT_THAT(Get(server.Port(), "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"),
              StartsWith("HTTP/1.1 500"));
}

TEST(HttpServer, UnixSocketsAreOursAloneAndLeftOversAreReplaced) {
  char dir[] = "/tmp/http_test.XXXXXX";
  ASSERT_NE(mkdtemp(dir), nullptr);
  const std::string path = std::string(dir) + "/s";
  Server::Options options;
  options.address = "unix:" + path;
  {
    Running first(Echo(), options);
    struct stat st = {};
    ASSERT_EQ(stat(path.c_str(), &st), 0);
    EXPECT_EQ(st.st_mode & 0777, 0660u);
    boost::asio::io_context loop;
    EXPECT_EQ(Server::Start(loop, options, Echo()).status().code(), absl::StatusCode::kAlreadyExists);
  }
  // A left-over: bound once, nobody listens.
  UniqueFd fd(socket(AF_UNIX, SOCK_STREAM, 0));
  struct sockaddr_un a = {};
  a.sun_family = AF_UNIX;
  strncpy(a.sun_path, path.c_str(), sizeof a.sun_path - 1);
  ASSERT_EQ(bind(fd.get(), reinterpret_cast<struct sockaddr*>(&a), sizeof a), 0);
  fd.reset();
  { Running again(Echo(), options); }
  EXPECT_NE(access(path.c_str(), F_OK), 0);
  rmdir(dir);
}

TEST(HttpServer, ATakenPortIsToldWithARemedy) {
  Running server(Echo());
  boost::asio::io_context loop;
  const auto second = Server::Start(loop, {.address = "127.0.0.1:" + std::to_string(server.Port())}, Echo());
  EXPECT_EQ(second.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(second.status().message()), HasSubstr("another agent"));
}

TEST(ParseTarget, IsStrict) {
  EXPECT_EQ(ParseTarget("/a/b")->path, "/a/b");
  EXPECT_EQ(ParseTarget("/?verbose")->Param("verbose"), "");
  EXPECT_FALSE(ParseTarget("/").value().Param("verbose").has_value());
  for (const char* bad : {"", "a", "*", "/%", "/%4", "/%zz", "/%00", "/?a=%1"})
    EXPECT_FALSE(ParseTarget(bad).has_value()) << bad;
  std::string many = "/?";
  for (int i = 0; i < 33; ++i) many += "a=1&";
  EXPECT_FALSE(ParseTarget(many).has_value());
}

}  // namespace
}  // namespace mainstay::http
