// Roles and databases of the configuration, made and kept on the primary: after each opening and each reload,
// a piece at a time beside the probes, over a session of its own that is closed at the end.
//
//   AccountKeeper accounts(connect);
//   accounts.Wish(users, databases);      // also reads the password files again
//   ... each probe of a primary: accounts.Step(BootClock().Now() + 30ms);
//   ... no longer primary: accounts.Stop();
//
// The statement under way when the time is over goes on in the server and is looked at by the next Step. What
// fails is a warning, a line in problem(), and is tried again after 5 s, then less often, at most every 5
// min; the rest is done all the same. Nothing is dropped. Never a reason to fail over.
//
// Bounds: 30 s a statement (statement_timeout), 1 s for a lock, one session. Thread rules: the engine's
// worker thread.
#ifndef MAINSTAY_LIB_ENGINE_POSTGRES_ACCOUNTS_H_
#define MAINSTAY_LIB_ENGINE_POSTGRES_ACCOUNTS_H_

#include <deque>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "lib/base/time.h"
#include "lib/engine/postgres/account_plan.h"
#include "lib/engine/postgres/connection.h"
#include "lib/engine/postgres/options.h"

namespace mainstay::engine::postgres {

class AccountKeeper {
 public:
  // Options of a superuser's session with `database`.
  using ConnectTo = std::function<ConnectOptions(const std::string& database)>;
  explicit AccountKeeper(ConnectTo connect_to) : connect_to_(std::move(connect_to)), session_(nullptr) {}

  void Wish(std::vector<UserSpec> users, std::vector<DatabaseSpec> databases);
  void Step(MonoTime until);
  void Stop();

  bool settled() const { return phase_ == Phase::kSettled; }  // all is as wished
  const std::string& problem() const { return problem_; }     // of the last run, for people; "" : none

 private:
  enum class Phase : uint8_t { kDue, kRunning, kSettled };
  // One statement, in one database; what its answer means.
  struct Job {
    enum class Kind : uint8_t { kRoles, kMembers, kPlanRole, kDatabases, kExtensions, kChange };
    Kind kind = Kind::kChange;
    size_t index = 0;  // of kPlanRole: the user; of kExtensions: the database
    AccountStatement change;
    std::string database = kHome;
  };
  static constexpr char kHome[] = "postgres";

  void Begin();
  bool Connected(const std::string& database, MonoTime until);  // false: not yet, or failed (job is dropped)
  absl::Status Send(const Job& job);
  bool Turn(MonoTime until);  // goes on; false: nothing to do before the next Step
  void Take(const Job& job, const absl::StatusOr<Rows>& rows);
  void PlanUser(size_t index);
  absl::StatusOr<std::string> NewVerifier(const UserSpec& user, const RoleFacts* facts);
  void PlanRest(const Rows& databases);
  void Fail(const std::string& about, const absl::Status& status);
  void End();
  std::vector<std::string> Names() const;

  const ConnectTo connect_to_;
  std::vector<UserSpec> users_;
  std::vector<DatabaseSpec> databases_;
  Phase phase_ = Phase::kDue;
  MonoTime next_run_;
  int failed_runs_ = 0;
  std::deque<Job> jobs_;
  std::string connected_to_;
  Connection session_;
  std::map<std::string, RoleFacts> roles_;
  std::vector<std::string> failures_;  // of this run
  std::string problem_;
};

}  // namespace mainstay::engine::postgres

#endif  // MAINSTAY_LIB_ENGINE_POSTGRES_ACCOUNTS_H_
