#include "lib/rpc/channel.h"

#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>
#include <grpcpp/support/channel_arguments.h>

#include "absl/strings/match.h"
#include "lib/rpc/credentials.h"

namespace mainstay::rpc {

std::shared_ptr<grpc::Channel> MakeChannel(const std::string& address, TlsFiles* tls, DeadlineBy by) {
  grpc::ChannelArguments args;
  // A failover must not wait for a back-off: gRPC's own goes up to 2 min, and its connection attempts last 20
  // s.
  args.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 100);
  args.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 500);
  args.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 1000);
  args.SetInt(GRPC_ARG_DNS_MIN_TIME_BETWEEN_RESOLUTIONS_MS, 1000);
  // A connection whose other end vanished without a word: what is sent and not acknowledged for a second ends
  // it (the time-out is TCP_USER_TIMEOUT, too, and that is looked at by the kernel with each report); a
  // watcher, which sends nothing, pings.
  args.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, 10000);
  args.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 1000);
  args.SetInt(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  // Messages of some hundred bytes need no measuring of the bandwidth: it costs a ping and its answer for
  // each.
  args.SetInt(GRPC_ARG_HTTP2_BDP_PROBE, 0);
  args.SetInt(GRPC_ARG_ENABLE_CHANNELZ, 0);
  if (by == DeadlineBy::kCaller) args.SetInt(GRPC_ARG_ENABLE_DEADLINE_CHECKS, 0);
  // Own connection: dropping the channel closes it. No proxy of the environment, no TXT look-ups, no hidden
  // retries.
  args.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  args.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  args.SetInt(GRPC_ARG_SERVICE_CONFIG_DISABLE_RESOLUTION, 1);
  args.SetInt(GRPC_ARG_ENABLE_RETRIES, 0);
  args.SetMaxReceiveMessageSize(kMaxMessageBytes);
  args.SetMaxSendMessageSize(kMaxMessageBytes);
  if (tls == nullptr || absl::StartsWith(address, "unix:"))
    return grpc::CreateCustomChannel(address, grpc::InsecureChannelCredentials(), args);
  // Members are dialled by the addresses they advertise, and known by the one name in their certificates.
  args.SetSslTargetNameOverride(tls->options().peer_name);
  return grpc::CreateCustomChannel(address, ClientTls(*tls->Current()), args);
}

gpr_timespec DeadlineIn(Duration d) {
  return gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC), gpr_time_from_nanos(d.count(), GPR_TIMESPAN));
}

}  // namespace mainstay::rpc
