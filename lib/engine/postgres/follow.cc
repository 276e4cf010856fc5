// Following a leader: a running standby is repointed without a restart; data of unclear end are started
// following nobody, which replays all they have and so tells exactly where they end, and are compared with
// the leader's history before they follow.
#include <dirent.h>

#include <algorithm>
#include <memory>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "lib/base/log.h"
#include "lib/base/result.h"
#include "lib/base/wall_clock.h"
#include "lib/engine/postgres/engine.h"
#include "lib/engine/postgres/lsn.h"
#include "lib/engine/postgres/names.h"

namespace mainstay::engine::postgres {
namespace {

constexpr char kFreshFile[] =
    "mainstay.fresh";  // cloned or rewound: needs the leader's stream to become consistent

std::optional<uint64_t> Hex64(absl::string_view text) {
  uint64_t out = 0;
  return absl::SimpleHexAtoi(text, &out) ? std::optional<uint64_t>(out) : std::nullopt;
}

}  // namespace

// The newest timeline that has a file for the last byte before `offset`. pg_control may lag behind the
// stream.
absl::StatusOr<uint32_t> PostgresEngine::TimelineAt(uint64_t offset, MonoTime deadline) {
  MAINSTAY_ASSIGN_OR_RETURN(
      const Rows rows,
      Sql("SELECT setting FROM pg_catalog.pg_settings WHERE name OPERATOR(pg_catalog.=) 'wal_segment_size'",
          {}, deadline));
  const uint64_t segment = static_cast<uint64_t>(std::max<int64_t>(rows.number(0, 0), 1 << 20));
  const uint64_t wanted = (offset == 0 ? 0 : offset - 1) / segment;
  const uint64_t per_file = (uint64_t{1} << 32) / segment;
  uint32_t best = 0;
  const std::string path = dir_.In("pg_wal");
  const std::unique_ptr<DIR, int (*)(DIR*)> d(opendir(path.c_str()), &closedir);
  if (d == nullptr) return ErrnoStatus(errno, "listing", path);
  while (const dirent* entry = readdir(d.get())) {
    const absl::string_view name = entry->d_name;
    if (name.size() != 24) continue;
    const auto timeline = Hex64(name.substr(0, 8)), high = Hex64(name.substr(8, 8)),
               low = Hex64(name.substr(16, 8));
    if (timeline.has_value() && high.has_value() && low.has_value() && *high * per_file + *low == wanted) {
      best = std::max(best, static_cast<uint32_t>(*timeline));
    }
  }
  if (best == 0)
    return absl::NotFoundError(absl::StrCat("no WAL file of these data holds their end ", FormatLsn(offset)));
  return best;
}

absl::StatusOr<RoleState> PostgresEngine::RoleFor(const Target& target, const std::string& nonce) const {
  MAINSTAY_ASSIGN_OR_RETURN(const std::string name, StandbyName({options_.member, nonce, target.epoch}));
  RoleState role = StandbyRole(target.epoch);
  MAINSTAY_ASSIGN_OR_RETURN(role.primary_conninfo, LeaderConninfo(target.member, name));
  absl::StrAppend(&role.primary_conninfo, " passfile=", QuoteConninfo(options_.password_file));
  role.primary_slot = SlotName(options_.member);
  role.leader = target.member.name;
  return role;
}

absl::Status PostgresEngine::Attach(const Target& target, MonoTime deadline) {
  MAINSTAY_RETURN_IF_ERROR(dir_.ForgetUnopened());
  std::string nonce = dir_.Nonce();
  if (nonce.empty()) {
    MAINSTAY_ASSIGN_OR_RETURN(nonce, dir_.DrawNonce(dir_.path()));
  }
  MAINSTAY_ASSIGN_OR_RETURN(const RoleState role, RoleFor(target, nonce));
  MAINSTAY_RETURN_IF_ERROR(SetRole(role));
  return ReloadConf(deadline);
}

// Straight from the leader (cloned, rewound): consistent only with its stream.
absl::Status PostgresEngine::StartAttached(const Target& target, MonoTime deadline) {
  MAINSTAY_RETURN_IF_ERROR(dir_.ForgetUnopened());
  std::string nonce = dir_.Nonce();
  if (nonce.empty()) {
    MAINSTAY_ASSIGN_OR_RETURN(nonce, dir_.DrawNonce(dir_.path()));
  }
  MAINSTAY_ASSIGN_OR_RETURN(const RoleState role, RoleFor(target, nonce));
  MAINSTAY_RETURN_IF_ERROR(SetRole(role));
  MAINSTAY_RETURN_IF_ERROR(dir_.SetStandbySignal(true));
  MAINSTAY_ASSIGN_OR_RETURN(const uint32_t starts, StartAs(shim::StartKind::kStandby, 0, deadline));
  Say("starting");
  const absl::Status status = WaitAccepting(options_.socket_dir, starts,
                                            std::min(deadline, BootClock().Now() + std::chrono::seconds(20)));
  Say("");
  if (status.ok()) {
    fresh_failures_ = 0;
    return Remove(dir_.In(kFreshFile));
  }
  if (!absl::IsDeadlineExceeded(status)) {
    fresh_failures_++;
    return status;
  }
  // Much to replay: probes tell when it is there.
  fresh_failures_++;
  return absl::OkStatus();
}

// Once for the same end of the same data, however often a rewind is tried again.
void PostgresEngine::CountLost(const election::Name& leader, uint32_t timeline, uint64_t end,
                               uint64_t bytes) {
  if (lost_at_ == std::make_pair(timeline, end)) return;
  lost_at_ = {timeline, end};
  Loss loss;
  loss.found_ms = UnixMillis();
  loss.leader = leader;
  loss.bytes = bytes;
  losses_.Add(std::move(loss));
}

absl::Status PostgresEngine::FollowRunning(Connection* session, const Target& target,
                                           const LeaderFacts& facts, MonoTime deadline) {
  const bool same = role_known_ && role_.leader == target.member.name && !role_.primary_conninfo.empty();
  if (!same && !role_.primary_conninfo.empty()) {
    // What still comes from a former leader must not come after the comparison.
    MAINSTAY_RETURN_IF_ERROR(SetRole(StandbyRole(role_.epoch)));
    MAINSTAY_RETURN_IF_ERROR(ReloadConf(deadline));
    MAINSTAY_RETURN_IF_ERROR(Detach(std::min(deadline, BootClock().Now() + std::chrono::seconds(5))));
  }
  MAINSTAY_ASSIGN_OR_RETURN(const Position at, StandbyPosition(deadline));
  MAINSTAY_ASSIGN_OR_RETURN(const uint32_t timeline, TimelineAt(at.offset, deadline));
  // Its end after ours: while we stream from it, ours grows.
  MAINSTAY_ASSIGN_OR_RETURN(const Rows rows,
                            session->Query("SELECT pg_catalog.pg_current_wal_flush_lsn()", {}, deadline));
  const Ancestry ancestry = Compare(facts.lineage, rows.lsn(0, 0), timeline, at.offset);
  if (!ancestry.ancestor) {
    CountLost(target.member.name, timeline, at.offset, ancestry.beyond);
    return Rejoin(session, target, facts, ancestry.why, deadline);
  }
  MAINSTAY_RETURN_IF_ERROR(Remove(dir_.In(kFreshFile)));
  MAINSTAY_RETURN_IF_ERROR(EnsureSlotAtLeader(session, deadline));
  return Attach(target, deadline);
}

absl::Status PostgresEngine::FollowStopped(Connection* session, const Target& target,
                                           const LeaderFacts& facts, MonoTime deadline) {
  if (Exists(dir_.In(kFreshFile))) {
    if (fresh_failures_ >= 2) return Clone(session, target, facts, deadline);
    MAINSTAY_RETURN_IF_ERROR(EnsureSlotAtLeader(session, deadline));
    return StartAttached(target, deadline);
  }
  Say("starting to see where these data end");
  const absl::Status started =
      StartDetached(std::min(deadline, BootClock().Now() + ActiveSettings().start_timeout));
  Say("");
  if (absl::IsInternal(started) || absl::IsFailedPrecondition(started)) {
    Log(LogLevel::kError, "postgres", "these data do not start as a standby", {{"error", started}});
  }
  MAINSTAY_RETURN_IF_ERROR(started);
  return FollowRunning(session, target, facts, deadline);
}

absl::Status PostgresEngine::Follow(const election::Member& leader, election::Epoch epoch,
                                    const std::string& cluster_id, MonoTime deadline) {
  BeginOperation();
  LoadRole();
  if (leader.name == options_.member) return absl::InvalidArgumentError("a member cannot follow itself");
  MAINSTAY_RETURN_IF_ERROR(Foreign(cluster_id));
  MAINSTAY_RETURN_IF_ERROR(CheckVersions(deadline));
  const Target target{leader, epoch, cluster_id};
  MAINSTAY_ASSIGN_OR_RETURN(shim::State state, shim_.GetState(deadline));
  if (!state.running()) MAINSTAY_RETURN_IF_ERROR(dir_.CheckUnused());
  MAINSTAY_ASSIGN_OR_RETURN(const std::unique_ptr<Connection> session, ConnectLeader(leader, deadline));
  MAINSTAY_ASSIGN_OR_RETURN(LeaderFacts facts, AskLeader(session.get(), target, deadline));
  MAINSTAY_RETURN_IF_ERROR(Foreign(facts.system_id));
  // Founded here and never opened, while another member founded the real cluster: nothing is in it.
  const bool stray = dir_.Unopened() && dir_.SystemId().value_or("") != facts.system_id;
  if (dir_.Empty() || dir_.Has(Marker::kRewinding) || stray) {
    MAINSTAY_RETURN_IF_ERROR(PrepareStopped(deadline));
    return Clone(session.get(), target, facts, deadline);
  }
  if (state.running()) {
    MAINSTAY_RETURN_IF_ERROR(WaitAccepting(options_.socket_dir, state.starts, deadline));
    MAINSTAY_ASSIGN_OR_RETURN(const bool standby, InRecovery(deadline));
    if (standby) return FollowRunning(session.get(), target, facts, deadline);
    // Told to follow, but it still writes: it must not.
    MAINSTAY_RETURN_IF_ERROR(StopClean(std::min(deadline, BootClock().Now() + std::chrono::seconds(15))));
  }
  return FollowStopped(session.get(), target, facts, deadline);
}

}  // namespace mainstay::engine::postgres
