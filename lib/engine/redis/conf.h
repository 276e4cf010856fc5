// redis.conf and the ACL file, as Mainstay writes them before each start, and what of it users may set.
//
// The server always starts closed: a replica of nobody that answers no client. That and whatever keeps the
// election's promises is not for users; each refusal says why (docs/REDIS.md lists them).
//
// Thread rules: pure functions. Errors: InvalidArgument that names every parameter or line that is refused.
#ifndef MAINSTAY_LIB_ENGINE_REDIS_CONF_H_
#define MAINSTAY_LIB_ENGINE_REDIS_CONF_H_

#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "lib/engine/redis/options.h"

namespace mainstay::engine::redis {

struct ConfProblem {
  std::string what;  // goes on after the name: "is kept by Mainstay: ..."; "" : nothing is wrong
  std::string remedy;
};
ConfProblem CheckParameter(absl::string_view name, absl::string_view value);
// The reason why Mainstay keeps this parameter for itself; null when it does not.
const char* ReasonOfProtected(absl::string_view name);
// Every problem of the configuration's parameters; "" when there is none.
std::string CheckParameters(const std::map<std::string, std::string>& parameters);

struct ConfInput {
  const Options* options = nullptr;
  const Settings* settings = nullptr;
  // An append-only file is wanted, but there is only an RDB file, which Redis 7 would then not load: it is
  // switched on when that is loaded.
  bool late_aof = false;
};
absl::StatusOr<std::string> BuildConf(const ConfInput& input);

// Users as "name" -> rules, from lines `user NAME RULE...`; blank lines and # are passed over. Refuses names
// of Mainstay's own.
using AclUsers = std::vector<std::pair<std::string, std::vector<std::string>>>;
inline constexpr size_t kMaxUsersFile = 256 * 1024;  // bytes; the same for a file of passwords
absl::StatusOr<AclUsers> ParseUsers(absl::string_view text);
// A rule of Mainstay's own is `passwords=/PATH`: each line of that file is a password that lets in. The files
// that the users name; and the users with the passwords in the rules' place, as `read` gives the files'
// texts.
std::vector<std::string> PasswordFiles(const AclUsers& users);
absl::StatusOr<AclUsers> WithPasswords(
    AclUsers users, const std::function<absl::StatusOr<std::string>(const std::string& path)>& read);
// What the configuration's users are: those of the file, and the default user (off when the file has others
// only; without a file everything but administration).
AclUsers ClientUsers(const AclUsers& from_file, bool have_file);
// Mainstay's own rules.
std::vector<std::string> AgentRules(const std::string& password);
std::vector<std::string> PeerRules(const std::string& password);
std::vector<std::string> ReplicationRules(const std::string& password);
std::string FormatAcl(const AclUsers& users);

// Files beside the data directory.
std::string ConfPath(const Options& o);
std::string AclPath(const Options& o);
std::string AgentPasswordPath(const Options& o);
std::string HeldPath(const Options& o);
std::string MemoryPath(const Options& o);
std::string LockPath(const Options& o);

}  // namespace mainstay::engine::redis

#endif  // MAINSTAY_LIB_ENGINE_REDIS_CONF_H_
