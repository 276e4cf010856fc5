// Directory work on the data volume, in a child with the database's identity. No allocation: it shares the
// shim's small program.
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "agent/shim/procs.h"

namespace mainstay::shimd {
namespace {

constexpr int kMaxDepth = 48;  // a data directory has about 6

int Fail(const char* what, const char* path) {
  char number[24];
  Complain(what, path, strerrordesc_np(errno) != nullptr ? "" : Decimal(errno, number));
  Complain("  cause: ", strerrordesc_np(errno) != nullptr ? strerrordesc_np(errno) : "unknown");
  return 1;
}

bool Exists(const char* path) {
  struct stat st;
  return lstat(path, &st) == 0;
}

bool SyncDirectory(const char* path) {
  int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return false;
  bool ok = fsync(fd) == 0;
  close(fd);
  return ok;
}

int Rename(const char* from, const char* to, unsigned flags) {
  return static_cast<int>(syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, flags));
}

// <data>.old-<seconds>, a name that is free.
bool OldName(const char* data, char* out, size_t size) {
  char number[24];
  int64_t stamp = time(nullptr);  // wall clock: a name for people
  for (int i = 0; i < 100; ++i) {
    Text text(out, size);
    text.Add(data).Add(".old-").Add(Decimal(stamp + i, number));
    if (!text.ok()) return false;
    if (!Exists(out)) return true;
  }
  return false;
}

bool RemoveBelow(int dir, int depth);

bool RemoveEntry(int dir, const char* name, int depth) {
  if (unlinkat(dir, name, 0) == 0) return true;
  if (errno != EISDIR && errno != EPERM) return errno == ENOENT;
  // O_NOFOLLOW: a symbolic link (tablespace) was unlinked above; a directory that became one is not followed.
  int sub = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (sub < 0) return false;
  bool ok = depth < kMaxDepth && RemoveBelow(sub, depth + 1);
  close(sub);
  return ok && unlinkat(dir, name, AT_REMOVEDIR) == 0;
}

bool RemoveBelow(int dir, int depth) {
  struct Entry {  // linux_dirent64
    uint64_t ino;
    int64_t off;
    uint16_t reclen;
    uint8_t type;
    char name[];
  };
  alignas(8) char buffer[2048];
  // Removing while listing may skip entries: list again until a pass finds none.
  for (bool found = true; found;) {
    found = false;
    if (lseek(dir, 0, SEEK_SET) < 0) return false;
    long n;
    while ((n = syscall(SYS_getdents64, dir, buffer, sizeof buffer)) > 0) {
      for (long at = 0; at < n;) {
        auto* entry = reinterpret_cast<Entry*>(buffer + at);
        at += entry->reclen;
        if (strcmp(entry->name, ".") == 0 || strcmp(entry->name, "..") == 0) continue;
        if (!RemoveEntry(dir, entry->name, depth)) return false;
        found = true;
      }
    }
    if (n < 0) return false;
  }
  return true;
}

}  // namespace

int SwapData(const PathRules& rules, const char* new_dir) {
  char old_dir[1024], version[1100];
  const char* data = rules.data_dir;
  if (!Text(version, sizeof version).Add(new_dir).Add("/PG_VERSION").ok() || !Exists(version)) {
    return Fail("not a complete data directory (no PG_VERSION): ", new_dir);
  }
  const bool had_old = Exists(data);
  if (!had_old) {
    if (Rename(new_dir, data, RENAME_NOREPLACE) != 0)
      return Fail("cannot rename to the data directory: ", new_dir);
  } else {
    if (!OldName(data, old_dir, sizeof old_dir))
      return Fail("no free name for the old data directory: ", data);
    if (Rename(new_dir, data, RENAME_EXCHANGE) == 0) {
      // From here on `data` is the new one; `new_dir` holds the old one until it has its lasting name.
      if (!SyncDirectory(rules.parent)) return Fail("cannot fsync: ", rules.parent);
      if (Rename(new_dir, old_dir, RENAME_NOREPLACE) != 0)
        return Fail("swapped, but cannot name the old one: ", old_dir);
    } else if (errno == EINVAL || errno == ENOSYS) {  // a file system without exchange (NFS)
      if (rename(data, old_dir) != 0)
        return Fail("cannot put the old data directory aside (is it a mount point?): ", data);
      if (rename(new_dir, data) != 0) {
        Fail("cannot rename to the data directory, putting the old one back: ", new_dir);
        return rename(old_dir, data) == 0 ? 1 : Fail("and that failed too: ", old_dir);
      }
    } else {
      return Fail("cannot exchange with the data directory (is it a mount point?): ", new_dir);
    }
  }
  if (!SyncDirectory(rules.parent)) return Fail("cannot fsync: ", rules.parent);
  if (had_old && write(1, old_dir, strlen(old_dir)) < 0) return 1;
  return 0;
}

int RemoveStale(const PathRules& rules, const char* dir) {
  int parent = open(rules.parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (parent < 0) return Fail("cannot open: ", rules.parent);
  const char* name = dir + strlen(rules.parent) + 1;
  if (!RemoveEntry(parent, name, 0)) return Fail("cannot remove all of: ", dir);
  if (fsync(parent) != 0) return Fail("cannot fsync: ", rules.parent);
  return 0;
}

}  // namespace mainstay::shimd
