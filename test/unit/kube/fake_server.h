// A TLS server in this process that answers as a test wants: bytes when and how it says.
#ifndef MAINSTAY_TEST_UNIT_KUBE_FAKE_SERVER_H_
#define MAINSTAY_TEST_UNIT_KUBE_FAKE_SERVER_H_

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <functional>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "test/unit/kube/pki.h"

namespace mainstay::kube {

class FakeServer {
 public:
  class Connection {
   public:
    Connection(SSL* ssl, int number) : ssl_(ssl), number_(number) {}
    // The next request, header and body; "" when the client has gone.
    std::string Request() {
      for (;;) {
        const size_t head = buffer_.find("\r\n\r\n");
        if (head != std::string::npos) {
          size_t length = 0;
          const size_t at = buffer_.find("Content-Length: ");
          if (at < head) length = std::stoul(buffer_.substr(at + 16));
          if (buffer_.size() >= head + 4 + length) {
            std::string out = buffer_.substr(0, head + 4 + length);
            buffer_.erase(0, out.size());
            return out;
          }
        }
        char chunk[4096];
        const int n = SSL_read(ssl_, chunk, sizeof chunk);
        if (n <= 0) return "";
        buffer_.append(chunk, static_cast<size_t>(n));
      }
    }
    bool Send(const std::string& bytes) {
      return SSL_write(ssl_, bytes.data(), static_cast<int>(bytes.size())) > 0;
    }
    bool SendByteByByte(const std::string& bytes) {
      for (const char c : bytes)
        if (!Send(std::string(1, c))) return false;
      return true;
    }
    int number() const { return number_; }  // of this connection: 1, 2, ...

   private:
    SSL* const ssl_;
    const int number_;
    std::string buffer_;
  };
  using Handler = std::function<void(Connection&)>;  // returns: the connection is closed

  FakeServer(const KeyPair& pair, Handler handler, int max_version = 0) : handler_(std::move(handler)) {
    signal(SIGPIPE, SIG_IGN);  // ours; the client must not need it
    Use(pair, "", max_version);
    listener_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (bind(listener_, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) abort();
    listen(listener_, 16);
    socklen_t size = sizeof address;
    getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size);
    port_ = ntohs(address.sin_port);
    acceptor_ = std::thread([this] { Accept(); });
  }
  ~FakeServer() {
    stopping_ = true;
    shutdown(listener_, SHUT_RDWR);
    acceptor_.join();
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      for (const int fd : open_) shutdown(fd, SHUT_RDWR);
    }
    for (std::thread& t : threads_) t.join();
    close(listener_);
  }
  // From the next connection on. `client_ca`: client certificates of it are demanded.
  void Use(const KeyPair& pair, const std::string& client_ca = "", int max_version = 0) {
    std::shared_ptr<SSL_CTX> ctx(SSL_CTX_new(TLS_server_method()), &SSL_CTX_free);
    if (max_version != 0) {
      SSL_CTX_set_min_proto_version(ctx.get(), TLS1_VERSION);
      SSL_CTX_set_max_proto_version(ctx.get(), max_version);
      SSL_CTX_set_security_level(ctx.get(), 0);
    }
    BIO* bio = BIO_new_mem_buf(pair.cert.data(), static_cast<int>(pair.cert.size()));
    X509* cert = PEM_read_bio_X509(bio, nullptr, nullptr, nullptr);
    SSL_CTX_use_certificate(ctx.get(), cert);
    X509_free(cert);
    BIO_free(bio);
    bio = BIO_new_mem_buf(pair.key.data(), static_cast<int>(pair.key.size()));
    EVP_PKEY* key = PEM_read_bio_PrivateKey(bio, nullptr, nullptr, nullptr);
    SSL_CTX_use_PrivateKey(ctx.get(), key);
    EVP_PKEY_free(key);
    BIO_free(bio);
    if (!client_ca.empty()) {
      bio = BIO_new_mem_buf(client_ca.data(), static_cast<int>(client_ca.size()));
      cert = PEM_read_bio_X509(bio, nullptr, nullptr, nullptr);
      X509_STORE_add_cert(SSL_CTX_get_cert_store(ctx.get()), cert);
      X509_free(cert);
      BIO_free(bio);
      SSL_CTX_set_verify(ctx.get(), SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
    }
    const std::lock_guard<std::mutex> lock(mutex_);
    context_ = ctx;
  }
  uint16_t port() const { return port_; }
  int connections() const { return connections_; }

 private:
  void Accept() {
    for (;;) {
      const int fd = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
      if (fd < 0 || stopping_) {
        if (fd >= 0) close(fd);
        return;
      }
      const int one = 1;
      setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
      std::shared_ptr<SSL_CTX> ctx;
      {
        const std::lock_guard<std::mutex> lock(mutex_);
        open_.insert(fd);
        ctx = context_;
      }
      threads_.emplace_back([this, fd, ctx] { Serve(fd, ctx); });
    }
  }
  void Serve(int fd, const std::shared_ptr<SSL_CTX>& ctx) {
    SSL* ssl = SSL_new(ctx.get());
    SSL_set_fd(ssl, fd);
    if (SSL_accept(ssl) == 1) {
      Connection c(ssl, ++connections_);
      handler_(c);
      SSL_shutdown(ssl);
    }
    SSL_free(ssl);
    const std::lock_guard<std::mutex> lock(mutex_);
    open_.erase(fd);
    close(fd);
  }

  const Handler handler_;
  int listener_ = -1;
  uint16_t port_ = 0;
  std::atomic<bool> stopping_{false};
  std::atomic<int> connections_{0};
  std::mutex mutex_;
  std::shared_ptr<SSL_CTX> context_;
  std::set<int> open_;
  std::thread acceptor_;
  std::vector<std::thread> threads_;
};

// An answer with its length. `more`: header lines.
inline std::string Answer(int code, const std::string& body, const std::string& more = "") {
  return "HTTP/1.1 " + std::to_string(code) +
         " X\r\nContent-Type: application/json\r\nContent-Length: " + std::to_string(body.size()) + "\r\n" +
         more + "\r\n" + body;
}
inline std::string StatusAnswer(int code, const std::string& reason, const std::string& more = "") {
  return Answer(code,
                R"({"kind":"Status","status":"Failure","message":"said by the server","reason":")" + reason +
                    R"(","code":)" + std::to_string(code) + "}",
                more);
}
inline std::string Chunk(const std::string& text) {
  char size[16];
  snprintf(size, sizeof size, "%zx\r\n", text.size());
  return size + text + "\r\n";
}

}  // namespace mainstay::kube

#endif  // MAINSTAY_TEST_UNIT_KUBE_FAKE_SERVER_H_
