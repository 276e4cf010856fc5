#include "lib/base/mounted_file.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>

#include "absl/strings/str_cat.h"
#include "lib/base/file.h"

namespace mainstay {

namespace {

// O_NONBLOCK: a FIFO with nobody at its other end must not hang us.
UniqueFd Open(const std::string& path) {
  return UniqueFd(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
}

}  // namespace

absl::StatusOr<std::string> ReadMountedFile(const std::string& path, size_t max_bytes) {
  const UniqueFd fd = Open(path);
  if (!fd.valid()) return ErrnoStatus(errno, "opening", path);
  return ReadFd(fd.get(), path, max_bytes);
}

absl::StatusOr<std::string> ReadPasswordFile(const std::string& path, size_t max_bytes) {
  const UniqueFd fd = Open(path);
  if (!fd.valid()) return ErrnoStatus(errno, "opening the password file", path);
  struct stat st {};
  if (fstat(fd.get(), &st) != 0) return ErrnoStatus(errno, "looking at", path);
  if ((st.st_mode & 077) != 0)
    return absl::FailedPreconditionError(
        absl::StrCat("the password file ", path, " can be read by others; make its mode 0600"));
  return ReadFd(fd.get(), path, max_bytes);
}

}  // namespace mainstay
