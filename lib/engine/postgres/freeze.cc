// Freezing: from the answer on this standby receives nothing, whatever its processes were doing when it was
// asked.
//
// Emptying primary_conninfo and seeing no walreceiver is not enough: one that is just being started is in no
// view, and the startup process may not have read the new file yet. So the startup process is made to prove
// that it has (ConfirmReread).
#include <algorithm>

#include "absl/strings/str_cat.h"
#include "lib/base/log.h"
#include "lib/base/result.h"
#include "lib/engine/postgres/engine.h"

namespace mainstay::engine::postgres {
namespace {

using std::chrono::milliseconds;

constexpr char kReceivers[] =
    "SELECT (SELECT pg_catalog.count(*) FROM pg_catalog.pg_stat_wal_receiver)"
    " OPERATOR(pg_catalog.+) (SELECT pg_catalog.count(*) FROM pg_catalog.pg_stat_activity"
    " WHERE backend_type OPERATOR(pg_catalog.=) 'walreceiver')";

// In RecoveryRetrieveRetryInterval it waits only after it found that no walreceiver runs (and stopped one
// that did). One that was asked for but does not run yet is waited for in RecoveryWalStream.
constexpr char kStartupWaits[] =
    "SELECT wait_event FROM pg_catalog.pg_stat_activity WHERE backend_type OPERATOR(pg_catalog.=) 'startup'";

constexpr char kPosition[] =
    "SELECT pg_catalog.pg_is_in_recovery(), pg_catalog.pg_last_wal_receive_lsn(), "
    "pg_catalog.pg_last_wal_replay_lsn(),"
    " (SELECT received_tli FROM pg_catalog.pg_stat_wal_receiver),"
    " (SELECT timeline_id FROM pg_catalog.pg_control_checkpoint()),"
    " (SELECT min_recovery_end_timeline FROM pg_catalog.pg_control_recovery())";

}  // namespace

absl::StatusOr<PostgresEngine::Position> PostgresEngine::StandbyPosition(MonoTime deadline) {
  MAINSTAY_ASSIGN_OR_RETURN(const Rows rows, Sql(kPosition, {}, deadline));
  Position out;
  out.in_recovery = rows.truth(0, 0);
  // Received begins anew at each start and on each timeline; what was replayed is on disk as well.
  out.offset = std::max(rows.lsn(0, 1), rows.lsn(0, 2));
  out.timeline = static_cast<uint32_t>(
      std::max({rows.number(0, 3), rows.number(0, 4), rows.number(0, 5), int64_t{last_timeline_}}));
  return out;
}

// The postmaster has signalled its children once it answers a connection made after the reload was asked for;
// the startup process confirms a pause only right after it looked for signals. So "paused" means: it has read
// the new files.
absl::Status PostgresEngine::ConfirmReread(MonoTime deadline) {
  Connection fresh(&canceller_);
  const absl::Status met = fresh.Connect(Local(options_.superuser, options_.socket_dir, 1000), deadline);
  // Any answer of the server will do, also "too many clients"; silence will not.
  if (!met.ok() && SqlState(met).empty()) return met;
  fresh.Close();
  if (control_.server_version() < 140000) {
    // 13 does not tell whether a pause took effect: several turns of the startup process's loop instead.
    return canceller_.Sleep(milliseconds(350), deadline);
  }
  MAINSTAY_ASSIGN_OR_RETURN(const Rows before,
                            Sql("SELECT pg_catalog.pg_get_wal_replay_pause_state()", {}, deadline));
  absl::Status status = Sql("SELECT pg_catalog.pg_wal_replay_pause()", {}, deadline).status();
  Duration pause = std::chrono::microseconds(200);
  while (status.ok()) {
    const auto rows = Sql("SELECT pg_catalog.pg_get_wal_replay_pause_state()", {}, deadline);
    status = rows.status();
    if (status.ok() && rows->text(0, 0) == "paused") break;
    if (status.ok()) status = canceller_.Sleep(pause, deadline);
    pause = std::min<Duration>(pause * 2, milliseconds(5));
  }
  // Never leave it paused: a frozen standby must be able to replay to its end.
  const absl::Status resumed = Sql("SELECT pg_catalog.pg_wal_replay_resume()", {},
                                   std::max(deadline, BootClock().Now() + milliseconds(500)))
                                   .status();
  MAINSTAY_RETURN_IF_ERROR(status);
  return resumed;
}

// Replay that waits for a query of a client (a recovery conflict) delays the end of the stream: after a while
// the clients go.
absl::Status PostgresEngine::UnblockReplay(MonoTime began, int* stage, MonoTime deadline) {
  if (*stage > 0 || BootClock().Now() - began < milliseconds(100)) return absl::OkStatus();
  *stage = 1;
  Log(LogLevel::kWarn, "postgres",
      "the startup process is busy while freezing: ending the clients of this standby");
  return Sql("SELECT pg_catalog.pg_terminate_backend(pid) FROM pg_catalog.pg_stat_activity"
             " WHERE backend_type OPERATOR(pg_catalog.=) 'client backend' AND pid OPERATOR(pg_catalog.<>) "
             "pg_catalog.pg_backend_pid()",
             {}, deadline)
      .status();
}

absl::Status PostgresEngine::Detach(MonoTime deadline) {
  const MonoTime began = BootClock().Now();
  // Bounded apart, so that a conflict can be ended within the deadline.
  absl::Status reread = ConfirmReread(std::min(deadline, began + milliseconds(150)));
  int stage = 0;
  if (absl::IsDeadlineExceeded(reread) && BootClock().Now() < deadline) {
    MAINSTAY_RETURN_IF_ERROR(UnblockReplay(began, &stage, deadline));
    reread = ConfirmReread(deadline);
  }
  MAINSTAY_RETURN_IF_ERROR(reread);
  Duration pause = std::chrono::microseconds(300);
  int seen_quiet = 0;
  for (;;) {
    // Order matters: first what the startup process does, then who receives.
    MAINSTAY_ASSIGN_OR_RETURN(const Rows waits, Sql(kStartupWaits, {}, deadline));
    MAINSTAY_ASSIGN_OR_RETURN(const Rows receivers, Sql(kReceivers, {}, deadline));
    const std::string wait = waits.text(0, 0);
    const bool quiet = receivers.number(0, 0) == 0 && wait != "RecoveryWalStream";
    // While it replays what it has (no wait, or one for a lock or a file), it starts no receiver: seen twice
    // will do.
    if (quiet && (wait == "RecoveryRetrieveRetryInterval" || ++seen_quiet >= 2)) return absl::OkStatus();
    if (!quiet) seen_quiet = 0;
    MAINSTAY_RETURN_IF_ERROR(UnblockReplay(began, &stage, deadline));
    absl::Status slept = canceller_.Sleep(pause, deadline);
    if (absl::IsDeadlineExceeded(slept)) {
      return absl::DeadlineExceededError(
          absl::StrCat("the stream did not end in time: ", receivers.number(0, 0),
                       " walreceiver, startup process in '", waits.text(0, 0), "'"));
    }
    MAINSTAY_RETURN_IF_ERROR(slept);
    pause = std::min<Duration>(pause * 2, milliseconds(3));
  }
}

absl::StatusOr<LogEnd> PostgresEngine::Freeze(const election::Memory& memory, MonoTime deadline) {
  BeginOperation();
  if (dir_.Empty()) {
    MAINSTAY_RETURN_IF_ERROR(SaveMemory(memory));
    return absl::FailedPreconditionError("there are no data: nothing to freeze");
  }
  MAINSTAY_ASSIGN_OR_RETURN(const shim::State state, shim_.GetState(deadline));
  if (!state.running()) {
    MAINSTAY_RETURN_IF_ERROR(SaveMemory(memory));
    MAINSTAY_RETURN_IF_ERROR(StartDetached(deadline));
  } else {
    LoadRole();
    if (absl::Status status = Control(deadline); !status.ok()) {
      // Still in recovery: wait for it, but with the stream cut already.
      MAINSTAY_RETURN_IF_ERROR(SetRole(StandbyRole(role_.epoch)));
      MAINSTAY_RETURN_IF_ERROR(ReloadConf(deadline));
      MAINSTAY_RETURN_IF_ERROR(WaitAccepting(options_.socket_dir, state.starts, deadline));
    }
    MAINSTAY_ASSIGN_OR_RETURN(const bool standby, InRecovery(deadline));
    if (!standby)
      return absl::FailedPreconditionError("this database is a primary: it cannot be frozen, only stopped");
    MAINSTAY_RETURN_IF_ERROR(SetRole(StandbyRole(role_.epoch)));
    MAINSTAY_RETURN_IF_ERROR(ReloadConf(deadline));
    // The promise is durable before the answer; the stream ends meanwhile.
    MAINSTAY_RETURN_IF_ERROR(SaveMemory(memory));
    MAINSTAY_RETURN_IF_ERROR(Detach(deadline));
  }
  MAINSTAY_ASSIGN_OR_RETURN(const Position at, StandbyPosition(deadline));
  if (!at.in_recovery) return absl::FailedPreconditionError("this database was promoted meanwhile");
  if (at.offset == 0) return absl::UnavailableError("the database does not tell how far it received");
  last_offset_ = at.offset;
  last_timeline_ = at.timeline;
  return LogEnd{at.offset, at.timeline, false};
}

}  // namespace mainstay::engine::postgres
