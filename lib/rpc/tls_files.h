// Certificate, key and authorities of an agent (or of an administrator) from files, read again when they
// change: cert-manager and the kubelet replace them while we run.
//
//   absl::StatusOr<std::shared_ptr<TlsFiles>> tls = TlsFiles::Open({.ca = "ca.crt", .cert = "tls.crt",
//                                                  .key = "tls.key", .peer_name = "agent.pg.mainstay"});
//   std::shared_ptr<const TlsMaterial> now = (*tls)->Current();
//
// There is no thread and no timer: Current() looks at the files' status, at most every `look_every`. Files
// that are half written, do not belong together or are worse than what is in use are not taken: the old ones
// stay in force, the log and Problem() say why, and the next change is looked at again.
//
// Errors: FailedPrecondition, NotFound and PermissionDenied name the file and what to do. Key material is
// never in a message. Thread rules: thread-safe. Units: seconds since 1970 for what certificates say.
#ifndef MAINSTAY_LIB_RPC_TLS_FILES_H_
#define MAINSTAY_LIB_RPC_TLS_FILES_H_

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>

#include "absl/status/statusor.h"
#include "lib/base/time.h"

namespace mainstay::rpc {

struct TlsOptions {
  std::string ca;    // PEM files
  std::string cert;  // leaf first, then its chain
  std::string key;
  std::string peer_name;  // DNS name in the certificate of every peer, our own included
  Duration look_every = std::chrono::seconds(10);
};

struct TlsMaterial {
  std::string ca;
  std::string cert;
  std::string key;
  uint64_t generation = 1;  // rises with each change that was taken
  std::string subject;      // of the leaf, for people
  int64_t expires = 0;      // of the leaf
  int64_t ca_expires = 0;   // of the authority that ends first
  std::string warning;      // usable, but: expired, signed by somebody else
};

// Judges texts of PEM: do they belong together, and are they good for both ends of a connection?
// FailedPrecondition says what is wrong; what only others will mind (expired, unknown signer) is in
// `warning`.
absl::StatusOr<TlsMaterial> CheckTls(const std::string& ca, const std::string& cert, const std::string& key,
                                     const std::string& peer_name, int64_t now);

class TlsFiles {
 public:
  static absl::StatusOr<std::shared_ptr<TlsFiles>> Open(TlsOptions options);

  std::shared_ptr<const TlsMaterial> Current();  // never null
  // Why the files as they are now are not in use; "" when they are.
  std::string Problem() const;
  const TlsOptions& options() const { return options_; }

 private:
  // Of the three files: which they are and when they were written.
  struct Mark {
    uint64_t device = 0, inode = 0;
    int64_t size = 0, modified = 0, changed = 0;
    friend bool operator==(const Mark&, const Mark&) = default;
  };
  struct Marks {
    Mark ca, cert, key;
    friend bool operator==(const Marks&, const Marks&) = default;
  };

  explicit TlsFiles(TlsOptions options) : options_(std::move(options)) {}
  Marks Look() const;
  absl::StatusOr<TlsMaterial> Read() const;

  const TlsOptions options_;
  mutable std::mutex mu_;
  std::shared_ptr<const TlsMaterial> current_;
  Marks seen_;
  MonoTime next_look_;
  std::string problem_;
};

}  // namespace mainstay::rpc

#endif  // MAINSTAY_LIB_RPC_TLS_FILES_H_
