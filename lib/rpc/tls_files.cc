#include "lib/rpc/tls_files.h"

#include <sys/stat.h>

#include "absl/strings/str_cat.h"
#include "lib/base/log.h"
#include "lib/base/mounted_file.h"
#include "lib/base/wall_clock.h"

namespace mainstay::rpc {
namespace {

constexpr size_t kMaxFileBytes = 256 * 1024;
constexpr Duration kLookSoon = std::chrono::seconds(1);

int64_t Nanos(const struct timespec& t) { return t.tv_sec * 1000000000 + t.tv_nsec; }

}  // namespace

absl::StatusOr<std::shared_ptr<TlsFiles>> TlsFiles::Open(TlsOptions options) {
  std::shared_ptr<TlsFiles> files(new TlsFiles(std::move(options)));
  files->seen_ = files->Look();
  absl::StatusOr<TlsMaterial> read = files->Read();
  if (!read.ok()) return read.status();
  if (!read->warning.empty()) Log(LogLevel::kError, "tls", read->warning, {{"certificate", read->subject}});
  files->current_ = std::make_shared<const TlsMaterial>(*std::move(read));
  files->next_look_ = BootClock().Now() + files->options_.look_every;
  return files;
}

TlsFiles::Marks TlsFiles::Look() const {
  const auto mark = [](const std::string& path) {
    struct stat st = {};
    if (stat(path.c_str(), &st) != 0) return Mark{};
    return Mark{st.st_dev, st.st_ino, st.st_size, Nanos(st.st_mtim), Nanos(st.st_ctim)};
  };
  return {mark(options_.ca), mark(options_.cert), mark(options_.key)};
}

absl::StatusOr<TlsMaterial> TlsFiles::Read() const {
  const auto ca = ReadMountedFile(options_.ca, kMaxFileBytes);
  if (!ca.ok()) return ca.status();
  const auto cert = ReadMountedFile(options_.cert, kMaxFileBytes);
  if (!cert.ok()) return cert.status();
  const auto key = ReadMountedFile(options_.key, kMaxFileBytes);
  if (!key.ok()) return key.status();
  return CheckTls(*ca, *cert, *key, options_.peer_name, UnixMillis() / 1000);
}

std::shared_ptr<const TlsMaterial> TlsFiles::Current() {
  std::lock_guard lock(mu_);
  const MonoTime now = BootClock().Now();
  if (now < next_look_) return current_;
  next_look_ = now + options_.look_every;
  const Marks before = Look();
  if (before == seen_) return current_;
  absl::StatusOr<TlsMaterial> read = Read();
  if (!(Look() == before)) {  // somebody is writing
    next_look_ = now + std::min(kLookSoon, options_.look_every);
    return current_;
  }
  seen_ = before;  // judged once, whatever comes out
  const int64_t wall = UnixMillis() / 1000;
  if (read.ok() && read->expires <= wall && current_->expires > wall) {
    read = absl::FailedPreconditionError(
        absl::StrCat("the certificate in tls.cert expired at ", FormatUtcSeconds(read->expires * 1000)));
  }
  if (!read.ok()) {
    problem_ = std::string(read.status().message());
    Log(LogLevel::kError, "tls", "the changed certificate files are not used; the old ones stay in force",
        {{"error", problem_}, {"in_force_until", FormatUtcSeconds(current_->expires * 1000)}});
    return current_;
  }
  problem_.clear();
  if (read->ca == current_->ca && read->cert == current_->cert && read->key == current_->key) return current_;
  read->generation = current_->generation + 1;
  Log(LogLevel::kInfo, "tls", "certificates were read again: new connections use them",
      {{"certificate", read->subject}, {"expires", FormatUtcSeconds(read->expires * 1000)}});
  if (!read->warning.empty()) Log(LogLevel::kError, "tls", read->warning, {{"certificate", read->subject}});
  current_ = std::make_shared<const TlsMaterial>(*std::move(read));
  return current_;
}

std::string TlsFiles::Problem() const {
  std::lock_guard lock(mu_);
  return problem_;
}

}  // namespace mainstay::rpc
