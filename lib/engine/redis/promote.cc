// Freezing, founding, opening: from a closed server with data to one that writes.
#include <algorithm>

#include "absl/strings/str_cat.h"
#include "lib/base/log.h"
#include "lib/base/random.h"
#include "lib/base/result.h"
#include "lib/engine/redis/engine.h"
#include "lib/engine/redis/passwords.h"

namespace mainstay::engine::redis {

using std::chrono::milliseconds;
using std::chrono::seconds;

absl::StatusOr<std::string> RedisEngine::Found(MonoTime deadline) {
  BeginOperation();
  MAINSTAY_RETURN_IF_ERROR(LoadHeld());
  // A copy that never came left nothing of the cluster here. (Where a reinit was only asked for, the data
  // that are to be thrown away are still there.)
  const bool copying = held_.reinit && held_.nonce.empty();
  if (held_.reinit && !copying)
    return absl::FailedPreconditionError(
        "a reinit of this member was asked for: it copies another member and founds nothing");
  MAINSTAY_ASSIGN_OR_RETURN(const shim::State state, shim_.GetState(deadline));
  if (!held_.cluster_id.empty() && !copying) {
    // Unless all of it is gone: the process that runs has nothing.
    const absl::StatusOr<Info> info = state.running() ? Facts(deadline) : absl::UnavailableError("");
    if (!info.ok() || !JudgeData(held_, *info).empty)
      return absl::FailedPreconditionError(
          absl::StrCat(options_.data_dir, " holds data already: nothing is founded over them"));
  }
  MAINSTAY_RETURN_IF_ERROR(EnsurePassword(options_.replication_password_file).status());
  if (state.running()) MAINSTAY_RETURN_IF_ERROR(StopProcess(deadline));
  Held held;
  held.cluster_id = RandomHex(8);
  held.nonce = RandomHex(8);
  held.unopened = true;
  MAINSTAY_RETURN_IF_ERROR(SaveHeld(held));
  return held.cluster_id;
}

// What is under way between the socket and the data set when the link ends is lost for this member: a moment
// is given to it while it still flows.
absl::StatusOr<uint64_t> RedisEngine::Drain(MonoTime deadline) {
  const MonoTime until = std::min(deadline, BootClock().Now() + milliseconds(20));
  uint64_t before = UINT64_MAX;
  for (;;) {
    MAINSTAY_ASSIGN_OR_RETURN(const Info info, Facts(deadline, "replication"));
    const ReplicationFacts facts = info.replication.value_or(ReplicationFacts{});
    const uint64_t at = ToPosition(facts.offset);
    const bool flows = facts.role == Role::kReplica && facts.link_up && !facts.syncing;
    if (!flows || (at == before && facts.read_offset == facts.applied_offset) || BootClock().Now() >= until)
      return at;
    before = at;
    MAINSTAY_RETURN_IF_ERROR(canceller_.Sleep(milliseconds(1), deadline));
  }
}

absl::StatusOr<LogEnd> RedisEngine::Freeze(const election::Memory& memory, MonoTime deadline) {
  BeginOperation();
  MAINSTAY_RETURN_IF_ERROR(LoadHeld());
  if (held_.cluster_id.empty() || held_.reinit) {
    MAINSTAY_RETURN_IF_ERROR(SaveMemory(memory));
    return absl::FailedPreconditionError("there are no data: nothing to freeze");
  }
  MAINSTAY_RETURN_IF_ERROR(EnsureStarted(deadline));
  MAINSTAY_ASSIGN_OR_RETURN(const Info before, Facts(deadline));
  if (before.replication.has_value() && before.replication->role == Role::kPrimary)
    return absl::FailedPreconditionError("this server is a primary: it cannot be frozen, only stopped");
  MAINSTAY_RETURN_IF_ERROR(Drain(deadline).status());
  MAINSTAY_RETURN_IF_ERROR(Detach(deadline));
  // The promise is durable before the answer.
  MAINSTAY_RETURN_IF_ERROR(SaveMemory(memory));
  MAINSTAY_ASSIGN_OR_RETURN(const Info info, Ready(deadline));
  const Verdict verdict = JudgeSaved(info);
  if (verdict.empty) return LogEnd{};  // the promise stands, but there is nothing that could be used
  frozen_run_ = info.server.has_value() ? info.server->run_id : "";
  return LogEnd{verdict.position, 0, false, verdict.reign};
}

// The server writes. Nobody waits for what is done here but the election itself.
absl::StatusOr<LogEnd> RedisEngine::Opened(election::Epoch epoch, MonoTime deadline) {
  MAINSTAY_ASSIGN_OR_RETURN(const Info info, Facts(deadline));
  if (!info.replication.has_value() || info.replication->role != Role::kPrimary)
    return absl::InternalError("redis-server is no primary after REPLICAOF NO ONE");
  MAINSTAY_RETURN_IF_ERROR(Commit(info, [&](Held* held) {
    held->epoch = epoch;
    held->following = 0;
  }));
  return LogEnd{ToPosition(info.replication->offset), 0, false};
}

absl::StatusOr<LogEnd> RedisEngine::Promote(const election::Engine& op, MonoTime deadline) {
  BeginOperation();
  MAINSTAY_RETURN_IF_ERROR(LoadHeld());
  MAINSTAY_RETURN_IF_ERROR(SaveMemory(op.memory));
  Members(op.peers);
  MAINSTAY_ASSIGN_OR_RETURN(const Info info, Ready(deadline));
  const std::string run = info.server.has_value() ? info.server->run_id : "";
  if (info.replication->role == Role::kPrimary) {
    // Promoted already (an answer was lost): only what is missing.
    MAINSTAY_RETURN_IF_ERROR(KeepReplicationUser(op.epoch, deadline));
    return Opened(op.epoch, deadline);
  }
  const Verdict verdict = JudgeData(held_, info);
  if (verdict.empty)
    return absl::FailedPreconditionError(
        "this server came back without the cluster's data: it is not opened over the other members' copies");
  if (run.empty() || (run != held_.run_id && run != frozen_run_))
    return absl::FailedPreconditionError(
        "redis-server was started anew since its data were judged: not opened with what it has now");
  Held next = held_;
  next.unopened = false;
  next.run_id = run;
  next.epoch = op.epoch;
  next.following = 0;
  // What is known already is noted once it is open: the disk's time is time without a primary.
  if (held_.unopened || held_.run_id != run) MAINSTAY_RETURN_IF_ERROR(SaveHeld(next));
  MAINSTAY_RETURN_IF_ERROR(
      Ask({"CONFIG", "SET", "min-replicas-to-write", absl::StrCat(ActiveSettings().min_replicas)}, deadline)
          .status());
  MAINSTAY_RETURN_IF_ERROR(standing_.AwaitArmed(&shim_, canceller_, op.epoch, milliseconds(5), deadline));
  MAINSTAY_RETURN_IF_ERROR(Ask({"REPLICAOF", "NO", "ONE"}, deadline).status());
  // Not before: a replica that is refused because this is no primary yet would try again a second later.
  MAINSTAY_RETURN_IF_ERROR(KeepReplicationUser(op.epoch, deadline));
  return Opened(op.epoch, deadline);
}

// Only a cluster that was founded here and never opened is opened from a stop: all other data died with their
// process, and what was saved of them must be compared with the other members' first.
absl::StatusOr<LogEnd> RedisEngine::Reopen(const election::Engine& op, MonoTime deadline) {
  BeginOperation();
  MAINSTAY_RETURN_IF_ERROR(LoadHeld());
  MAINSTAY_ASSIGN_OR_RETURN(const shim::State state, shim_.GetState(deadline));
  if (!state.running() && !held_.unopened)
    return absl::FailedPreconditionError(
        "the data died with their process: what was saved of them is compared with the other members' first");
  MAINSTAY_RETURN_IF_ERROR(EnsureStarted(deadline));
  if (held_.unopened) {
    MAINSTAY_ASSIGN_OR_RETURN(const Info info, Facts(deadline));
    frozen_run_ = info.server.has_value() ? info.server->run_id : "";
  }
  return Promote(op, deadline);
}

// Asked for when a member came and when the reign got a higher epoch: replicas log in by that from then on.
absl::StatusOr<LogEnd> RedisEngine::SetSync(const election::Engine& op, MonoTime deadline) {
  BeginOperation();
  MAINSTAY_RETURN_IF_ERROR(LoadHeld());
  if (!op.sync.names.empty() || op.sync.k != 0)
    return absl::UnimplementedError(
        "Redis has no synchronous replication: set durability async (docs/REDIS.md tells what it promises)");
  Members(op.peers);
  MAINSTAY_ASSIGN_OR_RETURN(const Info info, Facts(deadline));
  if (!info.replication.has_value() || info.replication->role != Role::kPrimary)
    return absl::FailedPreconditionError("this server is no primary");
  Held next = held_;
  next.epoch = op.epoch;
  MAINSTAY_RETURN_IF_ERROR(SaveHeld(next));
  MAINSTAY_RETURN_IF_ERROR(KeepReplicationUser(op.epoch, deadline));
  return LogEnd{ToPosition(info.replication->offset), 0, false};
}

}  // namespace mainstay::engine::redis
