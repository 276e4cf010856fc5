// A server on a loop of its own thread, and sockets that talk to it as they like.
#ifndef MAINSTAY_TEST_UNIT_HTTP_RIG_H_
#define MAINSTAY_TEST_UNIT_HTTP_RIG_H_

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <future>
#include <memory>
#include <string>
#include <thread>
#include <utility>

#include "lib/base/file.h"
#include "lib/http/server.h"

namespace mainstay::http {

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

inline UniqueFd Connect(int port) {
  UniqueFd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  struct sockaddr_in a = {};
  a.sin_family = AF_INET;
  a.sin_port = htons(static_cast<uint16_t>(port));
  a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  EXPECT_EQ(connect(fd.get(), reinterpret_cast<struct sockaddr*>(&a), sizeof a), 0);
  return fd;
}

inline void Send(const UniqueFd& fd, const std::string& text) {
  (void)!send(fd.get(), text.data(), text.size(), MSG_NOSIGNAL);
}

// Until the other end closes, or `patience` without a byte.
inline std::string ReadAll(const UniqueFd& fd, Duration patience = seconds(2)) {
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

inline std::string Get(int port, const std::string& request) {
  const UniqueFd fd = Connect(port);
  Send(fd, request);
  return ReadAll(fd);
}

inline Handler Echo() {
  return [](const Request& r, const Reply& reply) {
    reply({.status = 200,
           .body = std::string(r.method == Method::kGet ? "" : ToString(r.method)) + r.path + "|" +
                   r.Param("q").value_or("-") + "|" + r.body + "\n"});
  };
}

}  // namespace mainstay::http

#endif  // MAINSTAY_TEST_UNIT_HTTP_RIG_H_
