// Answers clients that find their Redis through Sentinel: a port that speaks as much of Sentinel's protocol
// as they need, out of what the agent knows. It decides nothing and changes nothing.
//
//   auto server = sentinel::Server::Start(loop, {.address = "0.0.0.0:26379", .identity = {...}});
//   (*server)->Publish(view);  // whenever it changes; subscribers hear of a new primary
//
// What strangers can do to it is bounded:
//   connections   512. For a newcomer the one that has waited longest without a subscription is closed; when
//                 all are subscribers it is told so and closed.
//   a request     128 words, 16 KiB, whole within 10 s of its first byte.
//   an answer     read within 10 s; a subscriber for whom more than 128 KiB wait is cut.
//   idleness      5 minutes without a request, 10 s without a login where one is needed; subscribers may be
//                 silent (keep-alive finds the dead ones).
//   logins        after five refused ones the connection is closed.
//
// Thread rules: everything on the loop's thread. Errors: those of http::Listen, each says what to do.
#ifndef MAINSTAY_LIB_SENTINEL_SERVER_H_
#define MAINSTAY_LIB_SENTINEL_SERVER_H_

#include <boost/asio/io_context.hpp>
#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "lib/base/time.h"
#include "lib/sentinel/answers.h"
#include "lib/sentinel/view.h"

namespace mainstay::sentinel {

struct Counters {
  uint64_t connections = 0;  // accepted
  uint64_t refused = 0;      // all were subscribers
  uint64_t evicted = 0;      // closed for a newcomer
  uint64_t cut = 0;          // too slow, too silent, not the protocol, too many logins
  uint64_t requests = 0;
  uint64_t messages = 0;  // delivered
  uint64_t switches = 0;  // times that another primary was told
};

class Server {
 public:
  struct Options {
    std::string address;  // "0.0.0.0:26379" (port 0: any), "[::]:26379" or "unix:/path"
    Identity identity;
    size_t max_connections = 512;
    size_t max_waiting_bytes = 128 * 1024;
    Duration request_deadline = std::chrono::seconds(10);
    Duration write_deadline = std::chrono::seconds(10);
    Duration login_deadline = std::chrono::seconds(10);
    Duration idle_deadline = std::chrono::minutes(5);
  };
  static absl::StatusOr<std::unique_ptr<Server>> Start(boost::asio::io_context& loop, Options options);
  virtual ~Server() = default;  // closes all connections at once

  virtual void Publish(View view) = 0;
  virtual std::string address() const = 0;  // with the real port
  virtual Counters counters() const = 0;
  virtual size_t connections() const = 0;
};

}  // namespace mainstay::sentinel

#endif  // MAINSTAY_LIB_SENTINEL_SERVER_H_
