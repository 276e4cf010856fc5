#include "agent/allow_list.h"

#include <arpa/inet.h>

#include <algorithm>
#include <cstring>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace mainstay::agent {
namespace {

constexpr int kMappedBits = 96;  // of ::ffff:0:0/96

bool ParseAddress(const std::string& text, Network* out, bool* four) {
  struct in_addr v4 = {};
  *four = inet_pton(AF_INET, text.c_str(), &v4) == 1;
  if (*four) {
    out->address = {};
    out->address[10] = out->address[11] = 0xff;
    memcpy(out->address.data() + 12, &v4, sizeof v4);
    return true;
  }
  return inet_pton(AF_INET6, text.c_str(), out->address.data()) == 1;
}

}  // namespace

bool Network::Contains(const Network& one) const {
  const int whole = bits / 8;
  if (!std::equal(address.begin(), address.begin() + whole, one.address.begin())) return false;
  const int rest = bits % 8;
  if (rest == 0) return true;
  const auto mask = static_cast<uint8_t>(0xff << (8 - rest));
  return (address[static_cast<size_t>(whole)] & mask) == (one.address[static_cast<size_t>(whole)] & mask);
}

std::optional<Network> ParseNetwork(const std::string& text) {
  Network out;
  bool four = false;
  const size_t slash = text.find('/');
  if (!ParseAddress(text.substr(0, slash), &out, &four)) return std::nullopt;
  if (slash == std::string::npos) return out;
  const std::string digits = text.substr(slash + 1);
  int bits = 0;
  if (digits.empty() || digits.size() > 3 || !absl::SimpleAtoi(digits, &bits) || bits < 0 ||
      bits > (four ? 32 : 128)) {
    return std::nullopt;
  }
  out.bits = four ? kMappedBits + bits : bits;
  return out;
}

std::string HostOfPeer(const std::string& peer) {
  const size_t colon = peer.rfind(':');
  if (colon == std::string::npos || colon == 0 || peer == "unix:") return "";
  std::string host = peer.substr(0, colon);
  if (host.size() > 2 && host.front() == '[' && host.back() == ']') host = host.substr(1, host.size() - 2);
  return host.substr(0, host.find('%'));  // not the interface of a link-local one
}

bool IsAllowed(const std::vector<Network>& networks, const std::string& host) {
  const std::optional<Network> one = ParseNetwork(host);
  return one.has_value() &&
         std::any_of(networks.begin(), networks.end(), [&](const Network& n) { return n.Contains(*one); });
}

bool IsLoopbackHost(const std::string& host) {
  static const std::vector<Network> loopback = {*ParseNetwork("127.0.0.0/8"), *ParseNetwork("::1")};
  return IsAllowed(loopback, host);
}

}  // namespace mainstay::agent
