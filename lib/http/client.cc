#include "lib/http/client.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <boost/asio/buffer.hpp>
#include <boost/beast/http/parser.hpp>
#include <cerrno>
#include <cstring>
#include <limits>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "lib/base/file.h"
#include "lib/base/result.h"

namespace mainstay::http {
namespace {

namespace bh = boost::beast::http;
using boost::system::error_code;

constexpr uint32_t kMaxHeader = 16 * 1024;
constexpr size_t kReceiveStep = 64 * 1024;
constexpr Duration kLongestWait = std::chrono::minutes(1);

// A body that is kept up to a bound; what comes after it ends the reading.
struct CutBody {
  struct value_type {
    std::string text;
    size_t max = 0;
    bool cut = false;
  };
  class reader {
   public:
    template <bool isRequest, class Fields>
    reader(bh::header<isRequest, Fields>& /*header*/, value_type& value) : value_(value) {}
    void init(const boost::optional<uint64_t>& length, error_code& ec) {
      ec = {};
      if (length) value_.text.reserve(static_cast<size_t>(std::min<uint64_t>(*length, value_.max)));
    }
    template <class Buffers>
    size_t put(const Buffers& buffers, error_code& ec) {
      ec = {};
      const size_t n = boost::asio::buffer_size(buffers);
      const size_t take = std::min(n, value_.max - value_.text.size());
      const size_t old = value_.text.size();
      value_.text.resize(old + take);
      boost::asio::buffer_copy(boost::asio::buffer(value_.text.data() + old, take), buffers);
      value_.cut = take < n;
      if (value_.cut) ec = bh::error::body_limit;
      return take;
    }
    void finish(error_code& ec) { ec = {}; }

   private:
    value_type& value_;
  };
};
using Parser = bh::response_parser<CutBody>;

int Millis(MonoTime deadline) {
  const Duration left = std::clamp<Duration>(deadline - BootClock().Now(), Duration::zero(), kLongestWait);
  return static_cast<int>(std::chrono::ceil<std::chrono::milliseconds>(left).count());
}

// Waits until the socket is ready, or the deadline.
absl::Status Wait(int fd, short events, MonoTime deadline, absl::string_view who) {
  for (;;) {
    pollfd p{fd, events, 0};
    const int n = poll(&p, 1, Millis(deadline));
    if (n > 0) return absl::OkStatus();
    if (n < 0 && errno != EINTR) return absl::UnavailableError(absl::StrCat(who, ": ", strerror(errno)));
    if (BootClock().Now() >= deadline)
      return absl::DeadlineExceededError(absl::StrCat(who, ": no answer in time"));
  }
}

absl::StatusOr<UniqueFd> Connect(const GetRequest& request, MonoTime deadline, const std::string& who) {
  sockaddr_storage where = {};
  socklen_t size = 0;
  auto* v4 = reinterpret_cast<sockaddr_in*>(&where);
  auto* v6 = reinterpret_cast<sockaddr_in6*>(&where);
  if (inet_pton(AF_INET, request.address.c_str(), &v4->sin_addr) == 1) {
    v4->sin_family = AF_INET;
    v4->sin_port = htons(request.port);
    size = sizeof *v4;
  } else if (inet_pton(AF_INET6, request.address.c_str(), &v6->sin6_addr) == 1) {
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(request.port);
    size = sizeof *v6;
  } else {
    return absl::InvalidArgumentError(absl::StrCat(who, ": is no address; names are not resolved"));
  }
  UniqueFd fd(socket(where.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd.valid()) return ErrnoStatus(errno, "opening a socket to", who);
  int error = connect(fd.get(), reinterpret_cast<sockaddr*>(&where), size) == 0 ? 0 : errno;
  if (error == EINPROGRESS) {
    MAINSTAY_RETURN_IF_ERROR(Wait(fd.get(), POLLOUT, deadline, who));
    socklen_t length = sizeof error;
    if (getsockopt(fd.get(), SOL_SOCKET, SO_ERROR, &error, &length) != 0) error = errno;
  }
  if (error != 0) return absl::UnavailableError(absl::StrCat(who, ": ", strerror(error)));
  return fd;
}

absl::Status Send(int fd, absl::string_view text, MonoTime deadline, absl::string_view who) {
  while (!text.empty()) {
    const ssize_t n = send(fd, text.data(), text.size(), MSG_NOSIGNAL);
    if (n > 0) {
      text.remove_prefix(static_cast<size_t>(n));
    } else if (errno == EAGAIN || errno == EINTR) {
      MAINSTAY_RETURN_IF_ERROR(Wait(fd, POLLOUT, deadline, who));
    } else {
      return absl::UnavailableError(absl::StrCat(who, ": sending: ", strerror(errno)));
    }
  }
  return absl::OkStatus();
}

absl::Status Explain(const error_code& ec, absl::string_view who) {
  if (ec == bh::error::header_limit)
    return absl::ResourceExhaustedError(absl::StrCat(who, ": a header of more than ", kMaxHeader, " bytes"));
  if (ec == bh::error::partial_message || ec == bh::error::end_of_stream)
    return absl::UnavailableError(absl::StrCat(who, ": closed in the middle of the answer"));
  return absl::InvalidArgumentError(absl::StrCat(who, ": the answer is not HTTP: ", ec.message()));
}

// Takes what the parser understands off the front of `bytes`. Ok: more is needed, or it is done.
absl::Status Parse(Parser* parser, std::string* bytes, absl::string_view who) {
  size_t used = 0;
  while (used < bytes->size() && !parser->is_done()) {
    error_code ec;
    const size_t n = parser->put(boost::asio::buffer(bytes->data() + used, bytes->size() - used), ec);
    used += n;
    if (parser->get().body().cut || ec == bh::error::need_more) break;
    if (ec) return Explain(ec, who);
    if (n == 0) break;
  }
  bytes->erase(0, used);
  if (bytes->size() > kMaxHeader && !parser->get().body().cut) return Explain(bh::error::header_limit, who);
  return absl::OkStatus();
}

absl::Status Read(int fd, Parser* parser, MonoTime deadline, absl::string_view who) {
  std::string bytes;
  while (!parser->is_done() && !parser->get().body().cut) {
    const size_t have = bytes.size();
    bytes.resize(have + kReceiveStep);
    const ssize_t n = recv(fd, bytes.data() + have, kReceiveStep, 0);
    bytes.resize(have + static_cast<size_t>(std::max<ssize_t>(n, 0)));
    if (n > 0) {
      MAINSTAY_RETURN_IF_ERROR(Parse(parser, &bytes, who));
      // A server that never stops sending is not waited for, either.
      if (BootClock().Now() >= deadline && !parser->is_done() && !parser->get().body().cut)
        return absl::DeadlineExceededError(absl::StrCat(who, ": the answer did not end in time"));
    } else if (n == 0) {
      if (!parser->got_some()) return absl::UnavailableError(absl::StrCat(who, ": closed before the answer"));
      error_code ec;
      parser->put_eof(ec);
      if (ec) return Explain(ec, who);
      return absl::OkStatus();
    } else if (errno == EAGAIN || errno == EINTR) {
      MAINSTAY_RETURN_IF_ERROR(Wait(fd, POLLIN, deadline, who));
    } else {
      return absl::UnavailableError(absl::StrCat(who, ": reading: ", strerror(errno)));
    }
  }
  return absl::OkStatus();
}

bool IsTarget(const std::string& target) {
  return !target.empty() && target[0] == '/' && target.size() <= 8192 &&
         std::all_of(target.begin(), target.end(), [](char c) { return c > ' ' && c < 0x7f; });
}

}  // namespace

absl::StatusOr<GetAnswer> Get(const GetRequest& request, MonoTime deadline) {
  const bool v6 = request.address.find(':') != std::string::npos;
  const std::string host = absl::StrCat(v6 ? "[" : "", request.address, v6 ? "]" : "", ":", request.port);
  const std::string who = absl::StrCat("http://", host);
  if (!IsTarget(request.target)) return absl::InvalidArgumentError(absl::StrCat(who, ": no path and query"));
  std::string text = absl::StrCat("GET ", request.target, " HTTP/1.1\r\nHost: ", host,
                                  "\r\nUser-Agent: mainstay\r\nConnection: close\r\n");
  for (const auto& [name, value] : request.headers) absl::StrAppend(&text, name, ": ", value, "\r\n");
  absl::StrAppend(&text, "\r\n");
  MAINSTAY_ASSIGN_OR_RETURN(const UniqueFd fd, Connect(request, deadline, who));
  MAINSTAY_RETURN_IF_ERROR(Send(fd.get(), text, deadline, who));
  Parser parser;
  parser.header_limit(kMaxHeader);
  // Ours is the one that counts. Not boost::none: Beast 1.81 takes it for 0 when a Content-Length comes, and
  // tells so only when the header arrives alone.
  parser.body_limit(std::numeric_limits<uint64_t>::max());
  parser.eager(true);
  parser.get().body().max = request.max_body;
  MAINSTAY_RETURN_IF_ERROR(Read(fd.get(), &parser, deadline, who));
  GetAnswer out;
  out.status = static_cast<int>(parser.get().result_int());
  const auto type = parser.get().find(bh::field::content_type);
  if (type != parser.get().end()) out.content_type.assign(type->value().data(), type->value().size());
  out.cut = parser.get().body().cut;
  out.body = std::move(parser.get().body().text);
  return out;
}

std::string Encode(absl::string_view text) {
  constexpr char kHex[] = "0123456789ABCDEF";
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (absl::ascii_isalnum(byte) || c == '-' || c == '.' || c == '_' || c == '~') {
      out += c;
    } else {
      out += '%';
      out += kHex[byte >> 4];
      out += kHex[byte & 15];
    }
  }
  return out;
}

}  // namespace mainstay::http
