// What the gRPC health service says of each service: what was set, and "not serving" for all of them while
// the agent's loop stands still. The loop itself cannot tell that (HTTP's probes are answered by it, so they
// time out); an alarm on a thread of gRPC looks, about once in `stalled_after` and every second in a stall.
// Only for lib/rpc: includes gRPC.
//
// Thread rules: made and destroyed by one thread, Set from any. `service` and `port` must outlive it. After
// the destructor returned neither is used.
#ifndef MAINSTAY_LIB_RPC_HEALTH_H_
#define MAINSTAY_LIB_RPC_HEALTH_H_

#include <grpcpp/health_check_service_interface.h>

#include <memory>
#include <string>

#include "lib/base/time.h"
#include "lib/rpc/port.h"

namespace mainstay::rpc {

class Health {
 public:
  Health(grpc::HealthCheckServiceInterface* service, const Port* port, Duration stalled_after);
  ~Health();
  Health(const Health&) = delete;
  Health& operator=(const Health&) = delete;

  // Tells whoever watches, when something changes.
  void Set(const std::string& name, bool serving);

 private:
  struct State;
  const std::shared_ptr<State> state_;  // an alarm that rings may outlive this object
};

}  // namespace mainstay::rpc

#endif  // MAINSTAY_LIB_RPC_HEALTH_H_
