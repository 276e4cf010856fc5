// Settings of a member that runs in a pod: lock, TLS, addresses; roles and databases.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "agent/config.h"

namespace mainstay::agent {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

constexpr char kPod[] = R"(cluster: pg
election: {lock: configmap}
shim: {socket: /run/mainstay/shim.sock}
listen: {grpc: "0.0.0.0:7400", http: "0.0.0.0:7401", admin: "unix:/run/mainstay/agent.sock"}
tls: {ca: /etc/mainstay/tls/ca.crt, cert: /etc/mainstay/tls/tls.crt, key: /etc/mainstay/tls/tls.key}
postgresql:
  data_dir: /var/lib/postgresql/data/pgdata
  socket_dir: /var/run/postgresql
  password_file: /etc/mainstay/passwords/pgpass
)";
const std::vector<const char*> kEnvironment = {
    "MAINSTAY_NAME=pg-0", "MAINSTAY_UID=7d9c", "MAINSTAY_KUBERNETES_NAMESPACE=db",
    "MAINSTAY_ADVERTISE_PEER=10.0.0.7:7400", "MAINSTAY_ADVERTISE_DATABASE=10.0.0.7:5432"};

LoadedConfig LoadPlaces(const std::string& text, std::vector<const char*> environment = kEnvironment,
                        std::vector<std::pair<std::string, std::string>> flags = {}) {
  environment.push_back(nullptr);
  return LoadConfigText(text, "m.yaml", {.file = "", .flags = std::move(flags)}, environment.data());
}

TEST(Places, APodsConfigurationNeedsNoPathAndFillsInNames) {
  const LoadedConfig c = LoadPlaces(kPod);
  ASSERT_TRUE(c.ok()) << c.Problems();
  EXPECT_THAT(c.warnings, IsEmpty());
  EXPECT_EQ(c.config.lock, LockKind::kConfigMap);
  EXPECT_EQ(c.config.kubernetes, (KubernetesConfig{.ns = "db",
                                                   .lock_name = "pg-mainstay",
                                                   .kubeconfig = "",
                                                   .pod = "pg-0",
                                                   .role_label = "mainstay.io/role",
                                                   .events = true}));
  EXPECT_TRUE(c.config.tls.enabled());
  EXPECT_EQ(c.config.tls.peer_name, "agent.pg.mainstay");
  EXPECT_EQ(c.config.listen_admin, "unix:/run/mainstay/agent.sock");
  EXPECT_EQ(c.config.settings.self.peer_address, "10.0.0.7:7400");
  EXPECT_EQ(c.config.settings.self.db_address, "10.0.0.7:5432");
}

TEST(Places, WhatIsSetWins) {
  const LoadedConfig c = LoadPlaces(kPod, kEnvironment,
                                    {{"election.lock", "lease"},
                                     {"kubernetes.lock_name", "other"},
                                     {"kubernetes.pod", "pod.x"},
                                     {"kubernetes.role_label", "role"},
                                     {"kubernetes.events", "false"},
                                     {"kubernetes.kubeconfig", "/root/config"},
                                     {"tls.peer_name", "pg.example"}});
  ASSERT_TRUE(c.ok()) << c.Problems();
  EXPECT_EQ(c.config.lock, LockKind::kLease);
  EXPECT_EQ(c.config.kubernetes.lock_name, "other");
  EXPECT_EQ(c.config.kubernetes.pod, "pod.x");
  EXPECT_EQ(c.config.kubernetes.role_label, "role");
  EXPECT_FALSE(c.config.kubernetes.events);
  EXPECT_EQ(c.config.kubernetes.kubeconfig, "/root/config");
  EXPECT_EQ(c.config.tls.peer_name, "pg.example");
}

TEST(Places, AnIpv6PodGetsItsBrackets) {
  const LoadedConfig c =
      LoadPlaces(kPod, {"MAINSTAY_NAME=pg-0", "MAINSTAY_ADVERTISE_PEER=fd00::7:7400",
                        "MAINSTAY_LISTEN_GRPC=[::]:7400", "MAINSTAY_ADVERTISE_DATABASE=fd00::7:5432"});
  ASSERT_TRUE(c.ok()) << c.Problems();
  EXPECT_EQ(c.config.settings.self.peer_address, "[fd00::7]:7400");
  EXPECT_EQ(c.config.settings.self.db_address, "[fd00::7]:5432");
}

TEST(Places, GrpcLeavesTheMachineOnlyWithMutualTls) {
  const LoadedConfig c = LoadPlaces(kPod, kEnvironment, {{"tls.ca", ""}, {"tls.cert", ""}, {"tls.key", ""}});
  ASSERT_EQ(c.problems.size(), 1u) << c.Problems();
  EXPECT_THAT(
      c.Problems(),
      HasSubstr("listen.grpc = \"0.0.0.0:7400\" is not loopback, and without mutual TLS anybody who reaches "
                "it could stop the database; set tls.ca, tls.cert and tls.key, or listen on"));
  // On loopback it needs none, and HTTP may be reached from anywhere: it changes nothing.
  EXPECT_TRUE(
      LoadPlaces(kPod, kEnvironment,
                 {{"tls.ca", ""}, {"tls.cert", ""}, {"tls.key", ""}, {"listen.grpc", "127.0.0.1:7400"}})
          .ok());
}

TEST(Places, HalfOfTlsIsNone) {
  const std::string all = LoadPlaces(kPod, kEnvironment, {{"tls.ca", ""}, {"tls.key", "tls.key"}}).Problems();
  EXPECT_THAT(all, HasSubstr("tls.ca is missing; give the authorities' file as well"));
  EXPECT_THAT(all, HasSubstr("tls.key = tls.key is no absolute path"));
  EXPECT_THAT(all, Not(HasSubstr("tls.cert")));
}

TEST(Places, OthersNeedAnAddressThatLeadsHere) {
  const std::string all = LoadPlaces(kPod, {"MAINSTAY_NAME=pg-0"}).Problems();
  EXPECT_THAT(all,
              HasSubstr("advertise.peer is missing, and 0.0.0.0:7400 is nothing that others could dial"));
  EXPECT_THAT(all,
              HasSubstr("advertise.database is missing, and others cannot reach 127.0.0.1:5432 of here"));
  // A host of its own can be dialled.
  EXPECT_TRUE(LoadPlaces(kPod, {"MAINSTAY_NAME=pg-0", "MAINSTAY_LISTEN_GRPC=10.0.0.7:7400",
                                "MAINSTAY_ADVERTISE_DATABASE=10.0.0.7:5432"})
                  .ok());
}

TEST(Places, AllProblemsOfAPodAtOnce) {
  const std::string all = LoadPlaces(kPod, kEnvironment,
                                     {{"kubernetes.namespace", "a.b"},
                                      {"kubernetes.lock_name", "-x"},
                                      {"kubernetes.pod", "a..b"},
                                      {"kubernetes.role_label", "/role"},
                                      {"kubernetes.kubeconfig", "config"},
                                      {"tls.peer_name", "a_b"},
                                      {"listen.admin", "127.0.0.1:1"}})
                              .Problems();
  for (const char* want :
       {"kubernetes.namespace = a.b is no name of a namespace",
        "kubernetes.lock_name = \"-x\" is no name of an object",
        "kubernetes.pod = a..b is no name of an object", "kubernetes.role_label = /role is no key of a label",
        "kubernetes.kubeconfig = config is no absolute path", "tls.peer_name = a_b is no DNS name",
        "listen.admin = \"127.0.0.1:1\" is no unix socket"}) {
    EXPECT_THAT(all, HasSubstr(want));
  }
  EXPECT_THAT(LoadPlaces(kPod, kEnvironment, {{"listen.grpc", "unix:/run/mainstay/agent.sock"}}).Problems(),
              HasSubstr("listen.admin = unix:/run/mainstay/agent.sock is listened on already"));
}

TEST(Accounts, UsersAndDatabasesWithTheirDefaults) {
  const LoadedConfig c = LoadPlaces(std::string(kPod) + R"(  users:
    - {name: app, password_file: /etc/mainstay/passwords/app}
    - name: 'we"ird'
      login: false
      inherit: off
      superuser: true
      createdb: true
      createrole: true
      replication: true
      connection_limit: 5
      member_of: [pg_monitor, app]
  databases:
    - {name: app, owner: app, extensions: [pg_trgm, uuid-ossp]}
    - {name: 'we"ird', encoding: UTF8, locale: C.UTF-8}
)");
  ASSERT_TRUE(c.ok()) << c.Problems();
  ASSERT_EQ(c.config.postgresql.users.size(), 2u);
  EXPECT_EQ(c.config.postgresql.users[0],
            (UserConfig{.name = "app", .password_file = "/etc/mainstay/passwords/app"}));
  EXPECT_TRUE(c.config.postgresql.users[0].login);
  EXPECT_TRUE(c.config.postgresql.users[0].inherit);
  EXPECT_EQ(c.config.postgresql.users[0].connection_limit, -1);
  EXPECT_EQ(c.config.postgresql.users[1], (UserConfig{.name = "we\"ird",
                                                      .login = false,
                                                      .superuser = true,
                                                      .createdb = true,
                                                      .createrole = true,
                                                      .replication = true,
                                                      .inherit = false,
                                                      .connection_limit = 5,
                                                      .member_of = {"pg_monitor", "app"}}));
  ASSERT_EQ(c.config.postgresql.databases.size(), 2u);
  EXPECT_EQ(c.config.postgresql.databases[0],
            (DatabaseConfig{.name = "app", .owner = "app", .extensions = {"pg_trgm", "uuid-ossp"}}));
  EXPECT_EQ(c.config.postgresql.databases[1],
            (DatabaseConfig{.name = "we\"ird", .encoding = "UTF8", .locale = "C.UTF-8"}));
  // Printed, they read back the same.
  const LoadedConfig again = LoadPlaces(PrintConfig(c.config, nullptr));
  ASSERT_TRUE(again.ok()) << again.Problems() << PrintConfig(c.config, nullptr);
  EXPECT_TRUE(Compare(c.config, again.config).empty()) << Compare(c.config, again.config).ToString();
  EXPECT_EQ(again.config.postgresql.users, c.config.postgresql.users);
}

TEST(Accounts, AReloadTakesThem) {
  const LoadedConfig before = LoadPlaces(kPod);
  const LoadedConfig after =
      LoadPlaces(std::string(kPod) + "  users: [{name: app}]\n  databases: [{name: app}]\n");
  ASSERT_TRUE(after.ok()) << after.Problems();
  const ConfigChange change = Compare(before.config, after.config);
  EXPECT_FALSE(change.needs_restart()) << change.ToString();
  EXPECT_EQ(ApplyReload(before.config, after.config).postgresql.users, after.config.postgresql.users);
  EXPECT_TRUE(ApplyReload(after.config, before.config).postgresql.databases.empty());
}

TEST(Accounts, NamesThatAreTakenAreRefusedWithTheReason) {
  const std::string all = LoadPlaces(std::string(kPod) + R"(  users:
    - {name: postgres}
    - {name: pg_x}
    - {name: mainstay_agent}
    - {name: mainstay_x}
    - {name: public}
    - {name: ''}
    - {name: a, password_file: app, connection_limit: -2, member_of: [a, mainstay_repl, postgres, pg_monitor]}
    - {name: a}
    - {name: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa}
    - {name: "line\nbreak", password: x}
  databases:
    - {name: template1}
    - {name: mainstay_x}
    - {name: b, encoding: "UTF8'; --", locale: 'a b', extensions: ['']}
    - {name: b}
)")
                              .Problems();
  for (const char* want :
       {"m.yaml:11: postgresql.users[0].name = postgres is the superuser that Mainstay itself works with",
        "users[1].name = pg_x begins with pg_",
        "users[2].name = mainstay_agent begins with mainstay_",
        "users[3].name = mainstay_x begins with mainstay_",
        "users[4].name = public is a word",
        "users[5].name is missing",
        "users[6].password_file = app is no absolute path",
        "users[6].connection_limit = \"-2\" is no limit",
        "users[6].member_of[0] = a is the role itself",
        "users[6].member_of[1] = mainstay_repl begins with",
        "users[6].member_of[2] = postgres is the superuser",
        "users[7].name = a is there twice",
        "is longer than PostgreSQL keeps",
        "users[9].name = \"line\\x0abreak\" holds a control character",
        "users[9].password is unknown; did you mean postgresql.users[9].password_file?",
        "databases[0].name = template1 is kept for",
        "databases[1].name = mainstay_x is kept for",
        "databases[2].encoding = \"UTF8'; --\" is no encoding",
        "databases[2].locale = \"a b\" is no",
        "databases[2].extensions[0] is missing",
        "databases[3].name = b is there twice"}) {
    EXPECT_THAT(all, HasSubstr(want));
  }
  EXPECT_THAT(all, Not(HasSubstr("pg_monitor")));
}

}  // namespace
}  // namespace mainstay::agent
