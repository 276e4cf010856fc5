#include "lib/kube/credentials.h"

#include <sys/stat.h>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "lib/base/log.h"
#include "lib/base/mounted_file.h"
#include "lib/base/result.h"
#include "lib/kube/tls.h"

namespace mainstay::kube {
namespace {

constexpr size_t kMaxCredentialBytes = 512 * 1024;
constexpr Duration kRebuild = std::chrono::seconds(5);  // between tries to use certificates that do not fit

bool IsToken(absl::string_view text) {
  for (const char c : text) {
    if (static_cast<unsigned char>(c) <= 0x20 || static_cast<unsigned char>(c) >= 0x7f) return false;
  }
  return true;
}

}  // namespace

Credentials::Credentials(const ClusterConfig& config) {
  token_.source = config.token;
  ca_.source = config.ca;
  cert_.source = config.client_cert;
  key_.source = config.client_key;
}

bool Credentials::Refresh(Watched* w, bool force, absl::Status* problem) {
  if (w->source.file.empty()) {
    if (!w->read_at.is_past()) return false;
    w->read_at = BootClock().Now();
    w->text = w->source.text;
    return !w->text.empty();
  }
  struct stat st {};
  const bool there = stat(w->source.file.c_str(), &st) == 0;
  const int64_t mtime = there ? st.st_mtim.tv_sec * 1'000'000'000 + st.st_mtim.tv_nsec : -1;
  const MonoTime now = BootClock().Now();
  const bool same = there && mtime == w->mtime_ns && st.st_ino == w->inode;
  if (!force && same && now < w->read_at + kReread) return false;
  absl::StatusOr<std::string> text = ReadMountedFile(w->source.file, kMaxCredentialBytes);
  if (text.ok()) absl::StripAsciiWhitespace(&*text);
  if (!text.ok() || text->empty()) {
    if (w->text.empty()) {
      *problem = absl::FailedPreconditionError(
          text.ok() ? absl::StrCat(w->source.file, " is empty; is the ServiceAccount's volume mounted?")
                    : std::string(text.status().message()));
    }
    return false;  // swapped just now: the old one stays
  }
  w->read_at = now;
  w->mtime_ns = mtime;
  w->inode = st.st_ino;
  if (*text == w->text) return false;
  w->text = *std::move(text);
  return true;
}

absl::StatusOr<std::string> Credentials::Token() {
  const std::lock_guard<std::mutex> lock(mutex_);
  absl::Status problem;
  Refresh(&token_, false, &problem);
  if (!problem.ok()) return problem;
  const absl::string_view token = absl::StripAsciiWhitespace(token_.text);
  if (!IsToken(token)) {
    return absl::FailedPreconditionError(
        absl::StrCat("the token", token_.source.file.empty() ? "" : " in ", token_.source.file,
                     " has characters that no token has (spaces, control characters); write it anew"));
  }
  return std::string(token);
}

absl::Status Credentials::RefreshContext(bool force) {
  absl::Status problem;
  for (Watched* w : {&ca_, &cert_, &key_}) {
    if (Refresh(w, force, &problem)) stale_ = true;
    if (!problem.ok()) return problem;
  }
  const MonoTime now = BootClock().Now();
  if (context_ != nullptr && (!stale_ || now < rebuild_at_)) return absl::OkStatus();
  absl::StatusOr<std::shared_ptr<SSL_CTX>> made = MakeClientContext(ca_.text, cert_.text, key_.text);
  if (made.ok()) {
    if (context_ != nullptr) Log(LogLevel::kInfo, "kube", "certificates were read anew");
    context_ = *std::move(made);
    stale_ = false;
    return absl::OkStatus();
  }
  std::string where;
  for (const Watched* w : {&ca_, &cert_, &key_})
    if (!w->source.file.empty()) absl::StrAppend(&where, where.empty() ? " " : ", ", w->source.file);
  const auto status = absl::FailedPreconditionError(absl::StrCat(
      "certificates", where.empty() ? " of the kubeconfig" : where, ": ", made.status().message()));
  // Certificate and key are swapped one after the other, so halves are seen: the old pair stays meanwhile.
  for (Watched* w : {&ca_, &cert_, &key_}) w->read_at = w->source.file.empty() ? now : MonoTime();
  rebuild_at_ = now + kRebuild;
  if (context_ == nullptr) return status;
  Log(LogLevel::kWarn, "kube", "new certificates cannot be used, the old ones stay", {{"problem", status}});
  return absl::OkStatus();
}

absl::StatusOr<std::shared_ptr<SSL_CTX>> Credentials::Context() {
  const std::lock_guard<std::mutex> lock(mutex_);
  MAINSTAY_RETURN_IF_ERROR(RefreshContext(false));
  return context_;
}

bool Credentials::TokenRefused(const std::string& token) {
  const std::lock_guard<std::mutex> lock(mutex_);
  absl::Status ignored;
  Refresh(&token_, true, &ignored);
  return absl::StripAsciiWhitespace(token_.text) != token;
}

bool Credentials::ServerNotTrusted(const std::shared_ptr<SSL_CTX>& context) {
  const std::lock_guard<std::mutex> lock(mutex_);
  return RefreshContext(true).ok() && context_ != context;
}

}  // namespace mainstay::kube
