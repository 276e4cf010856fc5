// One TLS connection whose every step has a deadline and can be interrupted: connect, handshake, write, read.
//
//   TlsStream stream;
//   IoStatus s = stream.Connect(target, context, deadline);
//   if (s.ok()) s = stream.Write(request, deadline);
//   if (s.ok()) s = stream.Read(&bytes, deadline);
//
// Why not Beast's streams: its synchronous operations have no time-outs and Asio's timers run on
// CLOCK_MONOTONIC, which a suspend stops. Here poll(2) waits and CLOCK_BOOTTIME decides; one eventfd makes
// any step end at once. (HTTP itself is Beast's: lib/kube/http.h.)
//
// TLS: at least 1.2, chain and name (or address) always verified, SAN only (no common name), ALPN http/1.1.
// TCP: no delay, keepalive, and TCP_USER_TIMEOUT, so that a peer that vanished shows within kUserTimeout.
// A name is resolved on a thread of its own, since getaddrinfo knows no deadline.
//
// Errors: IoStatus says which kind, with a text that names the address and what to do.
// Thread rules: one thread at a time; Interrupt from any.
#ifndef MAINSTAY_LIB_KUBE_TLS_H_
#define MAINSTAY_LIB_KUBE_TLS_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "lib/base/file.h"
#include "lib/base/time.h"

typedef struct ssl_st SSL;
typedef struct ssl_ctx_st SSL_CTX;

namespace mainstay::kube {

// A context for clients. `ca` empty: the system's authorities. `cert` and `key`: PEM, both or none.
absl::StatusOr<std::shared_ptr<SSL_CTX>> MakeClientContext(const std::string& ca, const std::string& cert,
                                                           const std::string& key);

enum class Io : uint8_t {
  kOk,
  kClosed,   // by the peer, or reset
  kTimeout,  // the deadline
  kInterrupted,
  kUnreachable,  // no connection: refused, no route, unknown name
  kNotTrusted,   // the server's certificate
  kTlsFailed,    // the handshake, for another reason
};
struct IoStatus {
  Io io = Io::kOk;
  std::string text;  // for people
  bool ok() const { return io == Io::kOk; }
};

struct TlsTarget {
  std::string host;  // name or address (no brackets)
  uint16_t port = 443;
  std::string server_name;                                     // name or address to verify
  Duration connect_timeout = std::chrono::milliseconds(1500);  // for each address
};

class TlsStream {
 public:
  static constexpr Duration kUserTimeout = std::chrono::seconds(10);

  TlsStream();
  ~TlsStream();
  TlsStream(const TlsStream&) = delete;
  TlsStream& operator=(const TlsStream&) = delete;

  IoStatus Connect(const TlsTarget& target, const std::shared_ptr<SSL_CTX>& context, MonoTime deadline);
  // All of `bytes`. *sent: whether any of it may have left.
  IoStatus Write(absl::string_view bytes, MonoTime deadline, bool* sent);
  // Appends at least one byte to `out`.
  IoStatus Read(std::string* out, MonoTime deadline);
  // A connection that was left alone: still open and silent, as far as is known here.
  bool LooksAlive() const;

  // The running or the next step returns kInterrupted; once.
  void Interrupt();
  void ClearInterrupt();

 private:
  struct Free {
    void operator()(SSL* ssl) const;
  };
  IoStatus ConnectOne(const void* address, unsigned length, MonoTime deadline);
  IoStatus Handshake(const TlsTarget& target, MonoTime deadline);
  // Waits until the socket can be read or written.
  IoStatus Wait(short events, MonoTime deadline) const;
  IoStatus Failed(int ssl_error, const char* doing) const;

  UniqueFd wake_;  // eventfd
  UniqueFd socket_;
  std::string peer_;  // "10.0.0.1:6443", for texts
  std::shared_ptr<SSL_CTX> context_;
  std::unique_ptr<SSL, Free> ssl_;
};

}  // namespace mainstay::kube

#endif  // MAINSTAY_LIB_KUBE_TLS_H_
