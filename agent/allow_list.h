// Addresses and networks, as configurations write them: 192.0.2.7, 10.0.0.0/8, fd00::/8.
//
// An IPv4 address that came in through an IPv6 socket (::ffff:192.0.2.7) is the IPv4 address.
// Thread rules: plain values, pure functions. Errors: absent when malformed.
#ifndef MAINSTAY_AGENT_ALLOW_LIST_H_
#define MAINSTAY_AGENT_ALLOW_LIST_H_

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace mainstay::agent {

struct Network {
  std::array<uint8_t, 16> address{};  // IPv4 as ::ffff:a.b.c.d
  int bits = 128;                     // that count
  bool Contains(const Network& one) const;
};
std::optional<Network> ParseNetwork(const std::string& text);

// Of "192.0.2.7:4711" and "[2001:db8::1]:4711", what a server says of its peer: the address. "" for others.
std::string HostOfPeer(const std::string& peer);
bool IsAllowed(const std::vector<Network>& networks, const std::string& host);
bool IsLoopbackHost(const std::string& host);

}  // namespace mainstay::agent

#endif  // MAINSTAY_AGENT_ALLOW_LIST_H_
