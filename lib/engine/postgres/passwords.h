// The passwords of Mainstay's roles: a file in pgpass format (mode 0600) with the same content on all
// members, from a Secret volume, a shared directory, or made by the founder when it is missing. Values are
// never logged and never in an argument.
//
// Thread rules: plain values.
#ifndef MAINSTAY_LIB_ENGINE_POSTGRES_PASSWORDS_H_
#define MAINSTAY_LIB_ENGINE_POSTGRES_PASSWORDS_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "lib/engine/postgres/options.h"

namespace mainstay::engine::postgres {

struct Passwords {
  std::string superuser;
  std::string agent;
  std::string replication;
};

// NotFound: no such file. FailedPrecondition: readable by others, or a role is missing in it.
absl::StatusOr<Passwords> LoadPasswords(const Options& options);
// Loads, or makes the file with new ones. Two founders at once: one file wins, both read it.
absl::Status EnsurePasswords(const Options& options);
// Parses the text of such a file; for LoadPasswords and the fuzz target.
absl::StatusOr<Passwords> ParsePasswords(absl::string_view text, const Options& options);

}  // namespace mainstay::engine::postgres

#endif  // MAINSTAY_LIB_ENGINE_POSTGRES_PASSWORDS_H_
