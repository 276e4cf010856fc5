// Addresses as people write them: "host:port", "[::1]:port", "unix:/path". Thread rules: pure functions.
#ifndef MAINSTAY_LIB_RPC_ADDRESS_H_
#define MAINSTAY_LIB_RPC_ADDRESS_H_

#include <string>

namespace mainstay::rpc {

// Each returns "" or what is wrong with `address`: "has no port".
std::string CheckAddress(const std::string& address);  // can be dialled
std::string CheckListenAddress(
    const std::string& address);  // may be listened on: loopback or a unix socket, until mTLS

}  // namespace mainstay::rpc

#endif  // MAINSTAY_LIB_RPC_ADDRESS_H_
