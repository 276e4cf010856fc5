#include "lib/amqp/tls.h"

#include <amqp.h>
#include <amqp_ssl_socket.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509_vfy.h>

#include "absl/strings/str_cat.h"

namespace mainstay::amqp {
namespace {

// The library keeps no verdict of the verification, and frees the session before we could ask.
int VerdictIndex() {
  static const int index = SSL_CTX_get_ex_new_index(0, nullptr, nullptr, nullptr, nullptr);
  return index;
}

int Remember(int ok, X509_STORE_CTX* store) {
  if (ok == 0) {
    auto* ssl = static_cast<SSL*>(X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx()));
    const char* why = X509_verify_cert_error_string(X509_STORE_CTX_get_error(store));
    if (ssl != nullptr) SSL_CTX_set_ex_data(SSL_get_SSL_CTX(ssl), VerdictIndex(), const_cast<char*>(why));
  }
  return ok;
}

std::string LastError() {
  const unsigned long code = ERR_peek_last_error();
  const char* reason = code == 0 ? nullptr : ERR_reason_error_string(code);
  return reason == nullptr ? "no word from OpenSSL" : reason;
}

Trouble Local(const std::string& text) {
  return {.failure = Failure::kLocal, .code = 0, .text = absl::StrCat(text, ": ", LastError())};
}

}  // namespace

Trouble PrepareTls(amqp_socket_t_* socket, const TlsFiles& files) {
  auto* context = static_cast<SSL_CTX*>(amqp_ssl_socket_get_context(socket));
  ERR_clear_error();
  if (SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION) != 1) return Local("TLS 1.2 is not to be had");
  if (SSL_CTX_load_verify_locations(context, files.ca.c_str(), nullptr) != 1)
    return Local(absl::StrCat("the authority's certificate ", files.ca, " cannot be used"));
  if (!files.cert.empty() &&
      (SSL_CTX_use_certificate_chain_file(context, files.cert.c_str()) != 1 ||
       SSL_CTX_use_PrivateKey_file(context, files.key.c_str(), SSL_FILETYPE_PEM) != 1)) {
    return Local(absl::StrCat("the certificate ", files.cert, " or its key ", files.key, " cannot be used"));
  }
  X509_VERIFY_PARAM* wanted = SSL_CTX_get0_param(context);
  const char* name = files.server_name.c_str();
  if (X509_VERIFY_PARAM_set1_ip_asc(wanted, name) != 1 &&
      X509_VERIFY_PARAM_set1_host(wanted, name, files.server_name.size()) != 1) {
    return Local(absl::StrCat("no certificate can name ", files.server_name));
  }
  SSL_CTX_set_verify(context, SSL_VERIFY_PEER, Remember);
  amqp_ssl_socket_set_verify_hostname(socket, 0);  // done above
  return {};
}

std::string TlsProblem(amqp_socket_t_* socket) {
  auto* context = static_cast<SSL_CTX*>(amqp_ssl_socket_get_context(socket));
  const auto* why = static_cast<const char*>(SSL_CTX_get_ex_data(context, VerdictIndex()));
  return why != nullptr ? why : LastError();
}

}  // namespace mainstay::amqp
