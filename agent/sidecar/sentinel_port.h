// The port for clients that know only Sentinel (lib/sentinel), fed with what this agent knows of the cluster.
//
//   ASSIGN(sentinel_, SentinelPort::Start(io, &loop, config, &port));   // null when none is configured
//
// The primary is told only while it is certain: this member's own permission runs, or the other one said
// within election.suspicion that its does. In between clients are told nobody, and ask again.
//
// Thread rules: the loop's thread. `loop` and `port` must outlive it. Errors: those of
// sentinel::Server::Start.
#ifndef MAINSTAY_AGENT_SIDECAR_SENTINEL_PORT_H_
#define MAINSTAY_AGENT_SIDECAR_SENTINEL_PORT_H_

#include <boost/asio/io_context.hpp>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "agent/config.h"
#include "agent/sidecar/loop.h"
#include "lib/rpc/port.h"
#include "lib/sentinel/view.h"

namespace mainstay::agent {

// Pure. `port` is that of the other members' Sentinel ports: the same everywhere.
sentinel::View ToSentinelView(const rpc::StatusView& status, uint16_t port, Duration suspicion, MonoTime now);

class SentinelPort {
 public:
  static absl::StatusOr<std::unique_ptr<SentinelPort>> Start(boost::asio::io_context& io, Loop* loop,
                                                             const Config& config, rpc::Port* port);
  virtual ~SentinelPort() = default;
  virtual std::string address() const = 0;
};

}  // namespace mainstay::agent

#endif  // MAINSTAY_AGENT_SIDECAR_SENTINEL_PORT_H_
