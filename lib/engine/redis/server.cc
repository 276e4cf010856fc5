// The own server: asking it, starting it, and taking its right to write away.
#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "lib/base/log.h"
#include "lib/base/result.h"
#include "lib/engine/redis/engine.h"
#include "lib/engine/redis/passwords.h"

namespace mainstay::engine::redis {

using std::chrono::milliseconds;
using std::chrono::seconds;

absl::StatusOr<Endpoint> RedisEngine::Own() const {
  MAINSTAY_ASSIGN_OR_RETURN(std::string password, LoadPassword(AgentPasswordPath(options_)));
  return Endpoint{options_.socket, "", 0, kAgentUser, std::move(password)};
}

absl::Status RedisEngine::Control(MonoTime deadline) {
  if (control_.open()) return absl::OkStatus();
  MAINSTAY_ASSIGN_OR_RETURN(const Endpoint own, Own());
  return control_.Connect(own, std::min(deadline, BootClock().Now() + options_.connect_timeout));
}

absl::StatusOr<Reply> RedisEngine::Ask(const Command& command, MonoTime deadline) {
  const bool kept = control_.open();
  MAINSTAY_RETURN_IF_ERROR(Control(deadline));
  absl::StatusOr<Reply> reply = control_.Call(command, deadline);
  // A session of an earlier process ends at the first use. (Every command here may be given twice.)
  if (kept && absl::IsUnavailable(reply.status())) {
    MAINSTAY_RETURN_IF_ERROR(Control(deadline));
    reply = control_.Call(command, deadline);
  }
  return reply;
}

absl::StatusOr<Info> RedisEngine::Facts(MonoTime deadline, const char* section) {
  Command command = {"INFO"};
  if (section != nullptr) command.emplace_back(section);
  MAINSTAY_ASSIGN_OR_RETURN(const Reply reply, Ask(command, deadline));
  return ParseInfo(reply.text);
}

absl::StatusOr<Info> RedisEngine::Ready(MonoTime deadline) {
  for (;;) {
    absl::StatusOr<Info> info = Facts(deadline);
    if (info.ok() && info->persistence.has_value() && info->replication.has_value() &&
        !info->persistence->loading)
      return info;
    // It listens a moment after it was started; what it refuses stays refused.
    if (!info.ok() && !absl::IsUnavailable(info.status())) return info.status();
    if (info.ok()) {
      const PersistenceFacts facts = info->persistence.value_or(PersistenceFacts{});
      Say(absl::StrCat("loading: ", facts.loading_loaded, " of ", facts.loading_total, " bytes"));
    }
    const absl::Status slept = canceller_.Sleep(milliseconds(info.ok() ? 50 : 10), deadline);
    if (!slept.ok()) {
      Say("");
      return info.ok() ? slept : info.status();
    }
    MAINSTAY_ASSIGN_OR_RETURN(const shim::State state, shim_.GetState(deadline));
    if (!state.running()) {
      Say("");
      return absl::InternalError("redis-server ended while it started; its log tells why");
    }
  }
}

absl::Status RedisEngine::Start(MonoTime deadline) {
  const bool late_aof = LateAof();
  MAINSTAY_RETURN_IF_ERROR(WriteFiles(late_aof));
  CleanUp();
  control_.Close();
  probe_.Close();
  MAINSTAY_RETURN_IF_ERROR(shim_.Start(shim::StartKind::kStandby, 0, deadline).status());
  {
    const std::lock_guard<std::mutex> guard(mutex_);
    pending_restart_.clear();
  }
  const MonoTime until = std::min(deadline, BootClock().Now() + ActiveSettings().start_timeout);
  const absl::StatusOr<Info> ready = Ready(until);
  Say("");
  MAINSTAY_RETURN_IF_ERROR(ready.status());
  if (!late_aof) return absl::OkStatus();
  return Ask({"CONFIG", "SET", "appendonly", "yes"}, deadline).status();
}

absl::Status RedisEngine::EnsureStarted(MonoTime deadline) {
  MAINSTAY_ASSIGN_OR_RETURN(const shim::State state, shim_.GetState(deadline));
  standing_.Notice(state);
  if (!state.running()) return Start(deadline);
  const absl::StatusOr<Info> ready = Ready(deadline);
  Say("");
  if (ready.ok()) return absl::OkStatus();
  // It was on its way out (saving, perhaps) when we came: that is no failed start.
  MAINSTAY_ASSIGN_OR_RETURN(const shim::State now, shim_.GetState(deadline));
  return now.running() ? ready.status() : Start(deadline);
}

// Writes are refused from the answer on; replication id and offset stay, so that it can go on with a partial
// resync.
absl::Status RedisEngine::Detach(MonoTime deadline) {
  const absl::StatusOr<Reply> reply = Ask({"REPLICAOF", "127.0.0.1", "1"}, deadline);
  if (reply.ok() || !absl::StrContains(reply.status().message(), "failing over")) return reply.status();
  // Somebody's FAILOVER is under way.
  MAINSTAY_RETURN_IF_ERROR(Ask({"FAILOVER", "ABORT"}, deadline).status());
  return Ask({"REPLICAOF", "127.0.0.1", "1"}, deadline).status();
}

// Subscribers stay attached to a server that is no primary any more, and blocked writers wait on it: all go.
absl::Status RedisEngine::CutClients(MonoTime deadline) {
  MAINSTAY_RETURN_IF_ERROR(Control(deadline));
  MAINSTAY_ASSIGN_OR_RETURN(const std::vector<Reply> replies,
                            control_.CallAll({{"CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"},
                                              {"CLIENT", "KILL", "TYPE", "pubsub", "SKIPME", "yes"}},
                                             deadline));
  if (options_.own_kills != nullptr) *options_.own_kills += static_cast<int64_t>(replies.size());
  for (const Reply& reply : replies) MAINSTAY_RETURN_IF_ERROR(ToStatus(reply));
  probe_.Close();  // it was among them
  if (options_.cut) options_.cut(replies[0].integer, replies[1].integer);
  return absl::OkStatus();
}

// Taking a user away ends its sessions: those of replicas that still follow an earlier reign.
absl::Status RedisEngine::KeepReplicationUser(election::Epoch epoch, MonoTime deadline) {
  const std::string keep = epoch == 0 ? "" : FormatReplicationUser({held_.cluster_id, epoch});
  MAINSTAY_ASSIGN_OR_RETURN(const Reply users, Ask({"ACL", "USERS"}, deadline));
  Command gone = {"ACL", "DELUSER"};
  for (const Reply& user : users.items)
    if (absl::StartsWith(user.text, kReplicationPrefix) && user.text != keep) gone.push_back(user.text);
  if (gone.size() > 2) MAINSTAY_RETURN_IF_ERROR(Ask(gone, deadline).status());
  if (keep.empty()) return absl::OkStatus();
  MAINSTAY_ASSIGN_OR_RETURN(const std::string password, LoadPassword(options_.replication_password_file));
  Command set = {"ACL", "SETUSER", keep, "reset"};
  for (std::string& rule : ReplicationRules(password)) set.push_back(std::move(rule));
  return Ask(set, deadline).status();
}

// The deadline that was to end this server's writing is over once it cannot write. Under the epoch of its own
// reign only: a later one's fence stands.
absl::Status RedisEngine::Disarm(MonoTime deadline) {
  MAINSTAY_ASSIGN_OR_RETURN(const shim::State state, shim_.GetState(deadline));
  if (!state.armed.has_value() || state.armed->epoch > held_.epoch) return absl::OkStatus();
  return shim_.Disarm(state.armed->epoch, deadline);
}

absl::Status RedisEngine::StopProcess(MonoTime deadline) {
  control_.Close();
  probe_.Close();
  const MonoTime clean_until =
      std::min(deadline - seconds(1), BootClock().Now() + ActiveSettings().stop_timeout);
  const MonoTime until = std::max(clean_until, std::min(deadline, BootClock().Now() + milliseconds(200)));
  const absl::StatusOr<shim::Exited> exited = shim_.Stop(until);
  if (exited.ok() || absl::IsCancelled(exited.status())) return exited.status();
  // With a full disk redis-server refuses to end, because it could not save.
  Log(LogLevel::kWarn, "redis", "no clean shutdown in time: killing", {{"error", exited.status()}});
  return shim_.Kill(std::max(deadline, BootClock().Now() + seconds(2)));
}

// The mild way to the same as a kill: nothing can be acknowledged any more, and the data stay in memory.
absl::Status RedisEngine::Fence(MonoTime deadline) {
  MAINSTAY_RETURN_IF_ERROR(Detach(deadline));
  MAINSTAY_ASSIGN_OR_RETURN(const Info info, Facts(deadline, "replication"));
  if (!info.replication.has_value() || info.replication->role != Role::kReplica)
    return absl::InternalError("redis-server says that it is no replica after REPLICAOF");
  MAINSTAY_RETURN_IF_ERROR(Ask({"CONFIG", "SET", "replica-serve-stale-data", "no"}, deadline).status());
  MAINSTAY_RETURN_IF_ERROR(Ask({"CLIENT", "UNPAUSE"}, deadline).status());
  MAINSTAY_RETURN_IF_ERROR(KeepReplicationUser(0, deadline));
  MAINSTAY_RETURN_IF_ERROR(CutClients(deadline));
  // (A shim that does not answer keeps its deadline: it can only end a server that writes no more.)
  if (const absl::Status disarmed = Disarm(deadline); !disarmed.ok())
    Log(LogLevel::kWarn, "redis", "the shim keeps the deadline of a reign that is over",
        {{"error", disarmed}});
  return absl::OkStatus();
}

}  // namespace mainstay::engine::redis
