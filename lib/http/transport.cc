#include "lib/http/transport.h"

#include <array>
#include <boost/asio/post.hpp>
#include <boost/asio/write.hpp>

namespace mainstay::http {
namespace {

namespace asio = boost::asio;
using boost::system::error_code;

constexpr size_t kDiscardStep = 4096;
constexpr size_t kDiscardMost = 256 * 1024;

class PlainTransport : public Transport {
 public:
  explicit PlainTransport(Socket socket) : socket_(std::move(socket)) {}

  void Handshake(Done done) override {
    asio::post(socket_.get_executor(), [done = std::move(done)] { done({}, 0); });
  }
  void Read(char* data, size_t size, Done done) override {
    socket_.async_read_some(asio::buffer(data, size), std::move(done));
  }
  void WaitReadable(Done done) override {
    socket_.async_wait(asio::socket_base::wait_read,
                       [done = std::move(done)](const error_code& e) { done(e, 0); });
  }
  void Write(const std::string& head, const std::string& body, Done done) override {
    asio::async_write(socket_, std::array{asio::buffer(head), asio::buffer(body)}, std::move(done));
  }
  void Finish(Done done) override {
    error_code ignored;
    socket_.shutdown(asio::socket_base::shutdown_send, ignored);
    discard_.resize(kDiscardStep);
    Discard(std::move(done));
  }
  void Close() override {
    error_code ignored;
    socket_.close(ignored);
  }

 private:
  // Some of what is still being sent is taken, so that a client with a little too much gets to its answer.
  // Beyond that nothing is read: the client blocks on its own buffers until the caller's deadline.
  void Discard(Done done) {
    if (discarded_ >= kDiscardMost) {
      socket_.async_wait(asio::socket_base::wait_error,
                         [done = std::move(done)](const error_code& e) { done(e, 0); });
      return;
    }
    socket_.async_read_some(asio::buffer(discard_), [this, done = std::move(done)](error_code e, size_t n) {
      discarded_ += n;
      if (e) return done(e, 0);
      Discard(done);
    });
  }

  Socket socket_;
  std::string discard_;
  size_t discarded_ = 0;
};

}  // namespace

std::unique_ptr<Transport> MakePlainTransport(Transport::Socket socket) {
  return std::make_unique<PlainTransport>(std::move(socket));
}

}  // namespace mainstay::http
