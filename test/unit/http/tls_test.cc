// TLS and plaintext on one port, certificates that change, and who a client is.
#include <openssl/ssl.h>

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/ssl.hpp>
#include <boost/asio/write.hpp>
#include <mutex>

#include "test/unit/http/rig.h"
#include "test/unit/rpc/pki.h"

namespace mainstay::http {
namespace {

namespace asio = boost::asio;

class TlsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    Serve(ca_.Issue({}));
    Server::Options options;
    options.max_handshakes_per_second = 5;
    options.tls = [this] {
      std::lock_guard lock(mu_);
      return texts_;
    };
    server_ = std::make_unique<Running>(
        [](const Request& r, const Reply& reply) {
          reply({.status = 200,
                 .body = std::string(r.tls ? "tls" : "plain") + "|" + r.client_name + "|" + r.body + "\n"});
        },
        options);
  }
  void Serve(const rpc::Leaf& leaf) {
    std::lock_guard lock(mu_);
    texts_ = {ca_.pem(), leaf.cert, leaf.key, "agent.demo.mainstay", texts_.generation + 1};
  }
  // "" when the handshake or the exchange failed.
  std::string Ask(const rpc::Leaf* leaf, std::string* subject = nullptr, const std::string& body = "") {
    asio::io_context io;
    asio::ssl::context context(asio::ssl::context::tls_client);
    if (leaf != nullptr) {
      context.use_certificate_chain(asio::buffer(leaf->cert));
      context.use_private_key(asio::buffer(leaf->key), asio::ssl::context::pem);
    }
    asio::ssl::stream<asio::ip::tcp::socket> stream(io, context);
    boost::system::error_code e;
    stream.next_layer().connect({asio::ip::make_address("127.0.0.1"), static_cast<uint16_t>(server_->Port())},
                                e);
    stream.handshake(asio::ssl::stream_base::client, e);
    if (e) return "";
    if (subject != nullptr) {
      X509* cert = SSL_get1_peer_certificate(stream.native_handle());
      char name[100] = "";
      X509_NAME_get_text_by_NID(X509_get_subject_name(cert), NID_commonName, name, sizeof name);
      *subject = name;
      X509_free(cert);
    }
    asio::write(stream,
                asio::buffer("POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: " +
                             std::to_string(body.size()) + "\r\n\r\n" + body),
                e);
    std::string out;
    asio::read(stream, asio::dynamic_buffer(out), e);
    return out.substr(out.find("\r\n\r\n") == std::string::npos ? 0 : out.find("\r\n\r\n") + 4);
  }

  rpc::Authority ca_{"ca"};
  rpc::Authority other_{"other"};
  std::mutex mu_;
  TlsTexts texts_;
  std::unique_ptr<Running> server_;
};

TEST_F(TlsTest, BothOnOnePort) {
  EXPECT_EQ(Ask(nullptr), "tls||\n");
  EXPECT_THAT(Get(server_->Port(), "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"),
              HasSubstr("plain||"));
  EXPECT_EQ(Ask(nullptr, nullptr, std::string(40000, 'b')), "tls||" + std::string(40000, 'b') + "\n");
}

TEST_F(TlsTest, OnlyACertificateWithTheNameCounts) {
  const rpc::Leaf admin = ca_.Issue({.name = "alice"});
  EXPECT_EQ(Ask(&admin), "tls|alice|\n");
  const rpc::Leaf nobody = ca_.Issue({.name = "bob", .san = "DNS:agent.other.mainstay"});
  EXPECT_EQ(Ask(&nobody), "tls||\n");
  const rpc::Leaf stranger = other_.Issue({.name = "mallory"});
  EXPECT_EQ(Ask(&stranger), "");
  const rpc::Leaf expired = ca_.Issue({.name = "old", .from = -7200, .until = -3600});
  EXPECT_EQ(Ask(&expired), "");
}

TEST_F(TlsTest, ANewCertificateIsServedAtTheNextHandshake) {
  std::string subject;
  EXPECT_NE(Ask(nullptr, &subject), "");
  EXPECT_EQ(subject, "member");
  Serve(ca_.Issue({.name = "renewed"}));
  EXPECT_NE(Ask(nullptr, &subject), "");
  EXPECT_EQ(subject, "renewed");
  Serve({"rubbish", "rubbish"});
  EXPECT_EQ(Ask(nullptr), "");
  EXPECT_THAT(Get(server_->Port(), "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"),
              HasSubstr("plain||"));
}

TEST_F(TlsTest, HandshakesAreLimitedAndPlaintextGoesOn) {
  int done = 0;
  for (int i = 0; i < 12; ++i) done += Ask(nullptr).empty() ? 0 : 1;
  EXPECT_GE(done, 5);
  EXPECT_LT(done, 12);
  EXPECT_GE(server_->Count().refused_connections, 1u);
  EXPECT_THAT(Get(server_->Port(), "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"),
              HasSubstr("plain||"));
}

TEST_F(TlsTest, RubbishAfterTheFirstByteEndsTheConnection) {
  const UniqueFd fd = Connect(server_->Port());
  Send(fd, std::string("\x16\x03\x01\x00\x05hello", 10));
  ReadAll(fd);  // an alert, or nothing
  EXPECT_THAT(Get(server_->Port(), "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"),
              HasSubstr("plain||"));
}

}  // namespace
}  // namespace mainstay::http
