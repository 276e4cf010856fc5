// Calls of people (and tests) to agents. Blocking, each with its time-out; no gRPC in this header.
//
// Errors: the agent's own (kInvalidArgument, kFailedPrecondition, ...), kUnavailable (nobody answers at the
// address, or no common ground in TLS), kDeadlineExceeded (not known whether it happened). Thread rules: one
// thread at a time per client.
#ifndef MAINSTAY_LIB_RPC_ADMIN_CLIENT_H_
#define MAINSTAY_LIB_RPC_ADMIN_CLIENT_H_

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "lib/base/time.h"
#include "lib/rpc/port.h"
#include "lib/rpc/tls_files.h"
#include "mainstay/v1/agent.pb.h"

namespace mainstay::rpc {

class AdminClient {
 public:
  explicit AdminClient(const std::string& address, const std::shared_ptr<TlsFiles>& tls = nullptr);
  ~AdminClient();
  AdminClient(AdminClient&&) noexcept;
  const std::string& address() const;

  absl::StatusOr<v1::Status> GetStatus(bool decisions, Duration timeout);
  absl::StatusOr<v1::WhyReply> Why(int limit, Duration timeout);
  absl::StatusOr<v1::ListMembersReply> ListMembers(Duration timeout);
  // `command.id` is the idempotency id; deadline, actor and peer are not sent. `meta` may carry expectations
  // (its id is ignored).
  absl::StatusOr<v1::AdminReply> Call(const AdminCommand& command, const v1::RequestMeta& meta,
                                      Duration timeout);
  // Each status to `each` until that returns false, the stream ends or `timeout`.
  absl::Status Watch(bool decisions, Duration interval, Duration timeout,
                     const std::function<bool(const v1::Status&)>& each);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// The status of several agents at once, in their order; waits for all, at most `timeout`.
std::vector<absl::StatusOr<v1::Status>> GetStatuses(const std::vector<std::string>& addresses, bool decisions,
                                                    Duration timeout,
                                                    const std::shared_ptr<TlsFiles>& tls = nullptr);

}  // namespace mainstay::rpc

#endif  // MAINSTAY_LIB_RPC_ADMIN_CLIENT_H_
