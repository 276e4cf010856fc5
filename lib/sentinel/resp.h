// Redis' protocol from the server's side: requests out of bytes, replies into bytes. Pure, so that tests and
// fuzzers reach it.
//
//   RequestReader reader;
//   reader.Feed(bytes);
//   while (true) {
//     absl::StatusOr<std::optional<Words>> request = reader.Next();
//     ...                         // an error: say it and close; nothing: wait for more bytes
//   }
//
// Bounds: a request has at most kMaxWords words and kMaxRequestBytes bytes, whatever it announces; nothing is
// reserved before it came. Thread rules: plain values. Errors: InvalidArgument with the text that a Redis
// says
// ("Protocol error: ...").
#ifndef MAINSTAY_LIB_SENTINEL_RESP_H_
#define MAINSTAY_LIB_SENTINEL_RESP_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace mainstay::sentinel {

using Words = std::vector<std::string>;
inline constexpr size_t kMaxWords = 128;
inline constexpr size_t kMaxRequestBytes = 16 * 1024;

class RequestReader {
 public:
  void Feed(absl::string_view bytes) { buffer_.append(bytes.data(), bytes.size()); }
  // The next whole request; nothing: more bytes are needed. An empty line is passed over. After an error the
  // reader is of no use any more.
  absl::StatusOr<std::optional<Words>> Next();
  size_t buffered() const { return buffer_.size(); }

 private:
  enum class Step : uint8_t { kDone, kMore };
  absl::StatusOr<Step> One(Words* out);
  absl::StatusOr<Step> Bulk(size_t* at, Words* out) const;
  absl::StatusOr<std::optional<absl::string_view>> Line(size_t* at) const;

  std::string buffer_;
};

// Builds replies; `proto` 2 or 3 decides how maps and pushes are told.
class ReplyWriter {
 public:
  explicit ReplyWriter(int proto) : proto_(proto) {}
  ReplyWriter& Simple(absl::string_view text);  // +OK
  ReplyWriter& Error(absl::string_view text);   // -ERR ...; line breaks become blanks
  ReplyWriter& Integer(int64_t n);
  ReplyWriter& Bulk(absl::string_view text);
  ReplyWriter& Nil();       // $-1, _
  ReplyWriter& NilArray();  // *-1, _
  ReplyWriter& Array(size_t n);
  ReplyWriter& Map(size_t pairs);  // an array of twice as many in RESP2
  ReplyWriter& Push(size_t n);     // an array in RESP2
  std::string Take() { return std::move(out_); }

 private:
  int proto_;
  std::string out_;
};

// Redis' patterns: * ? [a-c] [^a] and a backslash before what stands for itself.
bool MatchesPattern(absl::string_view pattern, absl::string_view text);

}  // namespace mainstay::sentinel

#endif  // MAINSTAY_LIB_SENTINEL_RESP_H_
