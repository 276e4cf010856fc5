// Certificates made on the spot: an authority, and what it signs.
#ifndef MAINSTAY_TEST_UNIT_KUBE_PKI_H_
#define MAINSTAY_TEST_UNIT_KUBE_PKI_H_

#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <memory>
#include <string>

namespace mainstay::kube {

struct KeyPair {
  std::string cert, key;  // PEM
};

class Authority {
 public:
  explicit Authority(const std::string& name) : key_(EVP_EC_gen("P-256"), &EVP_PKEY_free) {
    cert_ = Make(name, key_.get(), nullptr, "", true);
  }
  std::string Pem() const { return CertPem(cert_.get()); }
  // `san`: "IP:127.0.0.1,DNS:localhost"; "" for a client.
  KeyPair Issue(const std::string& name, const std::string& san) const {
    const Key key(EVP_EC_gen("P-256"), &EVP_PKEY_free);
    const Cert cert = Make(name, key.get(), cert_.get(), san, false);
    BIO* bio = BIO_new(BIO_s_mem());
    PEM_write_bio_PrivateKey(bio, key.get(), nullptr, nullptr, 0, nullptr, nullptr);
    return {CertPem(cert.get()), Drain(bio)};
  }

 private:
  using Key = std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)>;
  using Cert = std::unique_ptr<X509, decltype(&X509_free)>;

  static std::string Drain(BIO* bio) {
    char* data = nullptr;
    const long n = BIO_get_mem_data(bio, &data);
    std::string out(data, static_cast<size_t>(n));
    BIO_free(bio);
    return out;
  }
  static std::string CertPem(X509* cert) {
    BIO* bio = BIO_new(BIO_s_mem());
    PEM_write_bio_X509(bio, cert);
    return Drain(bio);
  }
  static void Extend(X509* cert, X509* issuer, int nid, const std::string& value) {
    X509V3_CTX ctx;
    X509V3_set_ctx(&ctx, issuer, cert, nullptr, nullptr, 0);
    X509_EXTENSION* e = X509V3_EXT_conf_nid(nullptr, &ctx, nid, value.c_str());
    X509_add_ext(cert, e, -1);
    X509_EXTENSION_free(e);
  }
  Cert Make(const std::string& name, EVP_PKEY* key, X509* issuer, const std::string& san, bool ca) const {
    static long serial = 1;
    Cert cert(X509_new(), &X509_free);
    X509_set_version(cert.get(), 2);
    ASN1_INTEGER_set(X509_get_serialNumber(cert.get()), ++serial);
    X509_gmtime_adj(X509_getm_notBefore(cert.get()), -3600);
    X509_gmtime_adj(X509_getm_notAfter(cert.get()), 3600);
    X509_set_pubkey(cert.get(), key);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(cert.get()), "CN", MBSTRING_ASC,
                               reinterpret_cast<const unsigned char*>(name.c_str()), -1, -1, 0);
    X509* const by = issuer == nullptr ? cert.get() : issuer;
    X509_set_issuer_name(cert.get(), X509_get_subject_name(by));
    Extend(cert.get(), by, NID_basic_constraints, ca ? "critical,CA:TRUE" : "CA:FALSE");
    if (!san.empty()) Extend(cert.get(), by, NID_subject_alt_name, san);
    X509_sign(cert.get(), key_.get(), EVP_sha256());
    return cert;
  }

  Key key_;
  Cert cert_{nullptr, &X509_free};
};

}  // namespace mainstay::kube

#endif  // MAINSTAY_TEST_UNIT_KUBE_PKI_H_
