#include "lib/kube/tls.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "lib/kube/resolve.h"

namespace mainstay::kube {
namespace {

// ---- a BIO on a socket: OpenSSL's own would raise SIGPIPE ----

int BioWrite(BIO* bio, const char* data, int n) {
  BIO_clear_retry_flags(bio);
  const auto sent = send(static_cast<int>(reinterpret_cast<intptr_t>(BIO_get_data(bio))), data,
                         static_cast<size_t>(n), MSG_NOSIGNAL | MSG_DONTWAIT);
  if (sent < 0 && (errno == EAGAIN || errno == EINTR)) BIO_set_retry_write(bio);
  return static_cast<int>(sent);
}
int BioRead(BIO* bio, char* data, int n) {
  BIO_clear_retry_flags(bio);
  const auto got = recv(static_cast<int>(reinterpret_cast<intptr_t>(BIO_get_data(bio))), data,
                        static_cast<size_t>(n), MSG_DONTWAIT);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) BIO_set_retry_read(bio);
  return static_cast<int>(got);
}
long BioCtrl(BIO*, int command, long, void*) { return command == BIO_CTRL_FLUSH ? 1 : 0; }

BIO_METHOD* Method() {
  static BIO_METHOD* const method = [] {
    BIO_METHOD* m = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "mainstay socket");
    BIO_meth_set_write(m, &BioWrite);
    BIO_meth_set_read(m, &BioRead);
    BIO_meth_set_ctrl(m, &BioCtrl);
    return m;
  }();
  return method;
}

BIO* NewBio(int fd) {
  BIO* bio = BIO_new(Method());
  BIO_set_data(bio, reinterpret_cast<void*>(static_cast<intptr_t>(fd)));
  BIO_set_init(bio, 1);
  return bio;
}

// ---- addresses ----

std::string AddressText(const sockaddr* address, socklen_t length) {
  char host[NI_MAXHOST] = "?";
  char port[NI_MAXSERV] = "?";
  getnameinfo(address, length, host, sizeof host, port, sizeof port, NI_NUMERICHOST | NI_NUMERICSERV);
  return address->sa_family == AF_INET6 ? absl::StrCat("[", host, "]:", port) : absl::StrCat(host, ":", port);
}

bool IsAddress(const std::string& text) {
  unsigned char buffer[sizeof(in6_addr)];
  return inet_pton(AF_INET, text.c_str(), buffer) == 1 || inet_pton(AF_INET6, text.c_str(), buffer) == 1;
}

void SetOption(int fd, int level, int name, int value) { setsockopt(fd, level, name, &value, sizeof value); }

void TuneSocket(int fd) {
  using std::chrono::milliseconds;
  SetOption(fd, IPPROTO_TCP, TCP_NODELAY, 1);
  SetOption(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
  SetOption(fd, IPPROTO_TCP, TCP_KEEPIDLE, 10);
  SetOption(fd, IPPROTO_TCP, TCP_KEEPINTVL, 3);
  SetOption(fd, IPPROTO_TCP, TCP_KEEPCNT, 3);
  SetOption(fd, IPPROTO_TCP, TCP_USER_TIMEOUT,
            static_cast<int>(std::chrono::duration_cast<milliseconds>(TlsStream::kUserTimeout).count()));
}

int PollMs(MonoTime deadline) {
  // At most a second: poll's clock stands still in a suspend, ours does not.
  const Duration left =
      std::clamp<Duration>(deadline - BootClock().Now(), Duration::zero(), std::chrono::seconds(1));
  return static_cast<int>(std::chrono::ceil<std::chrono::milliseconds>(left).count());
}

std::string ErrnoText(int error) {
  char buffer[128];
  return strerror_r(error, buffer, sizeof buffer);
}

}  // namespace

void TlsStream::Free::operator()(SSL* ssl) const { SSL_free(ssl); }

TlsStream::TlsStream() : wake_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}
TlsStream::~TlsStream() {
  // close_notify so that the server does not wait; nothing is waited for here.
  if (ssl_ != nullptr && SSL_is_init_finished(ssl_.get())) SSL_shutdown(ssl_.get());
  ERR_clear_error();
}

void TlsStream::Interrupt() {
  const uint64_t one = 1;
  if (write(wake_.get(), &one, sizeof one) < 0) return;  // EAGAIN: it is set already
}
void TlsStream::ClearInterrupt() {
  uint64_t count = 0;
  if (read(wake_.get(), &count, sizeof count) < 0) return;
}

IoStatus TlsStream::Wait(short events, MonoTime deadline) const {
  for (;;) {
    pollfd fds[2] = {{wake_.get(), POLLIN, 0}, {socket_.get(), events, 0}};
    const int n = poll(fds, 2, PollMs(deadline));
    uint64_t count = 0;
    if (n > 0 && fds[0].revents != 0 && read(wake_.get(), &count, sizeof count) > 0)
      return {Io::kInterrupted, "interrupted"};
    if (n > 0 && fds[1].revents != 0) return {};
    if (BootClock().Now() >= deadline)
      return {Io::kTimeout, absl::StrCat("no answer from ", peer_, " by the deadline")};
  }
}

IoStatus TlsStream::ConnectOne(const void* raw, unsigned length, MonoTime deadline) {
  const auto* address = static_cast<const sockaddr*>(raw);
  peer_ = AddressText(address, length);
  socket_.reset(socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket_.valid()) return {Io::kUnreachable, absl::StrCat("no socket: ", ErrnoText(errno))};
  TuneSocket(socket_.get());
  if (connect(socket_.get(), address, length) != 0) {
    if (errno != EINPROGRESS && errno != EINTR)
      return {Io::kUnreachable, absl::StrCat("connecting to ", peer_, ": ", ErrnoText(errno))};
    const IoStatus waited = Wait(POLLOUT, deadline);
    if (!waited.ok()) return waited;
    int error = 0;
    socklen_t size = sizeof error;
    getsockopt(socket_.get(), SOL_SOCKET, SO_ERROR, &error, &size);
    if (error != 0) return {Io::kUnreachable, absl::StrCat("connecting to ", peer_, ": ", ErrnoText(error))};
  }
  return {};
}

IoStatus TlsStream::Connect(const TlsTarget& target, const std::shared_ptr<SSL_CTX>& context,
                            MonoTime deadline) {
  ssl_.reset();
  context_ = context;
  peer_ = absl::StrCat(target.host, ":", target.port);
  if (BootClock().Now() >= deadline) return {Io::kTimeout, "the deadline had passed"};
  std::vector<Address> addresses;
  IoStatus last = Resolve(target.host, target.port, deadline, &addresses);
  if (!last.ok()) return last;
  for (size_t i = 0; i < addresses.size(); ++i) {
    const MonoTime until = std::min(deadline, BootClock().Now() + target.connect_timeout);
    last = ConnectOne(&addresses[i].storage, addresses[i].length, until);
    if (last.ok()) return Handshake(target, deadline);
    if (last.io == Io::kInterrupted || BootClock().Now() >= deadline) return last;
  }
  if (last.io == Io::kTimeout)
    last = {Io::kUnreachable, absl::StrCat("no connection to ", peer_, " in time")};
  return last;
}

IoStatus TlsStream::Handshake(const TlsTarget& target, MonoTime deadline) {
  ERR_clear_error();
  ssl_.reset(SSL_new(context_.get()));
  if (ssl_ == nullptr) return {Io::kTlsFailed, "OpenSSL has no memory"};
  BIO* const bio = NewBio(socket_.get());
  SSL_set_bio(ssl_.get(), bio, bio);
  X509_VERIFY_PARAM* const verify = SSL_get0_param(ssl_.get());
  const bool numeric = IsAddress(target.server_name);
  const int named = numeric ? X509_VERIFY_PARAM_set1_ip_asc(verify, target.server_name.c_str())
                            : X509_VERIFY_PARAM_set1_host(verify, target.server_name.c_str(), 0);
  if (named != 1)
    return {Io::kTlsFailed, absl::StrCat("\"", target.server_name, "\" is no name that can be verified")};
  if (!numeric) SSL_set_tlsext_host_name(ssl_.get(), target.server_name.c_str());
  for (;;) {
    ERR_clear_error();
    const int rc = SSL_connect(ssl_.get());
    if (rc == 1) return {};
    const int error = SSL_get_error(ssl_.get(), rc);
    if (error != SSL_ERROR_WANT_READ && error != SSL_ERROR_WANT_WRITE) {
      const long verdict = SSL_get_verify_result(ssl_.get());
      if (verdict != X509_V_OK) {
        return {Io::kNotTrusted,
                absl::StrCat("the certificate of ", peer_, " is not trusted for ", target.server_name, ": ",
                             X509_verify_cert_error_string(verdict))};
      }
      IoStatus failed = Failed(error, "TLS handshake with");
      if (failed.io == Io::kClosed) failed.io = Io::kTlsFailed;
      return failed;
    }
    const IoStatus waited = Wait(error == SSL_ERROR_WANT_READ ? POLLIN : POLLOUT, deadline);
    if (!waited.ok()) return waited;
  }
}

IoStatus TlsStream::Failed(int ssl_error, const char* doing) const {
  const int saved = errno;
  char buffer[160] = "";
  const unsigned long code = ERR_peek_error();
  if (code != 0) ERR_error_string_n(code, buffer, sizeof buffer);
  ERR_clear_error();
  if (ssl_error == SSL_ERROR_ZERO_RETURN || (ssl_error == SSL_ERROR_SYSCALL && saved == 0) ||
      (code != 0 && ERR_GET_REASON(code) == SSL_R_UNEXPECTED_EOF_WHILE_READING))
    return {Io::kClosed, absl::StrCat(doing, " ", peer_, ": closed by the other side")};
  if (ssl_error == SSL_ERROR_SYSCALL)
    return {Io::kClosed, absl::StrCat(doing, " ", peer_, ": ", ErrnoText(saved))};
  return {Io::kTlsFailed, absl::StrCat(doing, " ", peer_, ": ", buffer)};
}

IoStatus TlsStream::Write(absl::string_view bytes, MonoTime deadline, bool* sent) {
  while (!bytes.empty()) {
    ERR_clear_error();
    errno = 0;
    *sent = true;
    const int n =
        SSL_write(ssl_.get(), bytes.data(), static_cast<int>(std::min<size_t>(bytes.size(), 1 << 20)));
    if (n > 0) {
      bytes.remove_prefix(static_cast<size_t>(n));
      continue;
    }
    const int error = SSL_get_error(ssl_.get(), n);
    if (error != SSL_ERROR_WANT_READ && error != SSL_ERROR_WANT_WRITE) return Failed(error, "writing to");
    const IoStatus waited = Wait(error == SSL_ERROR_WANT_READ ? POLLIN : POLLOUT, deadline);
    if (!waited.ok()) return waited;
  }
  return {};
}

IoStatus TlsStream::Read(std::string* out, MonoTime deadline) {
  char buffer[8192];
  for (;;) {
    ERR_clear_error();
    errno = 0;
    const int n = SSL_read(ssl_.get(), buffer, sizeof buffer);
    if (n > 0) {
      out->append(buffer, static_cast<size_t>(n));
      return {};
    }
    const int error = SSL_get_error(ssl_.get(), n);
    if (error != SSL_ERROR_WANT_READ && error != SSL_ERROR_WANT_WRITE) return Failed(error, "reading from");
    const IoStatus waited = Wait(error == SSL_ERROR_WANT_READ ? POLLIN : POLLOUT, deadline);
    if (!waited.ok()) return waited;
  }
}

bool TlsStream::LooksAlive() const {
  if (ssl_ == nullptr || SSL_pending(ssl_.get()) > 0) return false;
  // Nothing is due on an idle connection: bytes are an alert, and a readable end is an end.
  pollfd fd{socket_.get(), POLLIN, 0};
  return poll(&fd, 1, 0) == 0;
}

}  // namespace mainstay::kube
