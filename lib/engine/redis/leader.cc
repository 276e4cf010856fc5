// Other members' servers, over TCP: is the leader the one that was named, and have the replicas everything?
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "lib/base/log.h"
#include "lib/base/result.h"
#include "lib/base/wall_clock.h"
#include "lib/engine/redis/engine.h"
#include "lib/engine/redis/passwords.h"

namespace mainstay::engine::redis {

using std::chrono::milliseconds;
using std::chrono::seconds;

// Its user of this epoch is there as soon as it is about to be opened. A replica that was sent before would
// try again only after a second; and one that is sent to another server might be wiped by it.
absl::Status RedisEngine::AwaitLeader(const Target& target, MonoTime deadline) {
  MAINSTAY_ASSIGN_OR_RETURN(const std::string password, LoadPassword(options_.replication_password_file));
  const Endpoint at{"", target.address.host, target.address.port,
                    FormatReplicationUser({held_.cluster_id, target.epoch}), password};
  const MonoTime until = std::min(deadline, BootClock().Now() + seconds(2));
  Duration pause = milliseconds(5);
  for (;;) {
    Connection session(&canceller_);
    const absl::Status status =
        session.Connect(at, std::min(until, BootClock().Now() + options_.connect_timeout));
    if (status.ok()) return status;
    if (absl::IsCancelled(status)) return status;
    if (BootClock().Now() >= until) {
      return absl::UnavailableError(absl::StrCat(
          target.name, " at ", target.address_text, " is not the primary of epoch ", target.epoch,
          absl::IsUnauthenticated(status)
              ? " (yet), or the replication passwords differ: compare redis.replication_password_file"
              : absl::StrCat(": ", status.message())));
    }
    const absl::Status slept = canceller_.Sleep(pause, until);
    if (absl::IsCancelled(slept)) return slept;
    pause = std::min<Duration>(pause * 3 / 2, milliseconds(50));
  }
}

absl::StatusOr<Info> RedisEngine::AskMember(const HostPort& address, MonoTime deadline) {
  MAINSTAY_ASSIGN_OR_RETURN(const std::string password, LoadPassword(options_.replication_password_file));
  Connection session(&canceller_);
  const MonoTime until = std::min(deadline, BootClock().Now() + options_.connect_timeout);
  const Endpoint at{"", address.host, address.port, kPeerUser, password};
  MAINSTAY_RETURN_IF_ERROR(session.Connect(at, until));
  MAINSTAY_ASSIGN_OR_RETURN(const Reply reply, session.Call({"INFO"}, until));
  return ParseInfo(reply.text);
}

// What was written here after the new primary's history left ours is thrown away by the resync. Redis does
// not tell; both offsets do. Once for the same end, however often a resync is tried again.
void RedisEngine::CountLost(const Target& target, const Info& own, bool had_data, MonoTime deadline) {
  if (!own.replication.has_value() || (tail_.empty() && (!had_data || own.keys.value_or(0) == 0))) return;
  const absl::StatusOr<Info> theirs = AskMember(target.address, deadline);
  if (!theirs.ok() || !theirs->replication.has_value()) return;
  const ReplicationFacts& mine = *own.replication;
  const ReplicationFacts& leader = *theirs->replication;
  if (!tail_.empty()) {
    std::optional<Tail::Moment> end;
    if (own.server.has_value() && own.server->run_id == tail_.run_id())
      end = Tail::Moment{UnixMillis(), mine.offset,
                         own.persistence.value_or(PersistenceFacts{}).changes_since_save};
    // It has another id since its first replica came, which no probe may have seen.
    if (end.has_value() && mine.replid != tail_.replid()) {
      tail_.Saw(tail_.epoch(), mine.replid, tail_.run_id(), *end);
      tail_.Ended(end->unix_ms);
    }
    std::optional<Loss> loss = tail_.Judge(end, leader);
    tail_.Clear();
    if (loss.has_value()) TellLost(*std::move(loss), target, own, *theirs);
    return;
  }
  if (mine.replid == leader.replid) return;
  if (mine.replid == leader.replid2 && mine.offset < leader.second_offset) return;
  const std::string end = absl::StrCat(mine.replid, ":", mine.offset);
  if (std::exchange(counted_, end) == end) return;
  Loss loss;
  loss.epoch = held_.reign;
  if (mine.replid == leader.replid2)
    loss.bytes = static_cast<uint64_t>(mine.offset - (leader.second_offset - 1));
  TellLost(std::move(loss), target, own, *theirs);
}

void RedisEngine::TellLost(Loss loss, const Target& target, const Info& own, const Info& theirs) {
  loss.found_ms = UnixMillis();
  loss.leader = target.name;
  if (!loss.at_least) loss.keys_here = own.keys;  // (another process has what was saved)
  loss.keys_there = theirs.keys;
  Log(LogLevel::kWarn, "redis",
      loss.bytes.has_value() ? "this member has writes that the new primary has not: they are thrown away"
                             : "this member's history is not the new primary's: its data are replaced",
      {{"bytes", loss.bytes.value_or(0)}, {"primary", target.name}, {"epoch", loss.epoch}});
  losses_.Add(std::move(loss));
}

// Sessions with the replicas that are online, so that a handover need not wait for them to be made.
void RedisEngine::DialReplicas(const ReplicationFacts& facts, MonoTime deadline) {
  replicas_.clear();
  const auto password = LoadPassword(options_.replication_password_file);
  if (!password.ok()) return;
  for (const ReplicaFacts& replica : facts.replicas) {
    // One that has been silent is not waited for.
    if (!replica.online() || replica.lag > 2 || replica.port <= 0 || replica.port > 65535) continue;
    auto session = std::make_unique<Connection>(&canceller_);
    const MonoTime until = std::min(deadline, BootClock().Now() + milliseconds(300));
    const Endpoint at{"", replica.ip, static_cast<uint16_t>(replica.port), kPeerUser, *password};
    const absl::Status status = session->Connect(at, until);
    if (!status.ok())
      Log(LogLevel::kInfo, "redis", "a replica cannot be asked where it stands", {{"error", status}});
    replicas_[absl::StrCat(replica.ip, ":", replica.port)] = std::move(session);
  }
}

// Until every replica that streams has `offset`. Asked directly: what they acknowledge by themselves comes
// once a second. One that cannot be asked counts by that.
absl::Status RedisEngine::AwaitReplicas(uint64_t offset, MonoTime deadline) {
  for (;;) {
    bool all = true;
    std::optional<Info> own;
    for (auto& [name, session] : replicas_) {
      if (session->open()) {
        const auto reply =
            session->Call({"INFO", "replication"}, std::min(deadline, BootClock().Now() + milliseconds(200)));
        const auto info = reply.ok() ? ParseInfo(reply->text) : absl::StatusOr<Info>(reply.status());
        if (info.ok() && info->replication.has_value()) {
          all = all && ToPosition(info->replication->applied_offset) >= offset;
          continue;
        }
        session->Close();
      }
      if (!own.has_value()) {
        MAINSTAY_ASSIGN_OR_RETURN(own, Facts(deadline, "replication"));
      }
      for (const ReplicaFacts& r : own->replication.value_or(ReplicationFacts{}).replicas)
        if (absl::StrCat(r.ip, ":", r.port) == name && r.online() && ToPosition(r.offset) < offset)
          all = false;
    }
    if (all) return absl::OkStatus();
    MAINSTAY_RETURN_IF_ERROR(canceller_.Sleep(std::chrono::microseconds(300), deadline));
  }
}

}  // namespace mainstay::engine::redis
