// absl::Status <-> grpc::Status: the codes are the same numbers. Only for lib/rpc: includes gRPC.
#ifndef MAINSTAY_LIB_RPC_STATUS_H_
#define MAINSTAY_LIB_RPC_STATUS_H_

#include <grpcpp/support/status.h>

#include <string>

#include "absl/status/status.h"

namespace mainstay::rpc {

grpc::Status ToGrpc(const absl::Status& status);
absl::Status FromGrpc(const grpc::Status& status);
// gRPC's message as an administrator wants it: what failed on the way to one address comes in four nested
// sentences
// ("failed to connect to all addresses; last error: UNKNOWN: ipv4:127.0.0.1:1: Failed to connect to remote
// host: Connection refused"), of which the last one counts. All other messages are left as they are.
std::string PlainMessage(const std::string& message);
const char* CodeName(const grpc::Status& status);  // "INVALID_ARGUMENT"

}  // namespace mainstay::rpc

#endif  // MAINSTAY_LIB_RPC_STATUS_H_
