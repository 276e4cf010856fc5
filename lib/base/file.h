// Files that must survive a crash: bounded reads, atomic replacement, locks with a deadline.
//
// Errors: every message names the path, what failed and what to do. Codes: NotFound (no such file or
// directory), PermissionDenied, ResourceExhausted (disk full, quota, file too large), FailedPrecondition (a
// symlink, a directory, not a plain file), DeadlineExceeded (lock held by another), Internal (input/output
// error). Thread rules: thread-safe, also between processes.
#ifndef MAINSTAY_LIB_BASE_FILE_H_
#define MAINSTAY_LIB_BASE_FILE_H_

#include <sys/types.h>

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "lib/base/time.h"

namespace mainstay {

// A file descriptor that closes itself.
class UniqueFd {
 public:
  UniqueFd() = default;
  explicit UniqueFd(int fd) : fd_(fd) {}
  UniqueFd(UniqueFd&& other) noexcept : fd_(other.release()) {}
  UniqueFd& operator=(UniqueFd&& other) noexcept {
    reset(other.release());
    return *this;
  }
  ~UniqueFd() { reset(); }
  int get() const { return fd_; }
  bool valid() const { return fd_ >= 0; }
  int release() {
    const int fd = fd_;
    fd_ = -1;
    return fd;
  }
  void reset(int fd = -1);

 private:
  int fd_ = -1;
};

// An absl::Status for errno: "<doing> <path>: <strerror>; <remedy>".
absl::Status ErrnoStatus(int error, absl::string_view doing, absl::string_view path);

// The whole file. ResourceExhausted when it is longer than `max_bytes`. Follows no symlink in the last
// component.
absl::StatusOr<std::string> ReadFile(const std::string& path, size_t max_bytes);

// The rest of an open plain file, with the same bound and errors; `path` is for messages.
absl::StatusOr<std::string> ReadFd(int fd, const std::string& path, size_t max_bytes);
// All of `data`, however many writes it takes.
absl::Status WriteFd(int fd, absl::string_view data, const std::string& path);

struct AtomicWriteOptions {
  mode_t mode = 0600;
  // Set to true as soon as the new content is in place: an error with *replaced true means that the content
  // is new, but may be the old one again after a power cut. With *replaced false the old content is
  // untouched.
  bool* replaced = nullptr;
};
// Replaces `path` by `data`: temporary file in the same directory, fsync, rename, fsync of the directory.
// Whoever reads sees either the old or the new content, also after kill -9, a power cut or a full disk.
// Left-overs of killed writers
// (".<name>.<random>.tmp") are removed by the next writer of the same path.
absl::Status AtomicWriteFile(const std::string& path, absl::string_view data,
                             AtomicWriteOptions options = {});

// Makes a rename or an unlink in `dir` durable.
absl::Status SyncDir(const std::string& dir);

// mkdir -p: missing directories get `mode`. Fine when it is there already.
absl::Status MakeDirs(const std::string& path, mode_t mode);

// The directory part: "/a" for "/a/b", "." for "b", "/" for "/b".
std::string DirName(const std::string& path);

// An exclusive flock(2) on a file of its own (created when missing, never deleted by us: deleting a lock file
// is a race). Held until destroyed; the kernel frees it when the process dies. Excludes other FileLocks of
// the same process, too.
class FileLock {
 public:
  // Tries until `deadline`, at least once; then DeadlineExceeded.
  static absl::StatusOr<FileLock> Acquire(const std::string& path, MonoTime deadline, mode_t mode = 0600);
  // The same on an existing directory: nothing can delete the lock under its holder's feet, and fd() is good
  // for openat(2): what is done relative to it stays in the locked directory, even when that is moved away.
  // Local file systems only.
  static absl::StatusOr<FileLock> AcquireDir(const std::string& dir, MonoTime deadline);
  FileLock(FileLock&&) noexcept = default;
  FileLock& operator=(FileLock&&) noexcept = default;
  int fd() const { return fd_.get(); }

 private:
  static absl::StatusOr<FileLock> AcquireWith(const std::string& path, MonoTime deadline, int flags,
                                              mode_t mode);
  explicit FileLock(UniqueFd fd) : fd_(std::move(fd)) {}
  UniqueFd fd_;
};

}  // namespace mainstay

#endif  // MAINSTAY_LIB_BASE_FILE_H_
