// A kubeconfig (YAML or JSON). yaml-cpp throws: nothing leaves this file.
#include <yaml-cpp/yaml.h>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "lib/base/result.h"
#include "lib/base/strings.h"
#include "lib/kube/config.h"

namespace mainstay::kube {
namespace {

constexpr size_t kMaxKubeconfigBytes = 1024 * 1024;

class Reader {
 public:
  Reader(std::string dir, std::string name) : dir_(std::move(dir)), name_(std::move(name)) {}

  absl::Status Problem(absl::string_view path, absl::string_view what) const {
    return absl::InvalidArgumentError(absl::StrCat("kubeconfig ", name_, ": ", Cut(path, 200), ": ", what));
  }

  // The text at node[key]; "" when it is not there.
  absl::StatusOr<std::string> Text(const YAML::Node& node, const char* key, const std::string& path) const {
    const YAML::Node at = node[key];
    if (!at.IsDefined() || at.IsNull()) return std::string();
    if (!at.IsScalar()) return Problem(absl::StrCat(path, ".", key), "must be a text");
    return at.Scalar();
  }

  absl::StatusOr<bool> Flag(const YAML::Node& node, const char* key, const std::string& path) const {
    MAINSTAY_ASSIGN_OR_RETURN(const std::string text, Text(node, key, path));
    if (text.empty() || absl::EqualsIgnoreCase(text, "false")) return false;
    if (absl::EqualsIgnoreCase(text, "true")) return true;
    return Problem(absl::StrCat(path, ".", key), "must be true or false");
  }

  std::string Absolute(const std::string& file) const {
    return file.empty() || file[0] == '/' ? file : absl::StrCat(dir_, "/", file);
  }

  // <key> is a file, <key>-data is base64; the data win, as in client-go.
  absl::StatusOr<Source> FileOrData(const YAML::Node& node, const std::string& key,
                                    const std::string& path) const {
    Source out;
    const std::string data_key = key + "-data";
    MAINSTAY_ASSIGN_OR_RETURN(const std::string data, Text(node, data_key.c_str(), path));
    if (!data.empty()) {
      if (!absl::Base64Unescape(data, &out.text) || out.text.empty())
        return Problem(absl::StrCat(path, ".", data_key), "is no base64; copy it again");
      return out;
    }
    MAINSTAY_ASSIGN_OR_RETURN(const std::string file, Text(node, key.c_str(), path));
    out.file = Absolute(file);
    return out;
  }

  // The `inner` of the entry of root[list] that is called `wanted`.
  absl::StatusOr<YAML::Node> Named(const YAML::Node& root, const char* list, const char* inner,
                                   const std::string& wanted) const {
    const YAML::Node all = root[list];
    if (!all.IsDefined() || !all.IsSequence()) return Problem(list, "must be a list");
    for (const YAML::Node& one : all) {
      if (!one.IsMap()) return Problem(list, "must have entries with a name");
      MAINSTAY_ASSIGN_OR_RETURN(const std::string name, Text(one, "name", list));
      if (name != wanted) continue;
      const YAML::Node found = one[inner];
      if (!found.IsDefined() || !found.IsMap())
        return Problem(absl::StrCat(list, "[", wanted, "].", inner), "is missing");
      return found;
    }
    return Problem(list, absl::StrCat("has no entry named \"", Cut(wanted, 100), "\""));
  }

  absl::Status ReadCluster(const YAML::Node& c, const std::string& path, ClusterConfig* out) const {
    MAINSTAY_ASSIGN_OR_RETURN(const std::string server, Text(c, "server", path));
    const absl::Status parsed = ParseServer(server, out);
    if (!parsed.ok()) return Problem(path, parsed.message());
    MAINSTAY_ASSIGN_OR_RETURN(const bool insecure, Flag(c, "insecure-skip-tls-verify", path));
    if (insecure) {
      return Problem(absl::StrCat(path, ".insecure-skip-tls-verify"),
                     "is refused: whoever answers in the server's place could give the lock to two; remove "
                     "it and name the authority in certificate-authority");
    }
    MAINSTAY_ASSIGN_OR_RETURN(const std::string proxy, Text(c, "proxy-url", path));
    if (!proxy.empty())
      return Problem(absl::StrCat(path, ".proxy-url"), "proxies are not supported; remove it");
    MAINSTAY_ASSIGN_OR_RETURN(out->tls_server_name, Text(c, "tls-server-name", path));
    MAINSTAY_ASSIGN_OR_RETURN(out->ca, FileOrData(c, "certificate-authority", path));
    return absl::OkStatus();
  }

  absl::Status RefuseOthers(const YAML::Node& u, const std::string& path) const {
    struct Refused {
      const char* key;
      const char* why;
    };
    constexpr Refused kRefused[] = {
        {"exec",
         "is not supported: this program starts no other; put a token of a ServiceAccount (kubectl create "
         "token) or a client certificate into the user"},
        {"auth-provider", "is not supported; put a token or a client certificate into the user"},
        {"username", "passwords are not supported; put a token or a client certificate into the user"},
        {"password", "passwords are not supported; put a token or a client certificate into the user"},
        {"as", "impersonation is not supported; use a user of its own"},
        {"as-uid", "impersonation is not supported; use a user of its own"},
        {"as-groups", "impersonation is not supported; use a user of its own"},
    };
    for (const Refused& r : kRefused) {
      const YAML::Node at = u[r.key];
      if (at.IsDefined() && !at.IsNull()) return Problem(absl::StrCat(path, ".", r.key), r.why);
    }
    return absl::OkStatus();
  }

  absl::Status ReadUser(const YAML::Node& u, const std::string& path, ClusterConfig* out) const {
    MAINSTAY_RETURN_IF_ERROR(RefuseOthers(u, path));
    MAINSTAY_ASSIGN_OR_RETURN(const std::string token_file, Text(u, "tokenFile", path));
    out->token.file = Absolute(token_file);
    if (token_file.empty()) {
      MAINSTAY_ASSIGN_OR_RETURN(out->token.text, Text(u, "token", path));
    }
    MAINSTAY_ASSIGN_OR_RETURN(out->client_cert, FileOrData(u, "client-certificate", path));
    MAINSTAY_ASSIGN_OR_RETURN(out->client_key, FileOrData(u, "client-key", path));
    if (out->client_cert.empty() != out->client_key.empty())
      return Problem(path, "has client-certificate without client-key or the other way round; give both");
    return absl::OkStatus();
  }

  absl::StatusOr<ClusterConfig> Read(const YAML::Node& root, const std::string& wanted) const {
    if (!root.IsMap()) return Problem("", "is no kubeconfig: no mapping");
    std::string context = wanted;
    if (context.empty()) {
      MAINSTAY_ASSIGN_OR_RETURN(context, Text(root, "current-context", ""));
      if (context.empty())
        return Problem("current-context", "is not set; kubectl config use-context sets it");
    }
    MAINSTAY_ASSIGN_OR_RETURN(const YAML::Node c, Named(root, "contexts", "context", context));
    const std::string path = absl::StrCat("contexts[", context, "].context");
    ClusterConfig out;
    MAINSTAY_ASSIGN_OR_RETURN(const std::string cluster, Text(c, "cluster", path));
    MAINSTAY_ASSIGN_OR_RETURN(const std::string user, Text(c, "user", path));
    MAINSTAY_ASSIGN_OR_RETURN(out.ns, Text(c, "namespace", path));
    if (out.ns.empty()) out.ns = "default";
    MAINSTAY_ASSIGN_OR_RETURN(const YAML::Node cluster_node, Named(root, "clusters", "cluster", cluster));
    MAINSTAY_RETURN_IF_ERROR(
        ReadCluster(cluster_node, absl::StrCat("clusters[", cluster, "].cluster"), &out));
    if (!user.empty()) {
      MAINSTAY_ASSIGN_OR_RETURN(const YAML::Node user_node, Named(root, "users", "user", user));
      MAINSTAY_RETURN_IF_ERROR(ReadUser(user_node, absl::StrCat("users[", user, "].user"), &out));
    }
    out.origin = absl::StrCat("kubeconfig ", name_, ", context ", Cut(context, 100));
    return out;
  }

 private:
  const std::string dir_;
  const std::string name_;
};

}  // namespace

absl::StatusOr<ClusterConfig> ParseKubeconfig(const std::string& text, const std::string& dir,
                                              const std::string& context, const std::string& name) {
  const Reader reader(dir, name);
  if (text.size() > kMaxKubeconfigBytes)
    return reader.Problem("", absl::StrCat("is longer than ", kMaxKubeconfigBytes, " bytes"));
  try {
    return reader.Read(YAML::Load(text), context);
  } catch (const std::exception& e) {
    // Its text may quote a line, and a line may be a token: only where it was.
    const auto* yaml = dynamic_cast<const YAML::Exception*>(&e);
    return reader.Problem("", yaml == nullptr ? absl::StrCat("cannot be read")
                                              : absl::StrCat("is no YAML: line ", yaml->mark.line + 1));
  }
}

}  // namespace mainstay::kube
