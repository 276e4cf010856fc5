#include "lib/base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <memory>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "lib/base/random.h"
#include "lib/base/result.h"

namespace mainstay {
namespace {

struct Explained {
  absl::StatusCode code;
  const char* remedy;
};

Explained Explain(int error) {
  switch (error) {
    case ENOENT:
      return {absl::StatusCode::kNotFound, "create it or correct the path"};
    case EACCES:
    case EPERM:
      return {absl::StatusCode::kPermissionDenied, "give this user access to it and its directory"};
    case EROFS:
      return {absl::StatusCode::kPermissionDenied, "the file system is read-only; mount a writable one"};
    case ENOSPC:
      return {absl::StatusCode::kResourceExhausted,
              "the disk is full; free space, the old content is untouched"};
    case EDQUOT:
      return {absl::StatusCode::kResourceExhausted, "the disk quota is used up; free space or raise it"};
    case EFBIG:
      return {absl::StatusCode::kResourceExhausted, "the file size limit was hit; raise RLIMIT_FSIZE"};
    case EMFILE:
    case ENFILE:
      return {absl::StatusCode::kResourceExhausted, "too many open files; raise the limit (ulimit -n)"};
    case ELOOP:
      return {absl::StatusCode::kFailedPrecondition, "it is a symbolic link; name the file itself"};
    case EISDIR:
      return {absl::StatusCode::kFailedPrecondition, "it is a directory; name a file in it"};
    case ENOTDIR:
      return {absl::StatusCode::kFailedPrecondition,
              "a part of the path is not a directory; correct the path"};
    case EIO:
      return {absl::StatusCode::kInternal, "the disk reported an error; look at the kernel log"};
    default:
      return {absl::StatusCode::kInternal, "see the error"};
  }
}

std::string BaseName(const std::string& path) {
  const size_t slash = path.rfind('/');
  return slash == std::string::npos ? path : path.substr(slash + 1);
}

int RetryFsync(int fd) {
  int rc = -1;
  do rc = fsync(fd);
  while (rc != 0 && errno == EINTR);
  return rc;
}

// A living writer holds a flock on its temporary file, so one that can be locked is a dead one's.
void RemoveStaleTemps(const std::string& dir, const std::string& prefix) {
  const std::unique_ptr<DIR, int (*)(DIR*)> d(opendir(dir.c_str()), &closedir);
  if (d == nullptr) return;
  while (const dirent* entry = readdir(d.get())) {
    const absl::string_view name = entry->d_name;
    if (!absl::StartsWith(name, prefix) || !absl::EndsWith(name, ".tmp")) continue;
    const UniqueFd fd(openat(dirfd(d.get()), entry->d_name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
    if (fd.valid() && flock(fd.get(), LOCK_EX | LOCK_NB) == 0) unlinkat(dirfd(d.get()), entry->d_name, 0);
  }
}

// A temporary file that no cleaner can take: its lock is held and its name is still there. A cleaner of
// another writer may take it in the moment between open and flock; that shows here, before anything was
// written, and costs another name.
absl::StatusOr<UniqueFd> OpenTemp(const std::string& stem, mode_t mode, std::string* temp) {
  for (int attempt = 0; attempt < 100; ++attempt) {
    *temp = absl::StrCat(stem, RandomHex(8), ".tmp");
    UniqueFd fd(open(temp->c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode));
    if (!fd.valid()) return ErrnoStatus(errno, "creating", *temp);
    if (flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
      if (errno == EWOULDBLOCK || errno == EINTR) continue;
      const int error = errno;
      unlink(temp->c_str());
      return ErrnoStatus(error, "locking", *temp);
    }
    struct stat st {};
    if (fstat(fd.get(), &st) == 0 && st.st_nlink > 0) return fd;
  }
  return absl::AbortedError(
      absl::StrCat("creating ", stem, "*.tmp: removed by others each time; look what deletes files there"));
}

// Creates, fills and syncs the temporary file; on failure it is gone again.
absl::StatusOr<UniqueFd> WriteTemp(const std::string& stem, absl::string_view data, mode_t mode,
                                   std::string* temp) {
  MAINSTAY_ASSIGN_OR_RETURN(UniqueFd fd, OpenTemp(stem, mode, temp));
  absl::Status status;
  if (fchmod(fd.get(), mode) != 0) status = ErrnoStatus(errno, "setting the mode of", *temp);
  if (status.ok()) status = WriteFd(fd.get(), data, *temp);
  if (status.ok() && RetryFsync(fd.get()) != 0) status = ErrnoStatus(errno, "syncing", *temp);
  if (status.ok()) return fd;
  unlink(temp->c_str());
  return status;
}

}  // namespace

void UniqueFd::reset(int fd) {
  if (fd_ >= 0) {
    const int saved = errno;
    close(fd_);
    errno = saved;
  }
  fd_ = fd;
}

absl::Status ErrnoStatus(int error, absl::string_view doing, absl::string_view path) {
  const Explained e = Explain(error);
  char buffer[128];
  return absl::Status(
      e.code, absl::StrCat(doing, " ", path, ": ", strerror_r(error, buffer, sizeof buffer), "; ", e.remedy));
}

absl::StatusOr<std::string> ReadFile(const std::string& path, size_t max_bytes) {
  // O_NONBLOCK: a FIFO with nobody at its other end must not hang us.
  const UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  if (!fd.valid()) return ErrnoStatus(errno, "opening", path);
  return ReadFd(fd.get(), path, max_bytes);
}

absl::StatusOr<std::string> ReadFd(int fd, const std::string& path, size_t max_bytes) {
  struct stat st {};
  if (fstat(fd, &st) != 0) return ErrnoStatus(errno, "looking at", path);
  if (S_ISDIR(st.st_mode)) return ErrnoStatus(EISDIR, "reading", path);
  if (!S_ISREG(st.st_mode)) {
    return absl::FailedPreconditionError(
        absl::StrCat("reading ", path, ": not a plain file; remove it or name another"));
  }
  std::string out;
  // Files of /proc say that they are empty: read to the end, not to the size.
  size_t step = std::min(max_bytes, static_cast<size_t>(st.st_size)) + 1;
  for (;;) {
    const size_t have = out.size();
    step = std::min(std::max<size_t>(step, 512), max_bytes + 1 - have);
    out.resize(have + step);
    const ssize_t n = read(fd, out.data() + have, step);
    if (n < 0 && errno != EINTR) return ErrnoStatus(errno, "reading", path);
    out.resize(have + static_cast<size_t>(std::max<ssize_t>(n, 0)));
    if (n == 0) return out;
    if (out.size() > max_bytes) {
      return absl::ResourceExhaustedError(
          absl::StrCat("reading ", path, ": longer than ", max_bytes,
                       " bytes; this is not a file of ours, look what wrote it"));
    }
  }
}

absl::Status WriteFd(int fd, absl::string_view data, const std::string& path) {
  while (!data.empty()) {
    const ssize_t n = write(fd, data.data(), data.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return ErrnoStatus(errno, "writing", path);
    data.remove_prefix(static_cast<size_t>(n));
  }
  return absl::OkStatus();
}

absl::Status SyncDir(const std::string& dir) {
  const UniqueFd fd(open(dir.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd.valid()) return ErrnoStatus(errno, "opening directory", dir);
  if (RetryFsync(fd.get()) != 0) return ErrnoStatus(errno, "syncing directory", dir);
  return absl::OkStatus();
}

absl::Status AtomicWriteFile(const std::string& path, absl::string_view data, AtomicWriteOptions options) {
  if (options.replaced != nullptr) *options.replaced = false;
  const std::string dir = DirName(path);
  const std::string prefix = absl::StrCat(".", BaseName(path), ".");
  RemoveStaleTemps(dir, prefix);
  std::string temp;
  MAINSTAY_ASSIGN_OR_RETURN(const UniqueFd fd,
                            WriteTemp(absl::StrCat(dir, "/", prefix), data, options.mode, &temp));
  if (rename(temp.c_str(), path.c_str()) != 0) {
    const int error = errno;
    unlink(temp.c_str());
    return ErrnoStatus(error, "replacing", path);
  }
  if (options.replaced != nullptr) *options.replaced = true;
  return SyncDir(dir);
}

std::string DirName(const std::string& path) {
  const size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

absl::Status MakeDirs(const std::string& path, mode_t mode) {
  if (path.empty()) return absl::InvalidArgumentError("making a directory: the path is empty; name one");
  for (size_t at = 1; at <= path.size(); ++at) {
    if (at != path.size() && path[at] != '/') continue;
    const std::string part = path.substr(0, at);
    if (mkdir(part.c_str(), mode) == 0) continue;
    const int error = errno;
    struct stat st {};
    // mkdir may say EROFS or EACCES for a directory that is there.
    if (stat(part.c_str(), &st) == 0) {
      if (S_ISDIR(st.st_mode)) continue;
      return ErrnoStatus(ENOTDIR, "making directory", part);
    }
    return ErrnoStatus(error, "making directory", part);
  }
  return absl::OkStatus();
}

absl::StatusOr<FileLock> FileLock::Acquire(const std::string& path, MonoTime deadline, mode_t mode) {
  return AcquireWith(path, deadline, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, mode);
}

absl::StatusOr<FileLock> FileLock::AcquireDir(const std::string& dir, MonoTime deadline) {
  return AcquireWith(dir, deadline, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
}

absl::StatusOr<FileLock> FileLock::AcquireWith(const std::string& path, MonoTime deadline, int flags,
                                               mode_t mode) {
  Duration pause = std::chrono::microseconds(200);
  for (;;) {
    UniqueFd fd(open(path.c_str(), flags, mode));
    if (!fd.valid()) return ErrnoStatus(errno, "opening for a lock", path);
    // flock has no time-out, so it is tried again and again; the same descriptor is used as long as it is the
    // file at `path`.
    for (;;) {
      if (flock(fd.get(), LOCK_EX | LOCK_NB) == 0) {
        struct stat mine {
        }, there{};
        if (fstat(fd.get(), &mine) == 0 && stat(path.c_str(), &there) == 0 && mine.st_ino == there.st_ino &&
            mine.st_dev == there.st_dev) {
          return FileLock(std::move(fd));
        }
        break;  // somebody deleted the lock file meanwhile: lock the new one
      }
      if (errno != EWOULDBLOCK && errno != EINTR) return ErrnoStatus(errno, "locking", path);
      if (BootClock().Now() + pause >= deadline) break;
      timespec ts{0, static_cast<long>(pause.count())};
      nanosleep(&ts, nullptr);
      pause = std::min<Duration>(pause * 2, std::chrono::milliseconds(5));
    }
    if (BootClock().Now() + pause >= deadline) {
      return absl::DeadlineExceededError(absl::StrCat(
          "locking ", path, ": held by another process until the deadline; see who: fuser ", path));
    }
  }
}

}  // namespace mainstay
