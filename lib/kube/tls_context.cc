// Contexts: whom to trust, who we are.
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "absl/strings/str_cat.h"
#include "lib/base/result.h"
#include "lib/kube/tls.h"

namespace mainstay::kube {
namespace {

struct FreeBio {
  void operator()(BIO* b) const { BIO_free_all(b); }
};
struct FreeX509 {
  void operator()(X509* x) const { X509_free(x); }
};
struct FreeKey {
  void operator()(EVP_PKEY* k) const { EVP_PKEY_free(k); }
};
using Bio = std::unique_ptr<BIO, FreeBio>;
using Cert = std::unique_ptr<X509, FreeX509>;
using Key = std::unique_ptr<EVP_PKEY, FreeKey>;

Bio Memory(const std::string& text) {
  return Bio(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}

// No terminal: an encrypted key is an error, not a question.
int NoPassword(char*, int, int, void*) { return -1; }

// OpenSSL's last words; the queue is empty afterwards.
std::string Reason() {
  char buffer[160] = "unknown";
  const unsigned long code = ERR_peek_last_error();
  if (code != 0) ERR_error_string_n(code, buffer, sizeof buffer);
  ERR_clear_error();
  return buffer;
}

absl::Status AddAuthorities(SSL_CTX* context, const std::string& pem) {
  if (pem.empty()) {
    if (SSL_CTX_set_default_verify_paths(context) == 1) return absl::OkStatus();
    return absl::FailedPreconditionError("the system's authorities cannot be read; install ca-certificates");
  }
  X509_STORE* const store = SSL_CTX_get_cert_store(context);
  const Bio bio = Memory(pem);
  int count = 0;
  for (;; ++count) {
    const Cert cert(PEM_read_bio_X509(bio.get(), nullptr, &NoPassword, nullptr));
    if (cert == nullptr) break;
    X509_STORE_add_cert(store, cert.get());  // fails for one that is there twice: no harm
  }
  ERR_clear_error();  // reading ends with "no start line"
  if (count > 0) return absl::OkStatus();
  return absl::InvalidArgumentError(
      "the authority has no certificate in PEM form (-----BEGIN CERTIFICATE-----); copy ca.crt again");
}

absl::Status UseClientCert(SSL_CTX* context, const std::string& cert_pem, const std::string& key_pem) {
  const Bio cert_bio = Memory(cert_pem);
  const Cert leaf(PEM_read_bio_X509(cert_bio.get(), nullptr, &NoPassword, nullptr));
  if (leaf == nullptr || SSL_CTX_use_certificate(context, leaf.get()) != 1)
    return absl::InvalidArgumentError(absl::StrCat("the client certificate cannot be used: ", Reason()));
  for (;;) {
    const Cert next(PEM_read_bio_X509(cert_bio.get(), nullptr, &NoPassword, nullptr));
    if (next == nullptr) break;
    if (SSL_CTX_add1_chain_cert(context, next.get()) != 1) break;
  }
  ERR_clear_error();
  const Bio key_bio = Memory(key_pem);
  const Key key(PEM_read_bio_PrivateKey(key_bio.get(), nullptr, &NoPassword, nullptr));
  if (key == nullptr || SSL_CTX_use_PrivateKey(context, key.get()) != 1) {
    return absl::InvalidArgumentError(
        absl::StrCat("the client key cannot be used (encrypted, or not of the certificate?): ", Reason()));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::shared_ptr<SSL_CTX>> MakeClientContext(const std::string& ca, const std::string& cert,
                                                           const std::string& key) {
  const std::shared_ptr<SSL_CTX> context(SSL_CTX_new(TLS_client_method()), &SSL_CTX_free);
  if (context == nullptr) return absl::InternalError(absl::StrCat("OpenSSL: ", Reason()));
  SSL_CTX_set_min_proto_version(context.get(), TLS1_2_VERSION);
  SSL_CTX_set_verify(context.get(), SSL_VERIFY_PEER, nullptr);
  // Buffers of 16 KiB each way only while bytes move; no tickets kept: connections live long.
  SSL_CTX_set_mode(context.get(), SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                                      SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  SSL_CTX_set_session_cache_mode(context.get(), SSL_SESS_CACHE_OFF);
  X509_VERIFY_PARAM* const verify = SSL_CTX_get0_param(context.get());
  // Whatever ca.crt holds is trusted, also an intermediate, as Go has it; a common name counts for nothing.
  X509_VERIFY_PARAM_set_flags(verify, X509_V_FLAG_PARTIAL_CHAIN);
  X509_VERIFY_PARAM_set_hostflags(verify,
                                  X509_CHECK_FLAG_NEVER_CHECK_SUBJECT | X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
  MAINSTAY_RETURN_IF_ERROR(AddAuthorities(context.get(), ca));
  if (!cert.empty() || !key.empty()) MAINSTAY_RETURN_IF_ERROR(UseClientCert(context.get(), cert, key));
  static constexpr unsigned char kAlpn[] = {8, 'h', 't', 't', 'p', '/', '1', '.', '1'};
  SSL_CTX_set_alpn_protos(context.get(), kAlpn, sizeof kAlpn);
  return context;
}

}  // namespace mainstay::kube
