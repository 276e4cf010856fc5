#include "lib/sentinel/connection.h"

#include <netinet/in.h>
#include <netinet/tcp.h>

#include <boost/asio/buffer.hpp>
#include <boost/asio/write.hpp>
#include <utility>

#include "absl/strings/str_cat.h"

namespace mainstay::sentinel {
namespace {

namespace asio = boost::asio;
using boost::system::error_code;

// Answers are put together up to here, then written, then one goes on.
constexpr size_t kHighWater = 32 * 1024;

// A subscriber is silent for days; one whose machine is gone must be found all the same.
void KeepAlive(int fd) {
  const int on = 1;
  const int idle = 60;
  const int interval = 15;
  const int probes = 4;
  (void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);  // of a unix socket: refused, not needed
  (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof idle);
  (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof interval);
  (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof probes);
  (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

int64_t UptimeSeconds(MonoTime began) {
  return std::chrono::duration_cast<std::chrono::seconds>(BootClock().Now() - began).count();
}

}  // namespace

Shared::Shared(Server::Options o)
    : options(std::move(o)),
      began(BootClock().Now()),
      answers(options.identity, [from = began] { return UptimeSeconds(from); }) {}

Connection::Connection(http::Generic::socket socket, std::shared_ptr<Shared> shared, uint64_t id)
    : socket_(std::move(socket)),
      shared_(std::move(shared)),
      last_request_(BootClock().Now()),
      bytes_since_(MonoTime::Never()),
      write_since_(MonoTime::Never()) {
  session_.id = id;
}

void Connection::Start() {
  KeepAlive(socket_.native_handle());
  Read();
}

void Connection::Refuse(const std::string& line) {
  session_.closing = true;
  out_ = line;
  Write();
}

void Connection::Close() {
  if (closed_) return;
  closed_ = true;
  error_code ignored;
  socket_.close(ignored);
  shared_->open.erase(session_.id);  // `this` lives on in the handlers that are under way
}

bool Connection::Overdue(MonoTime now) const {
  const Server::Options& o = shared_->options;
  const auto over = [now](MonoTime since, Duration bound) {
    return !since.is_never() && now - since >= bound;
  };
  if (over(bytes_since_, o.request_deadline) || over(write_since_, o.write_deadline)) return true;
  if (o.identity.passwords != nullptr && !session_.authenticated)
    return over(last_request_, o.login_deadline);
  return !subscribed() && over(last_request_, o.idle_deadline);
}

void Connection::Read() {
  if (closed_ || reading_) return;
  reading_ = true;
  socket_.async_read_some(asio::buffer(buffer_), [self = shared_from_this()](error_code e, size_t n) {
    self->reading_ = false;
    if (self->closed_) return;
    if (e) {
      self->Close();
      return;
    }
    self->reader_.Feed({self->buffer_.data(), n});
    self->Serve();
  });
}

// Answers what has come, as far as there is room for answers.
void Connection::Serve() {
  while (!session_.closing && waiting() < kHighWater) {
    absl::StatusOr<std::optional<Words>> request = reader_.Next();
    if (!request.ok()) {
      ++shared_->counters.cut;
      session_.closing = true;
      ReplyWriter error(session_.proto);
      out_ += error.Error(absl::StrCat("ERR ", request.status().message())).Take();
      break;
    }
    if (!request->has_value()) break;
    ++shared_->counters.requests;
    const bool was = session_.authenticated;
    out_ += shared_->answers.Answer(**request, &session_);
    // Who only tries passwords does not stay by trying.
    const bool counts = shared_->options.identity.passwords == nullptr || session_.authenticated || was;
    if (counts) last_request_ = BootClock().Now();
    bytes_since_ = MonoTime::Never();
  }
  if (reader_.buffered() > 0 && bytes_since_.is_never()) bytes_since_ = BootClock().Now();
  if (waiting() > 0) {
    Write();
  } else if (session_.closing) {
    Close();
  } else {
    Read();
  }
}

void Connection::Write() {
  if (closed_ || !writing_.empty() || out_.empty()) return;
  writing_ = std::exchange(out_, std::string());
  write_since_ = BootClock().Now();
  asio::async_write(socket_, asio::buffer(writing_), [self = shared_from_this()](error_code e, size_t /*n*/) {
    self->Wrote(static_cast<bool>(e));
  });
}

void Connection::Wrote(bool failed) {
  writing_.clear();
  write_since_ = MonoTime::Never();
  if (closed_) return;
  if (failed) {
    Close();
  } else if (!out_.empty()) {
    Write();
  } else if (session_.closing) {
    Close();
  } else {
    Serve();
  }
}

void Connection::Deliver(const Message& message) {
  if (closed_ || session_.closing || !subscribed()) return;
  const std::string text = Answers::Deliver(message, session_);
  if (text.empty()) return;
  if (waiting() + text.size() > shared_->options.max_waiting_bytes) {
    ++shared_->counters.cut;
    Close();
    return;
  }
  ++shared_->counters.messages;
  out_ += text;
  Write();
}

}  // namespace mainstay::sentinel
