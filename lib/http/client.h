// One GET over plaintext HTTP/1.1 from an address of this machine, with a deadline and a bound: for what
// stands beside us and speaks HTTP (rabbitmq_prometheus). Not for the API server (lib/kube).
//
//   auto answer = http::Get({.address = "127.0.0.1", .port = 15692, .target = "/metrics"}, deadline);
//
// - Connects anew each time, waits with poll(2) and never past the deadline, whatever the other end does.
// - Names are not resolved, redirections not followed.
// - A body of more than max_body bytes is cut there and the connection closed: Answer::cut.
//
// Thread rules: none; blocks the calling thread.
// Errors: DeadlineExceeded, Unavailable (refused, reset, closed in the middle), InvalidArgument (not HTTP, a
// wrong address or target), ResourceExhausted (a header of more than 16 KiB).
#ifndef MAINSTAY_LIB_HTTP_CLIENT_H_
#define MAINSTAY_LIB_HTTP_CLIENT_H_

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "lib/base/time.h"

namespace mainstay::http {

struct GetRequest {
  std::string address = "127.0.0.1";
  uint16_t port = 0;
  std::string target = "/";  // path and query, encoded
  std::vector<std::pair<std::string, std::string>> headers;
  size_t max_body = 4 << 20;
};

struct GetAnswer {
  int status = 0;
  std::string content_type;
  std::string body;
  bool cut = false;
};

absl::StatusOr<GetAnswer> Get(const GetRequest& request, MonoTime deadline);

// Percent-encoded for a segment of a path or a value of a query (RFC 3986: everything but unreserved).
std::string Encode(absl::string_view text);

}  // namespace mainstay::http

#endif  // MAINSTAY_LIB_HTTP_CLIENT_H_
