#include "lib/lease/file_store.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "lib/base/json.h"
#include "lib/base/random.h"
#include "lib/base/result.h"
#include "lib/base/strings.h"

namespace mainstay::lease {

// What this store knows of the file without reading it again: inodes and times of writing (a rename changes
// neither). For WaitChange, which need neither wake nor read for it; never for a decision.
class FileStoreOwn {
 public:
  void Put(const struct stat& st) {  // this store put it, or is about to put it, in place
    std::lock_guard<std::mutex> lock(mutex_);
    put_ = Stamp::Of(st);
  }
  bool IsPut(const struct stat& st) const {
    std::lock_guard<std::mutex> lock(mutex_);
    return put_ == Stamp::Of(st);
  }
  void Read(const struct stat& st, const std::string& version) {
    std::lock_guard<std::mutex> lock(mutex_);
    read_ = Stamp::Of(st);
    version_ = version;
  }
  std::optional<std::string> VersionOf(const struct stat& st) const {  // nothing: not what was read last
    std::lock_guard<std::mutex> lock(mutex_);
    if (read_ != Stamp::Of(st)) return std::nullopt;
    return version_;
  }

 private:
  struct Stamp {
    uint64_t inode = 0;
    int64_t written_ns = 0;
    off_t bytes = 0;
    static Stamp Of(const struct stat& st) {
      return {st.st_ino, st.st_mtim.tv_sec * int64_t{1'000'000'000} + st.st_mtim.tv_nsec, st.st_size};
    }
    bool operator==(const Stamp&) const = default;
  };
  mutable std::mutex mutex_;
  Stamp put_, read_;
  std::string version_;
};

namespace {

using Own = FileStoreOwn;

constexpr char kFile[] = "lock.json";
constexpr char kSide[] =
    "lock.tmp";  // a directory: who watches the file's own is not woken by what happens in it
constexpr char kFormat[] = "mainstay-lock-1";
// A document of kMaxDocumentBytes with every quote in it escaped once more, and some.
constexpr size_t kMaxFileBytes = 4 * election::kMaxDocumentBytes;
constexpr Duration kPollEvery = std::chrono::milliseconds(100);

StoreAnswer Unknown(absl::string_view detail) {
  return {StoreOutcome::kUnknown, "", {}, absl::StrCat("file store: ", detail)};
}

// ---- the file's content ----

std::string SumOf(absl::string_view version, const Document& d) {
  const std::string all = absl::StrCat(version, "\n", d.leader.size(), "\n", d.leader, "\n", d.renewal.size(),
                                       "\n", d.renewal, "\n", d.state);
  return absl::StrCat(absl::Hex(Fnv1a64(all), absl::kZeroPad16));
}

std::string EncodeFile(const std::string& version, const Document& d) {
  return DumpJson(OrderedJson{{"format", kFormat},
                              {"version", version},
                              {"leader", d.leader},
                              {"renewal", d.renewal},
                              {"state", d.state},
                              {"sum", SumOf(version, d)}}) +
         "\n";
}

struct Parsed {
  std::string version;
  Document document;
  bool sound = false;  // the sum fits: nobody edited it
};

absl::StatusOr<Parsed> ParseFile(const std::string& text) {
  MAINSTAY_ASSIGN_OR_RETURN(const Json json, ParseJson(text, kMaxFileBytes));
  const JsonView view(&json, kFile);
  MAINSTAY_ASSIGN_OR_RETURN(const std::string format, view.String("format", 64));
  if (format != kFormat) return view.Wrong("format", kFormat);
  Parsed out;
  MAINSTAY_ASSIGN_OR_RETURN(out.version, view.String("version", 64));
  MAINSTAY_ASSIGN_OR_RETURN(out.document.leader, view.String("leader", election::kMaxDocumentBytes));
  MAINSTAY_ASSIGN_OR_RETURN(out.document.renewal, view.String("renewal", election::kMaxDocumentBytes));
  MAINSTAY_ASSIGN_OR_RETURN(out.document.state, view.String("state", election::kMaxDocumentBytes));
  MAINSTAY_ASSIGN_OR_RETURN(const std::string sum, view.String("sum", 64));
  out.sound = sum == SumOf(out.version, out.document);
  return out;
}

// The version of a file that is not as one of us wrote it.
std::string EditedVersion(const struct stat& st, absl::string_view text) {
  return absl::StrCat("edited-", st.st_ino, "-", st.st_mtim.tv_sec, ".", st.st_mtim.tv_nsec, "-",
                      absl::Hex(Fnv1a64(text)));
}

// What is there now, read from `dir_fd`.
StoreAnswer ReadAt(int dir_fd, const std::string& dir, Own* own) {
  const std::string path = absl::StrCat(dir, "/", kFile);
  const UniqueFd fd(openat(dir_fd, kFile, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  if (!fd.valid()) {
    if (errno == ENOENT)
      return {StoreOutcome::kNotFound, "", {}, absl::StrCat("file store: there is no ", path)};
    return Unknown(ErrnoStatus(errno, "opening", path).message());
  }
  struct stat st {};
  if (fstat(fd.get(), &st) != 0) return Unknown(ErrnoStatus(errno, "looking at", path).message());
  const absl::StatusOr<std::string> text = ReadFd(fd.get(), path, kMaxFileBytes);
  if (!text.ok() && !S_ISREG(st.st_mode)) return Unknown(text.status().message());
  if (!text.ok() && text.status().code() != absl::StatusCode::kResourceExhausted)
    return Unknown(text.status().message());
  const absl::StatusOr<Parsed> parsed = text.ok() ? ParseFile(*text) : absl::StatusOr<Parsed>(text.status());
  if (!parsed.ok()) {
    return {StoreOutcome::kUnreadable,
            EditedVersion(st, text.ok() ? absl::string_view(*text) : ""),
            {},
            absl::StrCat("file store: ", path, " is damaged: ", parsed.status().message(),
                         "; put a good copy back or delete it: the members write it anew")};
  }
  const std::string version = parsed->sound ? parsed->version : EditedVersion(st, *text);
  own->Read(st, version);
  return {StoreOutcome::kOk, version, parsed->document, ""};
}

// ---- changing it ----

int Sync(const FileStoreOptions& options, int fd) {
  int rc = -1;
  do rc = options.fsync_for_test != nullptr ? options.fsync_for_test(fd) : fsync(fd);
  while (rc != 0 && errno == EINTR);
  return rc;
}

// Where new content is made: a directory of its own below the locked one, made when it is missing.
absl::StatusOr<UniqueFd> OpenSide(int dir_fd, const std::string& dir, const FileStoreOptions& options) {
  const std::string path = absl::StrCat(dir, "/", kSide);
  for (const bool made : {false, true}) {
    UniqueFd side(openat(dir_fd, kSide, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW));
    if (side.valid()) return side;
    if (errno != ENOENT || made) break;
    if (mkdirat(dir_fd, kSide, options.dir_mode) != 0 && errno != EEXIST)
      return ErrnoStatus(errno, "making directory", path);
  }
  return ErrnoStatus(errno, "opening directory", path);
}

absl::Status WriteNewAt(int side, const std::string& dir, const FileStoreOptions& options,
                        absl::string_view data, Own* own) {
  const std::string path = absl::StrCat(dir, "/", kSide, "/", kFile);
  // Never written into: it could be a second name of something.
  if (unlinkat(side, kFile, 0) != 0 && errno != ENOENT) return ErrnoStatus(errno, "removing", path);
  const UniqueFd fd(openat(side, kFile, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, options.mode));
  if (!fd.valid()) return ErrnoStatus(errno, "creating", path);
  absl::Status status = WriteFd(fd.get(), data, path);
  if (status.ok() && Sync(options, fd.get()) != 0) status = ErrnoStatus(errno, "syncing", path);
  if (!status.ok()) unlinkat(side, kFile, 0);
  if (struct stat st{}; status.ok() && fstat(fd.get(), &st) == 0) own->Put(st);
  return status;
}

// The new file becomes the file: only when nothing is there (`fresh`), or only when something is: people who
// delete the file take no lock, and a plain rename would undo what they did. Returns an errno, 0 when done.
int PutInPlace(int side, int dir_fd, bool fresh) {
  if (fresh) return renameat2(side, kFile, dir_fd, kFile, RENAME_NOREPLACE) == 0 ? 0 : errno;
  if (renameat2(side, kFile, dir_fd, kFile, RENAME_EXCHANGE) == 0) {
    unlinkat(side, kFile, 0);  // the old content; should we die before, the next writer removes it
    return 0;
  }
  if (errno != EINVAL && errno != ENOSYS) return errno;
  return renameat(side, kFile, dir_fd, kFile) == 0 ? 0 : errno;  // a file system without exchange
}

// Puts `document` in place under the lock. `fresh`: only when nothing is there.
StoreAnswer Commit(int dir_fd, const std::string& dir, const FileStoreOptions& options,
                   const Document& document, bool fresh, MonoTime deadline, Own* own) {
  const std::string version = RandomHex(16);
  const absl::StatusOr<UniqueFd> side = OpenSide(dir_fd, dir, options);
  if (!side.ok()) return Unknown(absl::StrCat(side.status().message(), " (nothing was changed)"));
  const absl::Status written = WriteNewAt(side->get(), dir, options, EncodeFile(version, document), own);
  if (!written.ok()) return Unknown(absl::StrCat(written.message(), " (nothing was changed)"));
  if (BootClock().Now() >= deadline) {  // the caller has gone: do not surprise it
    unlinkat(side->get(), kFile, 0);
    return Unknown("the disk took longer than the deadline (nothing was changed); look at its load");
  }
  if (const int error = PutInPlace(side->get(), dir_fd, fresh); error != 0) {
    unlinkat(side->get(), kFile, 0);
    if (fresh && error == EEXIST)
      return {StoreOutcome::kConflict, "", {}, "file store: the file appeared meanwhile; read it"};
    if (!fresh && error == ENOENT)
      return {StoreOutcome::kNotFound, "", {}, "file store: the file was deleted meanwhile"};
    return Unknown(absl::StrCat(ErrnoStatus(error, "replacing", absl::StrCat(dir, "/", kFile)).message(),
                                " (nothing was changed)"));
  }
  if (Sync(options, dir_fd) != 0) {
    return Unknown(absl::StrCat(ErrnoStatus(errno, "syncing directory", dir).message(),
                                " (the new content is in place, but may be lost in a power cut)"));
  }
  return {StoreOutcome::kOk, version, {}, ""};
}

absl::Status CheckSize(const Document& d) {
  const size_t bytes = d.leader.size() + d.renewal.size() + d.state.size();
  if (bytes <= election::kMaxDocumentBytes) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("the document has ", bytes, " bytes, more than ",
                                                 election::kMaxDocumentBytes,
                                                 " (nothing was changed); remove members"));
}

StoreAnswer DoRead(const std::string& dir, const FileStoreOptions&, const Document&, const std::string&,
                   MonoTime, Own* own) {
  const UniqueFd fd(open(dir.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd.valid()) return Unknown(ErrnoStatus(errno, "opening directory", dir).message());
  return ReadAt(fd.get(), dir, own);
}

StoreAnswer DoCreate(const std::string& dir, const FileStoreOptions& options, const Document& document,
                     const std::string&, MonoTime deadline, Own* own) {
  const absl::StatusOr<FileLock> lock = FileLock::AcquireDir(dir, deadline);
  if (!lock.ok()) return Unknown(lock.status().message());
  const StoreAnswer now = ReadAt(lock->fd(), dir, own);
  if (now.outcome == StoreOutcome::kOk || now.outcome == StoreOutcome::kUnreadable) {
    return {StoreOutcome::kConflict, "", {}, "file store: the file exists; read it"};
  }
  if (now.outcome != StoreOutcome::kNotFound) return now;
  return Commit(lock->fd(), dir, options, document, /*fresh=*/true, deadline, own);
}

StoreAnswer DoUpdate(const std::string& dir, const FileStoreOptions& options, const Document& document,
                     const std::string& if_version, MonoTime deadline, Own* own) {
  const absl::StatusOr<FileLock> lock = FileLock::AcquireDir(dir, deadline);
  if (!lock.ok()) return Unknown(lock.status().message());
  StoreAnswer now = ReadAt(lock->fd(), dir, own);
  if (now.outcome != StoreOutcome::kOk && now.outcome != StoreOutcome::kUnreadable) return now;
  if (now.version != if_version) {
    return {StoreOutcome::kConflict,
            "",
            {},
            absl::StrCat("file store: version is ", now.version, ", not ", if_version, "; read it")};
  }
  return Commit(lock->fd(), dir, options, document, /*fresh=*/false, deadline, own);
}

// Milliseconds for poll(2): rounded up, at most a minute (BOOTTIME is looked at again then).
int PollMs(MonoTime deadline) {
  const Duration left =
      std::clamp<Duration>(deadline - BootClock().Now(), Duration::zero(), std::chrono::minutes(1));
  return static_cast<int>(std::chrono::ceil<std::chrono::milliseconds>(left).count());
}

// Takes what happened in the directory; true when the file itself may have changed (other files may lie
// beside it).
bool Concerns(int inotify_fd) {
  bool concerns = false;
  alignas(inotify_event) char buffer[4096];
  for (;;) {
    const ssize_t n = read(inotify_fd, buffer, sizeof buffer);
    if (n <= 0) return concerns || (n < 0 && errno != EAGAIN);
    for (ssize_t at = 0; at < n;) {
      const auto* event = reinterpret_cast<const inotify_event*>(buffer + at);
      concerns = concerns || event->len == 0 || strcmp(event->name, kFile) == 0;  // no name: the directory
      at += static_cast<ssize_t>(sizeof(inotify_event) + event->len);
    }
  }
}

}  // namespace

absl::StatusOr<std::unique_ptr<FileStore>> FileStore::Open(const std::string& dir, FileStoreOptions options) {
  MAINSTAY_RETURN_IF_ERROR(MakeDirs(dir, options.dir_mode));
  UniqueFd wake(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!wake.valid()) return ErrnoStatus(errno, "making an eventfd for", dir);
  return std::unique_ptr<FileStore>(new FileStore(dir, options, std::move(wake)));
}

FileStore::FileStore(std::string dir, FileStoreOptions options, UniqueFd wake)
    : dir_(std::move(dir)), options_(options), wake_(std::move(wake)), own_(std::make_shared<Own>()) {}

StoreAnswer FileStore::Run(StoreAnswer (*call)(const std::string&, const FileStoreOptions&, const Document&,
                                               const std::string&, MonoTime, FileStoreOwn*),
                           const Document& document, const std::string& if_version, MonoTime deadline) {
  if (BootClock().Now() >= deadline)
    return Unknown("the deadline had passed before the request was made (nothing was changed)");
  if (const absl::Status fits = CheckSize(document); !fits.ok()) return Unknown(fits.message());
  // Owned by the call: it may outlive us when the disk hangs.
  struct Call {
    std::string dir, if_version;
    FileStoreOptions options;
    Document document;
    std::shared_ptr<Own> own;
    StoreAnswer answer;
  };
  const auto c = std::make_shared<Call>(Call{dir_, if_version, options_, document, own_, {}});
  const auto ran = worker_.Run(
      [c, call, deadline] {
        c->answer = call(c->dir, c->options, c->document, c->if_version, deadline, c->own.get());
      },
      deadline);
  switch (ran) {
    case BoundedWorker::Ran::kDone:
      return c->answer;
    case BoundedWorker::Ran::kHangs:
      return Unknown(
          absl::StrCat("no answer from the disk under ", dir_, " by the deadline; look at its load"));
    case BoundedWorker::Ran::kNotBegun:
      break;
  }
  return Unknown(absl::StrCat("an earlier request still hangs on the disk under ", dir_,
                              " (nothing was changed); look at its load"));
}

StoreAnswer FileStore::Read(MonoTime deadline) { return Run(&DoRead, {}, "", deadline); }

StoreAnswer FileStore::Create(const Document& document, MonoTime deadline) {
  return Run(&DoCreate, document, "", deadline);
}

StoreAnswer FileStore::Update(const Document& document, const std::string& if_version, MonoTime deadline) {
  return Run(&DoUpdate, document, if_version, deadline);
}

FileStore::Look FileStore::LookNow(const std::string& seen, bool first) {
  struct stat st {};
  if (stat(absl::StrCat(dir_, "/", kFile).c_str(), &st) == 0) {
    // What we write ourselves meanwhile is no news: a holder would read its own renewals for nothing.
    if (!first && own_->IsPut(st)) return Look::kSame;
    const std::optional<std::string> known = own_->VersionOf(st);
    if (known) return *known == seen ? Look::kSame : Look::kChanged;
    if (!first) return Look::kChanged;  // whoever waits reads it next: once is enough
  }
  const StoreAnswer now = DoRead(dir_, options_, {}, "", MonoTime::Never(), own_.get());
  if (now.outcome == StoreOutcome::kUnknown) return Look::kUnknown;
  return now.version == seen ? Look::kSame : Look::kChanged;
}

bool FileStore::WaitOnce(int inotify_fd, MonoTime deadline) {
  for (;;) {
    pollfd fds[2] = {{wake_.get(), POLLIN, 0}, {inotify_fd, POLLIN, 0}};
    poll(fds, inotify_fd >= 0 ? 2 : 1, PollMs(deadline));
    uint64_t count = 0;
    if ((fds[0].revents & POLLIN) != 0 && read(wake_.get(), &count, sizeof count) == sizeof count)
      return true;
    if (inotify_fd < 0 || fds[1].revents == 0 || Concerns(inotify_fd) || BootClock().Now() >= deadline)
      return false;
  }
}

UniqueFd FileStore::TakeNotify() {
  if (options_.poll_only) return UniqueFd();
  std::lock_guard<std::mutex> lock(notify_mutex_);
  if (notify_.valid()) return std::move(notify_);
  return UniqueFd(inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
}

bool FileStore::WaitChange(const std::string& seen, MonoTime deadline) {
  UniqueFd notify = TakeNotify();
  const bool changed = WaitWith(notify, seen, deadline);
  std::lock_guard<std::mutex> lock(notify_mutex_);
  notify_ = std::move(notify);  // of two that wait at the same time one is closed
  return changed;
}

bool FileStore::WaitWith(const UniqueFd& notify, const std::string& seen, MonoTime deadline) {
  int watch = -1;
  for (bool first = true;; first = false) {
    // Added again each time (cheap when it is there already): the directory may have been made anew.
    if (notify.valid()) {
      watch = inotify_add_watch(
          notify.get(), dir_.c_str(),
          IN_MOVED_TO | IN_CLOSE_WRITE | IN_DELETE | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR);
    }
    const Look look = LookNow(seen, first || watch < 0);  // after the watch: no change falls between
    if (look == Look::kChanged) return true;
    if (BootClock().Now() >= deadline) return false;
    // Without a watch (limit reached, directory missing) we look every 100 ms.
    const MonoTime until =
        watch >= 0 && look == Look::kSame ? deadline : std::min(deadline, BootClock().Now() + kPollEvery);
    if (WaitOnce(watch >= 0 ? notify.get() : -1, until)) return true;
  }
}

void FileStore::Interrupt() {
  const uint64_t one = 1;
  if (write(wake_.get(), &one, sizeof one) < 0) return;  // EAGAIN: it is set already
}

}  // namespace mainstay::lease
