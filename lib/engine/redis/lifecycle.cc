// Stopping, handing over, and what an administrator may ask for.
#include <algorithm>
#include <iterator>
#include <set>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "lib/base/log.h"
#include "lib/base/result.h"
#include "lib/base/wall_clock.h"
#include "lib/engine/redis/engine.h"
#include "lib/engine/redis/passwords.h"

namespace mainstay::engine::redis {

using std::chrono::milliseconds;
using std::chrono::seconds;

namespace {

constexpr Duration kPause = seconds(3);                 // writes wait at most so long in a handover
constexpr Duration kReplicasWait = milliseconds(1500);  // for the replicas to have everything

}  // namespace

// ---- stopping ----

absl::Status RedisEngine::Checkpoint(MonoTime deadline) {
  BeginOperation();
  // Nothing need be written for a handover; but who receives it is asked for its position in it.
  MAINSTAY_ASSIGN_OR_RETURN(const Info info, Facts(deadline, "replication"));
  DialReplicas(info.replication.value_or(ReplicationFacts{}), deadline);
  return absl::OkStatus();
}

// Writes wait, the replicas get all that was written, then this server gives up: from there on it answers
// READONLY, its end is known, and it goes on as a replica of nobody. Never two that write, at no step.
absl::StatusOr<LogEnd> RedisEngine::HandOver(MonoTime deadline) {
  MAINSTAY_RETURN_IF_ERROR(Control(deadline));
  const std::string pause = absl::StrCat(std::chrono::duration_cast<milliseconds>(kPause).count());
  MAINSTAY_ASSIGN_OR_RETURN(
      const std::vector<Reply> replies,
      control_.CallAll({{"CLIENT", "UNPAUSE"}, {"CLIENT", "PAUSE", pause, "WRITE"}, {"INFO", "replication"}},
                       deadline));
  for (const Reply& reply : replies) MAINSTAY_RETURN_IF_ERROR(ToStatus(reply));
  MAINSTAY_ASSIGN_OR_RETURN(const Info paused, ParseInfo(replies[2].text));
  const uint64_t end = ToPosition(paused.replication.value_or(ReplicationFacts{}).offset);
  const MonoTime until = std::min(deadline, BootClock().Now() + kReplicasWait);
  const absl::Status all = AwaitReplicas(end, until);
  if (!all.ok())
    Log(LogLevel::kWarn, "redis", "not every replica has all that was written", {{"error", all}});
  MAINSTAY_RETURN_IF_ERROR(Detach(deadline));
  MAINSTAY_ASSIGN_OR_RETURN(const Info info, Facts(deadline));
  if (!info.replication.has_value() || info.replication->role != Role::kReplica)
    return absl::InternalError("redis-server says that it is no replica after REPLICAOF");
  const uint64_t last = ToPosition(info.replication->offset);
  handed_over_ = all.ok();
  if (handed_over_) tail_.Clear();
  // Everything that follows is no longer between the old primary's last write and the new one's first.
  MAINSTAY_RETURN_IF_ERROR(Disarm(deadline));
  const absl::Status tidied = Fence(deadline);
  if (!tidied.ok())
    Log(LogLevel::kWarn, "redis", "clients may be left on the old primary", {{"error", tidied}});
  replicas_.clear();
  return LogEnd{last, 0, true};
}

absl::StatusOr<LogEnd> RedisEngine::Stop(MonoTime deadline) {
  BeginOperation();
  MAINSTAY_RETURN_IF_ERROR(LoadHeld());
  MAINSTAY_ASSIGN_OR_RETURN(const shim::State state, shim_.GetState(deadline));
  if (!state.running()) return LogEnd{held_.floor, 0, false};
  const MonoTime soon = std::min(deadline, BootClock().Now() + seconds(4));
  const absl::StatusOr<Info> info = Facts(soon);
  const bool primary = info.ok() && info->replication.has_value() &&
                       info->replication->role == Role::kPrimary &&
                       !info->persistence.value_or(PersistenceFacts{}).loading;
  if (primary) {
    absl::StatusOr<LogEnd> end = HandOver(soon);
    if (end.ok() || absl::IsCancelled(end.status())) return end;
    Log(LogLevel::kWarn, "redis", "no clean handover: ending the process", {{"error", end.status()}});
  }
  // Where it is fenced by an administrator, the process itself shall be gone.
  if (info.ok() && info->replication.has_value()) {
    Held next = held_;
    next.floor = std::max(next.floor, JudgeSaved(*info).position);
    next.aof = MarkAof(options_.data_dir);
    next.floor_ms = UnixMillis();
    if (absl::Status saved = SaveHeld(next); !saved.ok())
      Log(LogLevel::kWarn, "redis", "the position at the end is not kept", {{"error", saved}});
  }
  Say("stopping");
  const absl::Status stopped = StopProcess(deadline);
  Say("");
  MAINSTAY_RETURN_IF_ERROR(stopped);
  return LogEnd{held_.floor, 0, false};
}

absl::Status RedisEngine::Kill(MonoTime deadline) {
  BeginOperation();
  control_.Close();
  // The server is asked first, whether the shim answers or not: a shim that stands still kills nothing, and
  // who waits for it lets the server write on.
  absl::Status fenced = LoadHeld();
  if (fenced.ok()) fenced = Fence(std::min(deadline, BootClock().Now() + milliseconds(300)));
  if (fenced.ok()) return fenced;
  if (!absl::IsUnavailable(fenced))
    Log(LogLevel::kWarn, "redis", "it does not give up writing by itself: killing it", {{"error", fenced}});
  control_.Close();
  probe_.Close();
  return shim_.Kill(deadline);
}

// ---- administrators ----

absl::Status RedisEngine::Restart(MonoTime deadline) {
  BeginOperation();
  MAINSTAY_RETURN_IF_ERROR(LoadHeld());
  MAINSTAY_ASSIGN_OR_RETURN(const Info info, Facts(deadline));
  if (info.replication.has_value() && info.replication->role == Role::kPrimary)
    return absl::FailedPreconditionError(
        "this member is the primary, and its data live in its process: switch over first, then restart it");
  MAINSTAY_RETURN_IF_ERROR(StopProcess(deadline));
  MAINSTAY_RETURN_IF_ERROR(Start(deadline));
  const std::optional<HostPort> address = ParseHostPort(held_.leader_address);
  if (!address.has_value() || held_.following == 0) return absl::OkStatus();
  const Target target{held_.leader, *address, held_.leader_address, held_.following};
  MAINSTAY_RETURN_IF_ERROR(AwaitLeader(target, deadline));
  MAINSTAY_RETURN_IF_ERROR(Attach(target, deadline));
  return AwaitSync(target, true, deadline);
}

absl::Status RedisEngine::Reinit(MonoTime deadline) {
  BeginOperation();
  MAINSTAY_RETURN_IF_ERROR(LoadHeld());
  MAINSTAY_ASSIGN_OR_RETURN(const shim::State state, shim_.GetState(deadline));
  if (state.running()) {
    MAINSTAY_ASSIGN_OR_RETURN(const Info info, Facts(deadline, "replication"));
    if (info.replication.has_value() && info.replication->role == Role::kPrimary)
      return absl::FailedPreconditionError("this member is the primary: switch over first, then reinit it");
  }
  Held next = held_;
  next.reinit = true;
  MAINSTAY_RETURN_IF_ERROR(SaveHeld(next));
  return StopProcess(deadline);
}

// ---- settings ----

// Users that went are deleted (which ends their sessions), the others are made anew from their rules:
// sessions of users that stay go on.
absl::Status RedisEngine::ApplyUsers(const AclUsers& before, const AclUsers& next, MonoTime deadline) {
  for (const auto& [name, rules] : next) {
    const auto was =
        std::find_if(before.begin(), before.end(), [&n = name](const auto& u) { return u.first == n; });
    if (was != before.end() && was->second == rules) continue;
    Command set = {"ACL", "SETUSER", name, "reset"};
    set.insert(set.end(), rules.begin(), rules.end());
    const absl::Status told = Ask(set, deadline).status();
    // (The server's answer repeats the rule, which may be a password.)
    if (!RedisCode(told).empty())
      return absl::InvalidArgumentError(
          absl::StrCat("redis.users_file: the server refuses the rules of user ", name));
    MAINSTAY_RETURN_IF_ERROR(told);
  }
  for (const auto& [name, rules] : before) {
    const bool kept =
        std::any_of(next.begin(), next.end(), [&n = name](const auto& u) { return u.first == n; });
    if (!kept && name != "default")
      MAINSTAY_RETURN_IF_ERROR(Ask({"ACL", "DELUSER", name}, deadline).status());
  }
  return absl::OkStatus();
}

// One by one, so that an error names its parameter. What the server takes only from its file waits for a
// restart.
absl::Status RedisEngine::ApplySettings(const Settings& before, const Settings& next, MonoTime deadline) {
  std::set<std::string> waiting;
  std::string refused;
  for (const auto& [name, value] : next.parameters) {
    const auto was = before.parameters.find(name);
    if (was != before.parameters.end() && was->second == value) continue;
    const absl::Status set = Ask({"CONFIG", "SET", name, value}, deadline).status();
    if (set.ok()) continue;
    if (RedisCode(set).empty()) return set;
    if (absl::StrContains(set.message(), "immutable")) {
      waiting.insert(name);
    } else {
      absl::StrAppend(&refused, refused.empty() ? "" : "; ", name, " = '", value, "': ", set.message());
    }
  }
  for (const auto& [name, value] : before.parameters)
    if (next.parameters.count(name) == 0) waiting.insert(name);  // its default is known to the server alone
  {
    const std::lock_guard<std::mutex> guard(mutex_);
    waiting.insert(pending_restart_.begin(), pending_restart_.end());
    pending_restart_.assign(waiting.begin(), waiting.end());
  }
  if (!refused.empty())
    return absl::InvalidArgumentError(absl::StrCat(
        "the server refuses: ", refused, ". The former values stay in force; correct redis.parameters"));
  return Ask({"CONFIG", "SET", "min-replicas-to-write", absl::StrCat(next.min_replicas)}, deadline).status();
}

absl::Status RedisEngine::Reload(MonoTime deadline) {
  BeginOperation();
  const Settings before = ActiveSettings();
  Settings next = before;
  {
    const std::lock_guard<std::mutex> guard(mutex_);
    if (wished_.has_value()) next = *wished_;
  }
  MAINSTAY_ASSIGN_OR_RETURN(const AclUsers users, WantedUsers(next));
  MAINSTAY_ASSIGN_OR_RETURN(const shim::State state, shim_.GetState(deadline));
  if (state.running()) {
    if (absl::Status status = ApplySettings(before, next, deadline); !status.ok()) {
      const absl::Status undone = ApplySettings(next, before, deadline);
      if (!undone.ok())
        Log(LogLevel::kWarn, "redis", "not all of a refused change was undone", {{"error", undone}});
      return status;
    }
    // After a restart of the agent it is not known what the server was told: everything is told again.
    MAINSTAY_RETURN_IF_ERROR(ApplyUsers(users_.value_or(AclUsers{}), users, deadline));
  }
  users_ = users;
  const std::lock_guard<std::mutex> guard(mutex_);
  settings_ = next;
  return absl::OkStatus();
}

}  // namespace mainstay::engine::redis
