// absl::Status <-> grpc::Status: the codes are the same numbers. Only for lib/rpc: includes gRPC.
#ifndef MAINSTAY_LIB_RPC_STATUS_H_
#define MAINSTAY_LIB_RPC_STATUS_H_

#include <grpcpp/support/status.h>

#include "absl/status/status.h"

namespace mainstay::rpc {

grpc::Status ToGrpc(const absl::Status& status);
absl::Status FromGrpc(const grpc::Status& status);
const char* CodeName(const grpc::Status& status);  // "INVALID_ARGUMENT"

}  // namespace mainstay::rpc

#endif  // MAINSTAY_LIB_RPC_STATUS_H_
