#include "lib/rpc/address.h"

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace mainstay::rpc {
namespace {

constexpr size_t kMaxUnixPath = 107;  // sun_path without its 0

std::string CheckUnix(const std::string& path) {
  if (path.empty() || path[0] != '/') return "is no absolute path after unix:";
  if (path.size() > kMaxUnixPath) return absl::StrCat("has a path of more than ", kMaxUnixPath, " bytes");
  return "";
}

// Host and port of "host:port"; "" or what is wrong.
std::string Split(const std::string& address, std::string* host, uint32_t* port) {
  const size_t colon = address.rfind(':');
  if (colon == std::string::npos) return "has no port";
  *host = address.substr(0, colon);
  const std::string digits = address.substr(colon + 1);
  if (digits.empty() || digits.size() > 5 || !absl::SimpleAtoi(digits, port) || *port > 65535)
    return "has no valid port";
  if (host->empty()) return "has no host";
  if (host->size() > 255) return "has too long a host";
  if ((*host)[0] == '[') {
    if (host->size() < 4 || host->back() != ']') return "has a broken [IPv6] host";
    for (char c : host->substr(1, host->size() - 2)) {
      if (!absl::ascii_isxdigit(static_cast<unsigned char>(c)) && c != ':' && c != '.')
        return "has a broken [IPv6] host";
    }
    return "";
  }
  for (char c : *host) {
    if (!absl::ascii_isalnum(static_cast<unsigned char>(c)) && c != '-' && c != '.' && c != '_')
      return "has a host that is no name";
  }
  return "";
}

bool IsLoopback(const std::string& host) {
  if (host == "localhost" || host == "[::1]") return true;
  if (!absl::StartsWith(host, "127.")) return false;
  for (char c : host) {
    if (!absl::ascii_isdigit(static_cast<unsigned char>(c)) && c != '.') return false;
  }
  return true;
}

std::string Check(const std::string& address, bool any_port) {
  if (address.empty()) return "is missing";
  if (absl::StartsWith(address, "unix:")) return CheckUnix(address.substr(5));
  std::string host;
  uint32_t port = 0;
  const std::string problem = Split(address, &host, &port);
  if (!problem.empty()) return problem;
  return port == 0 && !any_port ? "has port 0" : "";
}

}  // namespace

std::string CheckAddress(const std::string& address) { return Check(address, false); }
std::string CheckListenAddress(const std::string& address) { return Check(address, true); }

bool IsLocalAddress(const std::string& address) {
  return absl::StartsWith(address, "unix:") || IsLoopback(address.substr(0, address.rfind(':')));
}

bool IsWildcardAddress(const std::string& address) {
  const std::string host = address.substr(0, address.rfind(':'));
  return host == "0.0.0.0" || host == "[::]" || host == "[::0]";
}

std::string BracketIpv6(const std::string& address) {
  const size_t colon = address.rfind(':');
  if (colon == std::string::npos || address[0] == '[') return address;
  size_t colons = 0;
  for (size_t i = 0; i < colon; ++i) {
    if (address[i] == ':') {
      ++colons;
    } else if (!absl::ascii_isxdigit(static_cast<unsigned char>(address[i])) && address[i] != '.') {
      return address;
    }
  }
  if (colons < 2) return address;
  return absl::StrCat("[", address.substr(0, colon), "]", address.substr(colon));
}

}  // namespace mainstay::rpc
