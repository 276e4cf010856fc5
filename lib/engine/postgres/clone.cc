// A clone: pg_basebackup into <data>.new, made ours, swapped in by rename. The old directory stays until the
// new one streams.
#include <algorithm>

#include "absl/strings/str_cat.h"
#include "lib/base/log.h"
#include "lib/base/result.h"
#include "lib/base/strings.h"
#include "lib/engine/postgres/engine.h"
#include "lib/engine/postgres/names.h"
#include "lib/engine/postgres/progress.h"

namespace mainstay::engine::postgres {

absl::Status PostgresEngine::CheckSpace(const LeaderFacts& facts) {
  if (facts.bytes == 0) return absl::OkStatus();
  MAINSTAY_ASSIGN_OR_RETURN(const uint64_t free, dir_.FreeBytes());
  const uint64_t need = facts.bytes + facts.bytes / 20 + (uint64_t{256} << 20);
  if (free >= need) return absl::OkStatus();
  return absl::ResourceExhaustedError(
      absl::StrCat("a clone needs ", need >> 20, " MB beside ", dir_.path(), ", ", free >> 20,
                   " MB are free: make room. The present data are kept until a clone is complete"));
}

absl::Status PostgresEngine::RunBasebackup(const Target& target, MonoTime deadline) {
  MAINSTAY_ASSIGN_OR_RETURN(const std::string conninfo,
                            LeaderConninfo(target.member, absl::StrCat("mainstay_clone_", options_.member)));
  shim::ToolRequest request;
  request.tool = shim::Tool::kBasebackup;
  request.args = {"-D", dir_.New(), "-d", conninfo, "-X", "stream",
                  "-c", "fast",     "-P", "-w",     "-S", SlotName(options_.member)};
  if (const uint64_t rate = ActiveSettings().clone_rate_bytes; rate > 0) {
    request.args.push_back("-r");
    request.args.push_back(absl::StrCat(std::clamp<uint64_t>(rate >> 10, 32, 1048576), "k"));
  }
  request.passfile = options_.password_file;
  ProgressReader reader;
  Say(absl::StrCat("cloning from ", target.member.name));
  const auto on_output = [&](int, absl::string_view text) {
    if (const auto p = reader.Add(text); p.has_value())
      Say(absl::StrCat("cloning from ", target.member.name, ": ", ToText(*p)));
  };
  const auto result = shim_.RunTool(request, on_output,
                                    std::min(deadline, BootClock().Now() + ActiveSettings().clone_timeout));
  Say("");
  if (!result.ok()) return result.status();
  if (!result->ok())
    return absl::InternalError(
        absl::StrCat("pg_basebackup: ", result->Describe(), ": ", Cut(result->err, 300)));
  return absl::OkStatus();
}

absl::Status PostgresEngine::Told(const char* action, const Target& target,
                                  const std::function<absl::Status()>& work) {
  DataWork news;
  news.action = action;
  news.detail = absl::StrCat("from ", target.member.name, " at ", target.member.db_address);
  const MonoTime began = BootClock().Now();
  if (options_.told) options_.told(news);
  news.ended = true;
  news.status = work();
  news.took = BootClock().Now() - began;
  if (options_.told) options_.told(news);
  return news.status;
}

absl::Status PostgresEngine::Clone(Connection* session, const Target& target, const LeaderFacts& facts,
                                   MonoTime deadline) {
  MAINSTAY_RETURN_IF_ERROR(
      Told("database.clone", target, [&] { return CloneInto(session, target, facts, deadline); }));
  return StartAttached(target, deadline);
}

absl::Status PostgresEngine::CloneInto(Connection* session, const Target& target, const LeaderFacts& facts,
                                       MonoTime deadline) {
  LeaderFacts sized = facts;
  const auto size = session->Query(
      "SELECT pg_catalog.sum(pg_catalog.pg_database_size(oid))::int8 FROM pg_catalog.pg_database"
      " WHERE pg_catalog.has_database_privilege(oid, 'CONNECT')",
      {}, deadline);
  if (size.ok()) sized.bytes = static_cast<uint64_t>(std::max<int64_t>(size->number(0, 0), 0));
  MAINSTAY_RETURN_IF_ERROR(PrepareStopped(deadline));
  MAINSTAY_RETURN_IF_ERROR(shim_.RemoveStale(dir_.New(), deadline));
  MAINSTAY_RETURN_IF_ERROR(CheckSpace(sized));
  MAINSTAY_RETURN_IF_ERROR(EnsureSlotAtLeader(session, deadline));
  MAINSTAY_RETURN_IF_ERROR(RunBasebackup(target, deadline));
  // Everything that makes it ours before it takes its place: after the swap it is complete.
  MAINSTAY_ASSIGN_OR_RETURN(const std::string nonce, dir_.DrawNonce(dir_.New()));
  MAINSTAY_ASSIGN_OR_RETURN(const RoleState role, RoleFor(target, nonce));
  MAINSTAY_RETURN_IF_ERROR(WriteFiles(dir_.New(), role));
  MAINSTAY_RETURN_IF_ERROR(DataDir::WriteStandbySignal(dir_.New()));
  MAINSTAY_RETURN_IF_ERROR(Touch(dir_.New() + "/mainstay.fresh"));
  MAINSTAY_ASSIGN_OR_RETURN(const std::string old, shim_.SwapDataDir(dir_.New(), deadline));
  MAINSTAY_RETURN_IF_ERROR(dir_.Set(Marker::kRewinding, false));
  MAINSTAY_RETURN_IF_ERROR(dir_.Set(Marker::kReinit, false));
  role_ = role;
  role_known_ = true;
  last_offset_ = 0;
  last_timeline_ = 0;
  fresh_failures_ = 0;
  Log(LogLevel::kInfo, "postgres", "cloned", {{"from", target.member.name}, {"former data", old}});
  return absl::OkStatus();
}

}  // namespace mainstay::engine::postgres
