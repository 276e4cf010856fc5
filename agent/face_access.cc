#include "agent/face_access.h"

#include "absl/status/statusor.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "lib/base/mounted_file.h"

namespace mainstay::agent {
namespace {

constexpr size_t kMaxPassword = 1024;
constexpr size_t kMaxAuthorization = 4096;

http::Response Forbidden(const std::string& why) { return {.status = 403, .body = absl::StrCat(why, "\n")}; }

}  // namespace

bool SameSecret(const std::string& given, const std::string& secret) {
  if (secret.empty()) return false;
  volatile unsigned char differs = given.size() == secret.size() ? 0 : 1;
  for (size_t i = 0; i < given.size(); ++i) {
    differs = static_cast<unsigned char>(differs | (given[i] ^ secret[i % secret.size()]));
  }
  return differs == 0;
}

absl::StatusOr<std::string> AdminPassword(const std::string& path) {
  absl::StatusOr<std::string> text = ReadMountedFile(path, kMaxPassword);
  if (!text.ok()) return text.status();
  while (!text->empty() && (text->back() == '\n' || text->back() == '\r')) text->pop_back();
  if (text->empty()) return absl::FailedPreconditionError(absl::StrCat(path, " is empty; put a password in"));
  return text;
}

absl::Status HttpAccess::Configure(const Config& config) {
  // First what can fail: rights that are half the former and half the new ones are nobody's wish.
  std::string secret;
  if (!config.http.user.empty()) {
    const absl::StatusOr<std::string> password = AdminPassword(config.http.password_file);
    if (!password.ok()) return password.status();
    secret = absl::StrCat(config.http.user, ":", *password);
  }
  user_ = config.http.user;
  secret_ = std::move(secret);
  allow_.clear();
  for (const std::string& text : config.http.allow) {
    if (const auto network = ParseNetwork(text)) allow_.push_back(*network);
  }
  tls_ = config.http.tls;
  return absl::OkStatus();
}

bool HttpAccess::Knows(const std::string& authorization) const {
  if (authorization.size() > kMaxAuthorization || !absl::StartsWithIgnoreCase(authorization, "Basic "))
    return false;
  std::string given;
  return absl::Base64Unescape(authorization.substr(6), &given) && SameSecret(given, secret_);
}

std::optional<http::Response> HttpAccess::Refuse(const http::Request& request, HttpActor* actor) const {
  const bool unix_socket = request.peer == "unix:";
  const std::string host = HostOfPeer(request.peer);
  if (!unix_socket && !allow_.empty() && !IsAllowed(allow_, host)) return Forbidden("Access is denied");
  if (unix_socket) {
    *actor = {"local", "local"};
    return std::nullopt;
  }
  if (!request.client_name.empty()) {
    *actor = {request.client_name, "mtls"};
    return std::nullopt;
  }
  if (user_.empty()) {
    return Forbidden(tls_ ? "client certificate required"
                          : "changes are off: set http.user and http.password_file, or http.tls for client "
                            "certificates");
  }
  if (tls_ && !request.tls && !IsLoopbackHost(host))
    return Forbidden("a password is taken by TLS only: use https");
  if (Knows(request.authorization)) {
    *actor = {user_, "basic"};
    return std::nullopt;
  }
  return http::Response{
      .status = 401,
      .body = request.authorization.empty() ? "no auth header received\n" : "not authenticated\n",
      .headers = {{"WWW-Authenticate", "Basic realm=\"Mainstay\""}}};
}

}  // namespace mainstay::agent
