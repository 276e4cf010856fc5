#include "lib/erlang/cookie.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "lib/base/file.h"
#include "lib/base/result.h"

namespace mainstay::erlang {

absl::StatusOr<std::string> ReadCookie(const std::string& path) {
  const UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!fd.valid()) return ErrnoStatus(errno, "opening", path);
  struct stat about {};
  if (fstat(fd.get(), &about) != 0) return ErrnoStatus(errno, "looking at", path);
  const mode_t fine = about.st_uid == 0 ? 0640 : 0600;
  if (S_ISREG(about.st_mode) && (about.st_mode & 0777 & ~fine) != 0) {
    return absl::PermissionDeniedError(
        absl::StrCat("the Erlang cookie in ", path, " has mode 0", absl::Hex((about.st_mode >> 6) & 7),
                     absl::Hex((about.st_mode >> 3) & 7), absl::Hex(about.st_mode & 7),
                     "; make it 0400: who reads it owns the node"));
  }
  MAINSTAY_ASSIGN_OR_RETURN(const std::string text, ReadFd(fd.get(), path, kMaxCookie + 2));
  const absl::string_view cookie = absl::StripAsciiWhitespace(text);
  if (cookie.empty() || cookie.size() > kMaxCookie)
    return absl::InvalidArgumentError(absl::StrCat("the Erlang cookie in ", path, " has ", cookie.size(),
                                                   " bytes; 1 to ", kMaxCookie, " it must"));
  for (const char c : cookie)
    if (!absl::ascii_isgraph(static_cast<unsigned char>(c)))
      return absl::InvalidArgumentError(absl::StrCat(
          "the Erlang cookie in ", path, " has a character that none has (a space, a line break?)"));
  return std::string(cookie);
}

}  // namespace mainstay::erlang
