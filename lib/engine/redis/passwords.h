// The two passwords that Mainstay makes: the agent's own, of this member alone, and the one that the members
// share for replication. Files hold the password and nothing else, mode 0600; nothing else ever shows them.
//
// Thread rules: none. Errors: NotFound, FailedPrecondition (mode, empty) with the remedy.
#ifndef MAINSTAY_LIB_ENGINE_REDIS_PASSWORDS_H_
#define MAINSTAY_LIB_ENGINE_REDIS_PASSWORDS_H_

#include <string>

#include "absl/status/statusor.h"

namespace mainstay::engine::redis {

// Follows symbolic links (volumes of Secrets have them); the first line without blanks around it.
absl::StatusOr<std::string> LoadPassword(const std::string& path);
// The same, making the file first when it is missing; of two makers at the same moment one wins.
absl::StatusOr<std::string> EnsurePassword(const std::string& path);

}  // namespace mainstay::engine::redis

#endif  // MAINSTAY_LIB_ENGINE_REDIS_PASSWORDS_H_
