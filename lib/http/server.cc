#include "lib/http/server.h"

#include <unistd.h>

#include "lib/http/connection.h"
#include "lib/http/listen.h"

namespace mainstay::http {
namespace {

namespace asio = boost::asio;
using boost::system::error_code;

class ServerImpl : public Server {
 public:
  ServerImpl(asio::io_context& loop, std::shared_ptr<Shared> shared, Listening listening)
      : loop_(loop),
        shared_(std::move(shared)),
        acceptor_(std::move(listening.acceptor)),
        retry_(loop),
        address_(std::move(listening.address)),
        unlink_(std::move(listening.unix_path)) {
    Accept();
  }
  ~ServerImpl() override {
    shared_->stopped = true;
    error_code ignored;
    acceptor_.close(ignored);
    retry_.cancel();
    std::vector<std::shared_ptr<Connection>> open;
    for (Connection* c : shared_->open) open.push_back(c->shared_from_this());
    for (const auto& c : open) c->Close();
    if (!unlink_.empty()) ::unlink(unlink_.c_str());
  }
  std::string address() const override { return address_; }
  Counters counters() const override { return shared_->counters; }
  int connections() const override { return static_cast<int>(shared_->open.size()); }

 private:
  void Accept() {
    acceptor_.async_accept(loop_, [this, shared = shared_](error_code e, Generic::socket socket) {
      if (shared->stopped) return;
      if (e) {  // out of descriptors, most likely: later, instead of spinning
        retry_.expires_after(std::chrono::milliseconds(100));
        retry_.async_wait([this, shared](error_code cancelled) {
          if (!cancelled && !shared->stopped) Accept();
        });
        return;
      }
      Welcome(std::move(socket));
      Accept();
    });
  }

  void Welcome(Generic::socket socket) {
    const int most = shared_->options.max_connections;
    if (static_cast<int>(shared_->open.size()) >= most) Evict();
    const int open = static_cast<int>(shared_->open.size());
    if (open < most) {
      std::make_shared<Connection>(std::move(socket), shared_)->Start();
    } else if (open < 2 * most) {
      std::make_shared<Connection>(std::move(socket), shared_)->Refuse();
    } else {
      ++shared_->counters.refused_connections;  // not even an answer
    }
  }

  // Closes the connection that has waited longest without a whole request.
  void Evict() {
    Connection* oldest = nullptr;
    for (Connection* c : shared_->open) {
      if (c->waiting() && (oldest == nullptr || c->waiting_since() < oldest->waiting_since())) oldest = c;
    }
    if (oldest == nullptr) return;
    ++shared_->counters.evicted_connections;
    const std::shared_ptr<Connection> hold = oldest->shared_from_this();
    hold->Close();
    hold->Leave();
  }

  asio::io_context& loop_;
  std::shared_ptr<Shared> shared_;
  Acceptor acceptor_;
  asio::steady_timer retry_;
  std::string address_;
  std::string unlink_;
};

}  // namespace

const char* ToString(Method method) {
  switch (method) {
    case Method::kGet:
      return "GET";
    case Method::kHead:
      return "HEAD";
    case Method::kOptions:
      return "OPTIONS";
    case Method::kPost:
      return "POST";
    case Method::kPut:
      return "PUT";
    case Method::kPatch:
      return "PATCH";
    case Method::kDelete:
      return "DELETE";
  }
  return "?";
}

bool IsSafe(Method method) {
  return method == Method::kGet || method == Method::kHead || method == Method::kOptions;
}

absl::StatusOr<std::unique_ptr<Server>> Server::Start(asio::io_context& loop, Options options,
                                                      Handler handler) {
  absl::StatusOr<Listening> listening = Listen(loop, options.address);
  if (!listening.ok()) return listening.status();
  auto shared = std::make_shared<Shared>();
  shared->options = std::move(options);
  shared->handler = std::move(handler);
  return std::unique_ptr<Server>(new ServerImpl(loop, std::move(shared), *std::move(listening)));
}

}  // namespace mainstay::http
