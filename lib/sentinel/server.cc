#include "lib/sentinel/server.h"

#include <unistd.h>

#include <algorithm>
#include <boost/asio/steady_timer.hpp>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "lib/sentinel/connection.h"

namespace mainstay::sentinel {
namespace {

namespace asio = boost::asio;
using boost::system::error_code;

constexpr auto kRetry = std::chrono::milliseconds(100);
constexpr auto kSweep = std::chrono::seconds(1);

class ServerImpl : public Server {
 public:
  ServerImpl(asio::io_context& loop, std::shared_ptr<Shared> shared, http::Listening listening)
      : loop_(loop),
        shared_(std::move(shared)),
        acceptor_(std::move(listening.acceptor)),
        retry_(loop),
        sweep_(loop),
        address_(std::move(listening.address)),
        unlink_(std::move(listening.unix_path)) {
    uint32_t port = 0;
    if (absl::SimpleAtoi(address_.substr(address_.rfind(':') + 1), &port) && port <= UINT16_MAX)
      shared_->answers.set_port(static_cast<uint16_t>(port));
    Accept();
  }
  ~ServerImpl() override {
    shared_->stopped = true;
    error_code ignored;
    acceptor_.close(ignored);
    retry_.cancel();
    sweep_.cancel();
    for (const auto& c : All()) c->Close();
    if (!unlink_.empty()) ::unlink(unlink_.c_str());
  }

  void Publish(View view) override {
    for (const Message& message : shared_->answers.Update(std::move(view))) {
      if (message.channel == "+switch-master") ++shared_->counters.switches;
      for (const auto& c : All()) c->Deliver(message);
    }
  }
  std::string address() const override { return address_; }
  Counters counters() const override { return shared_->counters; }
  size_t connections() const override { return shared_->open.size(); }

 private:
  // A copy: who is closed leaves the list.
  std::vector<std::shared_ptr<Connection>> All() const {
    std::vector<std::shared_ptr<Connection>> all;
    for (const auto& [id, c] : shared_->open) all.push_back(c);
    return all;
  }

  void Accept() {
    acceptor_.async_accept(loop_, [this, shared = shared_](error_code e, http::Generic::socket socket) {
      if (shared->stopped) return;
      if (e) {  // out of descriptors, most likely: later, instead of spinning
        retry_.expires_after(kRetry);
        retry_.async_wait([this, shared](error_code cancelled) {
          if (!cancelled && !shared->stopped) Accept();
        });
        return;
      }
      Welcome(std::move(socket));
      Accept();
    });
  }

  void Welcome(http::Generic::socket socket) {
    if (shared_->open.size() >= shared_->options.max_connections) Evict();
    if (shared_->open.size() >= shared_->options.max_connections + 16) {
      ++shared_->counters.refused;  // not even an answer
      return;
    }
    const bool room = shared_->open.size() < shared_->options.max_connections;
    const uint64_t id = ++next_id_;
    const auto c = std::make_shared<Connection>(std::move(socket), shared_, id);
    shared_->open.emplace(id, c);
    if (room) {
      ++shared_->counters.connections;
      c->Start();
    } else {
      ++shared_->counters.refused;
      c->Refuse("-ERR max number of clients reached\r\n");
    }
    if (!sweeping_) Sweep();
  }

  void Evict() {
    std::shared_ptr<Connection> oldest;
    for (const auto& [id, c] : shared_->open) {
      if (!c->subscribed() && (oldest == nullptr || c->last_request() < oldest->last_request())) oldest = c;
    }
    if (oldest == nullptr) return;
    ++shared_->counters.evicted;
    oldest->Close();
  }

  // Only while there is somebody: an agent without such clients has no timer of this.
  void Sweep() {
    sweeping_ = true;
    sweep_.expires_after(kSweep);
    sweep_.async_wait([this, shared = shared_](error_code cancelled) {
      if (cancelled || shared->stopped) return;
      const MonoTime now = BootClock().Now();
      for (const auto& c : All()) {
        if (!c->Overdue(now)) continue;
        ++shared->counters.cut;
        c->Close();
      }
      sweeping_ = false;
      if (!shared->open.empty()) Sweep();
    });
  }

  asio::io_context& loop_;
  std::shared_ptr<Shared> shared_;
  http::Acceptor acceptor_;
  asio::steady_timer retry_;
  asio::steady_timer sweep_;
  bool sweeping_ = false;
  uint64_t next_id_ = 0;
  std::string address_;
  std::string unlink_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Server>> Server::Start(asio::io_context& loop, Options options) {
  if (options.identity.names.empty() || options.identity.id.size() != 40)
    return absl::InvalidArgumentError("sentinel: a name of the cluster and an id of 40 digits are needed");
  absl::StatusOr<http::Listening> listening = http::Listen(loop, options.address);
  if (!listening.ok()) return listening.status();
  auto shared = std::make_shared<Shared>(std::move(options));
  return std::unique_ptr<Server>(new ServerImpl(loop, std::move(shared), *std::move(listening)));
}

}  // namespace mainstay::sentinel
