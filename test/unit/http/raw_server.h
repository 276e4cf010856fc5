// A TCP server for tests of clients: each connection gets the same bytes, in pieces, and is then closed or
// left open.
#ifndef MAINSTAY_TEST_UNIT_HTTP_RAW_SERVER_H_
#define MAINSTAY_TEST_UNIT_HTTP_RAW_SERVER_H_

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <string>
#include <thread>

namespace mainstay::http {

class RawServer {
 public:
  struct Options {
    std::string answer;
    size_t piece = 1 << 20;  // bytes a write
    size_t first = 0;        // bytes of the first write, when it is another
    int pause_ms = 0;        // between two
    bool close = true;       // after the answer
    bool for_ever = false;   // the answer again and again
  };
  explicit RawServer(Options options) : options_(std::move(options)) {
    listen_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in where = {};
    where.sin_family = AF_INET;
    where.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof where;
    if (bind(listen_, reinterpret_cast<sockaddr*>(&where), size) != 0 || listen(listen_, 16) != 0 ||
        getsockname(listen_, reinterpret_cast<sockaddr*>(&where), &size) != 0)
      abort();
    port_ = ntohs(where.sin_port);
    thread_ = std::thread([this] { Run(); });
  }
  ~RawServer() {
    stop_ = true;
    thread_.join();
    close(listen_);
  }
  uint16_t port() const { return port_; }
  int requests() const { return requests_; }
  std::string request() const { return request_; }  // the last one, when nothing is under way

 private:
  void Run() {
    while (!stop_) {
      pollfd p{listen_, POLLIN, 0};
      if (poll(&p, 1, 20) <= 0) continue;
      const int fd = accept4(listen_, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
      if (fd < 0) continue;
      Serve(fd);
      close(fd);
    }
  }
  void Serve(int fd) {
    request_.clear();
    while (request_.find("\r\n\r\n") == std::string::npos) {
      if (!Ready(fd, POLLIN)) return;
      char buffer[4096];
      const ssize_t n = recv(fd, buffer, sizeof buffer, 0);
      if (n <= 0) return;
      request_.append(buffer, static_cast<size_t>(n));
    }
    ++requests_;
    do {
      for (size_t at = 0; at < options_.answer.size();) {
        if (!Ready(fd, POLLOUT)) return;
        const size_t piece = at == 0 && options_.first > 0 ? options_.first : options_.piece;
        const size_t step = std::min(piece, options_.answer.size() - at);
        const ssize_t n = send(fd, options_.answer.data() + at, step, MSG_NOSIGNAL);
        if (n < 0) return;
        at += static_cast<size_t>(n);
        if (options_.pause_ms > 0) std::this_thread::sleep_for(std::chrono::milliseconds(options_.pause_ms));
      }
    } while (options_.for_ever && !stop_);
    char byte = 0;
    while (!options_.close && !stop_) {
      if (Ready(fd, POLLIN) && recv(fd, &byte, 1, 0) <= 0) return;
    }
  }
  bool Ready(int fd, short events) {
    while (!stop_) {
      pollfd p{fd, events, 0};
      if (poll(&p, 1, 20) > 0) return true;
    }
    return false;
  }

  const Options options_;
  int listen_ = -1;
  uint16_t port_ = 0;
  std::atomic<bool> stop_{false};
  std::atomic<int> requests_{0};
  std::string request_;
  std::thread thread_;
};

}  // namespace mainstay::http

#endif  // MAINSTAY_TEST_UNIT_HTTP_RAW_SERVER_H_
