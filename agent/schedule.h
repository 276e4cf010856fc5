// What people asked for at a later time by Patroni's endpoints: a switchover of the cluster, a restart of
// this member's database.
//
// It is kept by the member that took it, in a file of its state directory, so it survives the agent's restart
// and a change of the primary (whoever leads then is asked). It does not survive the loss of that member's
// disk, and other members do not show it.
//
// Errors: FailedPrecondition and others name the file. Thread rules: values; the functions block on the disk:
// not on the loop once it runs.
#ifndef MAINSTAY_AGENT_SCHEDULE_H_
#define MAINSTAY_AGENT_SCHEDULE_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "lib/election/record.h"

namespace mainstay::agent {

struct ScheduledSwitchover {
  int64_t at_unix_ms = 0;
  election::Name leader;     // who must lead then
  election::Name candidate;  // "" : the best
  std::string actor;         // who asked
  friend bool operator==(const ScheduledSwitchover&, const ScheduledSwitchover&) = default;
};
struct ScheduledRestart {
  int64_t at_unix_ms = 0;
  std::string role;           // only as "primary" or "replica"; "" : any
  std::string below_version;  // only a server older than this; "" : any
  bool pending_only = false;  // only if parameters wait for a restart
  int64_t timeout_ms = 0;     // 0: the usual
  std::string actor;
  friend bool operator==(const ScheduledRestart&, const ScheduledRestart&) = default;
};
struct Schedules {
  std::optional<ScheduledSwitchover> switchover;
  std::optional<ScheduledRestart> restart;
  bool empty() const { return !switchover && !restart; }
  friend bool operator==(const Schedules&, const Schedules&) = default;
};

std::string EncodeSchedules(const Schedules& schedules);
absl::StatusOr<Schedules> DecodeSchedules(const std::string& text);

// No file: nothing is scheduled.
absl::StatusOr<Schedules> LoadSchedules(const std::string& file);
// Durable when it returns; removes the file when there is nothing left.
absl::Status SaveSchedules(const std::string& file, const Schedules& schedules);

// "2026-11-24T17:00:00+00:00", as Patroni prints it.
std::string FormatWhen(int64_t unix_ms);

}  // namespace mainstay::agent

#endif  // MAINSTAY_AGENT_SCHEDULE_H_
