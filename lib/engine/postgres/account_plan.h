// From what the configuration wishes and what the database has to the statements that lead from one to the
// other. Every name is quoted; passwords come as SCRAM verifiers. Nothing is ever dropped or revoked.
//
// Thread rules: pure functions. Errors: InvalidArgument for a verifier that cannot be quoted.
#ifndef MAINSTAY_LIB_ENGINE_POSTGRES_ACCOUNT_PLAN_H_
#define MAINSTAY_LIB_ENGINE_POSTGRES_ACCOUNT_PLAN_H_

#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "lib/engine/postgres/options.h"

namespace mainstay::engine::postgres {

// A role as it is in the database.
struct RoleFacts {
  bool login = false, superuser = false, createdb = false, createrole = false, replication = false,
       inherit = false;
  int connection_limit = -1;
  std::string verifier;  // rolpassword, "" : none
  std::set<std::string> member_of;
};

struct AccountStatement {
  std::string about;  // "role app", "database app": for messages
  std::string done;   // "was created", for the log
  std::string sql;
};

// CREATE ROLE, or ALTER ROLE with what differs, or nothing. `facts`: null when there is no such role.
// `new_verifier`: "" when the password is right or not ours.
absl::StatusOr<std::optional<AccountStatement>> PlanRole(const UserSpec& wish, const RoleFacts* facts,
                                                         const std::string& new_verifier);
// GRANTs that are missing.
std::vector<AccountStatement> PlanGrants(const UserSpec& wish, const RoleFacts* facts);
// CREATE DATABASE, or ALTER DATABASE ... OWNER TO, or nothing. `owner`: null when there is no such database.
std::optional<AccountStatement> PlanDatabase(const DatabaseSpec& wish, const std::string* owner);
std::vector<AccountStatement> PlanExtensions(const DatabaseSpec& wish, const std::set<std::string>& have);

// {"a","b"}: an array of names as a parameter.
std::string NameArray(const std::vector<std::string>& names);

}  // namespace mainstay::engine::postgres

#endif  // MAINSTAY_LIB_ENGINE_POSTGRES_ACCOUNT_PLAN_H_
