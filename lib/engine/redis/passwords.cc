#include "lib/engine/redis/passwords.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "lib/base/file.h"
#include "lib/base/mounted_file.h"
#include "lib/base/random.h"
#include "lib/base/result.h"

namespace mainstay::engine::redis {
namespace {

constexpr size_t kMaxBytes = 4096;
constexpr size_t kMaxPassword = 512;

}  // namespace

absl::StatusOr<std::string> LoadPassword(const std::string& path) {
  MAINSTAY_ASSIGN_OR_RETURN(const std::string text, ReadPasswordFile(path, kMaxBytes));
  const absl::string_view line =
      absl::StripAsciiWhitespace(absl::string_view(text).substr(0, text.find('\n')));
  const bool plain = std::all_of(line.begin(), line.end(),
                                 [](char c) { return absl::ascii_isgraph(static_cast<unsigned char>(c)); });
  if (line.empty() || line.size() > kMaxPassword || !plain)
    return absl::FailedPreconditionError(absl::StrCat(
        "the password file ", path, ": want one line of 1 to 512 visible ASCII characters without blanks"));
  return std::string(line);
}

absl::StatusOr<std::string> EnsurePassword(const std::string& path) {
  absl::StatusOr<std::string> have = LoadPassword(path);
  if (!absl::IsNotFound(have.status())) return have;
  const std::string mine = absl::StrCat(path, ".", RandomHex(4), ".new");
  MAINSTAY_RETURN_IF_ERROR(AtomicWriteFile(mine, RandomHex(24) + "\n", {.mode = 0600}));
  // link(2) does not replace: of two makers at the same moment one wins.
  const int rc = link(mine.c_str(), path.c_str());
  const int error = errno;
  unlink(mine.c_str());
  if (rc != 0 && error != EEXIST) return ErrnoStatus(error, "creating the password file", path);
  MAINSTAY_RETURN_IF_ERROR(SyncDir(DirName(path)));
  return LoadPassword(path);
}

}  // namespace mainstay::engine::redis
