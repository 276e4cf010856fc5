#include "lib/http/request_reader.h"

#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>

#include "absl/strings/match.h"

namespace mainstay::http {
namespace {

namespace beast = boost::beast;
using beast::http::field;
using beast::http::verb;

std::optional<Method> ToMethod(verb v) {
  switch (v) {
    case verb::get:
      return Method::kGet;
    case verb::head:
      return Method::kHead;
    case verb::options:
      return Method::kOptions;
    case verb::post:
      return Method::kPost;
    case verb::put:
      return Method::kPut;
    case verb::patch:
      return Method::kPatch;
    case verb::delete_:
      return Method::kDelete;
    default:
      return std::nullopt;
  }
}

int StatusOf(const beast::error_code& e) {
  if (e == beast::http::error::header_limit) return 431;
  if (e == beast::http::error::body_limit) return 413;
  return 400;
}

}  // namespace

struct RequestReader::Impl {
  beast::http::request_parser<beast::http::string_body> parser;
  std::optional<Request> request;
  bool judged = false;      // the header was looked at
  bool wants_more = false;  // "Expect: 100-continue", not told yet
};

RequestReader::RequestReader(Limits limits) : limits_(limits) {}
RequestReader::~RequestReader() = default;

bool RequestReader::begun() const { return impl_ != nullptr; }

RequestReader::Progress RequestReader::Bad(int status, std::string problem) {
  status_ = status;
  problem_ = std::move(problem);
  keep_alive_ = false;
  return Progress::kBad;
}

// The header is there: what can be refused is refused before a byte of the body is taken.
RequestReader::Progress RequestReader::Judge() {
  impl_->judged = true;
  const auto& message = impl_->parser.get();
  version_ = message.version();
  keep_alive_ = message.keep_alive();
  if (version_ != 10 && version_ != 11) {
    version_ = 11;
    return Bad(505, "only HTTP/1.0 and HTTP/1.1");
  }
  const std::optional<Method> method = ToMethod(message.method());
  if (!method) return Bad(501, "only GET, HEAD, OPTIONS, POST, PUT, PATCH and DELETE");
  const auto coding = message[field::transfer_encoding];
  if (!coding.empty() && !absl::EqualsIgnoreCase(absl::string_view(coding.data(), coding.size()), "chunked"))
    return Bad(501, "the only transfer coding is chunked");
  std::optional<Request> request = ParseTarget(std::string(message.target()));
  if (!request) return Bad(400, "malformed path or query");
  request->method = *method;
  request->accept = std::string(message[field::accept]);
  request->accept_encoding = std::string(message[field::accept_encoding]);
  request->scrape_timeout = std::string(message["X-Prometheus-Scrape-Timeout-Seconds"]);
  request->authorization = std::string(message[field::authorization]);
  request->if_match = std::string(message[field::if_match]);
  request->has_body = message.find(field::content_length) != message.end() || !coding.empty();
  const auto expect = message[field::expect];
  impl_->wants_more = version_ == 11 && !impl_->parser.is_done() &&
                      absl::EqualsIgnoreCase(absl::string_view(expect.data(), expect.size()), "100-continue");
  impl_->request = std::move(request);
  return Progress::kMore;
}

RequestReader::Progress RequestReader::Feed(std::string* bytes) {
  while (!bytes->empty()) {
    if (impl_ == nullptr) {
      impl_ = std::make_unique<Impl>();
      impl_->parser.header_limit(static_cast<uint32_t>(limits_.header));
      impl_->parser.body_limit(limits_.body);
    }
    beast::error_code e;
    const size_t used = impl_->parser.put(boost::asio::const_buffer(bytes->data(), bytes->size()), e);
    bytes->erase(0, used);
    if (e == beast::http::error::need_more) e = {};
    if (e) return Bad(StatusOf(e), e.message());
    if (impl_->parser.is_header_done() && !impl_->judged && Judge() == Progress::kBad) return Progress::kBad;
    if (impl_->parser.is_done()) return Progress::kDone;
    if (used == 0) break;
  }
  return Progress::kMore;
}

bool RequestReader::TakeContinue() { return impl_ != nullptr && std::exchange(impl_->wants_more, false); }

Request RequestReader::Take() {
  Request request = *std::move(impl_->request);
  request.body = std::move(impl_->parser.get().body());
  impl_.reset();
  return request;
}

}  // namespace mainstay::http
