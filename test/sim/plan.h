// A plan is one simulated run, completely: the cluster, its settings, the noise of its network and store, and
// the list of faults with their times. It is drawn from a seed and a profile, saved as a replay file, and
// made smaller by the shrinker.
//
// Units are in the names: _ms and _us of simulated time, _pm = per mille of the messages or requests.
#ifndef MAINSTAY_TEST_SIM_PLAN_H_
#define MAINSTAY_TEST_SIM_PLAN_H_

#include <cstdint>
#include <string>
#include <vector>

#include "lib/election/mistake.h"

namespace mainstay::sim {

inline constexpr int kMaxNodes = 7;

// name, default
// clang-format off
#define MAINSTAY_SIM_FIELDS(X)                                                                               \
  X(seed, 1)                                                                                                 \
  X(members, 3)                                                                                              \
  X(initial, 3) X(durability, 1) X(takeover, 0) X(sync_count, 1) X(failsafe, 1) X(fast, 0)                   \
      X(faults_ms, 60000) X(rate_ppm, 0) X(msg_us, 500) X(msg_loss_pm, 0) X(msg_dup_pm, 0) X(msg_slow_pm, 0) \
          X(store_us, 3000) X(store_lost_pm, 0) X(store_mute_pm, 0) X(store_zombie_pm, 0) X(store_409_pm, 0) \
              X(store_slow_pm, 0) X(watch_us, 5000) X(watch_loss_pm, 0) X(wal_us, 400) X(wal_slow_pm, 0)     \
                  X(write_us, 100000) X(engine_fail_pm, 0) X(settle_us, 20000) X(kill_us, 8000)              \
                      X(start_ms, 200) X(promote_us, 35000) X(rewind_ms, 1500) X(clone_ms, 4000)             \
                          X(wal_timeout_ms, 5000) X(no_failover, 0) X(priority, 0) X(live, 1) X(mistake, 0)  \
                          X(volatile_data, 0) X(gone, 0)

// What can go wrong. `target` and `dur_ms` of the fault say where and for how long; `r` is its private
// randomness.
#define MAINSTAY_SIM_FAULTS(X)                                                                             \
  X(agent_pause)                                                                                           \
  X(shim_pause)                                                                                            \
  X(db_pause) X(machine_pause) X(agent_crash) X(crash_mid) X(pause_mid) X(db_crash) X(node_death) X(wipe)  \
      X(cut_pair) X(isolate) X(cut_store) X(store_down) X(store_slow) X(store_mute) X(store_zombie)        \
          X(watch_broken) X(delete_lock) X(edit_lock) X(restore_lock) X(net_bad) X(wal_slow) X(engine_bad) \
              X(switchover) X(failover) X(failover_force) X(pause) X(resume) X(durability) X(fence)        \
                  X(forget) X(shutdown) X(add_member) X(tags)

enum class FaultKind : uint8_t {
#define X(n) n,
  MAINSTAY_SIM_FAULTS(X)
#undef X
      kCount
};
inline constexpr int kFaultKinds = static_cast<int>(FaultKind::kCount);
const char* ToString(FaultKind kind);

// Moments that a fault can be aimed at.
#define MAINSTAY_SIM_MOMENTS(X)                                                                              \
  X(none)                                                                                                    \
  X(freeze_sent)                                                                                             \
  X(frozen) X(acquire_sent) X(acquired) X(promoting) X(opened) X(sync_set) X(sync_settled) X(voters_changed) \
      X(stopping) X(released) X(fence_killed) X(renew_sent) X(lost_lock)

enum class Moment : uint8_t {
#define X(n) n,
  MAINSTAY_SIM_MOMENTS(X)
#undef X
      kCount
};
inline constexpr int kMoments = static_cast<int>(Moment::kCount);
const char* ToString(Moment moment);

// Targets that are chosen when the fault strikes (others are member indices).
inline constexpr int kPrimaryTarget = -1;  // whose database is open under the highest epoch
inline constexpr int kMomentTarget = -2;   // who reached the moment
inline constexpr int kVoterTarget = -3;    // a voter of the record
inline constexpr int kOtherTarget = -4;    // anyone but the primary

struct Fault {
  int32_t at_ms = 0;
  FaultKind kind = FaultKind::agent_pause;
  int8_t target = 0;
  int32_t dur_ms = 0;
  Moment trigger = Moment::none;  // armed at `at_ms`, strikes `delay_ms` after the next such moment
  int32_t delay_ms = 0;
  uint32_t r = 0;
};

struct Plan {
  std::string profile = "swarm";
#define X(n, d) int64_t n = d;
  MAINSTAY_SIM_FIELDS(X)
#undef X
  std::vector<Fault> faults;
  election::M Mistake() const { return static_cast<election::M>(mistake); }
};

Plan MakePlan(uint64_t seed, const std::string& profile);
std::vector<std::string> ProfileNames();
bool HasProfile(const std::string& name);

std::string PlanToText(const Plan& plan);
// False and a problem in one line when the text is no plan.
bool PlanFromText(const std::string& text, Plan* plan, std::string* problem);

const char* MistakeName(election::M m);

}  // namespace mainstay::sim

#endif  // MAINSTAY_TEST_SIM_PLAN_H_
