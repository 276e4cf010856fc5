// Following: becoming a replica of the primary of an epoch, and of nobody else.
#include <algorithm>

#include "absl/strings/str_cat.h"
#include "lib/base/log.h"
#include "lib/base/random.h"
#include "lib/base/result.h"
#include "lib/base/wall_clock.h"
#include "lib/engine/redis/engine.h"
#include "lib/engine/redis/passwords.h"

namespace mainstay::engine::redis {

using std::chrono::milliseconds;
using std::chrono::seconds;

// The process' data are the election's from now on: as `change` and INFO tell.
absl::Status RedisEngine::Commit(const Info& info, const std::function<void(Held*)>& change) {
  Held next = held_;
  if (info.server.has_value()) next.run_id = info.server->run_id;
  if (info.replication.has_value()) {
    AddHistory(&next, info.replication->replid);
    next.floor = ToPosition(info.replication->offset);
    next.floor_ms = UnixMillis();
  }
  next.keys = info.keys.value_or(0) > 0;
  next.unopened = false;
  next.reinit = false;
  if (next.nonce.empty()) next.nonce = RandomHex(8);
  if (change) change(&next);
  // From here on these data are of the reign that is followed, or led: what is loaded from before is not.
  const int64_t reign = next.following != 0 ? next.following : next.epoch;
  if (next.reign != reign) {
    next.reign = reign;
    next.reign_from = next.floor;
  }
  // The floor alone moves all the time: KeepFloor sees to it.
  Held same = next;
  same.floor = held_.floor;
  same.aof = held_.aof;
  same.floor_ms = held_.floor_ms;
  same.keys = held_.keys;
  if (same == held_) return absl::OkStatus();
  next.aof = aof_seen_ = MarkAof(options_.data_dir);
  floor_seen_ = next.floor;
  floor_seen_ms_ = next.floor_ms;
  floor_keys_ = next.keys;
  floor_seen_at_ = BootClock().Now();
  return SaveHeld(next);
}

// The server itself tells as whom it logged in; its link may be of an earlier agent's time.
bool RedisEngine::AttachedTo(const Target& target, const Info& info, MonoTime deadline) {
  const ReplicationFacts& r = *info.replication;
  if (r.role != Role::kReplica || r.primary_host != target.address.host ||
      r.primary_port != target.address.port)
    return false;
  const auto reply = Ask({"CONFIG", "GET", "masteruser"}, deadline);
  if (!reply.ok() || reply->items.size() != 2) return false;
  return reply->items[1].text == FormatReplicationUser({held_.cluster_id, target.epoch});
}

absl::Status RedisEngine::Attach(const Target& target, MonoTime deadline) {
  MAINSTAY_ASSIGN_OR_RETURN(const std::string password, LoadPassword(options_.replication_password_file));
  // The link of an earlier reign ends before its user's name changes: a link is always that of its name.
  MAINSTAY_RETURN_IF_ERROR(Detach(deadline));
  MAINSTAY_RETURN_IF_ERROR(KeepReplicationUser(0, deadline));
  MAINSTAY_RETURN_IF_ERROR(
      Ask({"CONFIG", "SET", "masteruser", FormatReplicationUser({held_.cluster_id, target.epoch}),
           "masterauth", password, "replica-serve-stale-data", "yes"},
          deadline)
          .status());
  return Ask({"REPLICAOF", target.address.host, absl::StrCat(target.address.port)}, deadline).status();
}

// A member that had data is on its way when its link is up; one that has none is nothing before a full resync
// has ended.
absl::Status RedisEngine::AwaitSync(const Target& target, bool had_data, MonoTime deadline) {
  MonoTime patience = BootClock().Now() + seconds(5);
  for (;;) {
    const absl::StatusOr<Info> info = Facts(deadline);
    if (!info.ok() && RedisCode(info.status()) != "LOADING") return info.status();
    const bool loading = !info.ok() || info->persistence.value_or(PersistenceFacts{}).loading;
    const ReplicationFacts r =
        info.ok() && info->replication.has_value() ? *info->replication : ReplicationFacts{};
    if (!loading && r.link_up && !r.syncing) {
      Say("");
      return Commit(*info, nullptr);
    }
    const MonoTime now = BootClock().Now();
    if (loading || r.syncing) {
      patience = now + seconds(5);
      Say(loading ? absl::StrCat("full resync from ", target.name, ": loading")
                  : absl::StrCat("full resync from ", target.name, ": ", r.sync_read, " of ", r.sync_total,
                                 " bytes"));
    }
    if (now >= patience) {
      Say("");
      return absl::UnavailableError(absl::StrCat("no link to ", target.name, " at ", target.address_text,
                                                 " came up; the server's log tells why"));
    }
    const absl::Status slept = canceller_.Sleep(milliseconds(had_data ? 5 : 20), deadline);
    if (!slept.ok()) {
      Say("");
      return slept;
    }
  }
}

// The agent was started anew since this member led: what it saw of that is gone, but not that it was so.
void RedisEngine::NoteLastReign() {
  if (!tail_.empty() || handed_over_ || held_.following != 0 || held_.epoch == 0 || held_.unopened ||
      held_.replids.empty())
    return;
  tail_.Saw(held_.epoch, held_.replids.back(), held_.run_id,
            {held_.floor_ms, static_cast<int64_t>(held_.floor) - 1, -1});
}

absl::Status RedisEngine::Follow(const election::Member& leader, election::Epoch epoch,
                                 const std::string& cluster_id, MonoTime deadline) {
  BeginOperation();
  MAINSTAY_RETURN_IF_ERROR(LoadHeld());
  if (leader.name == options_.member) return absl::InvalidArgumentError("a member cannot follow itself");
  const std::optional<HostPort> address = ParseHostPort(leader.db_address);
  if (!address.has_value())
    return absl::InvalidArgumentError(absl::StrCat(leader.name, " tells '", leader.db_address,
                                                   "' as its database's address: want host:port"));
  if (cluster_id.empty()) return absl::UnavailableError("the record does not name its cluster yet");
  const Target target{leader.name, *address, leader.db_address, epoch};
  MAINSTAY_ASSIGN_OR_RETURN(const shim::State state, shim_.GetState(deadline));
  if (!state.running() && held_.reinit) RemoveData();
  MAINSTAY_RETURN_IF_ERROR(EnsureStarted(deadline));
  MAINSTAY_ASSIGN_OR_RETURN(Info info, Facts(deadline));
  if (info.replication->role == Role::kPrimary) {
    MAINSTAY_RETURN_IF_ERROR(Fence(deadline));
    MAINSTAY_ASSIGN_OR_RETURN(info, Facts(deadline));  // what was written until then counts
  }
  NoteLastReign();
  const bool had_data = !JudgeData(held_, info).empty && !held_.unopened;
  if (had_data && held_.cluster_id != cluster_id)
    return absl::FailedPreconditionError(absl::StrCat(
        "the data of ", options_.data_dir, " are of cluster ", held_.cluster_id, ", the record's is ",
        cluster_id,
        ": they are of another cluster. Move the directory and the files beside it away to copy this one"));
  Held next = held_;
  if (!had_data) {
    // What was here is nothing of this cluster: it counts as empty until the copy is there.
    next = Held{};
    next.reinit = true;
    next.cluster_id = cluster_id;
    next.epoch = held_.epoch;
  }
  next.leader = target.name;
  next.leader_address = target.address_text;
  next.following = epoch;
  next.unopened = false;
  MAINSTAY_RETURN_IF_ERROR(SaveHeld(next));
  if (AttachedTo(target, info, deadline) && info.replication->link_up)
    return AwaitSync(target, had_data, deadline);
  MAINSTAY_RETURN_IF_ERROR(AwaitLeader(target, deadline));
  CountLost(target, info, had_data, deadline);
  MAINSTAY_RETURN_IF_ERROR(Attach(target, deadline));
  DataWork work{
      "database.clone", absl::StrCat("from ", target.name, " at ", target.address_text), false, {}, {}};
  const MonoTime began = BootClock().Now();
  if (!had_data && options_.told) options_.told(work);
  work.status = AwaitSync(target, had_data, deadline);
  work.ended = true;
  work.took = BootClock().Now() - began;
  if (!had_data && options_.told) options_.told(work);
  return work.status;
}

}  // namespace mainstay::engine::redis
