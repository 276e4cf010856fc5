// Creating a cluster: initdb beside, swap, roles in an isolated server, clean stop. Interrupted anywhere, it
// counts as empty and begins anew: `mainstay.founding` in the data directory is removed last.
#include <algorithm>

#include <libpq-fe.h>
#include "absl/strings/str_cat.h"
#include "lib/base/result.h"
#include "lib/base/strings.h"
#include "lib/engine/postgres/engine.h"
#include "lib/engine/postgres/names.h"
#include "lib/engine/postgres/passwords.h"

namespace mainstay::engine::postgres {
namespace {

absl::StatusOr<std::string> Verifier(Connection* session, const std::string& role,
                                     const std::string& password) {
  // The client hashes: the server, its log and its extensions never see the password.
  char* text = PQencryptPasswordConn(session->raw(), password.c_str(), role.c_str(), "scram-sha-256");
  if (text == nullptr)
    return absl::InternalError(absl::StrCat("no SCRAM verifier could be made for role ", role));
  std::string out = text;
  PQfreemem(text);
  return QuoteLiteral(out);
}

}  // namespace

absl::Status PostgresEngine::RunInitdb(MonoTime deadline) {
  MAINSTAY_RETURN_IF_ERROR(shim_.RemoveStale(dir_.New(), deadline));
  shim::ToolRequest request;
  request.tool = shim::Tool::kInitdb;
  request.args = {"-D",
                  dir_.New(),
                  "-k",
                  "-E",
                  "UTF8",
                  "--auth-host=scram-sha-256",
                  os_user_.empty() ? "--auth-local=scram-sha-256" : "--auth-local=peer",
                  "-U",
                  options_.superuser};  // not --no-instructions: PostgreSQL 13 does not know it
  const bool has_locale =
      std::any_of(options_.initdb.begin(), options_.initdb.end(), [](const std::string& a) {
        return a.find("--locale") == 0 || a.find("--lc-") == 0 || a == "--no-locale";
      });
  if (!has_locale) request.args.push_back("--locale=C.UTF-8");
  for (const std::string& extra : options_.initdb) request.args.push_back(extra);
  Say("founding: initdb");
  MAINSTAY_ASSIGN_OR_RETURN(const shim::ToolResult result, shim_.RunTool(request, nullptr, deadline));
  if (!result.ok())
    return absl::InternalError(absl::StrCat("initdb: ", result.Describe(), ": ", Cut(result.err, 400)));
  return absl::OkStatus();
}

absl::Status PostgresEngine::CreateRoles(MonoTime deadline) {
  MAINSTAY_ASSIGN_OR_RETURN(const Passwords passwords, LoadPasswords(options_));
  const std::string super = QuoteIdentifier(options_.superuser);
  const std::string agent = QuoteIdentifier(options_.agent_role);
  const std::string repl = QuoteIdentifier(options_.replication_role);
  MAINSTAY_ASSIGN_OR_RETURN(const std::string super_pw,
                            Verifier(&control_, options_.superuser, passwords.superuser));
  MAINSTAY_ASSIGN_OR_RETURN(const std::string agent_pw,
                            Verifier(&control_, options_.agent_role, passwords.agent));
  MAINSTAY_ASSIGN_OR_RETURN(const std::string repl_pw,
                            Verifier(&control_, options_.replication_role, passwords.replication));
  const std::string grant = absl::StrCat(" TO ", repl);
  const std::string statements[] = {
      absl::StrCat("ALTER ROLE ", super, " PASSWORD ", super_pw),
      absl::StrCat("CREATE ROLE ", agent,
                   " LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION CONNECTION LIMIT 8 PASSWORD ",
                   agent_pw),
      absl::StrCat("GRANT pg_monitor TO ", agent),
      absl::StrCat("CREATE ROLE ", repl, " LOGIN REPLICATION NOSUPERUSER NOCREATEDB NOCREATEROLE PASSWORD ",
                   repl_pw),
      // What pg_rewind needs of its source.
      absl::StrCat("GRANT EXECUTE ON FUNCTION pg_catalog.pg_ls_dir(text, boolean, boolean)", grant),
      absl::StrCat("GRANT EXECUTE ON FUNCTION pg_catalog.pg_stat_file(text, boolean)", grant),
      absl::StrCat("GRANT EXECUTE ON FUNCTION pg_catalog.pg_read_binary_file(text)", grant),
      absl::StrCat("GRANT EXECUTE ON FUNCTION pg_catalog.pg_read_binary_file(text, bigint, bigint, boolean)",
                   grant),
  };
  for (const std::string& sql : statements)
    MAINSTAY_RETURN_IF_ERROR(control_.Query(sql.c_str(), {}, deadline).status());
  return absl::OkStatus();
}

absl::StatusOr<std::string> PostgresEngine::Found(MonoTime deadline) {
  BeginOperation();
  if (!dir_.Empty())
    return absl::FailedPreconditionError(
        absl::StrCat(dir_.path(), " holds data already: nothing is founded over them"));
  if (dir_.Has(Marker::kReinit) && Exists(dir_.In("PG_VERSION"))) {
    return absl::FailedPreconditionError(
        "a reinit of this member was asked for: it clones another member and founds nothing");
  }
  MAINSTAY_RETURN_IF_ERROR(CheckVersions(deadline));
  MAINSTAY_ASSIGN_OR_RETURN(const shim::State state, shim_.GetState(deadline));
  if (state.running()) MAINSTAY_RETURN_IF_ERROR(Kill(deadline));  // of an interrupted founding
  MAINSTAY_RETURN_IF_ERROR(dir_.CheckUnused());
  MAINSTAY_RETURN_IF_ERROR(EnsurePasswords(options_));
  MAINSTAY_RETURN_IF_ERROR(RunInitdb(deadline));
  RoleState role = StandbyRole(0);
  MAINSTAY_RETURN_IF_ERROR(Touch(dir_.New() + "/mainstay.founding"));
  MAINSTAY_RETURN_IF_ERROR(DataDir::MarkUnopened(dir_.New()));
  MAINSTAY_RETURN_IF_ERROR(WriteFiles(dir_.New(), role));
  MAINSTAY_RETURN_IF_ERROR(dir_.DrawNonce(dir_.New()).status());
  MAINSTAY_RETURN_IF_ERROR(shim_.SwapDataDir(dir_.New(), deadline).status());
  Say("founding: roles");
  MAINSTAY_ASSIGN_OR_RETURN(const uint32_t starts, StartAs(shim::StartKind::kIsolated, 0, deadline));
  const std::string inside =
      options_.private_socket_dir.empty() ? DirName(options_.data_dir) : options_.private_socket_dir;
  absl::Status status = WaitAccepting(inside, starts, deadline);
  if (status.ok()) status = CreateRoles(deadline);
  const absl::Status stopped = StopClean(deadline);
  Say("");
  MAINSTAY_RETURN_IF_ERROR(status);
  MAINSTAY_RETURN_IF_ERROR(stopped);
  MAINSTAY_ASSIGN_OR_RETURN(const ControlData control, ReadControlData(deadline));
  if (!control.clean_primary())
    return absl::InternalError(
        absl::StrCat("the new cluster was not stopped cleanly: it is '", control.state, "'"));
  role_ = role;
  role_known_ = true;
  MAINSTAY_RETURN_IF_ERROR(Remove(dir_.In("mainstay.founding")));
  return control.system_id;
}

}  // namespace mainstay::engine::postgres
