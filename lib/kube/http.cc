#include "lib/kube/http.h"

#include <algorithm>
#include <boost/asio/buffer.hpp>
#include <boost/beast/core/buffers_prefix.hpp>
#include <boost/beast/http/parser.hpp>
#include <limits>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace mainstay::kube {
namespace {

namespace http = boost::beast::http;
using boost::system::error_code;

// A body that is a string which its owner may take out while more comes.
struct SinkBody {
  struct value_type {
    std::string text;
    size_t max = 0;
  };
  class reader {
   public:
    template <bool isRequest, class Fields>
    reader(http::header<isRequest, Fields>& /*header*/, value_type& value) : value_(value) {}
    void init(const boost::optional<uint64_t>& length, error_code& ec) {
      ec = {};
      if (length && *length > value_.max) ec = http::error::body_limit;
    }
    template <class Buffers>
    size_t put(const Buffers& buffers, error_code& ec) {
      ec = {};
      const size_t n = boost::asio::buffer_size(buffers);
      if (n > value_.max || value_.text.size() > value_.max - n) {
        ec = http::error::body_limit;
        return 0;
      }
      const size_t old = value_.text.size();
      value_.text.resize(old + n);
      boost::asio::buffer_copy(boost::asio::buffer(value_.text.data() + old, n), buffers);
      return n;
    }
    void finish(error_code& ec) { ec = {}; }

   private:
    value_type& value_;
  };
};

absl::Status Explain(const error_code& ec, size_t max_body) {
  if (ec == http::error::header_limit) {
    return absl::ResourceExhaustedError(
        absl::StrCat("the answer's header is longer than ", kMaxHeaderBytes, " bytes"));
  }
  if (ec == http::error::body_limit)
    return absl::ResourceExhaustedError(
        absl::StrCat("the answer's body is longer than ", max_body, " bytes"));
  if (ec == http::error::partial_message || ec == http::error::end_of_stream)
    return absl::UnavailableError("the connection was closed in the middle of the answer");
  return absl::InvalidArgumentError(absl::StrCat("the answer is not HTTP: ", ec.message()));
}

}  // namespace

struct ResponseDecoder::Impl {
  http::response_parser<SinkBody> parser;
  std::string pending;  // not yet understood
  size_t max_body = 0;
  bool begun = false;
};

ResponseDecoder::ResponseDecoder(size_t max_body, bool stream) : impl_(std::make_unique<Impl>()) {
  impl_->max_body = max_body;
  impl_->parser.header_limit(static_cast<uint32_t>(kMaxHeaderBytes));
  // Ours is the limit that counts in both cases; Beast's own would count a stream's whole life. Not
  // boost::none: Beast 1.81 takes it for 0 when a Content-Length comes (a watch that is refused).
  impl_->parser.body_limit(stream ? std::numeric_limits<uint64_t>::max() : max_body);
  impl_->parser.eager(true);
  impl_->parser.get().body().max = max_body;
}
ResponseDecoder::~ResponseDecoder() = default;
ResponseDecoder::ResponseDecoder(ResponseDecoder&&) noexcept = default;
ResponseDecoder& ResponseDecoder::operator=(ResponseDecoder&&) noexcept = default;

absl::Status ResponseDecoder::Feed(absl::string_view bytes) {
  auto& parser = impl_->parser;
  if (!bytes.empty()) impl_->begun = true;
  impl_->pending.append(bytes.data(), bytes.size());
  size_t used = 0;
  while (used < impl_->pending.size() && !parser.is_done()) {
    error_code ec;
    const size_t n =
        parser.put(boost::asio::buffer(impl_->pending.data() + used, impl_->pending.size() - used), ec);
    used += n;
    if (ec == http::error::need_more) break;
    if (ec) return Explain(ec, impl_->max_body);
    if (n == 0) break;
  }
  impl_->pending.erase(0, used);
  // Chunk headers and trailers are bounded as the header is.
  if (!parser.is_done() && impl_->pending.size() > kMaxHeaderBytes) {
    return absl::ResourceExhaustedError(
        absl::StrCat("the answer has a line longer than ", kMaxHeaderBytes, " bytes"));
  }
  if (parser.is_header_done() && parser.get().result_int() < 200)
    return absl::InvalidArgumentError(
        absl::StrCat("the answer has code ", parser.get().result_int(), ", which was not asked for"));
  if (parser.is_done() && !impl_->pending.empty())
    return absl::InvalidArgumentError("bytes follow the end of the answer");
  return absl::OkStatus();
}

absl::Status ResponseDecoder::End() {
  if (impl_->parser.is_done()) return absl::OkStatus();
  if (!impl_->begun) return absl::UnavailableError("the connection was closed before the answer");
  error_code ec;
  impl_->parser.put_eof(ec);
  if (ec) return Explain(ec, impl_->max_body);
  return absl::OkStatus();
}

bool ResponseDecoder::begun() const { return impl_->begun; }
bool ResponseDecoder::header_done() const { return impl_->parser.is_header_done(); }
bool ResponseDecoder::done() const { return impl_->parser.is_done(); }
bool ResponseDecoder::keep_alive() const {
  return impl_->parser.is_done() && impl_->pending.empty() && impl_->parser.get().keep_alive() &&
         !impl_->parser.get().need_eof();
}
int ResponseDecoder::code() const { return static_cast<int>(impl_->parser.get().result_int()); }
std::string* ResponseDecoder::body() { return &impl_->parser.get().body().text; }

std::string ResponseDecoder::Header(absl::string_view name) const {
  const auto& fields = impl_->parser.get();
  const auto it = fields.find(boost::beast::string_view(name.data(), name.size()));
  return it == fields.end() ? "" : std::string(it->value().data(), it->value().size());
}

std::optional<Duration> ResponseDecoder::retry_after() const {
  int64_t seconds = 0;
  const std::string text = Header("Retry-After");
  if (text.empty() || !absl::SimpleAtoi(text, &seconds) || seconds < 0) return std::nullopt;
  return std::chrono::seconds(std::min<int64_t>(seconds, 3600));
}

absl::Status LineSplitter::Feed(absl::string_view bytes) {
  if (begin_ > 0) {
    buffer_.erase(0, begin_);
    scanned_ -= begin_;
    begin_ = 0;
  }
  buffer_.append(bytes.data(), bytes.size());
  size_t line = 0;  // every line that is in the buffer, whole or not, is held to the limit
  for (size_t at = scanned_; at < buffer_.size(); at = line) {
    const size_t end = buffer_.find('\n', at);
    if ((end == std::string::npos ? buffer_.size() : end) - line > max_line_) {
      return absl::ResourceExhaustedError(
          absl::StrCat("a line of the watch is longer than ", max_line_, " bytes"));
    }
    if (end == std::string::npos) break;
    line = end + 1;
  }
  return absl::OkStatus();
}

std::optional<std::string> LineSplitter::Next() {
  for (;;) {
    const size_t end = buffer_.find('\n', std::max(begin_, scanned_));
    if (end == std::string::npos) {
      scanned_ = buffer_.size();
      if (begin_ == buffer_.size()) {  // all taken: give the memory of a large line back
        std::string().swap(buffer_);
        begin_ = scanned_ = 0;
      }
      return std::nullopt;
    }
    size_t length = end - begin_;
    if (length > 0 && buffer_[end - 1] == '\r') --length;
    std::string line = buffer_.substr(begin_, length);
    begin_ = scanned_ = end + 1;
    if (!line.empty()) return line;
  }
}

std::string FormatRequest(const HttpRequest& request, const std::string& host_header,
                          const std::string& user_agent, const std::string& token) {
  std::string out = absl::StrCat(request.method, " ", request.target, " HTTP/1.1\r\nHost: ", host_header,
                                 "\r\nUser-Agent: ", user_agent, "\r\nAccept: application/json\r\n");
  if (!token.empty()) absl::StrAppend(&out, "Authorization: Bearer ", token, "\r\n");
  if (!request.content_type.empty()) {
    absl::StrAppend(&out, "Content-Type: ", request.content_type, "\r\nContent-Length: ", request.body.size(),
                    "\r\n");
  }
  absl::StrAppend(&out, "\r\n", request.body);
  return out;
}

std::string PercentEncode(absl::string_view text) {
  constexpr char kHex[] = "0123456789ABCDEF";
  std::string out;
  for (const char c : text) {
    if (absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '-' || c == '.' || c == '_' || c == '~') {
      out += c;
    } else {
      out += '%';
      out += kHex[static_cast<unsigned char>(c) >> 4];
      out += kHex[static_cast<unsigned char>(c) & 15];
    }
  }
  return out;
}

}  // namespace mainstay::kube
