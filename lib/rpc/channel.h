// Channels to agents, all with the same manners. Only for lib/rpc: includes gRPC.
#ifndef MAINSTAY_LIB_RPC_CHANNEL_H_
#define MAINSTAY_LIB_RPC_CHANNEL_H_

#include <grpc/support/time.h>
#include <grpcpp/channel.h>

#include <cstdint>
#include <memory>
#include <string>

#include "lib/base/time.h"
#include "lib/rpc/tls_files.h"

namespace mainstay::rpc {

inline constexpr int kMaxMessageBytes = 256 * 1024;

// Who ends a call at its deadline. kCaller: whoever makes the calls, by TryCancel; gRPC's own timer wakes two
// threads for each call, whether it was answered or not.
enum class DeadlineBy : uint8_t { kGrpc, kCaller };
// `tls`: null for plaintext; a unix socket never has it (its file mode protects it).
std::shared_ptr<grpc::Channel> MakeChannel(const std::string& address, TlsFiles* tls,
                                           DeadlineBy by = DeadlineBy::kGrpc);
// A deadline `d` from now on gRPC's monotonic clock: a step of the wall clock moves no call.
gpr_timespec DeadlineIn(Duration d);

}  // namespace mainstay::rpc

#endif  // MAINSTAY_LIB_RPC_CHANNEL_H_
