// A small HTTP/1.1 server on the caller's io_context: GET and HEAD only, for probes, metrics and status. It
// knows no routes.
//
//   auto server = http::Server::Start(loop, {.address = "127.0.0.1:7401"}, [](const http::Request& r,
//   http::Reply reply) {
//     reply({.status = 200, .body = "ok\n"}); });
//
// Bounds: 16 connections (more are answered 503 and closed), 8 KiB of request header, no body, 5 s to read a
// request, 5 s to write an answer, 30 s idle, answer at most 4 MiB. A handler that never replies is answered
// 504 after 10 s. Thread rules: Start, the destructor and the handler on the loop's thread only; `reply` may
// be called from any thread, once.
#ifndef MAINSTAY_LIB_HTTP_SERVER_H_
#define MAINSTAY_LIB_HTTP_SERVER_H_

#include <boost/asio/io_context.hpp>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "lib/base/time.h"

namespace mainstay::http {

struct Request {
  bool head = false;
  std::string path;                                        // decoded, "/readyz"
  std::vector<std::pair<std::string, std::string>> query;  // decoded, in order, at most 32
  std::string accept;                                      // header Accept
  std::string scrape_timeout;                              // header X-Prometheus-Scrape-Timeout-Seconds
  // The value of a query parameter, "" for one without a value.
  std::optional<std::string> Param(const std::string& name) const;
};

struct Response {
  int status = 200;
  std::string content_type = "text/plain; charset=utf-8";
  std::string body;
};
using Reply = std::function<void(Response)>;
using Handler = std::function<void(const Request&, Reply)>;

struct Counters {
  uint64_t requests = 0;
  uint64_t refused_connections = 0;
  uint64_t bad_requests = 0;
  uint64_t timeouts = 0;
};

class Server {
 public:
  struct Options {
    std::string address;  // "127.0.0.1:7401" (port 0: any), "[::1]:7401" or "unix:/path" (mode 0660)
    int max_connections = 16;
    size_t max_header_bytes = 8192;
    size_t max_answer_bytes = 4 << 20;
    Duration read_deadline = std::chrono::seconds(5);
    Duration write_deadline = std::chrono::seconds(5);
    Duration idle_deadline = std::chrono::seconds(30);
    Duration answer_deadline = std::chrono::seconds(10);
  };
  static absl::StatusOr<std::unique_ptr<Server>> Start(boost::asio::io_context& loop, Options options,
                                                       Handler handler);
  virtual ~Server() = default;              // closes all connections at once
  virtual std::string address() const = 0;  // with the real port
  virtual Counters counters() const = 0;
  virtual int connections() const = 0;
};

// Splits "path?query" and decodes both; absent when malformed. For the server and its fuzz target.
std::optional<Request> ParseTarget(const std::string& target);

}  // namespace mainstay::http

#endif  // MAINSTAY_LIB_HTTP_SERVER_H_
