// Who we are and whom we trust, read anew as it changes: the token, the authorities, the client certificate.
//
// Files are looked at before each call (one stat) and read again when they changed or after kReread; a token
// that was refused (401) or a server's certificate that was not trusted makes them read at once. A file that
// is empty or missing for a moment (kubelet swaps it) leaves the old one in force.
//
// One SSL_CTX serves all connections until the authorities or the client certificate change: contexts are the
// dear part of OpenSSL's memory.
//
// Errors: FailedPrecondition names the file and what to do; never what is in it. Thread rules: thread-safe.
#ifndef MAINSTAY_LIB_KUBE_CREDENTIALS_H_
#define MAINSTAY_LIB_KUBE_CREDENTIALS_H_

#include <sys/types.h>

#include <memory>
#include <mutex>
#include <string>

#include "absl/status/statusor.h"
#include "lib/base/time.h"
#include "lib/kube/config.h"

typedef struct ssl_ctx_st SSL_CTX;

namespace mainstay::kube {

class Credentials {
 public:
  static constexpr Duration kReread = std::chrono::seconds(60);

  explicit Credentials(const ClusterConfig& config);

  // "" when the configuration has none (a client certificate alone).
  absl::StatusOr<std::string> Token();
  absl::StatusOr<std::shared_ptr<SSL_CTX>> Context();
  // The server refused `token`: true when there is another one now, which is worth another try.
  bool TokenRefused(const std::string& token);
  // The server's certificate was not trusted under `context`: true when there is another context now.
  bool ServerNotTrusted(const std::shared_ptr<SSL_CTX>& context);

 private:
  // One text and when it was read.
  struct Watched {
    Source source;
    std::string text;
    MonoTime read_at;
    int64_t mtime_ns = -1;
    uint64_t inode = 0;
  };
  // Reads `w` if it is time or `force`. True: it differs from before. Keeps the old text on failure.
  bool Refresh(Watched* w, bool force, absl::Status* problem);
  absl::Status RefreshContext(bool force);

  std::mutex mutex_;
  Watched token_, ca_, cert_, key_;
  std::shared_ptr<SSL_CTX> context_;
  bool stale_ = true;    // context_ is not made of what was read last
  MonoTime rebuild_at_;  // not before
};

}  // namespace mainstay::kube

#endif  // MAINSTAY_LIB_KUBE_CREDENTIALS_H_
