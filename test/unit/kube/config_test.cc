// Where the server is: the pod's environment and kubeconfigs.
#include "lib/kube/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <map>

namespace mainstay::kube {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

class InCluster : public ::testing::Test {
 protected:
  InCluster() {
    std::string pattern = ::testing::TempDir() + "mainstay_sa_XXXXXX";
    if (mkdtemp(pattern.data()) == nullptr) abort();
    dir_ = pattern;
    // As kubelet lays a projected volume out.
    std::filesystem::create_directory(dir_ + "/..2026");
    std::ofstream(dir_ + "/..2026/namespace") << "db\n";
    std::filesystem::create_symlink("..2026", dir_ + "/..data");
    std::filesystem::create_symlink("..data/namespace", dir_ + "/namespace");
  }
  ~InCluster() override { std::filesystem::remove_all(dir_); }
  absl::StatusOr<ClusterConfig> Load(std::map<std::string, std::string> env) {
    env_ = std::move(env);
    return InClusterConfig(
        [this](const char* name) -> const char* {
          const auto it = env_.find(name);
          return it == env_.end() ? nullptr : it->second.c_str();
        },
        dir_);
  }
  std::string dir_;
  std::map<std::string, std::string> env_;
};

TEST_F(InCluster, FromTheEnvironment) {
  const auto c = Load({{"KUBERNETES_SERVICE_HOST", "10.96.0.1"}, {"KUBERNETES_SERVICE_PORT", "443"}});
  ASSERT_TRUE(c.ok()) << c.status();
  EXPECT_EQ(c->host, "10.96.0.1");
  EXPECT_EQ(c->port, 443);
  EXPECT_EQ(c->ns, "db");
  EXPECT_EQ(c->token.file, dir_ + "/token");
  EXPECT_EQ(c->ca.file, dir_ + "/ca.crt");
  EXPECT_EQ(Load({{"KUBERNETES_SERVICE_HOST", "fd00::1"}, {"KUBERNETES_SERVICE_PORT", "6443"}})->host,
            "fd00::1");
  EXPECT_EQ(Load({{"KUBERNETES_SERVICE_HOST", "[fd00::1]"}, {"KUBERNETES_SERVICE_PORT", "6443"}})->host,
            "fd00::1");
}

TEST_F(InCluster, WhatIsMissingIsNamed) {
  EXPECT_THAT(std::string(Load({}).status().message()),
              AllOf(HasSubstr("no pod"), HasSubstr("KUBERNETES_SERVICE_HOST"), HasSubstr("kubeconfig")));
  EXPECT_THAT(
      std::string(
          Load({{"KUBERNETES_SERVICE_HOST", "a"}, {"KUBERNETES_SERVICE_PORT", "x"}}).status().message()),
      HasSubstr("\"x\" is no number"));
  EXPECT_FALSE(Load({{"KUBERNETES_SERVICE_HOST", "a b"}, {"KUBERNETES_SERVICE_PORT", "1"}}).ok());
  std::filesystem::remove(dir_ + "/namespace");
  EXPECT_THAT(
      std::string(
          Load({{"KUBERNETES_SERVICE_HOST", "a"}, {"KUBERNETES_SERVICE_PORT", "1"}}).status().message()),
      HasSubstr("automountServiceAccountToken"));
}

TEST(Server, Urls) {
  struct Case {
    const char* url;
    const char* host;
    int port;
    const char* prefix;
  };
  for (const Case& c :
       {Case{"https://a.b", "a.b", 443, ""}, Case{"https://a:6443", "a", 6443, ""},
        Case{"https://[fd00::1]:6443/", "fd00::1", 6443, ""}, Case{"https://[::1]", "::1", 443, ""},
        Case{"https://a/k8s/clusters/c-1/", "a", 443, "/k8s/clusters/c-1"}}) {
    ClusterConfig out;
    EXPECT_TRUE(ParseServer(c.url, &out).ok()) << c.url;
    EXPECT_EQ(out.host, c.host);
    EXPECT_EQ(out.port, c.port);
    EXPECT_EQ(out.path_prefix, c.prefix);
  }
  for (const char* bad : {"", "a", "http://a", "https://", "https://a:0", "https://a:65536", "https://a:b",
                          "https://u@a", "https://u:p@a", "https://fd00::1", "https://[::1", "https://[::1]x",
                          "https://a?x=1", "https://a/b#c", "https://a\r\nX: y", "https://a b"}) {
    ClusterConfig out;
    EXPECT_FALSE(ParseServer(bad, &out).ok()) << bad;
  }
}

constexpr char kKubeconfig[] = R"(apiVersion: v1
kind: Config
current-context: two
clusters:
- name: c1
  cluster: {server: "https://one:6443", certificate-authority: pki/ca.crt}
- name: c2
  cluster:
    server: https://two:6443/base
    certificate-authority-data: Q0E=
    tls-server-name: kubernetes.default
contexts:
- {name: one, context: {cluster: c1, user: u1, namespace: db}}
- {name: two, context: {cluster: c2, user: u2}}
- {name: three, context: {cluster: c1, user: u3}}
users:
- {name: u1, user: {tokenFile: tokens/t, token: ignored}}
- {name: u2, user: {client-certificate-data: Q0VSVA==, client-key-data: S0VZ}}
- {name: u3, user: {token: secret-token, client-certificate: /abs/c, client-key: k}}
)";

absl::StatusOr<ClusterConfig> Parse(const std::string& text, const std::string& context = "") {
  return ParseKubeconfig(text, "/home/me/.kube", context, "/home/me/.kube/config");
}

TEST(Kubeconfig, Contexts) {
  const auto two = Parse(kKubeconfig);
  ASSERT_TRUE(two.ok()) << two.status();
  EXPECT_EQ(two->host, "two");
  EXPECT_EQ(two->path_prefix, "/base");
  EXPECT_EQ(two->tls_server_name, "kubernetes.default");
  EXPECT_EQ(two->ca.text, "CA");
  EXPECT_EQ(two->client_cert.text, "CERT");
  EXPECT_EQ(two->client_key.text, "KEY");
  EXPECT_EQ(two->ns, "default");
  EXPECT_TRUE(two->token.empty());
  const auto one = Parse(kKubeconfig, "one");
  ASSERT_TRUE(one.ok()) << one.status();
  EXPECT_EQ(one->ca.file, "/home/me/.kube/pki/ca.crt") << "relative to the kubeconfig";
  EXPECT_EQ(one->token.file, "/home/me/.kube/tokens/t");
  EXPECT_EQ(one->token.text, "") << "the file wins";
  EXPECT_EQ(one->ns, "db");
  const auto three = Parse(kKubeconfig, "three");
  ASSERT_TRUE(three.ok());
  EXPECT_EQ(three->token.text, "secret-token");
  EXPECT_EQ(three->client_cert.file, "/abs/c");
  EXPECT_EQ(three->client_key.file, "/home/me/.kube/k");
  EXPECT_THAT(three->origin, AllOf(HasSubstr("context three"), Not(HasSubstr("secret"))));
}

// The first context with `user` and `cluster` in flow style.
std::string With(const std::string& cluster, const std::string& user) {
  return "current-context: c\nclusters: [{name: c, cluster: {" + cluster +
         "}}]\ncontexts: [{name: c, context: {cluster: c, user: u}}]\nusers: [{name: u, user: {" + user +
         "}}]\n";
}

TEST(Kubeconfig, WhatIsRefusedSaysWhyAndWhatToDo) {
  struct Case {
    std::string text;
    const char* problem;
  };
  const std::string good = "server: \"https://a\"";
  for (const Case& c : {
           Case{With(good + ", insecure-skip-tls-verify: true", "token: t"),
                "insecure-skip-tls-verify: is refused"},
           Case{With(good + ", proxy-url: \"http://p\"", "token: t"), "proxies are not supported"},
           Case{With("server: \"http://a\"", "token: t"), "plain http"},
           Case{With(good, "exec: {command: aws}"), "exec: is not supported: this program starts no other"},
           Case{With(good, "auth-provider: {name: gcp}"), "auth-provider: is not supported"},
           Case{With(good, "username: u, password: hunter2"), "username: passwords are not supported"},
           Case{With(good, "token: t, as: root"), "impersonation"},
           Case{With(good, "client-certificate: c"), "client-certificate without client-key"},
           Case{With(good + ", certificate-authority-data: \"%%%\"", "token: t"), "is no base64"},
           Case{With(good, "token: [1]"), "users[u].user.token: must be a text"},
           Case{"current-context: x\ncontexts: []\n", "has no entry named \"x\""},
           Case{"contexts: []\n", "current-context: is not set"},
           Case{"- a\n", "no mapping"},
           Case{"", "no mapping"},
           Case{"a: [\nb: hunter2: {", "is no YAML: line"},
       }) {
    const auto parsed = Parse(c.text);
    ASSERT_FALSE(parsed.ok()) << c.text;
    const std::string message(parsed.status().message());
    EXPECT_THAT(message,
                AllOf(HasSubstr(c.problem), HasSubstr("/home/me/.kube/config"), Not(HasSubstr("hunter2"))));
  }
  EXPECT_TRUE(Parse(With(good + ", insecure-skip-tls-verify: false", "token: t")).ok());
  EXPECT_FALSE(LoadKubeconfig("/nonexistent/config").ok());
}

}  // namespace
}  // namespace mainstay::kube
