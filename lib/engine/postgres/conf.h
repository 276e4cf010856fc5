// The text of the files that Mainstay owns in a data directory: mainstay.conf, pg_hba.conf, pg_ident.conf;
// and which parameters it keeps for itself.
//
// Thread rules: pure functions and plain values.
#ifndef MAINSTAY_LIB_ENGINE_POSTGRES_CONF_H_
#define MAINSTAY_LIB_ENGINE_POSTGRES_CONF_H_

#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "lib/election/event.h"
#include "lib/election/record.h"
#include "lib/engine/postgres/options.h"

namespace mainstay::engine::postgres {

// What the database is told of its role; everything of mainstay.conf that is not from the configuration. Kept
// in the file itself (a comment), so that it is known after a restart of the agent.
struct RoleState {
  std::string sync;              // synchronous_standby_names; standbys have the barrier
  std::string primary_conninfo;  // "" : streams from nobody
  std::string primary_slot;
  election::Name leader;      // of primary_conninfo
  election::Epoch epoch = 0;  // under which the role was given
  election::SyncNames names;  // what `sync` stands for, on a primary
  bool primary = false;
  friend bool operator==(const RoleState&, const RoleState&) = default;
};

struct ConfInput {
  const Options* options = nullptr;
  const Settings* settings = nullptr;
  int version = 15;  // major
};

// mainstay.conf. InvalidArgument names every parameter that is refused.
absl::StatusOr<std::string> BuildConf(const ConfInput& input, const RoleState& role);
// Reads the role back. NotFound when the text has none (not written by Mainstay).
absl::StatusOr<RoleState> ParseRole(absl::string_view conf);

// What is wrong with a setting and what to do about it; `what` is empty when nothing is.
struct ConfProblem {
  std::string what;  // goes on after the name: "is kept by Mainstay, because ..."
  std::string remedy;
};
ConfProblem CheckParameter(absl::string_view name, absl::string_view value);
// One line of postgresql.hba.
ConfProblem CheckHbaLine(absl::string_view line);
// Every problem of the configuration's parameters, one a line; "" when there is none.
std::string CheckParameters(const std::map<std::string, std::string>& parameters);
// The reason why Mainstay keeps this parameter for itself; null when it does not.
const char* ReasonOfProtected(absl::string_view name);

// `os_user`: whose peer authentication is mapped to superuser and agent role; "" : they log in by password.
absl::StatusOr<std::string> BuildHba(const Options& options, const Settings& settings,
                                     const std::string& os_user);
std::string BuildIdent(const Options& options, const std::string& os_user);

// postgresql.conf with the line that includes mainstay.conf at its end, exactly once.
std::string WithInclude(absl::string_view postgresql_conf);
// postgresql.auto.conf (ALTER SYSTEM) without the parameters that Mainstay owns: it is read last and would
// win.
std::string WithoutProtected(absl::string_view auto_conf);

inline constexpr char kConfName[] = "mainstay.conf";

}  // namespace mainstay::engine::postgres

#endif  // MAINSTAY_LIB_ENGINE_POSTGRES_CONF_H_
