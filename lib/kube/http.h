// HTTP/1.1 as the client needs it, without a socket: requests as text, answers decoded from bytes as they
// come.
//
//   ResponseDecoder decoder(kMaxBodyBytes);
//   while (!decoder.done()) { MAINSTAY_RETURN_IF_ERROR(decoder.Feed(bytes from the connection)); }
//
// When to use it: inside lib/kube; apart so that tests and fuzzers reach it. Boost.Beast parses.
// Bounds: header <= 16 KiB, body <= what the constructor says, a line of a watch <= kMaxWatchLineBytes.
// Errors: InvalidArgument (not HTTP), ResourceExhausted (too long), Unavailable (the peer closed too early).
// Thread rules: values of one thread.
#ifndef MAINSTAY_LIB_KUBE_HTTP_H_
#define MAINSTAY_LIB_KUBE_HTTP_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "lib/base/time.h"

namespace mainstay::kube {

inline constexpr size_t kMaxHeaderBytes = 16 * 1024;
inline constexpr size_t kMaxBodyBytes = 2 * 1024 * 1024;
inline constexpr size_t kMaxWatchLineBytes = 2 * 1024 * 1024;

// One answer.
class ResponseDecoder {
 public:
  // `max_body`: ResourceExhausted beyond it. `stream`: the body has no end to speak of (a watch): take it out
  // of body() after each Feed; what is left there is bounded by `max_body`.
  explicit ResponseDecoder(size_t max_body, bool stream = false);
  ~ResponseDecoder();
  ResponseDecoder(ResponseDecoder&&) noexcept;
  ResponseDecoder& operator=(ResponseDecoder&&) noexcept;

  absl::Status Feed(absl::string_view bytes);
  // The peer closed the connection. Ok only where that is how the body ends.
  absl::Status End();

  bool begun() const;  // a byte of the answer has come
  bool header_done() const;
  bool done() const;
  bool keep_alive() const;  // with done(): the connection is good for another request
  int code() const;
  std::string* body();
  std::string Header(absl::string_view name) const;  // "" when it is not there
  // Retry-After in whole seconds (the form that API servers send), at most an hour.
  std::optional<Duration> retry_after() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// Cuts the body of a watch into lines.
class LineSplitter {
 public:
  explicit LineSplitter(size_t max_line = kMaxWatchLineBytes) : max_line_(max_line) {}
  // ResourceExhausted when a line is longer than the limit; nothing may be fed after that.
  absl::Status Feed(absl::string_view bytes);
  // The next whole line without its end; nothing: more bytes are needed. Empty lines are left out.
  std::optional<std::string> Next();
  bool partial() const { return begin_ < buffer_.size(); }  // bytes of a line without its end wait

 private:
  const size_t max_line_;
  std::string buffer_;
  size_t begin_ = 0;
  size_t scanned_ = 0;
};

struct HttpRequest {
  const char* method = "GET";
  std::string target;  // path and query, encoded
  std::string body;
  std::string content_type;  // of the body
};
// The request as it goes over the wire. `token`: "" for none.
std::string FormatRequest(const HttpRequest& request, const std::string& host_header,
                          const std::string& user_agent, const std::string& token);

// Percent-encoded for a segment of a path or a value of a query (RFC 3986: everything but unreserved).
std::string PercentEncode(absl::string_view text);

}  // namespace mainstay::kube

#endif  // MAINSTAY_LIB_KUBE_HTTP_H_
