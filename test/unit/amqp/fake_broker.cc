#include "test/unit/amqp/fake_broker.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>
#include <vector>

namespace mainstay::amqp {
namespace {

class Out {
 public:
  Out& U8(unsigned v) {
    text_.push_back(static_cast<char>(v));
    return *this;
  }
  Out& U16(unsigned v) { return U8(v >> 8).U8(v & 255); }
  Out& U32(unsigned v) { return U16(v >> 16).U16(v & 0xffff); }
  Out& U64(uint64_t v) { return U32(static_cast<unsigned>(v >> 32)).U32(static_cast<unsigned>(v)); }
  Out& Short(const std::string& s) {
    U8(static_cast<unsigned>(s.size()));
    text_ += s;
    return *this;
  }
  Out& Long(const std::string& s) {
    U32(static_cast<unsigned>(s.size()));
    text_ += s;
    return *this;
  }
  const std::string& text() const { return text_; }

 private:
  std::string text_;
};

unsigned Read16(const std::string& s, size_t at) {
  return static_cast<unsigned char>(s.at(at)) << 8 | static_cast<unsigned char>(s.at(at + 1));
}
unsigned Read32(const std::string& s, size_t at) { return Read16(s, at) << 16 | Read16(s, at + 2); }

constexpr unsigned Method(unsigned klass, unsigned method) { return klass << 16 | method; }

}  // namespace

class FakeBroker::Session {
 public:
  Session(FakeBroker* broker, int fd) : broker_(*broker), fd_(fd) {}
  ~Session() { close(fd_); }

  void Run() {
    if (Is(Mode::kSilentHeader)) return Idle();
    if (!Need(8)) return;
    in_.erase(0, 8);  // "AMQP0091"
    if (Is(Mode::kGarbage)) {
      Send("HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\nnot what you think it is\r\n");
      return Idle();
    }
    if (Is(Mode::kHalfFrame)) {
      Send(std::string("\x01\x00\x00\x00\x00\x10\x00\x00", 8));
      return Idle();
    }
    Out start;
    start.U8(0)
        .U8(9)
        .Long(Out().Short("version").U8('S').Long("3.10.8").text())
        .Long("PLAIN AMQPLAIN")
        .Long("en_US");
    Call(0, Method(10, 10), start);
    while (open_ && !broker_.stop_) {
      Pushes();
      if (Need(7, 20) && Need(7 + Read32(in_, 3) + 1)) Frame();
    }
  }

 private:
  bool Is(Mode mode) const { return broker_.mode_ == mode; }
  void Idle() {
    while (!broker_.stop_ && open_) Need(1 << 30, 20);
  }
  void Send(const std::string& text) {
    if (send(fd_, text.data(), text.size(), MSG_NOSIGNAL) < 0) open_ = false;
  }
  void Raw(unsigned type, unsigned channel, const std::string& payload) {
    Send(Out().U8(type).U16(channel).Long(payload).U8(0xce).text());
  }
  void Call(unsigned channel, unsigned method, const Out& arguments) {
    Raw(1, channel, Out().U32(method).text() + arguments.text());
  }
  // False: not there (yet, when `ms` is given).
  bool Need(size_t n, int ms = -1) {
    while (in_.size() < n) {
      pollfd p{fd_, POLLIN, 0};
      const int got = poll(&p, 1, ms < 0 ? 20 : ms);
      if (broker_.stop_ || (got <= 0 && ms >= 0)) return false;
      if (got <= 0) continue;
      char buffer[4096];
      const ssize_t r = recv(fd_, buffer, sizeof buffer, 0);
      if (r <= 0) {
        open_ = false;
        return false;
      }
      in_.append(buffer, static_cast<size_t>(r));
    }
    return true;
  }

  void Pushes() {
    if (broker_.cancel_.exchange(false)) Call(channel_, Method(60, 30), Out().Short("ctag").U8(0));
    if (broker_.release_ && !body_.empty() && silent_) {
      silent_ = false;
      Confirm();
      DeliverIt(body_);
    }
    if (blocked_ && broker_.unblock_) {
      blocked_ = false;
      Call(0, Method(10, 61), Out());
      Confirm();
      DeliverIt(body_);
    }
  }

  void Confirm(bool multiple = false) {
    Call(channel_, Method(60, 80), Out().U64(tag_).U8(multiple ? 1 : 0));
  }
  void Nack() { Call(channel_, Method(60, 120), Out().U64(tag_).U8(0)); }
  void Content(const std::string& body) {
    Raw(2, channel_, Out().U16(60).U16(0).U64(body.size()).U16(0).text());
    // In two parts: a body may come so.
    Raw(3, channel_, body.substr(0, 1));
    if (body.size() > 1) Raw(3, channel_, body.substr(1));
  }
  void DeliverIt(const std::string& body) {
    Call(channel_, Method(60, 60), Out().Short("ctag").U64(++delivery_).U8(0).Short("").Short("q"));
    Content(body);
  }
  void CloseChannel(unsigned code, const std::string& text) {
    Call(channel_, Method(20, 40), Out().U16(code).Short(text).U16(0).U16(0));
  }
  void CloseConnection(unsigned code, const std::string& text) {
    Call(0, Method(10, 50), Out().U16(code).Short(text).U16(0).U16(0));
  }

  void Frame() {
    const unsigned type = static_cast<unsigned char>(in_[0]);
    const unsigned channel = Read16(in_, 1);
    const std::string payload = in_.substr(7, Read32(in_, 3));
    in_.erase(0, 7 + payload.size() + 1);
    if (blocked_) return;  // reads, and does nothing with it
    if (type == 1) return Take(channel, Read32(payload, 0), payload);
    if (type == 2) missing_ = Read32(payload, 8);
    if (type == 3) {
      body_ += payload;
      missing_ -= payload.size();
    }
    if (type != 8 && missing_ == 0) Published();
  }

  void Take(unsigned channel, unsigned method, const std::string& payload) {
    switch (method) {
      case Method(10, 11):
        if (payload.find("PLAIN") != std::string::npos &&
            payload.find(std::string("\0u\0s3cret", 9)) != std::string::npos)
          broker_.saw_password_ = true;
        if (payload.find("connection.blocked") != std::string::npos) broker_.claimed_blocked_ = true;
        if (Is(Mode::kSilentLogin)) return;
        if (Is(Mode::kHangUpLogin)) {
          open_ = false;
          return;
        }
        if (Is(Mode::kRefuseLogin)) return CloseConnection(403, "ACCESS_REFUSED - Login was refused");
        return Call(0, Method(10, 30), Out().U16(2047).U32(131072).U16(60));
      case Method(10, 40):
        if (Is(Mode::kRefuseVhost)) return CloseConnection(530, "NOT_ALLOWED - vhost _mainstay not found");
        ++broker_.connections_;
        return Call(0, Method(10, 41), Out().Short(""));
      case Method(10, 50):
        Call(0, Method(10, 51), Out());
        open_ = false;
        return;
      case Method(10, 51):
      case Method(20, 41):
        ++broker_.close_oks_;
        return;
      case Method(20, 10):
        if (Is(Mode::kSilentChannel)) return;
        channel_ = channel;
        ++channels_;
        tag_ = 0;
        return Call(channel, Method(20, 11), Out().Long(""));
      case Method(20, 40):
        return Call(channel, Method(20, 41), Out());
      case Method(85, 10):
        return Call(channel, Method(85, 11), Out());
      case Method(50, 10):
        if (Is(Mode::kRefuseQueue)) return CloseChannel(403, "ACCESS_REFUSED - access to queue refused");
        ++broker_.queues_;
        return Call(channel, Method(50, 11), Out().Short("amq.gen-1").U32(0).U32(0));
      case Method(60, 20):
        return Call(channel, Method(60, 21), Out().Short("ctag"));
      case Method(60, 40):
        body_.clear();
        missing_ = 1;  // until its header says
        return;
      case Method(60, 80):
        ++broker_.acks_;
        return;
      default:
        return;
    }
  }

  void Published() {
    ++broker_.publishes_;
    ++tag_;
    switch (broker_.mode_.load()) {
      case Mode::kSilentConfirm:
        silent_ = true;
        return;
      case Mode::kSilentDeliver:
        return Confirm();
      case Mode::kNackOnce:
        if (channels_ == 1) return Nack();
        break;
      case Mode::kNack:
        return Nack();
      case Mode::kReturn:
        Call(channel_, Method(60, 50), Out().U16(312).Short("NO_ROUTE").Short("").Short("q"));
        Content(body_);
        return Confirm();
      case Mode::kMultiple:
        DeliverIt("of yesterday");
        DeliverIt(body_);
        tag_ += 5;
        return Confirm(true);
      case Mode::kBlocked:
        blocked_ = true;
        return Call(0, Method(10, 60), Out().Short("low on memory"));
      case Mode::kCloseChannel:
        return CloseChannel(406, "PRECONDITION_FAILED");
      case Mode::kCloseConnection:
        return CloseConnection(320, "CONNECTION_FORCED - user 'u' is deleted");
      case Mode::kHangUp:
        open_ = false;
        return;
      case Mode::kFlood:
        while (open_ && !broker_.stop_) Call(15, Method(60, 80), Out().U64(1).U8(0));
        return;
      default:
        break;
    }
    Confirm();
    DeliverIt(body_);
  }

  FakeBroker& broker_;
  const int fd_;
  bool open_ = true;
  std::string in_;
  std::string body_;
  size_t missing_ = 0;
  unsigned channel_ = 0;
  int channels_ = 0;
  uint64_t tag_ = 0;
  uint64_t delivery_ = 0;
  bool blocked_ = false;
  bool silent_ = false;
};

FakeBroker::FakeBroker() {
  listen_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in where = {};
  where.sin_family = AF_INET;
  where.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof where;
  if (bind(listen_, reinterpret_cast<sockaddr*>(&where), size) != 0 || listen(listen_, 16) != 0 ||
      getsockname(listen_, reinterpret_cast<sockaddr*>(&where), &size) != 0)
    abort();
  port_ = ntohs(where.sin_port);
  accept_ = std::thread([this] { Accept(); });
}

FakeBroker::~FakeBroker() {
  stop_ = true;
  accept_.join();
  for (std::thread& t : sessions_) t.join();
  close(listen_);
}

void FakeBroker::Accept() {
  while (!stop_) {
    pollfd p{listen_, POLLIN, 0};
    if (poll(&p, 1, 20) <= 0) continue;
    const int fd = accept4(listen_, nullptr, nullptr, SOCK_CLOEXEC);
    if (fd >= 0) sessions_.emplace_back([this, fd] { Session(this, fd).Run(); });
  }
}

}  // namespace mainstay::amqp
