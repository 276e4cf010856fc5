// Channels to agents, all with the same manners. Only for lib/rpc: includes gRPC.
#ifndef MAINSTAY_LIB_RPC_CHANNEL_H_
#define MAINSTAY_LIB_RPC_CHANNEL_H_

#include <grpc/support/time.h>
#include <grpcpp/channel.h>

#include <memory>
#include <string>

#include "lib/base/time.h"

namespace mainstay::rpc {

inline constexpr int kMaxMessageBytes = 256 * 1024;

std::shared_ptr<grpc::Channel> MakeChannel(const std::string& address);
// A deadline `d` from now on gRPC's monotonic clock: a step of the wall clock moves no call.
gpr_timespec DeadlineIn(Duration d);

}  // namespace mainstay::rpc

#endif  // MAINSTAY_LIB_RPC_CHANNEL_H_
