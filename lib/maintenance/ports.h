// What the maintenance of a member needs from outside: the process of its broker, and the other members'
// agents.
//
// Thread rules: called from the Maintainer's thread alone; each call returns within a few seconds. Errors:
// kUnavailable, kDeadlineExceeded: not known; it is tried again.
#ifndef MAINSTAY_LIB_MAINTENANCE_PORTS_H_
#define MAINSTAY_LIB_MAINTENANCE_PORTS_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "lib/base/time.h"
#include "lib/engine/rabbitmq/conf.h"

namespace mainstay::maintenance {

using engine::rabbitmq::StartPlan;

class BrokerPort {
 public:
  struct Process {
    bool running = false;
    std::string start;  // another one for each start; "": it does not run
  };
  virtual ~BrokerPort() = default;
  virtual absl::StatusOr<Process> Look() = 0;
  virtual absl::Status Start(const StartPlan& plan) = 0;  // returns once it was begun
  // Asks for an orderly end and returns; whoever implements it kills after its own patience. May be repeated.
  virtual absl::Status Stop() = 0;
};

class PeersPort {
 public:
  virtual ~PeersPort() = default;
  // What their Maintainer::Facts() say, in the order of `names`; all within `timeout`.
  virtual std::vector<absl::StatusOr<std::string>> AskFacts(const std::vector<std::string>& names,
                                                            Duration timeout) = 0;
};

}  // namespace mainstay::maintenance

#endif  // MAINSTAY_LIB_MAINTENANCE_PORTS_H_
