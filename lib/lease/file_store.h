// A store in a directory of one machine: members on it share the directory. Serves the demo, tests, and
// programs that elect a leader among processes of one machine. Not for network file systems (flock and
// inotify do not reach across them).
//
//   <dir>/lock.json       the document and its version, as one JSON object with a check over all of it
//   <dir>/lock.tmp/       where new content is made, and what a killed writer left behind (the next one
//   removes
//                         it); apart, so that the members who watch <dir> are woken once a change
//
// How: a change holds flock(2) on the directory itself (nothing to delete under a holder's feet; the kernel
// frees it when a process dies), reads, compares, writes the new file, fsync, rename, fsync of the directory.
// Everything is done relative to the locked directory, so a directory that was moved away and made anew
// cannot mix up two generations. A version is 128 random bits per write, so it does not repeat after a
// deletion. A file that was edited by hand gets another version (from its inode, time and content), so its
// holder meets a conflict instead of writing over the edit. Read takes no lock and never waits for writers.
//
// Outcomes beyond store.h: Read of a damaged file is kUnreadable with a version that Update accepts. A full
// disk, missing rights, a missing directory are kUnknown with the old content intact and a detail that says
// so. A disk that hangs: every call returns at its deadline (BoundedWorker). Thread rules: thread-safe.
// Processes: any number. Not to be used across fork(): open one in each process.
#ifndef MAINSTAY_LIB_LEASE_FILE_STORE_H_
#define MAINSTAY_LIB_LEASE_FILE_STORE_H_

#include <sys/types.h>

#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "lib/base/file.h"
#include "lib/lease/bounded_worker.h"
#include "lib/lease/store.h"

namespace mainstay::lease {

struct FileStoreOptions {
  mode_t mode = 0600;      // of lock.json
  mode_t dir_mode = 0700;  // of directories that have to be made
  // For tests: takes the place of fsync(2).
  int (*fsync_for_test)(int fd) = nullptr;
  // For tests: no inotify, WaitChange polls.
  bool poll_only = false;
};

class FileStoreOwn;  // in file_store.cc

class FileStore : public Store {
 public:
  // Makes the directory when it is missing (also its parents).
  static absl::StatusOr<std::unique_ptr<FileStore>> Open(const std::string& dir,
                                                         FileStoreOptions options = {});

  StoreAnswer Read(MonoTime deadline) override;
  StoreAnswer Create(const Document& document, MonoTime deadline) override;
  StoreAnswer Update(const Document& document, const std::string& if_version, MonoTime deadline) override;
  bool WaitChange(const std::string& seen, MonoTime deadline) override;
  void Interrupt() override;
  std::string Describe() const override { return "file:" + dir_; }

 private:
  FileStore(std::string dir, FileStoreOptions options, UniqueFd wake);
  StoreAnswer Run(StoreAnswer (*call)(const std::string& dir, const FileStoreOptions&, const Document&,
                                      const std::string& if_version, MonoTime deadline, FileStoreOwn* own),
                  const Document& document, const std::string& if_version, MonoTime deadline);
  enum class Look : uint8_t { kSame, kChanged, kUnknown };
  // Whether what is there is `seen`; not `first`: kChanged also for what would have to be read to know.
  Look LookNow(const std::string& seen, bool first);
  // The inotify of the last WaitChange, or a new one. Making and unmaking one is dear in the kernel.
  UniqueFd TakeNotify();
  bool WaitWith(const UniqueFd& notify, const std::string& seen, MonoTime deadline);
  // Waits for a change of the file, the eventfd or `deadline`. True: interrupted.
  bool WaitOnce(int inotify_fd, MonoTime deadline);

  const std::string dir_;
  const FileStoreOptions options_;
  const UniqueFd wake_;  // eventfd of Interrupt
  const std::shared_ptr<FileStoreOwn> own_;
  std::mutex notify_mutex_;
  UniqueFd notify_;
  BoundedWorker worker_;
};

}  // namespace mainstay::lease

#endif  // MAINSTAY_LIB_LEASE_FILE_STORE_H_
