// Sessions with the own database: the superuser's for actions, and waiting until a started database takes
// connections.
#include <algorithm>

#include "absl/strings/str_cat.h"
#include "lib/base/result.h"
#include "lib/engine/postgres/engine.h"

namespace mainstay::engine::postgres {

using std::chrono::milliseconds;

ConnectOptions PostgresEngine::Local(const std::string& role, const std::string& directory,
                                     int statement_timeout_ms) const {
  return {
      {"host", directory},
      {"port", std::to_string(options_.port)},
      {"dbname", "postgres"},
      {"user", role},
      {"passfile", options_.password_file},
      {"application_name", "mainstay"},
      {"sslmode", "disable"},
      {"gssencmode", "disable"},
      {"client_encoding", "UTF8"},
      // In the startup packet: stronger than ALTER ROLE or ALTER DATABASE ... SET.
      {"options",
       absl::StrCat("-c search_path=pg_catalog,pg_temp -c lock_timeout=1000 -c synchronous_commit=local"
                    " -c default_transaction_read_only=off -c DateStyle=ISO -c statement_timeout=",
                    statement_timeout_ms)},
  };
}

// Extensions go where people expect them. pg_catalog is searched first all the same, because it is not named.
ConnectOptions PostgresEngine::AccountSession(const std::string& database) const {
  ConnectOptions out = Local(options_.superuser, options_.socket_dir, 30'000);
  for (auto& [key, value] : out) {
    if (key == "dbname") value = database;
    if (key == "options") absl::StrAppend(&value, " -c search_path=public");
  }
  return out;
}

absl::Status PostgresEngine::ControlIn(const std::string& directory, MonoTime deadline) {
  if (control_.busy()) control_.Close();  // an earlier call gave up on its answer
  if (control_.open()) return absl::OkStatus();
  return control_.Connect(Local(options_.superuser, directory, 60'000),
                          std::min(deadline, BootClock().Now() + options_.connect_timeout));
}

absl::Status PostgresEngine::Control(MonoTime deadline) { return ControlIn(options_.socket_dir, deadline); }

absl::StatusOr<Rows> PostgresEngine::Sql(const char* sql, const std::vector<std::string>& parameters,
                                         MonoTime deadline) {
  // A session that the server ended meanwhile is noticed only by using it: once more with a new one.
  for (int attempt = 0;; ++attempt) {
    const bool fresh = !control_.open();
    MAINSTAY_RETURN_IF_ERROR(Control(deadline));
    absl::StatusOr<Rows> rows = control_.Query(sql, parameters, deadline);
    if (rows.ok() || fresh || attempt > 0 || control_.open() || !absl::IsUnavailable(rows.status()))
      return rows;
  }
}

absl::StatusOr<bool> PostgresEngine::InRecovery(MonoTime deadline) {
  MAINSTAY_ASSIGN_OR_RETURN(const Rows rows, Sql("SELECT pg_catalog.pg_is_in_recovery()", {}, deadline));
  return rows.truth(0, 0);
}

void PostgresEngine::DropSessions() {
  control_.Close();
  probe_.Close();
  login_.Close();
  background_.Close();
  accounts_.Stop();
  waits_proven_ = false;
  settle_due_ = false;
  next_details_ = MonoTime();
  next_login_ = MonoTime();
  login_verdict_ = election::Verdict::kOk;
}

absl::Status PostgresEngine::WaitAccepting(const std::string& directory, uint32_t starts, MonoTime deadline) {
  Duration pause = milliseconds(1);
  MonoTime look = BootClock().Now() + milliseconds(50);
  absl::Status last;
  for (;;) {
    // Its own file first: a connection that is refused costs a process, and a line in the server's log.
    const std::string says = dir_.PostmasterStatus();
    last = says == "starting" || says == "stopping" ? absl::UnavailableError("the database is " + says)
                                                    : ControlIn(directory, deadline);
    if (last.ok()) return last;
    if (absl::IsCancelled(last)) return last;
    // Wrong passwords do not mend themselves by waiting.
    if (absl::IsUnauthenticated(last)) return last;
    const MonoTime now = BootClock().Now();
    if (now >= deadline)
      return absl::DeadlineExceededError(
          absl::StrCat("the database does not take connections yet: ", last.message()));
    if (now >= look) {
      look = now + milliseconds(50);
      MAINSTAY_ASSIGN_OR_RETURN(const shim::State state, shim_.GetState(deadline));
      if (!state.running() || state.starts != starts) {
        return absl::InternalError("the database ended while it was starting: its log tells why");
      }
    }
    if (absl::Status slept = canceller_.Sleep(pause, deadline); absl::IsCancelled(slept)) return slept;
    pause = std::min<Duration>(pause * 5 / 4, milliseconds(10));
  }
}

}  // namespace mainstay::engine::postgres
