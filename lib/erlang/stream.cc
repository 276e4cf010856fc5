#include "lib/erlang/stream.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "lib/base/result.h"

namespace mainstay::erlang {
namespace {

struct SocketAddress {
  sockaddr_storage storage{};
  socklen_t size = 0;
};

absl::StatusOr<SocketAddress> Parse(const std::string& address, uint16_t port) {
  SocketAddress out;
  auto* v4 = reinterpret_cast<sockaddr_in*>(&out.storage);
  auto* v6 = reinterpret_cast<sockaddr_in6*>(&out.storage);
  if (inet_pton(AF_INET, address == "localhost" ? "127.0.0.1" : address.c_str(), &v4->sin_addr) == 1) {
    v4->sin_family = AF_INET;
    v4->sin_port = htons(port);
    out.size = sizeof *v4;
  } else if (inet_pton(AF_INET6, address.c_str(), &v6->sin6_addr) == 1) {
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(port);
    out.size = sizeof *v6;
  } else {
    return absl::InvalidArgumentError(
        absl::StrCat("\"", address, "\" is no IPv4 or IPv6 address; give a numeric one"));
  }
  return out;
}

absl::Status FromErrno(int error) {
  if (error == ETIMEDOUT) return absl::DeadlineExceededError(strerror(error));
  return absl::UnavailableError(strerror(error));
}

// Until the socket is ready for `events`.
absl::Status Await(int fd, int16_t events, MonoTime deadline) {
  while (true) {
    const Duration left = deadline - BootClock().Now();
    if (left <= Duration::zero()) return absl::DeadlineExceededError("no answer in time");
    pollfd p{.fd = fd, .events = events, .revents = 0};
    const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(left).count() + 1;
    const int n = poll(&p, 1, static_cast<int>(std::min<int64_t>(ms, 60'000)));
    if (n > 0) return absl::OkStatus();
    if (n < 0 && errno != EINTR) return FromErrno(errno);
  }
}

bool TryAgain() { return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR; }

}  // namespace

absl::StatusOr<Stream> Stream::Connect(const std::string& address, uint16_t port, MonoTime deadline) {
  MAINSTAY_ASSIGN_OR_RETURN(const SocketAddress to, Parse(address, port));
  UniqueFd fd(socket(to.storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd.valid()) return FromErrno(errno);
  const int on = 1;
  setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  if (connect(fd.get(), reinterpret_cast<const sockaddr*>(&to.storage), to.size) != 0) {
    if (errno != EINPROGRESS) return FromErrno(errno);
    MAINSTAY_RETURN_IF_ERROR(Await(fd.get(), POLLOUT, deadline));
    int error = 0;
    socklen_t size = sizeof error;
    if (getsockopt(fd.get(), SOL_SOCKET, SO_ERROR, &error, &size) != 0) error = errno;
    if (error != 0) return FromErrno(error);
  }
  return Stream(std::move(fd));
}

absl::Status Stream::WriteAll(absl::string_view data, MonoTime deadline) {
  while (!data.empty()) {
    const ssize_t n = send(fd_.get(), data.data(), data.size(), MSG_NOSIGNAL);
    if (n > 0) {
      data.remove_prefix(static_cast<size_t>(n));
    } else if (n < 0 && TryAgain()) {
      MAINSTAY_RETURN_IF_ERROR(Await(fd_.get(), POLLOUT, deadline));
    } else {
      return FromErrno(errno);
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<size_t> Stream::ReadSome(char* buffer, size_t size, MonoTime deadline) {
  while (true) {
    const ssize_t n = recv(fd_.get(), buffer, size, 0);
    if (n > 0) return static_cast<size_t>(n);
    if (n == 0) return absl::UnavailableError("the node closed the connection");
    if (!TryAgain()) return FromErrno(errno);
    MAINSTAY_RETURN_IF_ERROR(Await(fd_.get(), POLLIN, deadline));
  }
}

absl::Status Stream::ReadAll(char* buffer, size_t size, MonoTime deadline) {
  while (size > 0) {
    MAINSTAY_ASSIGN_OR_RETURN(const size_t n, ReadSome(buffer, size, deadline));
    buffer += n;
    size -= n;
    // Bytes that trickle in must not stretch the deadline.
    if (size > 0 && BootClock().Now() >= deadline) return absl::DeadlineExceededError("no answer in time");
  }
  return absl::OkStatus();
}

bool Stream::Readable() const {
  pollfd p{.fd = fd_.get(), .events = POLLIN, .revents = 0};
  return poll(&p, 1, 0) > 0;
}

}  // namespace mainstay::erlang
