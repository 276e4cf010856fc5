#include "lib/engine/postgres/datadir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <memory>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "lib/base/file.h"
#include "lib/base/random.h"
#include "lib/base/result.h"
#include "lib/engine/postgres/controldata.h"

namespace mainstay::engine::postgres {
namespace {

constexpr char kNonceFile[] = "/mainstay.nonce";
constexpr char kUnopenedFile[] = "/mainstay.unopened";
constexpr char kFoundingFile[] = "/mainstay.founding";

uint64_t Inode(const std::string& dir) {
  struct stat st {};
  return stat(dir.c_str(), &st) == 0 ? st.st_ino : 0;
}

bool AnswersOn(const std::string& socket_path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (socket_path.size() >= sizeof address.sun_path) return false;
  memcpy(address.sun_path, socket_path.c_str(), socket_path.size());
  const UniqueFd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd.valid()) return false;
  // EAGAIN: somebody listens, with a full queue.
  return connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0 ||
         errno == EAGAIN;
}

bool RunsIn(int64_t pid, const std::string& dir) {
  char cwd[PATH_MAX] = {};
  const ssize_t n = readlink(absl::StrCat("/proc/", pid, "/cwd").c_str(), cwd, sizeof cwd - 1);
  return n > 0 && Inode(cwd) != 0 && Inode(cwd) == Inode(dir);
}

}  // namespace

bool Exists(const std::string& path) {
  struct stat st {};
  return lstat(path.c_str(), &st) == 0;
}

absl::Status Touch(const std::string& path) { return AtomicWriteFile(path, "", {.mode = 0600}); }

absl::Status Remove(const std::string& path) {
  if (unlink(path.c_str()) != 0) {
    if (errno == ENOENT) return absl::OkStatus();
    return ErrnoStatus(errno, "removing", path);
  }
  return SyncDir(DirName(path));
}

std::string DataDir::In(absl::string_view file) const { return absl::StrCat(path_, "/", file); }
bool DataDir::Founding() const { return Exists(path_ + kFoundingFile); }
bool DataDir::Unopened() const { return Exists(path_ + kUnopenedFile) && !Empty(); }
absl::Status DataDir::ForgetUnopened() const { return Remove(path_ + kUnopenedFile); }
absl::Status DataDir::MarkUnopened(const std::string& dir) { return Touch(dir + kUnopenedFile); }
bool DataDir::Empty() const {
  return !Exists(path_ + "/PG_VERSION") || !Exists(path_ + "/global/pg_control") || Founding() ||
         Has(Marker::kReinit);
}

absl::StatusOr<int> DataDir::Major() const {
  MAINSTAY_ASSIGN_OR_RETURN(const std::string text, ReadFile(path_ + "/PG_VERSION", 64));
  int major = 0;
  if (!absl::SimpleAtoi(absl::StripAsciiWhitespace(text), &major) || major < 1) {
    return absl::DataLossError(
        absl::StrCat(path_, "/PG_VERSION does not hold a version: the data directory is damaged"));
  }
  return major;
}

absl::StatusOr<std::string> DataDir::SystemId() const {
  const std::string path = path_ + "/global/pg_control";
  const UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd.valid()) return ErrnoStatus(errno, "opening", path);
  char bytes[8] = {};
  const ssize_t n = read(fd.get(), bytes, sizeof bytes);
  if (n < 0) return ErrnoStatus(errno, "reading", path);
  return SystemIdOfPgControl(absl::string_view(bytes, static_cast<size_t>(n)));
}

std::string DataDir::Nonce() const {
  const auto text = ReadFile(path_ + kNonceFile, 256);
  if (!text.ok()) return "";
  const std::vector<std::string> words = absl::StrSplit(absl::StripAsciiWhitespace(*text), ' ');
  uint64_t inode = 0;
  if (words.size() != 3 || words[1] != member_ || !absl::SimpleAtoi(words[2], &inode) ||
      inode != Inode(path_))
    return "";
  return words[0];
}

absl::StatusOr<std::string> DataDir::DrawNonce(const std::string& dir) const {
  std::string nonce;
  do nonce = RandomHex(4);
  while (nonce == "00000000");  // stands for "nobody" in synchronous_standby_names
  MAINSTAY_RETURN_IF_ERROR(AtomicWriteFile(
      dir + kNonceFile, absl::StrCat(nonce, " ", member_, " ", Inode(dir), "\n"), {.mode = 0600}));
  return nonce;
}

std::string DataDir::MarkerPath(Marker marker) const {
  switch (marker) {
    case Marker::kRewinding:
      return path_ + ".mainstay.rewinding";
    case Marker::kReinit:
      return path_ + ".mainstay.reinit";
  }
  return "";
}
bool DataDir::Has(Marker marker) const { return Exists(MarkerPath(marker)); }
absl::Status DataDir::Set(Marker marker, bool on) const {
  return on ? Touch(MarkerPath(marker)) : Remove(MarkerPath(marker));
}

bool DataDir::HasStandbySignal() const { return Exists(path_ + "/standby.signal"); }
absl::Status DataDir::WriteStandbySignal(const std::string& dir) {
  if (Exists(dir + "/standby.signal")) return absl::OkStatus();
  return Touch(dir + "/standby.signal");
}
absl::Status DataDir::SetStandbySignal(bool on) const {
  return on ? WriteStandbySignal(path_) : Remove(path_ + "/standby.signal");
}

absl::StatusOr<PidFile> ParsePidFile(absl::string_view text) {
  const std::vector<absl::string_view> lines = absl::StrSplit(text, '\n');
  PidFile out;
  if (lines.empty() || !absl::SimpleAtoi(absl::StripAsciiWhitespace(lines[0]), &out.pid) || out.pid == 0) {
    return absl::InvalidArgumentError("postmaster.pid does not begin with a process id");
  }
  if (out.pid < -INT32_MAX || out.pid > INT32_MAX)
    return absl::InvalidArgumentError("postmaster.pid begins with a number that is no process id");
  out.pid = std::max(out.pid, -out.pid);  // negative: a single-user backend
  if (lines.size() > 1) out.data_dir = std::string(absl::StripAsciiWhitespace(lines[1]));
  if (lines.size() > 3 && !absl::SimpleAtoi(absl::StripAsciiWhitespace(lines[3]), &out.port)) out.port = 0;
  if (lines.size() > 4) out.socket_dir = std::string(absl::StripAsciiWhitespace(lines[4]));
  if (lines.size() > 7) out.status = std::string(absl::StripAsciiWhitespace(lines[7]));
  return out;
}

std::string DataDir::PostmasterStatus() const {
  const auto text = ReadFile(path_ + "/postmaster.pid", 4096);
  if (!text.ok()) return "";
  const auto file = ParsePidFile(*text);
  return file.ok() ? file->status : "";
}

absl::Status DataDir::CheckUnused() const {
  const auto text = ReadFile(path_ + "/postmaster.pid", 4096);
  if (absl::IsNotFound(text.status())) return absl::OkStatus();
  if (!text.ok()) return text.status();
  const auto file = ParsePidFile(*text);
  if (!file.ok())
    return absl::OkStatus();  // left by a crash in the middle of writing: PostgreSQL says what to do
  const bool answers = !file->socket_dir.empty() && file->port > 0 &&
                       AnswersOn(absl::StrCat(file->socket_dir, "/.s.PGSQL.", file->port));
  if (!answers && !RunsIn(file->pid, path_)) return absl::OkStatus();
  return absl::FailedPreconditionError(
      absl::StrCat("the data directory ", path_, " is in use by another PostgreSQL (process ", file->pid,
                   " of postmaster.pid): stop that one; Mainstay starts the database itself"));
}

std::vector<std::string> DataDir::OldOnes() const {
  std::vector<std::string> out;
  const std::string dir = DirName(path_);
  const std::string prefix = absl::StrCat(path_.substr(path_.rfind('/') + 1), ".old-");
  const std::unique_ptr<DIR, int (*)(DIR*)> d(opendir(dir.c_str()), &closedir);
  if (d == nullptr) return out;
  while (const dirent* entry = readdir(d.get())) {
    if (absl::StartsWith(entry->d_name, prefix)) out.push_back(absl::StrCat(dir, "/", entry->d_name));
  }
  std::sort(out.begin(), out.end());
  return out;
}

absl::StatusOr<uint64_t> DataDir::FreeBytes() const {
  struct statvfs fs {};
  const std::string dir = DirName(path_);
  if (statvfs(dir.c_str(), &fs) != 0) return ErrnoStatus(errno, "asking for the free space of", dir);
  return static_cast<uint64_t>(fs.f_bavail) * fs.f_frsize;
}

}  // namespace mainstay::engine::postgres
