#include "test/unit/rpc/pki.h"

#include <openssl/bio.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>

namespace mainstay::rpc {
namespace {

std::shared_ptr<EVP_PKEY> NewKey() { return {EVP_EC_gen("P-256"), EVP_PKEY_free}; }

template <typename Write>
std::string Pem(Write write) {
  BIO* bio = BIO_new(BIO_s_mem());
  write(bio);
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio, &data);
  std::string out(data, static_cast<size_t>(size));
  BIO_free(bio);
  return out;
}

std::string CertPem(X509* cert) {
  return Pem([&](BIO* b) { PEM_write_bio_X509(b, cert); });
}

void Extend(X509* cert, X509* issuer, int nid, const std::string& value) {
  if (value.empty()) return;
  X509V3_CTX context;
  X509V3_set_ctx(&context, issuer, cert, nullptr, nullptr, 0);
  X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str());
  X509_add_ext(cert, extension, -1);
  X509_EXTENSION_free(extension);
}

std::shared_ptr<X509> NewCert(const std::string& name, EVP_PKEY* key, int64_t from, int64_t until) {
  std::shared_ptr<X509> cert(X509_new(), X509_free);
  X509_set_version(cert.get(), 2);
  uint32_t serial = 0;
  RAND_bytes(reinterpret_cast<unsigned char*>(&serial), sizeof serial);
  ASN1_INTEGER_set(X509_get_serialNumber(cert.get()), serial >> 1);
  X509_gmtime_adj(X509_getm_notBefore(cert.get()), from);
  X509_gmtime_adj(X509_getm_notAfter(cert.get()), until);
  X509_set_pubkey(cert.get(), key);
  X509_NAME_add_entry_by_txt(X509_get_subject_name(cert.get()), "CN", MBSTRING_ASC,
                             reinterpret_cast<const unsigned char*>(name.c_str()), -1, -1, 0);
  return cert;
}

}  // namespace

Authority::Authority(const std::string& name) : key_(NewKey()) {
  cert_ = NewCert(name, key_.get(), -3600, int64_t{30} * 24 * 3600);
  X509_set_issuer_name(cert_.get(), X509_get_subject_name(cert_.get()));
  Extend(cert_.get(), cert_.get(), NID_basic_constraints, "critical,CA:TRUE");
  Extend(cert_.get(), cert_.get(), NID_key_usage, "critical,keyCertSign,cRLSign");
  X509_sign(cert_.get(), key_.get(), EVP_sha256());
  pem_ = CertPem(cert_.get());
}

Leaf Authority::Issue(const Request& request) const {
  const std::shared_ptr<EVP_PKEY> key = NewKey();
  const std::shared_ptr<X509> cert = NewCert(request.name, key.get(), request.from, request.until);
  X509_set_issuer_name(cert.get(), X509_get_subject_name(cert_.get()));
  Extend(cert.get(), cert_.get(), NID_subject_alt_name, request.san);
  Extend(cert.get(), cert_.get(), NID_ext_key_usage, request.usage);
  X509_sign(cert.get(), key_.get(), EVP_sha256());
  Leaf leaf;
  leaf.cert = CertPem(cert.get());
  leaf.key =
      Pem([&](BIO* b) { PEM_write_bio_PrivateKey(b, key.get(), nullptr, nullptr, 0, nullptr, nullptr); });
  return leaf;
}

}  // namespace mainstay::rpc
