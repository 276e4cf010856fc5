// How far the start of a RabbitMQ node is, as it says itself (rabbit_boot_state).
//
// Thread rules: pure.
#ifndef MAINSTAY_LIB_ENGINE_RABBITMQ_BOOT_STATE_H_
#define MAINSTAY_LIB_ENGINE_RABBITMQ_BOOT_STATE_H_

#include <cstdint>

namespace mainstay::engine::rabbitmq {

// kStopped: the Erlang node runs, RabbitMQ in it does not (also: paused by a partition). A node that waits
// for its peers' tables says kBooting.
enum class BootState : uint8_t { kStopped, kBooting, kCoreStarted, kReady, kStopping };
inline constexpr BootState kBootStates[] = {BootState::kStopped, BootState::kBooting, BootState::kCoreStarted,
                                            BootState::kReady, BootState::kStopping};

// "core_started"
inline const char* ToString(BootState state) {
  switch (state) {
    case BootState::kStopped:
      return "stopped";
    case BootState::kBooting:
      return "booting";
    case BootState::kCoreStarted:
      return "core_started";
    case BootState::kReady:
      return "ready";
    case BootState::kStopping:
      return "stopping";
  }
  return "";
}

}  // namespace mainstay::engine::rabbitmq

#endif  // MAINSTAY_LIB_ENGINE_RABBITMQ_BOOT_STATE_H_
