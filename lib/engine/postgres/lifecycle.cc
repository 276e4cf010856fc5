// Starting, stopping, restarting; what an administrator may ask for.
#include <algorithm>

#include "absl/strings/str_cat.h"
#include "lib/base/log.h"
#include "lib/base/result.h"
#include "lib/base/strings.h"
#include "lib/engine/postgres/engine.h"
#include "lib/engine/postgres/names.h"

namespace mainstay::engine::postgres {

using std::chrono::milliseconds;
using std::chrono::seconds;

// A shim that answers does it within this; after that the database is asked, too.
constexpr Duration kShimAlone = milliseconds(300);

// ---- starting ----

absl::StatusOr<uint32_t> PostgresEngine::StartAs(shim::StartKind kind, election::Epoch epoch,
                                                 MonoTime deadline) {
  MAINSTAY_RETURN_IF_ERROR(CheckVersions(deadline));
  if (dir_.Has(Marker::kRewinding)) {
    return absl::FailedPreconditionError(absl::StrCat(
        dir_.path(), " is half rewound and must not be started: it is cloned anew at the next follow"));
  }
  MAINSTAY_RETURN_IF_ERROR(dir_.CheckUnused());
  DropSessions();
  return shim_.Start(kind, epoch, deadline);
}

// Something does not start: a value in the configuration is the usual reason, and postgres -C tells it.
static absl::Status Explain(shim::Client* shim, const DataDir& dir, absl::Status status) {
  if (!absl::IsInternal(status)) return status;
  shim::ToolRequest request;
  request.tool = shim::Tool::kPostgresC;
  request.args = {"-D", dir.path(), "-C", "mainstay.epoch"};
  const auto result = shim->RunTool(request, nullptr, BootClock().Now() + seconds(2));
  if (!result.ok() || result->ok() || result->err.empty()) return status;
  return absl::FailedPreconditionError(
      absl::StrCat(status.message(), "; its configuration is refused: ", Cut(result->err, 300)));
}

absl::Status PostgresEngine::PrepareStopped(MonoTime deadline) {
  MAINSTAY_ASSIGN_OR_RETURN(const shim::State state, shim_.GetState(deadline));
  if (!state.running()) return absl::OkStatus();
  return StopClean(deadline);
}

absl::Status PostgresEngine::StartDetached(MonoTime deadline) {
  if (dir_.Empty()) return absl::FailedPreconditionError("there are no data to start");
  LoadRole();
  RoleState role = StandbyRole(role_.epoch);
  MAINSTAY_RETURN_IF_ERROR(SetRole(role));
  MAINSTAY_RETURN_IF_ERROR(dir_.SetStandbySignal(true));
  MAINSTAY_ASSIGN_OR_RETURN(const uint32_t starts, StartAs(shim::StartKind::kStandby, 0, deadline));
  return Explain(&shim_, dir_, WaitAccepting(options_.socket_dir, starts, deadline));
}

absl::Status PostgresEngine::StartPrimary(election::Epoch epoch, MonoTime deadline) {
  MAINSTAY_RETURN_IF_ERROR(standing_.AwaitArmed(&shim_, canceller_, epoch, milliseconds(20), deadline));
  // Not before it is certain that it will be opened: a lock that is lost now leaves data that nobody needs.
  MAINSTAY_RETURN_IF_ERROR(dir_.ForgetUnopened());
  MAINSTAY_RETURN_IF_ERROR(dir_.SetStandbySignal(false));
  MAINSTAY_ASSIGN_OR_RETURN(const uint32_t starts, StartAs(shim::StartKind::kPrimary, epoch, deadline));
  Say("opening: crash recovery");
  const absl::Status status = Explain(&shim_, dir_, WaitAccepting(options_.socket_dir, starts, deadline));
  Say("");
  return status;
}

// A former primary opened again, same timeline, under a rule that acknowledges nothing until ApplySync proved
// the real one.
absl::StatusOr<LogEnd> PostgresEngine::Reopen(const election::Engine& op, MonoTime deadline) {
  BeginOperation();
  MAINSTAY_RETURN_IF_ERROR(SaveMemory(op.memory));
  MAINSTAY_ASSIGN_OR_RETURN(const shim::State state, shim_.GetState(deadline));
  standing_.Notice(state);
  LoadRole();
  if (!state.running()) {
    if (dir_.Empty()) return absl::FailedPreconditionError("there are no data to open");
    MAINSTAY_ASSIGN_OR_RETURN(const ControlData control, ReadControlData(deadline));
    if (control.in_recovery()) {
      // Opening a standby's data without recovery would fork its timeline where nobody can see it.
      MAINSTAY_RETURN_IF_ERROR(StartDetached(deadline));
      return Promote(op, deadline);
    }
    MAINSTAY_ASSIGN_OR_RETURN(const std::vector<std::string> names,
                              StandbyNames(op.sync, op.peers, op.epoch));
    RoleState role = StandbyRole(op.epoch);
    role.sync = BarrierValue(names);
    role.primary = true;
    MAINSTAY_RETURN_IF_ERROR(SetRole(role));
    MAINSTAY_RETURN_IF_ERROR(StartPrimary(op.epoch, deadline));
  }
  MAINSTAY_ASSIGN_OR_RETURN(const bool standby, InRecovery(deadline));
  if (standby) return Promote(op, deadline);
  return FinishOpening(op, 0, deadline);
}

// ---- stopping ----

absl::Status PostgresEngine::StopClean(MonoTime deadline) {
  DropSessions();
  const MonoTime clean_until =
      std::min(deadline - seconds(1), BootClock().Now() + ActiveSettings().stop_timeout);
  const MonoTime until = std::max(clean_until, std::min(deadline, BootClock().Now() + milliseconds(200)));
  const absl::StatusOr<shim::Exited> exited = shim_.Stop(until);
  if (exited.ok()) return absl::OkStatus();
  if (absl::IsCancelled(exited.status())) return exited.status();
  Log(LogLevel::kWarn, "postgres", "no clean shutdown in time: killing", {{"error", exited.status()}});
  return shim_.Kill(std::max(deadline, BootClock().Now() + seconds(2)));
}

absl::StatusOr<LogEnd> PostgresEngine::EndOfStopped(MonoTime deadline) {
  LogEnd end;
  end.offset = last_offset_;
  end.timeline = last_timeline_;
  if (dir_.Empty()) return LogEnd{};
  MAINSTAY_ASSIGN_OR_RETURN(const ControlData control, ReadControlData(deadline));
  if (control.clean_primary()) {
    end.offset = control.CleanEnd();
    end.timeline = control.timeline;
    end.complete = true;
    last_offset_ = end.offset;
    last_timeline_ = end.timeline;
  }
  return end;
}

absl::StatusOr<LogEnd> PostgresEngine::Stop(MonoTime deadline) {
  BeginOperation();
  Say("stopping");
  const absl::Status status = StopClean(deadline);
  Say("");
  MAINSTAY_RETURN_IF_ERROR(status);
  // The database is down, which is what was asked for: where its log ends may stay unknown.
  // Not until the deadline: a shim that ended with its database does not come back, and a handover waits
  // here.
  const auto end = EndOfStopped(BootClock().Now() + seconds(1));
  if (!end.ok())
    Log(LogLevel::kWarn, "postgres", "stopped; the end of its log is not known", {{"error", end.status()}});
  return end.ok() ? *end : LogEnd{last_offset_, last_timeline_, false};
}

absl::Status PostgresEngine::Kill(MonoTime deadline) {
  BeginOperation();
  DropSessions();
  const absl::Status killed = shim_.Kill(std::min(deadline, BootClock().Now() + kShimAlone));
  if (!absl::IsDeadlineExceeded(killed)) return killed;
  // A shim that stands still kills nothing, and who waits for it lets the database write on.
  AskToQuit(std::min(deadline, BootClock().Now() + milliseconds(500)));
  return shim_.Kill(deadline);
}

// The database's own superuser has its postmaster shut down at once, as `pg_ctl stop -m immediate` would: a
// program of the server signals it. There is no function for that, and the agent may be in another container.
// Only the shim can tell that it is done.
void PostgresEngine::AskToQuit(MonoTime deadline) {
  Connection session(&canceller_);
  absl::Status status = session.Connect(Local(options_.superuser, options_.socket_dir, 1000), deadline);
  if (status.ok()) {
    Log(LogLevel::kError, "postgres", "the shim does not answer: the database is told to quit by itself");
    // (Its working directory is the data directory.)
    status = session
                 .Query("COPY (SELECT 1) TO PROGRAM 'read -r pid < postmaster.pid && kill -QUIT \"$pid\"'",
                        {}, deadline)
                 .status();
    if (absl::IsUnavailable(status)) return;  // it cut us off: done
  }
  if (!status.ok())
    Log(LogLevel::kWarn, "postgres", "the database could not be told to quit", {{"error", status}});
}

absl::Status PostgresEngine::Checkpoint(MonoTime deadline) {
  BeginOperation();
  return Sql("CHECKPOINT", {}, deadline).status();
}

// ---- administrators ----

absl::Status PostgresEngine::Restart(MonoTime deadline) {
  BeginOperation();
  LoadRole();
  MAINSTAY_ASSIGN_OR_RETURN(const shim::State state, shim_.GetState(deadline));
  standing_.Notice(state);
  MAINSTAY_ASSIGN_OR_RETURN(const bool standby, InRecovery(deadline));
  const RoleState before = role_;
  MAINSTAY_RETURN_IF_ERROR(StopClean(deadline));
  if (standby) {
    MAINSTAY_RETURN_IF_ERROR(SetRole(before));
    MAINSTAY_RETURN_IF_ERROR(dir_.SetStandbySignal(true));
    MAINSTAY_ASSIGN_OR_RETURN(const uint32_t starts, StartAs(shim::StartKind::kStandby, 0, deadline));
    return Explain(&shim_, dir_, WaitAccepting(options_.socket_dir, starts, deadline));
  }
  election::Engine op;
  op.epoch = before.epoch;
  op.sync = before.names;
  op.peers = peers_;
  MAINSTAY_ASSIGN_OR_RETURN(op.memory, LoadMemory());
  return Reopen(op, deadline).status();
}

absl::Status PostgresEngine::Reinit(MonoTime deadline) {
  BeginOperation();
  LoadRole();
  MAINSTAY_ASSIGN_OR_RETURN(const shim::State state, shim_.GetState(deadline));
  if (state.running()) {
    MAINSTAY_ASSIGN_OR_RETURN(const bool standby, InRecovery(deadline));
    if (!standby)
      return absl::FailedPreconditionError("this member is the primary: switch over first, then reinit it");
  } else if (role_.primary && !dir_.Empty()) {
    return absl::FailedPreconditionError(
        "these data were last the primary's: let the member follow another one first, then reinit it");
  }
  // From here on it counts as empty; the old data stay until the new ones stream.
  MAINSTAY_RETURN_IF_ERROR(dir_.Set(Marker::kReinit, true));
  return StopClean(deadline);
}

namespace {

absl::Status ReloadErrors(const Rows& rows) {
  std::string out;
  for (int i = 0; i < rows.size(); ++i) {
    absl::StrAppend(&out, out.empty() ? "" : "; ", rows.text(i, 0), " = '", Cut(rows.text(i, 1), 60),
                    "': ", rows.text(i, 2));
  }
  return absl::InvalidArgumentError(absl::StrCat(
      "the database refuses: ", out, ". The former values stay in force; correct postgresql.parameters"));
}

// A parameter that only needs a restart is listed with an error as well.
constexpr char kRefused[] =
    "SELECT f.name, f.setting, f.error FROM pg_catalog.pg_file_settings f"
    " LEFT JOIN pg_catalog.pg_settings s ON pg_catalog.lower(s.name) OPERATOR(pg_catalog.=) "
    "pg_catalog.lower(f.name)"
    " WHERE f.error IS NOT NULL AND NOT COALESCE(s.pending_restart, false) LIMIT 20";

}  // namespace

absl::Status PostgresEngine::Reload(MonoTime deadline) {
  BeginOperation();
  LoadRole();
  const Settings before = ActiveSettings();
  {
    const std::lock_guard<std::mutex> guard(mutex_);
    if (wished_.has_value()) settings_ = *wished_;
  }
  const Settings next = ActiveSettings();
  accounts_.Wish(next.users, next.databases);  // also reads the password files again
  if (dir_.Empty()) return absl::OkStatus();
  absl::Status status = SetRole(role_);
  MAINSTAY_ASSIGN_OR_RETURN(const shim::State state, shim_.GetState(deadline));
  if (!status.ok() || !state.running()) return status;
  const auto refused = [&]() -> absl::StatusOr<Rows> {
    MAINSTAY_RETURN_IF_ERROR(ReloadConf(deadline));
    // pg_settings tells what this session has read, so it has to have read the new files.
    MAINSTAY_RETURN_IF_ERROR(canceller_.Sleep(milliseconds(20), deadline));
    return Sql(kRefused, {}, deadline);
  }();
  if (refused.ok() && refused->size() == 0) {
    next_details_ = MonoTime();
    return absl::OkStatus();
  }
  status = refused.ok() ? ReloadErrors(*refused) : refused.status();
  {
    const std::lock_guard<std::mutex> guard(mutex_);
    settings_ = before;
    wished_.reset();
  }
  accounts_.Wish(before.users, before.databases);
  MAINSTAY_RETURN_IF_ERROR(SetRole(role_));
  MAINSTAY_RETURN_IF_ERROR(ReloadConf(deadline));
  return status;
}

}  // namespace mainstay::engine::postgres
