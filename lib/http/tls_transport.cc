#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <array>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/asio/write.hpp>

#include "absl/strings/str_cat.h"
#include "lib/base/strings.h"
#include "lib/http/transport.h"

namespace mainstay::http {
namespace {

namespace asio = boost::asio;
using boost::system::error_code;

// "" unless the certificate (verified already) holds `wanted` as a DNS name.
std::string NameOf(SSL* ssl, const std::string& wanted) {
  const std::unique_ptr<X509, decltype(&X509_free)> cert(SSL_get1_peer_certificate(ssl), X509_free);
  if (cert == nullptr || SSL_get_verify_result(ssl) != X509_V_OK) return "";
  if (X509_check_host(cert.get(), wanted.data(), wanted.size(), 0, nullptr) != 1) return "";
  char name[256] = "";
  X509_NAME_get_text_by_NID(X509_get_subject_name(cert.get()), NID_commonName, name, sizeof name);
  return name[0] == '\0' ? "unnamed" : Cut(name, 128);
}

class TlsTransport : public Transport {
 public:
  TlsTransport(Socket socket, std::shared_ptr<asio::ssl::context> context, std::string client_name)
      : context_(std::move(context)), stream_(std::move(socket), *context_), wanted_(std::move(client_name)) {
    SSL_set_mode(stream_.native_handle(), SSL_MODE_RELEASE_BUFFERS);
  }

  void Handshake(Done done) override {
    stream_.async_handshake(asio::ssl::stream_base::server, [this, done = std::move(done)](error_code e) {
      if (!e) client_name_ = NameOf(stream_.native_handle(), wanted_);
      done(e, 0);
    });
  }
  void Read(char* data, size_t size, Done done) override {
    stream_.async_read_some(asio::buffer(data, size), std::move(done));
  }
  void Write(const std::string& head, const std::string& body, Done done) override {
    asio::async_write(stream_, std::array{asio::buffer(head), asio::buffer(body)}, std::move(done));
  }
  void Finish(Done done) override {
    stream_.async_shutdown([done = std::move(done)](error_code e) { done(e, 0); });
  }
  void Close() override {
    error_code ignored;
    stream_.lowest_layer().close(ignored);
  }
  std::string client_name() const override { return client_name_; }
  bool tls() const override { return true; }

 private:
  const std::shared_ptr<asio::ssl::context> context_;
  asio::ssl::stream<Socket> stream_;
  const std::string wanted_;
  std::string client_name_;
};

}  // namespace

absl::StatusOr<std::shared_ptr<asio::ssl::context>> TlsContexts::Get(const TlsTexts& texts) {
  if (context_ != nullptr && generation_ == texts.generation) return context_;
  auto context = std::make_shared<asio::ssl::context>(asio::ssl::context::tls_server);
  error_code e;
  const auto fail = [&e](const char* what) {
    return absl::InvalidArgumentError(absl::StrCat("HTTP by TLS: ", what, ": ", e.message()));
  };
  context->use_certificate_chain(asio::buffer(texts.cert), e);
  if (e) return fail("certificate");
  context->use_private_key(asio::buffer(texts.key), asio::ssl::context::pem, e);
  if (e) return fail("private key");
  context->add_certificate_authority(asio::buffer(texts.ca), e);
  if (e) return fail("authorities");
  context->set_verify_mode(asio::ssl::verify_peer, e);  // asked for, not demanded
  SSL_CTX* const native = context->native_handle();
  SSL_CTX_set_min_proto_version(native, TLS1_2_VERSION);
  // No sessions to resume: a certificate that was withdrawn would live on in them, and they cost memory.
  SSL_CTX_set_session_cache_mode(native, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_options(native, SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION);
  SSL_CTX_set_num_tickets(native, 0);
  context_ = std::move(context);
  generation_ = texts.generation;
  return context_;
}

std::unique_ptr<Transport> MakeTlsTransport(Transport::Socket socket,
                                            std::shared_ptr<asio::ssl::context> context,
                                            std::string client_name) {
  return std::make_unique<TlsTransport>(std::move(socket), std::move(context), std::move(client_name));
}

}  // namespace mainstay::http
