// Where the API server is and who we are there: from the pod's environment or from a kubeconfig.
//
//   MAINSTAY_ASSIGN_OR_RETURN(ClusterConfig config, LoadConfig(kubeconfig_path));   // "" = in the cluster
//
// Nothing is read from the files named here yet: tokens and certificates change, so lib/kube/credentials.h
// reads them again and again. `certificate-authority-data`, `client-key-data` and `token` of a kubeconfig are
// kept as they are.
//
// Refused, each with a remedy: http servers and insecure-skip-tls-verify (TLS is always verified), exec and
// auth-provider users (this program starts no other), user names with passwords, proxies, impersonation.
// Errors: InvalidArgument names the file, the field and what to do. Thread rules: plain values.
#ifndef MAINSTAY_LIB_KUBE_CONFIG_H_
#define MAINSTAY_LIB_KUBE_CONFIG_H_

#include <cstdint>
#include <functional>
#include <string>

#include "absl/status/statusor.h"

namespace mainstay::kube {

// Text that is in a file (read again when it changes) or here.
struct Source {
  std::string file;  // absolute; wins
  std::string text;
  bool empty() const { return file.empty() && text.empty(); }
};

struct ClusterConfig {
  std::string host;  // name or address, an IPv6 address without brackets
  uint16_t port = 443;
  std::string path_prefix;      // before /api and /apis; "" or "/k8s/clusters/c-1" (no slash at its end)
  std::string tls_server_name;  // the name to verify instead of `host`; "" = host
  Source ca;                    // PEM; empty: the system's authorities
  Source token;
  Source client_cert;  // PEM, with client_key; both or none
  Source client_key;
  std::string ns;      // the namespace to use when none is configured
  std::string origin;  // where this came from, for people: "in-cluster", "kubeconfig /x, context c"
};

inline constexpr char kServiceAccountDir[] = "/var/run/secrets/kubernetes.io/serviceaccount";

// `env` as getenv; `dir` is kServiceAccountDir outside of tests. FailedPrecondition when this is no pod.
absl::StatusOr<ClusterConfig> InClusterConfig(const std::function<const char*(const char*)>& env,
                                              const std::string& dir = kServiceAccountDir);

// `dir`: what relative paths in it are relative to. `context`: "" = its current-context. `name`: for
// messages.
absl::StatusOr<ClusterConfig> ParseKubeconfig(const std::string& text, const std::string& dir,
                                              const std::string& context, const std::string& name);
absl::StatusOr<ClusterConfig> LoadKubeconfig(const std::string& path, const std::string& context = "");

// A kubeconfig when `kubeconfig` names one, otherwise in the cluster with getenv.
absl::StatusOr<ClusterConfig> LoadConfig(const std::string& kubeconfig);

// "https://host:port/prefix" into host, port and path_prefix.
absl::Status ParseServer(const std::string& url, ClusterConfig* out);

}  // namespace mainstay::kube

#endif  // MAINSTAY_LIB_KUBE_CONFIG_H_
