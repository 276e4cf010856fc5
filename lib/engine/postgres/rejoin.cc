// Data that parted from the leader's line: pg_rewind, and when that does not work a clone beside.
#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "lib/base/log.h"
#include "lib/base/result.h"
#include "lib/base/strings.h"
#include "lib/engine/postgres/engine.h"
#include "lib/engine/postgres/names.h"

namespace mainstay::engine::postgres {

// `*touched`: the data may have been changed, so only a clone helps when this failed.
absl::Status PostgresEngine::RewindOnce(const Target& target, bool* touched, MonoTime deadline) {
  *touched = false;
  MAINSTAY_ASSIGN_OR_RETURN(const std::string conninfo,
                            LeaderConninfo(target.member, absl::StrCat("mainstay_rewind_", options_.member)));
  shim::ToolRequest request;
  request.tool = shim::Tool::kRewind;
  request.args = {"-D", dir_.path(), absl::StrCat("--source-server=", conninfo, " dbname=postgres"), "-P",
                  "--no-ensure-shutdown"};
  request.passfile = options_.password_file;
  request.keep_running = true;
  MAINSTAY_RETURN_IF_ERROR(dir_.Set(Marker::kRewinding, true));
  std::string seen;
  const auto result = shim_.RunTool(
      request,
      [&](int, absl::string_view text) {
        if (seen.size() < 64 * 1024) absl::StrAppend(&seen, text);
      },
      deadline);
  // With -P it says this right before it begins to change the target.
  *touched = !result.ok() || absl::StrContains(seen, "need to copy") || result->end != shim::ToolEnd::kExited;
  if (!result.ok()) return result.status();
  if (!result->ok()) {
    if (!*touched) MAINSTAY_RETURN_IF_ERROR(dir_.Set(Marker::kRewinding, false));
    return absl::InternalError(absl::StrCat("pg_rewind: ", result->Describe(), ": ", Cut(result->err, 300)));
  }
  // It copied the leader's files over ours: identity and role are written anew before the data count as
  // usable.
  MAINSTAY_RETURN_IF_ERROR(Touch(dir_.In("mainstay.fresh")));
  MAINSTAY_RETURN_IF_ERROR(WriteFiles(dir_.path(), StandbyRole(target.epoch)));
  MAINSTAY_RETURN_IF_ERROR(dir_.DrawNonce(dir_.path()).status());
  MAINSTAY_RETURN_IF_ERROR(dir_.SetStandbySignal(true));
  return dir_.Set(Marker::kRewinding, false);
}

absl::Status PostgresEngine::Rejoin(Connection* session, const Target& target, LeaderFacts facts,
                                    const std::string& why, MonoTime deadline) {
  Log(LogLevel::kWarn, "postgres", "these data parted from the leader's: rewinding",
      {{"why", why}, {"leader", target.member.name}});
  MAINSTAY_RETURN_IF_ERROR(StopClean(std::min(deadline, BootClock().Now() + std::chrono::seconds(30))));
  MAINSTAY_RETURN_IF_ERROR(AwaitLeaderCheckpoint(
      session, target, &facts, std::min(deadline, BootClock().Now() + std::chrono::minutes(10))));
  std::string reasons;
  for (int attempt = 1; attempt <= 3; ++attempt) {
    Say(absl::StrCat("rewinding to ", target.member.name, ", attempt ", attempt));
    bool touched = false;
    const absl::Status status =
        Told("database.rewind", target, [&] { return RewindOnce(target, &touched, deadline); });
    Say("");
    if (status.ok()) {
      Log(LogLevel::kInfo, "postgres", "rewound", {{"leader", target.member.name}, {"attempt", attempt}});
      MAINSTAY_RETURN_IF_ERROR(EnsureSlotAtLeader(session, deadline));
      return StartAttached(target, deadline);
    }
    if (absl::IsCancelled(status) || absl::IsDeadlineExceeded(status)) return status;
    absl::StrAppend(&reasons, reasons.empty() ? "" : "; ", status.message());
    if (touched) break;
    MAINSTAY_RETURN_IF_ERROR(canceller_.Sleep(std::chrono::milliseconds(300), deadline));
  }
  Log(LogLevel::kWarn, "postgres", "pg_rewind does not work here: cloning beside", {{"reasons", reasons}});
  return Clone(session, target, facts, deadline);
}

}  // namespace mainstay::engine::postgres
