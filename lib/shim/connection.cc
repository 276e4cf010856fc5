#include "lib/shim/connection.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "absl/strings/cord.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace mainstay::shim {
namespace {

constexpr char kRefusal[] = "mainstay.io/shim-refusal";

absl::StatusCode KindOf(wire::Code code) {
  using wire::Code;
  switch (code) {
    case Code::kOk:
      return absl::StatusCode::kOk;
    case Code::kEpoch:
    case Code::kFencing:
    case Code::kStale:
      return absl::StatusCode::kAborted;
    case Code::kClock:
    case Code::kNotAllowed:
      return absl::StatusCode::kInvalidArgument;
    case Code::kExec:
      return absl::StatusCode::kInternal;
    default:
      return absl::StatusCode::kFailedPrecondition;
  }
}

absl::Status Broken(const char* what, const std::string& detail) {
  return absl::UnavailableError(
      absl::StrCat("shim: ", what, ": ", detail, "; is mainstay-shim running in the database's container?"));
}

}  // namespace

absl::Status Connection::Open(const std::string& path) {
  Close();
  refused_ = false;
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path)
    return absl::InvalidArgumentError(absl::StrCat("shim socket path too long: ", path));
  memcpy(address.sun_path, path.data(), path.size());
  fd_ = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd_ < 0) return Broken("socket", strerror(errno));
  if (connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
    refused_ = errno == ECONNREFUSED;
    const bool full = errno == EAGAIN;
    const std::string why = strerror(errno);
    Close();
    // Somebody holds the socket and takes nobody in: alive as far as anybody can tell, but standing still.
    if (full) return absl::DeadlineExceededError(absl::StrCat("shim: ", path, " takes no more connections"));
    return Broken("cannot connect to", absl::StrCat(path, ": ", why));
  }
  return absl::OkStatus();
}

void Connection::Close() {
  if (fd_ >= 0) close(fd_);
  fd_ = -1;
}

absl::Status Connection::Send(wire::Verb verb, uint32_t seq, const void* payload, size_t size) {
  if (fd_ < 0) return Broken("send", "not connected");
  if (size > wire::kMaxPayload)
    return absl::InvalidArgumentError("shim: the request does not fit into one frame of 8 KiB");
  const wire::Header header = wire::MakeHeader(verb, seq, size);
  iovec iov[2] = {{const_cast<wire::Header*>(&header), sizeof header}, {const_cast<void*>(payload), size}};
  msghdr message{};
  message.msg_iov = iov;
  message.msg_iovlen = size > 0 ? 2 : 1;
  if (sendmsg(fd_, &message, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0) return absl::OkStatus();
  const std::string why = strerror(errno);
  Close();
  return Broken("send", why);
}

absl::StatusOr<bool> Connection::Receive(Frame* out) {
  if (fd_ < 0) return Broken("receive", "not connected");
  char buffer[sizeof(wire::Header) + wire::kMaxPayload];
  const ssize_t n = recv(fd_, buffer, sizeof buffer, MSG_DONTWAIT | MSG_TRUNC);
  if (n < 0 && (errno == EAGAIN || errno == EINTR)) return false;
  if (n <= 0) {
    const std::string why =
        n == 0 ? "closed by the shim (refused peer, or too many connections)" : strerror(errno);
    Close();
    return Broken("receive", why);
  }
  if (!wire::ParseHeader(buffer, static_cast<size_t>(n), &out->header)) {
    Close();
    return absl::InternalError("shim: what answers on the socket does not speak this protocol");
  }
  out->payload.assign(buffer + sizeof(wire::Header), out->header.length);
  return true;
}

absl::Status ToStatus(wire::Code code, const std::string& what) {
  if (code == wire::Code::kOk) return absl::OkStatus();
  absl::Status status(KindOf(code), absl::StrCat("shim refused ", what, ": ", wire::ToString(code)));
  status.SetPayload(kRefusal, absl::Cord(absl::StrCat(static_cast<uint32_t>(code))));
  return status;
}

std::optional<wire::Code> RefusalCode(const absl::Status& status) {
  const auto payload = status.GetPayload(kRefusal);
  uint32_t code = 0;
  if (!payload.has_value() || !absl::SimpleAtoi(std::string(*payload), &code)) return std::nullopt;
  return static_cast<wire::Code>(code);
}

MonoTime FromWire(int64_t ns) { return ns == 0 ? MonoTime() : MonoTime::FromNanos(ns); }

Exited FromWire(const wire::ExitedEvent& e) {
  return Exited{e.starts, e.cause, e.wait_status, FromWire(e.exited_at), FromWire(e.empty_at)};
}

Fenced FromWire(const wire::FencedEvent& e) {
  return Fenced{FromWire(e.deadline), e.epoch, FromWire(e.killed_at), FromWire(e.empty_at)};
}

State FromWire(const wire::State& s) {
  State out;
  out.nonce = s.nonce;
  out.starts = s.starts;
  out.phase = s.phase;
  out.kind = s.kind;
  out.mode = s.mode;
  out.pid = s.pid;
  out.started_at = FromWire(s.started_at);
  if (s.until != 0) out.armed = Armed{FromWire(s.until), s.epoch};
  out.epoch = s.epoch;
  out.flags = s.flags;
  out.tool_id = s.tool_id;
  out.last_tool_id = s.last_tool_id;
  out.last_tool_end = s.last_tool_end;
  out.last_tool_status = s.last_tool_status;
  if (s.last_exit.starts != 0) out.last_exit = FromWire(s.last_exit);
  if (s.last_fence.deadline != 0) out.last_fence = FromWire(s.last_fence);
  out.fences = s.fences;
  out.max_lateness = Duration(s.max_lateness);
  out.max_emptying = Duration(s.max_emptying);
  return out;
}

}  // namespace mainstay::shim
