// Changing which standbys acknowledge writes, with proof that the old rule is gone (rule S4).
//
// A reload is not an instant. Walsenders release waiting sessions under the names that each has read last;
// sessions wait at all only once the checkpointer has read that there are names, and it does not read during
// a fast checkpoint. So:
//   1. The barrier: the new standbys under FIRST n+1 with one that does not exist. Nothing is acknowledged
//   under it.
//   2. Proof: every walsender shows the priority that the barrier gives it (2, 3, ...; under any other rule
//   of ours it is 1), or
//      0, with which it releases nobody. And a commit of ours waits, if sessions might not have waited
//      before.
//   3. The position is read: everything acknowledged so far lies before it.
//   4. The new names. Whoever still has the barrier acknowledges nothing, whoever has the new names
//   acknowledges by them.
#include <algorithm>

#include "absl/strings/str_cat.h"
#include "lib/base/log.h"
#include "lib/base/result.h"
#include "lib/engine/postgres/engine.h"
#include "lib/engine/postgres/names.h"

namespace mainstay::engine::postgres {
namespace {

using std::chrono::milliseconds;

constexpr char kSenders[] =
    "SELECT pid, application_name, COALESCE(sync_priority, 0) FROM pg_catalog.pg_stat_replication LIMIT 200";

}  // namespace

absl::Status PostgresEngine::AwaitWalsenders(const std::vector<std::string>& names, MonoTime deadline) {
  const MonoTime began = BootClock().Now();
  const MonoTime patience = began + (deadline - began) / 2;
  Duration pause = std::chrono::microseconds(300);
  for (;;) {
    MAINSTAY_ASSIGN_OR_RETURN(const Rows rows, Sql(kSenders, {}, deadline));
    std::string waiting;
    for (int i = 0; i < rows.size(); ++i) {
      const auto it = std::find(names.begin(), names.end(), rows.text(i, 1));
      const int64_t priority = rows.number(i, 2);
      // 0: it releases nobody, and once it reads on it reads the barrier or what comes after it.
      // 2 and more: this barrier or an earlier one. 1: the old names.
      const bool read = priority != 1;
      if (read) continue;
      absl::StrAppend(&waiting, waiting.empty() ? "" : ", ", rows.text(i, 1));
      // Dropped ones go at once, those that do not read (stuck in a send to a dead peer) after a while. They
      // come back.
      const bool dropped = it == names.end();
      if (dropped || BootClock().Now() > patience) {
        MAINSTAY_RETURN_IF_ERROR(
            Sql("SELECT pg_catalog.pg_terminate_backend($1::int4)", {rows.text(i, 0)}, deadline).status());
      }
    }
    if (waiting.empty()) return absl::OkStatus();
    absl::Status slept = canceller_.Sleep(pause, deadline);
    if (absl::IsDeadlineExceeded(slept)) {
      return absl::DeadlineExceededError(
          absl::StrCat("walsenders have not read the new synchronous names: ", waiting));
    }
    MAINSTAY_RETURN_IF_ERROR(slept);
    pause = std::min<Duration>(pause * 2, milliseconds(4));
  }
}

// A commit under the barrier that waits is the proof that all commits wait.
absl::Status PostgresEngine::AwaitSentinel(Connection* sentinel, MonoTime deadline) {
  Duration pause = std::chrono::microseconds(300);
  const std::string pid = std::to_string(sentinel->backend_pid());
  for (;;) {
    if (!sentinel->busy()) {
      MAINSTAY_RETURN_IF_ERROR(
          sentinel->Send("SELECT pg_catalog.pg_logical_emit_message(true, 'mainstay', 'settle')", {}));
    }
    MAINSTAY_ASSIGN_OR_RETURN(const Rows rows,
                              Sql("SELECT COALESCE(wait_event, '') FROM pg_catalog.pg_stat_activity WHERE "
                                  "pid OPERATOR(pg_catalog.=) $1::int4",
                                  {pid}, deadline));
    if (rows.text(0, 0) == "SyncRep") return absl::OkStatus();
    // Committed without waiting: the checkpointer has not read yet (it does not during a fast checkpoint).
    // Once more.
    if (const auto done = sentinel->Await(BootClock().Now() + pause);
        !done.ok() && !absl::IsDeadlineExceeded(done.status())) {
      return done.status();
    }
    if (BootClock().Now() >= deadline) {
      return absl::DeadlineExceededError(
          "commits do not wait for standbys yet: the checkpointer is busy with a checkpoint");
    }
    pause = std::min<Duration>(pause * 2, milliseconds(4));
  }
}

absl::StatusOr<LogEnd> PostgresEngine::ApplySync(const election::Engine& op, MonoTime deadline) {
  MAINSTAY_ASSIGN_OR_RETURN(const std::string value, SyncNamesValue(op.sync, op.peers, op.epoch));
  MAINSTAY_ASSIGN_OR_RETURN(const std::vector<std::string> names, StandbyNames(op.sync, op.peers, op.epoch));
  RoleState role;
  role.primary = true;
  role.epoch = op.epoch;
  role.names = op.sync;
  role.sync = value;
  Position at;
  absl::Status status;
  if (!value.empty()) {
    RoleState barrier = role;
    barrier.sync = BarrierValue(names);
    const bool need_sentinel = !waits_proven_;
    Connection sentinel(&canceller_);
    ConnectOptions options = Local(options_.superuser, options_.socket_dir, 10'000);
    for (auto& [key, text] : options) {
      if (key == "options") absl::StrAppend(&text, " -c synchronous_commit=on");
    }
    status = [&]() -> absl::Status {
      if (need_sentinel) MAINSTAY_RETURN_IF_ERROR(sentinel.Connect(options, deadline));
      MAINSTAY_RETURN_IF_ERROR(SetRole(barrier));
      MAINSTAY_RETURN_IF_ERROR(ReloadConf(deadline));
      MAINSTAY_RETURN_IF_ERROR(AwaitSetting("synchronous_standby_names", barrier.sync, deadline));
      MAINSTAY_RETURN_IF_ERROR(AwaitWalsenders(names, deadline));
      if (need_sentinel) MAINSTAY_RETURN_IF_ERROR(AwaitSentinel(&sentinel, deadline));
      waits_proven_ = true;
      MAINSTAY_ASSIGN_OR_RETURN(at, PrimaryPosition(deadline));
      return absl::OkStatus();
    }();
  }
  // Proven or not, the barrier must not stay: the caller knows that both the old and the new names are safe
  // now.
  const MonoTime soon = std::max(deadline, BootClock().Now() + milliseconds(300));
  MAINSTAY_RETURN_IF_ERROR(SetRole(role));
  MAINSTAY_RETURN_IF_ERROR(ReloadConf(soon));
  MAINSTAY_RETURN_IF_ERROR(AwaitSetting("synchronous_standby_names", value, soon));
  MAINSTAY_RETURN_IF_ERROR(status);
  if (value.empty()) {
    waits_proven_ = false;
    MAINSTAY_ASSIGN_OR_RETURN(at, PrimaryPosition(deadline));
  }
  last_offset_ = at.offset;
  last_timeline_ = at.timeline;
  return LogEnd{at.offset, at.timeline, false};
}

absl::StatusOr<LogEnd> PostgresEngine::SetSync(const election::Engine& op, MonoTime deadline) {
  BeginOperation();
  LoadRole();
  MAINSTAY_ASSIGN_OR_RETURN(const bool standby, InRecovery(deadline));
  if (standby) return absl::FailedPreconditionError("this database is a standby: it has no synchronous set");
  // Before peers_ changes: KeepSlots compares with it.
  if (absl::Status slots = KeepSlots(op.peers, false, deadline); !slots.ok()) {
    Log(LogLevel::kWarn, "postgres", "not every member has its slot", {{"error", slots}});
  }
  peers_ = op.peers;
  return ApplySync(op, deadline);
}

}  // namespace mainstay::engine::postgres
