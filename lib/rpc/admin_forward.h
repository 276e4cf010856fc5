// A request of people handed on to another member's agent, without waiting: for an agent that was asked
// something that only the leader can do.
//
// Each call makes its own channel and drops it: rare, so nothing is kept. Thread rules: Call from any thread;
// `done` comes once, on a thread of gRPC, at the latest at the time-out. The destructor cancels what is under
// way and waits for it (milliseconds). Bounds: kMaxForwards at a time, then kResourceExhausted at once.
#ifndef MAINSTAY_LIB_RPC_ADMIN_FORWARD_H_
#define MAINSTAY_LIB_RPC_ADMIN_FORWARD_H_

#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "lib/base/time.h"
#include "lib/rpc/port.h"
#include "lib/rpc/tls_files.h"

namespace mainstay::rpc {

inline constexpr int kMaxForwards = 8;
struct ForwardCalls;  // those under way

class AdminForward {
 public:
  explicit AdminForward(std::shared_ptr<TlsFiles> tls);
  ~AdminForward();
  AdminForward(const AdminForward&) = delete;
  AdminForward& operator=(const AdminForward&) = delete;

  // For kSwitchover, kFailover, kPause, kResume, kSetDurability; `command.id` and `reason` go with it.
  // `expected_leader`: refused there if another member leads; "" : whoever leads.
  void Call(const std::string& address, const AdminCommand& command, const std::string& expected_leader,
            Duration timeout, std::function<void(absl::StatusOr<AdminAnswer>)> done);

 private:
  std::shared_ptr<ForwardCalls> calls_;
};

}  // namespace mainstay::rpc

#endif  // MAINSTAY_LIB_RPC_ADMIN_FORWARD_H_
