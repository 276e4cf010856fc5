// From standby to primary: names first, then the promotion, then the epoch in the log, slots, and a
// checkpoint beside.
#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "lib/base/log.h"
#include "lib/base/result.h"
#include "lib/engine/postgres/engine.h"
#include "lib/engine/postgres/lsn.h"
#include "lib/engine/postgres/names.h"

namespace mainstay::engine::postgres {

using std::chrono::milliseconds;

absl::StatusOr<PostgresEngine::Position> PostgresEngine::PrimaryPosition(MonoTime deadline) {
  MAINSTAY_ASSIGN_OR_RETURN(const Rows rows,
                            Sql("SELECT pg_catalog.pg_current_wal_flush_lsn(), "
                                "pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_insert_lsn())",
                                {}, deadline));
  Position out;
  out.offset = rows.lsn(0, 0);
  out.timeline = TimelineOfWalFile(rows.text(0, 1)).value_or(0);
  if (out.offset == 0 || out.timeline == 0)
    return absl::InternalError("the primary does not tell its position");
  return out;
}

absl::Status PostgresEngine::TriggerPromotion(MonoTime deadline) {
  MAINSTAY_ASSIGN_OR_RETURN(const Rows asked, Sql("SELECT pg_catalog.pg_promote(false, 1)", {}, deadline));
  if (!asked.truth(0, 0)) return absl::InternalError("pg_promote could not signal the postmaster");
  Duration pause = milliseconds(1);
  for (;;) {
    MAINSTAY_ASSIGN_OR_RETURN(const bool standby, InRecovery(deadline));
    if (!standby) return absl::OkStatus();
    MAINSTAY_RETURN_IF_ERROR(canceller_.Sleep(pause, deadline));
    pause = std::min<Duration>(pause * 5 / 4, milliseconds(10));
  }
}

// In the log itself: which epoch what follows belongs to. Not waited for: the next commit flushes it.
absl::Status PostgresEngine::MarkEpoch(election::Epoch epoch, MonoTime deadline) {
  return Sql("SELECT pg_catalog.pg_logical_emit_message(false, 'mainstay', $1)",
             {absl::StrCat("epoch ", epoch, " primary ", options_.member)}, deadline)
      .status();
}

absl::Status PostgresEngine::KeepSlots(const std::vector<election::Member>& peers, bool drop_strangers,
                                       MonoTime deadline) {
  MAINSTAY_ASSIGN_OR_RETURN(
      const Rows rows,
      Sql("SELECT slot_name, active, COALESCE(wal_status, '') FROM pg_catalog.pg_replication_slots"
          " WHERE slot_type OPERATOR(pg_catalog.=) 'physical' AND NOT temporary",
          {}, deadline));
  std::vector<std::string> have;
  std::map<std::string, MonoTime> strangers;
  const MonoTime now = BootClock().Now();
  for (int i = 0; i < rows.size(); ++i) {
    const std::string name = rows.text(i, 0);
    if (!absl::StartsWith(name, kSlotPrefix)) continue;
    const bool known = std::any_of(peers.begin(), peers.end(),
                                   [&](const election::Member& m) { return SlotName(m.name) == name; });
    const bool lost = rows.text(i, 2) == "lost";
    if (rows.truth(i, 1)) {
      have.push_back(name);
      continue;
    }
    const auto before = stranger_since_.find(name);
    const MonoTime since = before == stranger_since_.end() ? now : before->second;
    if (!known) strangers[name] = since;
    const bool forgotten = std::any_of(peers_.begin(), peers_.end(),
                                       [&](const election::Member& m) { return SlotName(m.name) == name; });
    // A newcomer's slot is there before its name is in the record: while we lead, strangers get ten minutes.
    // Whoever was in the record and is no longer was taken out on purpose.
    if (lost || (!known && (drop_strangers || forgotten || now - since > std::chrono::minutes(10)))) {
      const absl::Status dropped =
          Sql("SELECT pg_catalog.pg_drop_replication_slot($1)", {name}, deadline).status();
      if (!dropped.ok())
        Log(LogLevel::kWarn, "postgres", "a slot could not be dropped", {{"slot", name}, {"error", dropped}});
      strangers.erase(name);
    } else {
      have.push_back(name);
    }
  }
  stranger_since_ = std::move(strangers);
  for (const election::Member& m : peers) {
    const std::string slot = SlotName(m.name);
    if (m.name == options_.member || std::find(have.begin(), have.end(), slot) != have.end()) continue;
    const absl::Status made =
        Sql("SELECT pg_catalog.pg_create_physical_replication_slot($1, true)", {slot}, deadline).status();
    if (!made.ok() && !absl::IsAlreadyExists(made)) return made;
  }
  return absl::OkStatus();
}

// pg_rewind on the others needs the new timeline in our pg_control; nobody waits for it. Its session is only
// looked at again when the next one is needed.
void PostgresEngine::CheckpointInBackground() {
  background_.Close();
  const MonoTime deadline = BootClock().Now() + milliseconds(300);
  if (background_.Connect(Local(options_.superuser, options_.socket_dir, 0), deadline).ok()) {
    const absl::Status sent = background_.Send("CHECKPOINT", {});
    if (!sent.ok()) Log(LogLevel::kWarn, "postgres", "no checkpoint after the promotion", {{"error", sent}});
  }
}

void PostgresEngine::SettleAsPrimary(MonoTime deadline) {
  if (!settle_due_) return;
  settle_due_ = false;
  if (absl::Status slots = KeepSlots(peers_, true, deadline); !slots.ok()) {
    Log(LogLevel::kWarn, "postgres", "not every member has its slot", {{"error", slots}});
  }
  CheckpointInBackground();
}

// Off every path that anybody waits for: a few milliseconds with each good probe, while there is something to
// do.
void PostgresEngine::KeepAccounts(const election::DbReport& report, MonoTime deadline) {
  if (!report.writable || !role_.primary) {
    accounts_.Stop();
  } else if (report.verdict == election::Verdict::kOk) {
    accounts_.Step(std::min(deadline, BootClock().Now() + milliseconds(30)));
  }
  const std::lock_guard<std::mutex> guard(mutex_);
  account_problem_ = accounts_.problem();
}

// What Promote and Reopen have in common once the database writes. Names are in the file; nothing depends on
// what follows but the return of the others.
absl::StatusOr<LogEnd> PostgresEngine::FinishOpening(const election::Engine& op, uint32_t old_timeline,
                                                     MonoTime deadline) {
  peers_ = op.peers;
  MAINSTAY_RETURN_IF_ERROR(MarkEpoch(op.epoch, deadline));
  LogEnd end;
  if (old_timeline == 0) {
    // Reopened under the barrier: the real names with proof.
    MAINSTAY_ASSIGN_OR_RETURN(end, ApplySync(op, deadline));
  } else {
    MAINSTAY_ASSIGN_OR_RETURN(const Position at, PrimaryPosition(deadline));
    if (at.timeline <= old_timeline) {
      return absl::InternalError(
          absl::StrCat("promoted, but the timeline did not rise: ", old_timeline, " -> ", at.timeline));
    }
    end = LogEnd{at.offset, at.timeline, false};
  }
  last_offset_ = end.offset;
  last_timeline_ = end.timeline;
  // Slots and a checkpoint cost tens of milliseconds and nobody waits for them: the next probe sees to both.
  // Until then wal_keep_size holds what the others need.
  settle_due_ = true;
  return end;
}

absl::StatusOr<LogEnd> PostgresEngine::Promote(const election::Engine& op, MonoTime deadline) {
  BeginOperation();
  MAINSTAY_RETURN_IF_ERROR(SaveMemory(op.memory));
  LoadRole();
  RoleState role;
  role.epoch = op.epoch;
  role.primary = true;
  role.names = op.sync;
  MAINSTAY_ASSIGN_OR_RETURN(role.sync, SyncNamesValue(op.sync, op.peers, op.epoch));
  MAINSTAY_ASSIGN_OR_RETURN(const Position before, StandbyPosition(deadline));
  if (!before.in_recovery) {
    // Promoted already (an answer was lost): only what is missing.
    return FinishOpening(op, role_.primary && role_.epoch == op.epoch ? before.timeline - 1 : 0, deadline);
  }
  // As a standby it ran under the barrier, so whoever has not read the new names yet acknowledges nothing.
  MAINSTAY_RETURN_IF_ERROR(SetRole(role));
  MAINSTAY_RETURN_IF_ERROR(ReloadConf(deadline));
  MAINSTAY_RETURN_IF_ERROR(AwaitSetting("synchronous_standby_names", role.sync, deadline));
  MAINSTAY_RETURN_IF_ERROR(standing_.AwaitArmed(&shim_, canceller_, op.epoch, milliseconds(20), deadline));
  MAINSTAY_RETURN_IF_ERROR(dir_.ForgetUnopened());
  MAINSTAY_RETURN_IF_ERROR(TriggerPromotion(deadline));
  waits_proven_ = !role.sync.empty();
  return FinishOpening(op, before.timeline, deadline);
}

}  // namespace mainstay::engine::postgres
