// The files of the role in the data directory, and making the running database read them.
#include "absl/strings/str_cat.h"
#include "lib/base/log.h"
#include "lib/base/result.h"
#include "lib/engine/postgres/engine.h"
#include "lib/engine/postgres/names.h"

namespace mainstay::engine::postgres {
namespace {

constexpr size_t kMaxConf = 4 << 20;

// Writes only what differs: a file system without changes needs no fsync.
absl::Status WriteIfChanged(const std::string& path, const std::string& text) {
  const auto have = ReadFile(path, kMaxConf);
  if (have.ok() && *have == text) return absl::OkStatus();
  return AtomicWriteFile(path, text, {.mode = 0600});
}

absl::StatusOr<std::string> ReadOrEmpty(const std::string& path) {
  auto text = ReadFile(path, kMaxConf);
  if (absl::IsNotFound(text.status())) return std::string();
  return text;
}

}  // namespace

RoleState PostgresEngine::StandbyRole(election::Epoch epoch) const {
  RoleState role;
  role.epoch = epoch;
  // Promoted by anybody but the election, this database acknowledges nothing.
  role.sync = BarrierValue({});
  return role;
}

void PostgresEngine::LoadRole() {
  if (role_known_) return;
  const auto text = ReadFile(dir_.In(kConfName), kMaxConf);
  const auto role = text.ok() ? ParseRole(*text) : absl::StatusOr<RoleState>(text.status());
  if (role.ok()) {
    role_ = *role;
    role_known_ = true;
  } else {
    role_ = StandbyRole(0);
  }
}

absl::Status PostgresEngine::WriteRole(const std::string& dir, const RoleState& role) {
  const Settings settings = ActiveSettings();
  MAINSTAY_ASSIGN_OR_RETURN(const std::string text, BuildConf({&options_, &settings, ConfMajor()}, role));
  return WriteIfChanged(absl::StrCat(dir, "/", kConfName), text);
}

absl::Status PostgresEngine::WriteFiles(const std::string& dir, const RoleState& role) {
  const Settings settings = ActiveSettings();
  MAINSTAY_ASSIGN_OR_RETURN(const std::string hba, BuildHba(options_, settings, os_user_));
  MAINSTAY_RETURN_IF_ERROR(WriteIfChanged(dir + "/pg_hba.conf", hba));
  MAINSTAY_RETURN_IF_ERROR(WriteIfChanged(dir + "/pg_ident.conf", BuildIdent(options_, os_user_)));
  MAINSTAY_RETURN_IF_ERROR(WriteRole(dir, role));
  MAINSTAY_ASSIGN_OR_RETURN(const std::string conf, ReadOrEmpty(dir + "/postgresql.conf"));
  MAINSTAY_RETURN_IF_ERROR(WriteIfChanged(dir + "/postgresql.conf", WithInclude(conf)));
  MAINSTAY_ASSIGN_OR_RETURN(const std::string by_sql, ReadOrEmpty(dir + "/postgresql.auto.conf"));
  const std::string kept = WithoutProtected(by_sql);
  if (!by_sql.empty() && kept != by_sql) {
    Log(LogLevel::kWarn, "postgres",
        "ALTER SYSTEM set parameters that the election keeps: taken out of postgresql.auto.conf");
    MAINSTAY_RETURN_IF_ERROR(WriteIfChanged(dir + "/postgresql.auto.conf", kept));
  }
  return absl::OkStatus();
}

absl::Status PostgresEngine::SetRole(const RoleState& role) {
  role_known_ = false;  // unknown while it is being written
  MAINSTAY_RETURN_IF_ERROR(WriteFiles(dir_.path(), role));
  role_ = role;
  role_known_ = true;
  return absl::OkStatus();
}

absl::Status PostgresEngine::ReloadConf(MonoTime deadline) {
  if (absl::Status status = Control(deadline); !status.ok()) {
    if (absl::IsCancelled(status)) return status;
    return shim_.Signal(shim::SignalKind::kReload, std::nullopt, deadline);
  }
  return Sql("SELECT pg_catalog.pg_reload_conf()", {}, deadline).status();
}

absl::Status PostgresEngine::AwaitSetting(const char* name, const std::string& value, MonoTime deadline) {
  for (;;) {
    MAINSTAY_ASSIGN_OR_RETURN(const Rows rows,
                              Sql("SELECT pg_catalog.current_setting($1, true)", {name}, deadline));
    if (rows.text(0, 0) == value) return absl::OkStatus();
    absl::Status slept = canceller_.Sleep(std::chrono::milliseconds(1), deadline);
    if (absl::IsDeadlineExceeded(slept)) {
      return absl::DeadlineExceededError(
          absl::StrCat("the database did not take over ", name, " = '", value, "': it has '", rows.text(0, 0),
                       "'; see ALTER SYSTEM, ALTER ROLE ... SET, and its log"));
    }
    MAINSTAY_RETURN_IF_ERROR(slept);
  }
}

}  // namespace mainstay::engine::postgres
