#include "lib/kube/config.h"

#include <stdlib.h>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "lib/base/file.h"
#include "lib/base/mounted_file.h"
#include "lib/base/result.h"
#include "lib/base/strings.h"

namespace mainstay::kube {
namespace {

constexpr size_t kMaxNamespaceBytes = 256;
constexpr size_t kMaxHostBytes = 253;
constexpr char kNotHere[] =
    "; give this pod a ServiceAccount token (automountServiceAccountToken), or name a kubeconfig in "
    "kubernetes.kubeconfig when this is no pod";

absl::Status ParsePort(absl::string_view text, absl::string_view what, uint16_t* out) {
  int port = 0;
  if (!absl::SimpleAtoi(text, &port) || port < 1 || port > 65535) {
    return absl::InvalidArgumentError(
        absl::StrCat(what, ": the port \"", Cut(text, 40), "\" is no number from 1 to 65535"));
  }
  *out = static_cast<uint16_t>(port);
  return absl::OkStatus();
}

bool IsHost(absl::string_view host) {
  if (host.empty() || host.size() > kMaxHostBytes) return false;
  for (const char c : host) {
    if (!absl::ascii_isalnum(static_cast<unsigned char>(c)) && c != '-' && c != '.' && c != ':' && c != '_' &&
        c != '%')
      return false;
  }
  return true;
}

absl::Status BadServer(absl::string_view url, absl::string_view why) {
  return absl::InvalidArgumentError(
      absl::StrCat("server \"", Cut(url, 200), "\": ", why, "; write https://HOST:PORT"));
}

}  // namespace

absl::Status ParseServer(const std::string& url, ClusterConfig* out) {
  absl::string_view rest = url;
  if (absl::StartsWith(rest, "http://")) return BadServer(url, "plain http would send the token in clear");
  if (!absl::ConsumePrefix(&rest, "https://")) return BadServer(url, "is no https URL");
  const size_t slash = std::min(rest.find('/'), rest.size());
  absl::string_view authority = rest.substr(0, slash);
  absl::string_view path = rest.substr(slash);
  while (absl::ConsumeSuffix(&path, "/")) {
  }
  if (path.find_first_of("?# \r\n\t\\") != absl::string_view::npos)
    return BadServer(url, "has a query, a fragment or spaces");
  if (authority.find('@') != absl::string_view::npos) return BadServer(url, "carries a user name");
  std::string host;
  absl::string_view port;
  if (absl::ConsumePrefix(&authority, "[")) {
    const size_t close = authority.find(']');
    if (close == absl::string_view::npos) return BadServer(url, "has a [ without ]");
    host = std::string(authority.substr(0, close));
    port = authority.substr(close + 1);
    if (!port.empty() && !absl::ConsumePrefix(&port, ":")) return BadServer(url, "has text after ]");
  } else {
    const size_t colon = authority.find(':');
    host = std::string(authority.substr(0, colon));
    if (colon != absl::string_view::npos) port = authority.substr(colon + 1);
    if (port.find(':') != absl::string_view::npos)
      return BadServer(url, "is an IPv6 address without brackets");
  }
  if (!IsHost(host)) return BadServer(url, "has no sound host");
  out->port = 443;
  if (!port.empty())
    MAINSTAY_RETURN_IF_ERROR(ParsePort(port, absl::StrCat("server ", Cut(url, 200)), &out->port));
  out->host = std::move(host);
  out->path_prefix = std::string(path);
  return absl::OkStatus();
}

absl::StatusOr<ClusterConfig> InClusterConfig(const std::function<const char*(const char*)>& env,
                                              const std::string& dir) {
  const char* host = env("KUBERNETES_SERVICE_HOST");
  const char* port = env("KUBERNETES_SERVICE_PORT");
  if (host == nullptr || *host == 0 || port == nullptr || *port == 0) {
    return absl::FailedPreconditionError(absl::StrCat(
        "this is no pod of Kubernetes: KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not set",
        kNotHere));
  }
  ClusterConfig out;
  out.host = host;
  if (absl::StartsWith(out.host, "[") && absl::EndsWith(out.host, "]"))
    out.host = out.host.substr(1, out.host.size() - 2);
  if (!IsHost(out.host)) {
    return absl::InvalidArgumentError(
        absl::StrCat("KUBERNETES_SERVICE_HOST \"", Cut(host, 100), "\" is neither an address nor a name"));
  }
  MAINSTAY_RETURN_IF_ERROR(ParsePort(port, "KUBERNETES_SERVICE_PORT", &out.port));
  out.ca.file = absl::StrCat(dir, "/ca.crt");
  out.token.file = absl::StrCat(dir, "/token");
  const absl::StatusOr<std::string> ns = ReadMountedFile(absl::StrCat(dir, "/namespace"), kMaxNamespaceBytes);
  if (!ns.ok()) {
    return absl::FailedPreconditionError(
        absl::StrCat("this pod has no ServiceAccount namespace: ", ns.status().message(), kNotHere));
  }
  out.ns = std::string(absl::StripAsciiWhitespace(*ns));
  out.origin = "in-cluster";
  return out;
}

absl::StatusOr<ClusterConfig> LoadKubeconfig(const std::string& path, const std::string& context) {
  constexpr size_t kMaxKubeconfigBytes = 1024 * 1024;
  const absl::StatusOr<std::string> text = ReadMountedFile(path, kMaxKubeconfigBytes);
  if (!text.ok()) {
    return absl::Status(text.status().code(), absl::StrCat("kubeconfig: ", text.status().message()));
  }
  return ParseKubeconfig(*text, DirName(path), context, path);
}

absl::StatusOr<ClusterConfig> LoadConfig(const std::string& kubeconfig) {
  if (!kubeconfig.empty()) return LoadKubeconfig(kubeconfig);
  return InClusterConfig([](const char* name) -> const char* { return getenv(name); });
}

}  // namespace mainstay::kube
