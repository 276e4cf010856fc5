// Do a key, a certificate and authorities belong together? OpenSSL's answers as sentences.
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <ctime>
#include <vector>

#include "absl/strings/str_cat.h"
#include "lib/base/wall_clock.h"
#include "lib/rpc/tls_files.h"

namespace mainstay::rpc {
namespace {

constexpr size_t kMaxCertificates = 256;

template <typename T, void (*Free)(T*)>
struct Deleter {
  void operator()(T* p) const { Free(p); }
};
using Certificate = std::unique_ptr<X509, Deleter<X509, X509_free>>;
using Key = std::unique_ptr<EVP_PKEY, Deleter<EVP_PKEY, EVP_PKEY_free>>;
using Store = std::unique_ptr<X509_STORE, Deleter<X509_STORE, X509_STORE_free>>;
using StoreContext = std::unique_ptr<X509_STORE_CTX, Deleter<X509_STORE_CTX, X509_STORE_CTX_free>>;
struct BioDeleter {
  void operator()(BIO* b) const { BIO_free(b); }
};
using Bio = std::unique_ptr<BIO, BioDeleter>;

Bio Text(const std::string& pem) { return Bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size()))); }

// OpenSSL would ask for the passphrase of an encrypted key on the terminal.
int NoPassphrase(char* /*buffer*/, int /*size*/, int /*writing*/, void* /*unused*/) { return -1; }

std::vector<Certificate> ReadCertificates(const std::string& pem) {
  std::vector<Certificate> out;
  const Bio bio = Text(pem);
  while (bio && out.size() < kMaxCertificates) {
    Certificate one(PEM_read_bio_X509(bio.get(), nullptr, NoPassphrase, nullptr));
    if (!one) break;
    out.push_back(std::move(one));
  }
  ERR_clear_error();  // the end of the text is an error of OpenSSL's, too
  return out;
}

int64_t Expires(const X509* certificate) {
  struct tm t = {};
  if (ASN1_TIME_to_tm(X509_get0_notAfter(certificate), &t) != 1) return 0;
  return timegm(&t);
}

bool NotYetValid(const X509* certificate, int64_t now) {
  struct tm t = {};
  return ASN1_TIME_to_tm(X509_get0_notBefore(certificate), &t) == 1 && timegm(&t) > now;
}

std::string Subject(const X509* certificate) {
  const Bio bio(BIO_new(BIO_s_mem()));
  if (!bio || X509_NAME_print_ex(bio.get(), X509_get_subject_name(certificate), 0, XN_FLAG_RFC2253) < 0)
    return "";
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio.get(), &data);
  return std::string(data, size > 0 ? static_cast<size_t>(std::min<long>(size, 256)) : 0);
}

absl::Status Wrong(const std::string& what) { return absl::FailedPreconditionError(what); }

absl::Status CheckLeaf(X509* leaf, const std::string& key_pem, const std::string& peer_name) {
  const Bio bio = Text(key_pem);
  const Key key(PEM_read_bio_PrivateKey(bio.get(), nullptr, NoPassphrase, nullptr));
  ERR_clear_error();
  if (!key) return Wrong("tls.key holds no private key that can be read (PEM, not encrypted)");
  const bool match = X509_check_private_key(leaf, key.get()) == 1;
  ERR_clear_error();
  if (!match) return Wrong("tls.key does not belong to the first certificate of tls.cert");
  if (X509_check_host(leaf, peer_name.data(), peer_name.size(),
                      X509_CHECK_FLAG_NO_WILDCARDS | X509_CHECK_FLAG_NEVER_CHECK_SUBJECT, nullptr) != 1) {
    return Wrong(
        absl::StrCat("the certificate of tls.cert does not hold the DNS name ", peer_name,
                     ", by which members know each other; issue it with that name or set tls.peer_name"));
  }
  if (X509_check_purpose(leaf, X509_PURPOSE_SSL_SERVER, 0) != 1 ||
      X509_check_purpose(leaf, X509_PURPOSE_SSL_CLIENT, 0) != 1) {
    return Wrong(
        "the certificate of tls.cert is not for both ends of a connection; issue it with the extended key "
        "usages serverAuth and clientAuth, or with none");
  }
  return absl::OkStatus();
}

// "" or why our own authorities do not accept our own certificate. Times are judged elsewhere.
std::string CheckSigner(const std::vector<Certificate>& chain, const std::vector<Certificate>& authorities) {
  const Store store(X509_STORE_new());
  const StoreContext context(X509_STORE_CTX_new());
  STACK_OF(X509)* untrusted = sk_X509_new_null();
  for (const Certificate& c : chain) sk_X509_push(untrusted, c.get());
  for (const Certificate& c : authorities) X509_STORE_add_cert(store.get(), c.get());
  std::string problem;
  if (X509_STORE_CTX_init(context.get(), store.get(), chain[0].get(), untrusted) == 1) {
    X509_STORE_CTX_set_flags(context.get(), X509_V_FLAG_NO_CHECK_TIME);
    if (X509_verify_cert(context.get()) != 1)
      problem = X509_verify_cert_error_string(X509_STORE_CTX_get_error(context.get()));
  }
  sk_X509_free(untrusted);
  ERR_clear_error();
  return problem;
}

}  // namespace

absl::StatusOr<TlsMaterial> CheckTls(const std::string& ca, const std::string& cert, const std::string& key,
                                     const std::string& peer_name, int64_t now) {
  const std::vector<Certificate> authorities = ReadCertificates(ca);
  const std::vector<Certificate> chain = ReadCertificates(cert);
  if (authorities.empty()) return Wrong("tls.ca holds no certificate that can be read (PEM)");
  if (chain.empty()) return Wrong("tls.cert holds no certificate that can be read (PEM)");
  if (absl::Status status = CheckLeaf(chain[0].get(), key, peer_name); !status.ok()) return status;
  TlsMaterial out;
  out.ca = ca;
  out.cert = cert;
  out.key = key;
  out.subject = Subject(chain[0].get());
  out.expires = Expires(chain[0].get());
  out.ca_expires = Expires(authorities[0].get());
  for (const Certificate& c : authorities) out.ca_expires = std::min(out.ca_expires, Expires(c.get()));
  const std::string signer = CheckSigner(chain, authorities);
  if (out.expires <= now) {
    out.warning = absl::StrCat("the certificate expired at ", FormatUtcSeconds(out.expires * 1000),
                               ": other members refuse it; renew it");
  } else if (NotYetValid(chain[0].get(), now)) {
    out.warning = "the certificate is not valid yet: other members refuse it; look at the clocks";
  } else if (!signer.empty()) {
    out.warning = absl::StrCat("tls.ca does not accept the certificate of tls.cert (", signer,
                               "): other members with the same authorities refuse it");
  }
  return out;
}

}  // namespace mainstay::rpc
