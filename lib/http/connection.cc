#include "lib/http/connection.h"

#include <sys/socket.h>

#include <boost/asio/post.hpp>

#include "absl/strings/str_cat.h"
#include "lib/base/log.h"
#include "lib/http/gzip.h"
#include "lib/http/listen.h"

namespace mainstay::http {
namespace {

namespace asio = boost::asio;

constexpr size_t kReadStep = 2048;
constexpr size_t kWorthCompressing = 1024;
constexpr size_t kSmall = 16 * 1024;  // a probe is always answered
constexpr Duration kLinger = std::chrono::seconds(1);
constexpr unsigned char kTlsHandshake = 0x16;

const char* Reason(int status) {
  switch (status) {
    case 200:
      return "OK";
    case 202:
      return "Accepted";
    case 400:
      return "Bad Request";
    case 401:
      return "Unauthorized";
    case 403:
      return "Forbidden";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 409:
      return "Conflict";
    case 411:
      return "Length Required";
    case 412:
      return "Precondition Failed";
    case 413:
      return "Payload Too Large";
    case 422:
      return "Unprocessable Entity";
    case 429:
      return "Too Many Requests";
    case 431:
      return "Request Header Fields Too Large";
    case 500:
      return "Internal Server Error";
    case 501:
      return "Not Implemented";
    case 502:
      return "Bad Gateway";
    case 503:
      return "Service Unavailable";
    case 504:
      return "Gateway Timeout";
    case 505:
      return "HTTP Version Not Supported";
    default:
      return "Unknown";
  }
}

std::string Head(const Response& response, unsigned version, bool keep) {
  std::string out = absl::StrCat("HTTP/1.", version % 10, " ", response.status, " ", Reason(response.status),
                                 "\r\nContent-Type: ", response.content_type,
                                 "\r\nCache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n",
                                 "Content-Length: ", response.body.size(), "\r\n");
  if (keep && version == 10) absl::StrAppend(&out, "Connection: keep-alive\r\n");
  if (!keep && version == 11) absl::StrAppend(&out, "Connection: close\r\n");
  for (const auto& [name, value] : response.headers) absl::StrAppend(&out, name, ": ", value, "\r\n");
  return out + "\r\n";
}

void Compress(Response* response) {
  if (response->body.size() < kWorthCompressing) return;
  std::optional<std::string> packed = Gzip(response->body);
  if (!packed) return;
  response->body = *std::move(packed);
  response->headers.emplace_back("Content-Encoding", "gzip");
}

}  // namespace

Connection::Connection(Transport::Socket socket, std::shared_ptr<Shared> shared)
    : timer_(socket.get_executor()),
      shared_(std::move(shared)),
      peer_(PeerOf(socket)),
      raw_(std::move(socket)),
      reader_({.header = shared_->options.max_header_bytes, .body = shared_->options.max_body_bytes}) {
  shared_->open.insert(this);
  Wait();
}

Connection::~Connection() { Leave(); }

void Connection::Leave() {
  Release();
  if (std::exchange(is_tls_, false)) --shared_->tls_connections;
  shared_->open.erase(this);
}

void Connection::Wait() {
  waiting_ = true;
  waiting_since_ = ++shared_->born;
}

void Connection::Release() { shared_->pending_bytes -= std::exchange(counted_, 0); }

void Connection::Close() {
  const auto hold = std::move(held_);  // may be the last reference
  Error ignored;
  ++turn_;
  timer_.cancel();
  raw_.close(ignored);
  if (transport_ != nullptr) transport_->Close();
}

void Connection::Arm(Duration d, void (Connection::*late)()) {
  timer_.expires_after(std::chrono::duration_cast<asio::steady_timer::duration>(d));
  timer_.async_wait([weak = weak_from_this(), turn = ++turn_, late](const Error& e) {
    const auto self = weak.lock();
    if (e || !self || self->turn_ != turn) return;
    ++self->shared_->counters.timeouts;
    (self.get()->*late)();
  });
}

// ---- the beginning ----

void Connection::Start() {
  if (shared_->options.tls) return Detect();
  transport_ = MakePlainTransport(std::move(raw_));
  Next(false);
}

// The first byte tells what it speaks.
void Connection::Detect() {
  Arm(shared_->options.read_deadline);
  raw_.async_wait(asio::socket_base::wait_read, [self = shared_from_this()](const Error& e) {
    if (e || self->shared_->stopped) return;
    unsigned char first = 0;
    if (recv(self->raw_.native_handle(), &first, 1, MSG_PEEK | MSG_DONTWAIT) != 1) return self->Close();
    if (first == kTlsHandshake) return self->BeginTls();
    self->transport_ = MakePlainTransport(std::move(self->raw_));
    self->Next(false);
  });
}

void Connection::BeginTls() {
  Shared& s = *shared_;
  const double most = s.options.max_handshakes_per_second;
  const MonoTime now = BootClock().Now();
  const double seconds = std::chrono::duration<double>(now - s.handshakes_at).count();
  s.handshakes = s.handshakes_at.is_past() ? most : std::min(most, s.handshakes + seconds * most);
  s.handshakes_at = now;
  if (s.handshakes < 1 || s.tls_connections >= s.options.max_tls_connections) {
    ++s.counters.refused_connections;
    return Close();
  }
  s.handshakes -= 1;
  const TlsTexts texts = s.options.tls();
  auto context = s.contexts.Get(texts);
  if (!context.ok()) {
    Log(LogLevel::kWarn, "http", "no connection by TLS", {{"error", context.status()}});
    return Close();
  }
  is_tls_ = true;
  ++s.tls_connections;
  transport_ = MakeTlsTransport(std::move(raw_), *std::move(context), texts.client_name);
  Arm(s.options.read_deadline);
  transport_->Handshake([self = shared_from_this()](const Error& e, size_t) {
    if (self->shared_->stopped) return;
    if (e) return self->Close();
    self->Next(false);
  });
}

void Connection::Refuse() {
  ++shared_->counters.refused_connections;
  transport_ = MakePlainTransport(std::move(raw_));
  Send({.status = 503, .body = "too many connections\n", .headers = {{"Retry-After", "1"}}}, false);
}

// ---- reading ----

// `idle`: kept alive, so the deadline of reading begins with the first byte.
void Connection::Next(bool idle) {
  Wait();
  if (!buffer_.empty()) {  // pipelined
    Arm(shared_->options.read_deadline);
    return Consume();
  }
  buffer_ = std::string();  // not its room
  if (!idle) Arm(shared_->options.read_deadline);
  if (idle) Arm(shared_->options.idle_deadline);
  if (transport_->tls()) return ReadSome(idle);
  transport_->WaitReadable([self = shared_from_this(), idle](const Error& e, size_t) {
    if (e || self->shared_->stopped) return;
    if (idle) self->Arm(self->shared_->options.read_deadline);
    self->ReadSome(false);
  });
}

void Connection::ReadSome(bool idle) {
  const size_t have = buffer_.size();
  buffer_.resize(have + kReadStep);
  transport_->Read(buffer_.data() + have, kReadStep,
                   [self = shared_from_this(), have, idle](const Error& e, size_t n) {
                     if (self->shared_->stopped) return;
                     self->buffer_.resize(have + (e ? 0 : n));
                     if (e) return self->Close();  // the other end closed; half a request has no answer
                     if (idle) self->Arm(self->shared_->options.read_deadline);
                     self->Consume();
                   });
}

void Connection::Consume() {
  switch (reader_.Feed(&buffer_)) {
    case RequestReader::Progress::kMore:
      return reader_.TakeContinue() ? Continue() : ReadSome(false);
    case RequestReader::Progress::kDone:
      return Dispatch();
    case RequestReader::Progress::kBad:
      ++shared_->counters.bad_requests;
      version_ = reader_.version();
      no_body_ = false;
      return Send({.status = reader_.status(), .body = absl::StrCat(reader_.problem(), "\n")}, false);
  }
}

void Connection::Continue() {
  head_ = "HTTP/1.1 100 Continue\r\n\r\n";
  body_.clear();
  transport_->Write(head_, body_, [self = shared_from_this()](const Error& e, size_t) {
    if (self->shared_->stopped) return;
    if (e) return self->Close();
    self->ReadSome(false);
  });
}

// ---- answering ----

void Connection::Dispatch() {
  ++shared_->counters.requests;
  waiting_ = false;
  version_ = reader_.version();
  Request request = reader_.Take();
  request.peer = peer_;
  request.tls = transport_->tls();
  request.client_name = transport_->client_name();
  no_body_ = request.method == Method::kHead;
  Arm(IsSafe(request.method) ? shared_->options.answer_deadline : shared_->options.change_deadline,
      &Connection::NoAnswer);
  const uint64_t turn = turn_;
  const bool keep = reader_.keep_alive();
  const bool gzip = !no_body_ && AcceptsGzip(request.accept_encoding);
  std::weak_ptr<Connection> weak = weak_from_this();
  auto executor = timer_.get_executor();
  held_ = shared_from_this();
  shared_->handler(request, [weak, executor, turn, keep, gzip](Response response) {
    if (response.compress && gzip) Compress(&response);
    // Always through the loop: a handler may reply from any thread and also before it returned.
    asio::post(executor, [weak, turn, keep, response = std::move(response)]() mutable {
      const auto self = weak.lock();
      if (self && self->turn_ == turn && !self->shared_->stopped) self->Send(std::move(response), keep);
    });
  });
}

void Connection::NoAnswer() { Send({.status = 504, .body = "no answer in time\n"}, false); }

void Connection::Send(Response response, bool keep) {
  const auto self = shared_from_this();
  held_.reset();
  Shared& s = *shared_;
  if (response.compress) response.headers.emplace_back("Vary", "Accept-Encoding");
  if (response.body.size() > s.options.max_answer_bytes) {
    response = {.status = 500, .body = "the answer is too long\n"};
  } else if (response.body.size() > kSmall && s.pending_bytes != 0 &&
             s.pending_bytes + response.body.size() > s.options.max_pending_bytes) {
    response = {
        .status = 503, .body = "too many answers wait to be read\n", .headers = {{"Retry-After", "1"}}};
  }
  head_ = Head(response, version_, keep);
  body_ = no_body_ ? std::string() : std::move(response.body);
  counted_ = body_.size();
  s.pending_bytes += counted_;
  Arm(s.options.write_deadline);
  transport_->Write(head_, body_, [self, keep](const Error& e, size_t) { self->Written(e, keep); });
}

void Connection::Written(const Error& e, bool keep) {
  Release();
  head_ = body_ = std::string();
  if (shared_->stopped) return;
  if (e) return Close();
  keep ? Next(true) : Finish();
}

void Connection::Finish() {
  Wait();
  buffer_ = std::string();
  // No time-out of anybody: most clients close at once.
  timer_.expires_after(std::chrono::duration_cast<asio::steady_timer::duration>(kLinger));
  timer_.async_wait([weak = weak_from_this(), turn = ++turn_](const Error& e) {
    const auto self = weak.lock();
    if (!e && self && self->turn_ == turn) self->Close();
  });
  transport_->Finish([self = shared_from_this()](const Error&, size_t) {
    if (!self->shared_->stopped) self->Close();
  });
}

}  // namespace mainstay::http
