#include "lib/engine/postgres/passwords.h"

#include <errno.h>
#include <unistd.h>

#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "lib/base/file.h"
#include "lib/base/mounted_file.h"
#include "lib/base/random.h"
#include "lib/base/result.h"

namespace mainstay::engine::postgres {
namespace {

constexpr size_t kMaxBytes = 64 * 1024;

// The fields of a line of a pgpass file: ':' and '\' are escaped by '\'.
std::vector<std::string> Fields(absl::string_view line) {
  std::vector<std::string> out(1);
  for (size_t i = 0; i < line.size(); ++i) {
    if (line[i] == '\\' && i + 1 < line.size()) {
      out.back() += line[++i];
    } else if (line[i] == ':' && out.size() < 5) {
      out.emplace_back();
    } else {
      out.back() += line[i];
    }
  }
  return out;
}

}  // namespace

absl::StatusOr<Passwords> ParsePasswords(absl::string_view text, const Options& o) {
  Passwords out;
  for (const absl::string_view line : absl::StrSplit(text, '\n')) {
    if (line.empty() || line[0] == '#') continue;
    const std::vector<std::string> fields = Fields(line);
    if (fields.size() != 5 || fields[4].empty()) continue;
    // The first line that fits counts, as for libpq.
    if (fields[3] == o.superuser && out.superuser.empty()) out.superuser = fields[4];
    if (fields[3] == o.agent_role && out.agent.empty()) out.agent = fields[4];
    if (fields[3] == o.replication_role && out.replication.empty()) out.replication = fields[4];
  }
  const std::pair<const std::string*, const std::string*> wanted[] = {
      {&o.superuser, &out.superuser}, {&o.agent_role, &out.agent}, {&o.replication_role, &out.replication}};
  for (const auto& [role, value] : wanted) {
    if (value->empty()) {
      return absl::FailedPreconditionError(absl::StrCat("the password file ", o.password_file,
                                                        " has no line for role ", *role,
                                                        "; add *:*:*:", *role, ":<password>"));
    }
  }
  return out;
}

absl::StatusOr<Passwords> LoadPasswords(const Options& o) {
  // (libpq ignores a file that others can read.)
  MAINSTAY_ASSIGN_OR_RETURN(const std::string text, ReadPasswordFile(o.password_file, kMaxBytes));
  return ParsePasswords(text, o);
}

absl::Status EnsurePasswords(const Options& o) {
  const absl::StatusOr<Passwords> have = LoadPasswords(o);
  if (have.ok() || !absl::IsNotFound(have.status())) return have.status();
  std::string text = "# Made by Mainstay. The same file for all members; mode 0600.\n";
  for (const std::string* role : {&o.superuser, &o.agent_role, &o.replication_role}) {
    absl::StrAppend(&text, "*:*:*:", *role, ":", RandomHex(24), "\n");
  }
  const std::string mine = absl::StrCat(o.password_file, ".", RandomHex(4), ".new");
  MAINSTAY_RETURN_IF_ERROR(AtomicWriteFile(mine, text, {.mode = 0600}));
  // link(2) does not replace: of two founders at the same moment one wins.
  const int rc = link(mine.c_str(), o.password_file.c_str());
  const int error = errno;
  unlink(mine.c_str());
  if (rc != 0 && error != EEXIST) return ErrnoStatus(error, "creating the password file", o.password_file);
  MAINSTAY_RETURN_IF_ERROR(SyncDir(DirName(o.password_file)));
  return LoadPasswords(o).status();
}

}  // namespace mainstay::engine::postgres
