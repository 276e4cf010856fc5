#include "lib/http/listen.h"

#include <sys/stat.h>
#include <unistd.h>

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/socket_base.hpp>
#include <cstring>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace mainstay::http {
namespace {

namespace asio = boost::asio;
using boost::system::error_code;

constexpr int kBacklog = 128;

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

absl::StatusOr<Listening> Listen(asio::io_context& loop, const std::string& address) {
  absl::StatusOr<Endpoint> endpoint = Resolve(address);
  if (!endpoint.ok()) return endpoint.status();
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
  acceptor.listen(kBacklog, e);
  if (e) return fail("listen", e);
  std::string real = RealAddress(acceptor, *endpoint, address);
  return Listening{std::move(acceptor), std::move(real), endpoint->unix_path};
}

std::string PeerOf(const Generic::socket& socket) {
  error_code e;
  const Generic::endpoint remote = socket.remote_endpoint(e);
  if (e) return "";
  if (remote.protocol().family() == AF_UNIX) return "unix:";
  asio::ip::tcp::endpoint tcp;
  if (remote.size() > tcp.capacity()) return "";
  memcpy(tcp.data(), remote.data(), remote.size());
  tcp.resize(remote.size());
  const std::string ip = tcp.address().to_string();
  const bool six = tcp.address().is_v6();
  return absl::StrCat(six ? "[" : "", ip, six ? "]" : "", ":", tcp.port());
}

}  // namespace mainstay::http
