#include "lib/rpc/port.h"

namespace mainstay::rpc {

absl::StatusOr<std::string> Port::BrokerFacts() {
  return absl::UnimplementedError("this agent's engine is not rabbitmq");
}

const char* ToString(AdminVerb verb) {
  switch (verb) {
    case AdminVerb::kSwitchover:
      return "switchover";
    case AdminVerb::kFailover:
      return "failover";
    case AdminVerb::kPause:
      return "pause";
    case AdminVerb::kResume:
      return "resume";
    case AdminVerb::kFence:
      return "fence";
    case AdminVerb::kUnfence:
      return "unfence";
    case AdminVerb::kSetDurability:
      return "set-durability";
    case AdminVerb::kForget:
      return "forget";
    case AdminVerb::kRestart:
      return "restart";
    case AdminVerb::kReload:
      return "reload";
    case AdminVerb::kReinit:
      return "reinit";
  }
  return "?";
}

const char* ToString(election::AdminStatus s) {
  switch (s) {
    case election::AdminStatus::kDone:
      return "done";
    case election::AdminStatus::kAccepted:
      return "accepted";
    case election::AdminStatus::kRefused:
      return "refused";
    case election::AdminStatus::kFailed:
      return "failed";
  }
  return "?";
}

}  // namespace mainstay::rpc
