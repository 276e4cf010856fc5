// A small HTTP/1.1 server on the caller's io_context: probes, metrics, status, and requests that change
// something. It knows no routes and no rights.
//
//   auto server = http::Server::Start(loop, {.address = "127.0.0.1:7401"}, [](const http::Request& r,
//   http::Reply reply) {
//     reply({.status = 200, .body = "ok\n"}); });
//
// What strangers can do to it is bounded (test/unit/http, bench/hostile.py):
//   connections   64, of them 16 by TLS. For a newcomer the one that has waited longest without a whole
//                 request is closed; only when all are being answered it gets 503. So a thousand idle
//                 connections keep no probe out.
//   a request     8 KiB of header (431), 64 KiB of body (413; chunks are fine, bad ones 400), read within 5 s
//                 of its first byte however slowly it drips. Pipelined ones are answered in order, one at a
//                 time.
//   an answer     4 MiB, written within 5 s; all of more than 16 KiB that wait to be written together
//                 4 MiB (more: 503). A
//                 handler that never replies is answered for by 504, after 10 s (a request that changes
//                 something: 2 minutes).
//   TLS           20 handshakes a second; others are dropped.
//
// TLS: with Options::tls a connection that begins with a TLS handshake is served by TLS, any other in
// plaintext, on the same port (the kubelet's probes go on). A client certificate is asked for, not demanded;
// one that does not verify ends the handshake.
//
// Thread rules: Start, the destructor and the handler on the loop's thread only; `reply` may be called from
// any thread, once, and compresses on that thread.
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

enum class Method : uint8_t { kGet, kHead, kOptions, kPost, kPut, kPatch, kDelete };
const char* ToString(Method method);  // "GET"
// GET, HEAD, OPTIONS: they change nothing.
bool IsSafe(Method method);

struct Request {
  Method method = Method::kGet;
  std::string path;                                        // decoded, "/readyz"
  std::vector<std::pair<std::string, std::string>> query;  // decoded, in order, at most 32
  std::string accept;                                      // header Accept
  std::string accept_encoding;                             // header Accept-Encoding
  std::string scrape_timeout;                              // header X-Prometheus-Scrape-Timeout-Seconds
  std::string authorization;                               // header Authorization
  std::string if_match;                                    // header If-Match
  bool has_body = false;  // it came with Content-Length (0 counts) or in chunks
  std::string body;
  std::string peer;         // "192.0.2.1:40000", "[2001:db8::1]:40000", "unix:"
  bool tls = false;         // came by TLS
  std::string client_name;  // common name of its certificate, when that was verified and holds
                            // TlsTexts::client_name; "" otherwise
  // The value of a query parameter, "" for one without a value.
  std::optional<std::string> Param(const std::string& name) const;
};

struct Response {
  int status = 200;
  std::string content_type = "text/plain; charset=utf-8";
  std::string body;
  std::vector<std::pair<std::string, std::string>> headers;  // more of them: Allow, Retry-After, ...
  bool compress = false;  // gzip, when the client takes it and the body is worth it
};
using Reply = std::function<void(Response)>;
using Handler = std::function<void(const Request&, Reply)>;

struct Counters {
  uint64_t requests = 0;
  uint64_t refused_connections = 0;  // 503 or dropped: all others were being answered
  uint64_t evicted_connections = 0;  // closed for a newcomer
  uint64_t bad_requests = 0;
  uint64_t timeouts = 0;
};

// PEM. The same `generation` means the same texts.
struct TlsTexts {
  std::string ca;  // whoever signs clients' certificates
  std::string cert;
  std::string key;
  std::string client_name;  // DNS name that a client's certificate must hold to count
  uint64_t generation = 0;
};

class Server {
 public:
  struct Options {
    std::string address;  // "127.0.0.1:7401" (port 0: any), "[::1]:7401" or "unix:/path" (mode 0660)
    int max_connections = 64;
    int max_tls_connections = 16;
    int max_handshakes_per_second = 20;
    size_t max_header_bytes = 8192;
    size_t max_body_bytes = 64 * 1024;
    size_t max_answer_bytes = 4 << 20;
    size_t max_pending_bytes = 4 << 20;  // of all answers that are being written
    Duration read_deadline = std::chrono::seconds(5);
    Duration write_deadline = std::chrono::seconds(5);
    Duration idle_deadline = std::chrono::seconds(30);
    Duration answer_deadline = std::chrono::seconds(10);
    Duration change_deadline = std::chrono::minutes(2);
    std::function<TlsTexts()> tls;  // asked at each handshake; none: plaintext only
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
