#include "lib/base/mounted_file.h"

#include <fcntl.h>

#include <cerrno>

#include "lib/base/file.h"

namespace mainstay {

absl::StatusOr<std::string> ReadMountedFile(const std::string& path, size_t max_bytes) {
  // O_NONBLOCK: a FIFO with nobody at its other end must not hang us.
  const UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!fd.valid()) return ErrnoStatus(errno, "opening", path);
  return ReadFd(fd.get(), path, max_bytes);
}

}  // namespace mainstay
