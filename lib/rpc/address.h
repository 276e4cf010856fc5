// Addresses as people write them: "host:port", "[::1]:port", "unix:/path". Thread rules: pure functions.
#ifndef MAINSTAY_LIB_RPC_ADDRESS_H_
#define MAINSTAY_LIB_RPC_ADDRESS_H_

#include <string>

namespace mainstay::rpc {

// Each returns "" or what is wrong with `address`: "has no port".
std::string CheckAddress(const std::string& address);        // can be dialled
std::string CheckListenAddress(const std::string& address);  // can be listened on; port 0 is any

// A unix socket, or a host that only this machine reaches.
bool IsLocalAddress(const std::string& address);
// "0.0.0.0:1", "[::]:1": listened on, but nothing that others could dial.
bool IsWildcardAddress(const std::string& address);
// "fd00::7:7400" -> "[fd00::7]:7400", as a pod's IPv6 address and a port come out of an environment variable
// ($(POD_IP):7400); every other address as it is.
std::string BracketIpv6(const std::string& address);

}  // namespace mainstay::rpc

#endif  // MAINSTAY_LIB_RPC_ADDRESS_H_
