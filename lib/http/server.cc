#include "lib/http/server.h"

#include <sys/stat.h>
#include <unistd.h>

#include <boost/asio/basic_socket_acceptor.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/socket_base.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/beast/http/write.hpp>
#include <unordered_set>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace mainstay::http {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
using Generic = asio::generic::stream_protocol;
using Acceptor = asio::basic_socket_acceptor<Generic>;
using boost::system::error_code;

class Connection;

struct Shared {  // between the server and its connections; all on the loop
  Server::Options options;
  Handler handler;
  Counters counters;
  std::unordered_set<Connection*> open;
  bool stopped = false;
};

// One connection: read a request, let the handler answer, write, again. One timer bounds each step.
class Connection : public std::enable_shared_from_this<Connection> {
 public:
  Connection(Generic::socket socket, std::shared_ptr<Shared> shared)
      : socket_(std::move(socket)), timer_(socket_.get_executor()), shared_(std::move(shared)) {
    shared_->open.insert(this);
  }
  ~Connection() { shared_->open.erase(this); }

  void Start(bool refuse) {
    if (refuse) {
      ++shared_->counters.refused_connections;
      Send({.status = 503, .body = "too many connections\n"}, 11, false, false);
      return;
    }
    Read(false);
  }
  void Close() {
    const auto hold = std::move(waiting_);  // may be the last reference
    error_code ignored;
    timer_.cancel();
    socket_.close(ignored);
  }

 private:
  using Parser = beast::http::request_parser<beast::http::empty_body>;

  void Arm(Duration d) {
    timer_.expires_after(std::chrono::duration_cast<asio::steady_timer::duration>(d));
    timer_.async_wait([weak = weak_from_this(), turn = ++turn_](error_code e) {
      auto self = weak.lock();
      if (e || !self || self->turn_ != turn) return;
      ++self->shared_->counters.timeouts;
      self->Close();
    });
  }

  void Read(bool idle) {
    if (idle && buffer_.size() == 0) {  // kept alive: the reading deadline begins with the first byte
      Arm(shared_->options.idle_deadline);
      socket_.async_wait(asio::socket_base::wait_read, [self = shared_from_this()](error_code e) {
        if (!e) self->Read(false);
      });
      return;
    }
    Arm(shared_->options.read_deadline);
    parser_.emplace();
    parser_->header_limit(static_cast<uint32_t>(shared_->options.max_header_bytes));
    parser_->body_limit(0);
    beast::http::async_read(socket_, buffer_, *parser_,
                            [self = shared_from_this()](error_code e, size_t) { self->OnRead(e); });
  }

  void OnRead(error_code e) {
    if (shared_->stopped || e == asio::error::operation_aborted) return;
    if (e == beast::http::error::end_of_stream) return Close();
    if (e) {
      // What did not parse is answered if it was HTTP at all; a broken connection is not.
      if (e.category() != beast::http::make_error_code(beast::http::error::bad_method).category())
        return Close();
      ++shared_->counters.bad_requests;
      const bool long_header = e == beast::http::error::header_limit;
      const bool body = e == beast::http::error::body_limit;
      Send({.status = long_header ? 431
                      : body      ? 413
                                  : 400,
            .body = absl::StrCat(e.message(), "\n")},
           11, false, false);
      return;
    }
    Dispatch();
  }

  void Dispatch() {
    ++shared_->counters.requests;
    const auto& message = parser_->get();
    const bool keep = message.keep_alive();
    const unsigned version = message.version();
    const bool head = message.method() == beast::http::verb::head;
    if (!head && message.method() != beast::http::verb::get) {
      ++shared_->counters.bad_requests;
      return Send({.status = 405, .body = "only GET and HEAD\n"}, version, false, head);
    }
    std::optional<Request> request = ParseTarget(std::string(message.target()));
    if (!request) {
      ++shared_->counters.bad_requests;
      return Send({.status = 400, .body = "malformed path or query\n"}, version, false, head);
    }
    request->method = head ? Method::kHead : Method::kGet;
    request->accept_encoding = std::string(message[beast::http::field::accept_encoding]);
    request->accept = std::string(message[beast::http::field::accept]);
    request->scrape_timeout = std::string(message["X-Prometheus-Scrape-Timeout-Seconds"]);
    ArmAnswer(version, head);
    const uint64_t turn = turn_;
    std::weak_ptr<Connection> weak = weak_from_this();
    auto executor = socket_.get_executor();
    shared_->handler(*request, [weak, executor, turn, keep, version, head](Response response) {
      // Always through the loop: a handler may reply from any thread and also before it returned.
      asio::post(executor, [weak, turn, keep, version, head, response = std::move(response)]() mutable {
        auto self = weak.lock();
        if (self && self->turn_ == turn && !self->shared_->stopped)
          self->Send(std::move(response), version, keep, head);
      });
    });
    waiting_ = shared_from_this();  // nothing else holds the connection while the handler works
  }

  void ArmAnswer(unsigned version, bool head) {
    timer_.expires_after(
        std::chrono::duration_cast<asio::steady_timer::duration>(shared_->options.answer_deadline));
    timer_.async_wait([weak = weak_from_this(), turn = ++turn_, version, head](error_code e) {
      auto self = weak.lock();
      if (e || !self || self->turn_ != turn) return;
      ++self->shared_->counters.timeouts;
      self->Send({.status = 504, .body = "no answer in time\n"}, version, false, head);
    });
  }

  void Send(Response response, unsigned version, bool keep, bool head) {
    auto self = shared_from_this();
    waiting_.reset();
    if (response.body.size() > shared_->options.max_answer_bytes) {
      response = {.status = 500, .body = "the answer is too long\n"};
    }
    answer_ = {};
    answer_.version(version);
    answer_.result(static_cast<unsigned>(response.status));
    answer_.set(beast::http::field::content_type, response.content_type);
    answer_.set(beast::http::field::cache_control, "no-store");
    if (response.status == 405) answer_.set(beast::http::field::allow, "GET, HEAD");
    answer_.keep_alive(keep);
    const size_t length = response.body.size();
    if (!head) answer_.body() = std::move(response.body);
    answer_.content_length(length);
    Arm(shared_->options.write_deadline);
    beast::http::async_write(socket_, answer_, [self, keep](error_code e, size_t) {
      if (self->shared_->stopped) return;
      if (e || !keep) {
        error_code ignored;
        self->socket_.shutdown(asio::socket_base::shutdown_send, ignored);
        return self->Close();
      }
      self->Read(true);
    });
  }

  Generic::socket socket_;
  asio::steady_timer timer_;
  std::shared_ptr<Shared> shared_;
  std::shared_ptr<Connection> waiting_;
  beast::flat_buffer buffer_{16 * 1024};
  std::optional<Parser> parser_;
  beast::http::response<beast::http::string_body> answer_;
  uint64_t turn_ = 0;  // a timer or a reply of an earlier step is not of this one
};

class ServerImpl : public Server {
 public:
  ServerImpl(asio::io_context& loop, std::shared_ptr<Shared> shared, Acceptor acceptor, std::string address,
             std::string unlink)
      : loop_(loop),
        shared_(std::move(shared)),
        acceptor_(std::move(acceptor)),
        retry_(loop),
        address_(std::move(address)),
        unlink_(std::move(unlink)) {
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
      const int now = static_cast<int>(shared->open.size());
      // Beyond twice the bound not even an answer.
      if (now < 2 * shared->options.max_connections) {
        std::make_shared<Connection>(std::move(socket), shared)
            ->Start(now >= shared->options.max_connections);
      } else {
        ++shared->counters.refused_connections;
      }
      Accept();
    });
  }

  asio::io_context& loop_;
  std::shared_ptr<Shared> shared_;
  Acceptor acceptor_;
  asio::steady_timer retry_;
  std::string address_;
  std::string unlink_;
};

struct Endpoint {
  Generic::endpoint generic;
  std::string unix_path;
  std::string host;  // as written
};

absl::StatusOr<Endpoint> Resolve(const std::string& address) {
  Endpoint out;
  absl::string_view rest = address;
  if (absl::ConsumePrefix(&rest, "unix:")) {
    out.unix_path = std::string(rest);
    if (rest.empty() || rest.size() >= sizeof(sockaddr_un::sun_path)) {
      return absl::InvalidArgumentError(absl::StrCat(
          "HTTP address ", address, ": a unix socket's path has 1 to 107 bytes; choose a shorter one"));
    }
    out.generic = asio::local::stream_protocol::endpoint(out.unix_path);
    return out;
  }
  const size_t colon = address.rfind(':');
  uint32_t port = 0;
  if (colon == std::string::npos || !absl::SimpleAtoi(address.substr(colon + 1), &port) || port > 65535) {
    return absl::InvalidArgumentError(
        absl::StrCat("HTTP address ", address, ": write host:port or unix:/path"));
  }
  out.host = address.substr(0, colon);
  std::string host = out.host == "localhost" ? "127.0.0.1" : out.host;
  if (host.size() > 2 && host.front() == '[' && host.back() == ']') host = host.substr(1, host.size() - 2);
  error_code e;
  const auto ip = asio::ip::make_address(host, e);
  if (e) {
    return absl::InvalidArgumentError(
        absl::StrCat("HTTP address ", address, ": ", host, " is no IP address; write one"));
  }
  out.generic = asio::ip::tcp::endpoint(ip, static_cast<uint16_t>(port));
  return out;
}

// A socket file that nobody listens on any more is a left-over; one that answers is somebody's.
bool RemoveStaleSocket(asio::io_context& loop, const Generic::endpoint& endpoint, const std::string& path) {
  struct stat st = {};
  if (lstat(path.c_str(), &st) != 0) return true;
  if (!S_ISSOCK(st.st_mode)) return false;
  Generic::socket probe(loop);
  error_code e;
  probe.connect(endpoint, e);
  if (!e) return false;
  return unlink(path.c_str()) == 0;
}

std::string RealAddress(const Acceptor& acceptor, const Endpoint& endpoint, const std::string& address) {
  if (!endpoint.unix_path.empty()) return address;
  error_code e;
  const Generic::endpoint local = acceptor.local_endpoint(e);
  asio::ip::tcp::endpoint tcp;
  if (e || local.size() > tcp.capacity()) return address;
  memcpy(tcp.data(), local.data(), local.size());
  return absl::StrCat(endpoint.host, ":", tcp.port());
}

}  // namespace

absl::StatusOr<std::unique_ptr<Server>> Server::Start(asio::io_context& loop, Options options,
                                                      Handler handler) {
  absl::StatusOr<Endpoint> endpoint = Resolve(options.address);
  if (!endpoint.ok()) return endpoint.status();
  const std::string address = options.address;
  const auto fail = [&](const char* what, const error_code& e) {
    return absl::UnavailableError(absl::StrCat("HTTP server on ", address, ": ", what, ": ", e.message(),
                                               "; is another agent running, or is the port taken?"));
  };
  if (!endpoint->unix_path.empty() && !RemoveStaleSocket(loop, endpoint->generic, endpoint->unix_path)) {
    return absl::AlreadyExistsError(
        absl::StrCat("HTTP server on ", address,
                     ": the path exists and is in use or no socket; stop the other agent or remove it"));
  }
  error_code e;
  Acceptor acceptor(loop);
  acceptor.open(endpoint->generic.protocol(), e);
  if (e) return fail("open", e);
  if (endpoint->unix_path.empty()) acceptor.set_option(asio::socket_base::reuse_address(true), e);
  const mode_t before = umask(0117);  // the socket is born 0660: no moment at which others may connect
  acceptor.bind(endpoint->generic, e);
  umask(before);
  if (e) return fail("bind", e);
  acceptor.listen(32, e);
  if (e) return fail("listen", e);
  auto shared = std::make_shared<Shared>();
  shared->options = std::move(options);
  shared->handler = std::move(handler);
  std::string real = RealAddress(acceptor, *endpoint, address);
  return std::unique_ptr<Server>(
      new ServerImpl(loop, std::move(shared), std::move(acceptor), std::move(real), endpoint->unix_path));
}

}  // namespace mainstay::http
