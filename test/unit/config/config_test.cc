#include "agent/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>

#include "agent/config_schema.h"
#include "mainstay/v1/config.pb.h"

namespace mainstay::agent {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

constexpr char kGood[] = R"(cluster: demo
name: a
election: {path: /run/demo}
shim: {socket: /run/a/shim.sock}
members:
  - {name: a, peer: "127.0.0.1:7400"}
  - {name: b, peer: "127.0.0.1:7410"}
postgresql:
  data_dir: /data/a
  socket_dir: /run/a
  password_file: /data/passwords
  parameters:
    work_mem: 8MB
)";

LoadedConfig Load(const std::string& text, const ConfigSource& source = {},
                  std::vector<const char*> environment = {}) {
  environment.push_back(nullptr);
  return LoadConfigText(text, "m.yaml", source, environment.data());
}

TEST(Config, ASmallFileIsEnough) {
  const LoadedConfig c = Load(kGood);
  ASSERT_TRUE(c.ok()) << c.Problems();
  EXPECT_EQ(c.config.name, "a");
  EXPECT_EQ(c.config.settings.lease, seconds(10));
  EXPECT_EQ(c.config.settings.validity, milliseconds(7500));
  EXPECT_EQ(c.config.settings.self.peer_address, "127.0.0.1:7400");
  EXPECT_EQ(c.config.settings.self.db_address, "127.0.0.1:5432");
  EXPECT_EQ(c.config.settings.expected, std::vector<std::string>{"b"});
  EXPECT_EQ(c.config.members, (std::vector<ExpectedMember>{{"b", "127.0.0.1:7410"}}));
  EXPECT_EQ(c.config.postgresql.parameters.at("work_mem"), "8MB");
  EXPECT_EQ(c.config.postgresql.slot_wal_cap_bytes, uint64_t{10} << 30);
  EXPECT_TRUE(c.config.settings.failsafe);
  EXPECT_TRUE(c.config.audit_enabled);
}

TEST(Config, TheDefaultsOfTheSchemaAreThoseOfTheCore) {
  const LoadedConfig c = Load(kGood);
  const election::Settings core;
  const election::Settings& s = c.config.settings;
  EXPECT_EQ(s.lease, core.lease);
  EXPECT_EQ(s.validity, core.validity);
  EXPECT_EQ(s.fence, core.fence);
  EXPECT_EQ(s.renew, core.renew);
  EXPECT_EQ(s.suspicion, core.suspicion);
  EXPECT_EQ(s.freeze_wait, core.freeze_wait);
  EXPECT_EQ(s.sync_patience, core.sync_patience);
  EXPECT_EQ(s.handover, core.handover);
  EXPECT_EQ(s.durability, core.durability);
  EXPECT_EQ(s.sync_count, core.sync_count);
  EXPECT_EQ(s.takeover, core.takeover);
  EXPECT_EQ(s.failsafe, core.failsafe);
  EXPECT_EQ(s.self.priority, core.self.priority);
}

TEST(Config, TheFastProfileYieldsToWhatIsSet) {
  const LoadedConfig c =
      Load(std::string(kGood) + "profile: fast\n", {.file = "", .flags = {{"election.renew", "400ms"}}});
  ASSERT_TRUE(c.ok()) << c.Problems();
  EXPECT_EQ(c.config.settings.lease, seconds(3));
  EXPECT_EQ(c.config.settings.fence, milliseconds(900));
  EXPECT_EQ(c.config.settings.renew, milliseconds(400));
  EXPECT_EQ(c.origin.at("election.lease"), "profile fast");
}

TEST(Config, FlagsBeatTheEnvironmentAndThatBeatsTheFile) {
  const ConfigSource flags{.file = "", .flags = {{"tags.priority", "3"}}};
  const LoadedConfig c =
      Load(std::string(kGood) + "tags: {priority: 1, no_failover: true}\nuid: file\n", flags,
           {"MAINSTAY_TAGS_PRIORITY=2", "MAINSTAY_UID=env", "MAINSTAY_POSTGRESQL_PARAMETERS_WORK_MEM=16MB",
            "MAINSTAY_MEMBERS=[{name: c, peer: 'unix:/c'}]", "MAINSTAY_PG_SERVICE_HOST=10.0.0.1",
            "MAINSTAY_CLUSTERR=x"});
  ASSERT_TRUE(c.ok()) << c.Problems();
  EXPECT_EQ(c.config.settings.self.priority, 3);
  EXPECT_TRUE(c.config.settings.self.no_failover);
  EXPECT_EQ(c.config.uid, "env");
  EXPECT_EQ(c.config.postgresql.parameters.at("work_mem"), "16MB");
  EXPECT_EQ(c.config.members, (std::vector<ExpectedMember>{{"c", "unix:/c"}}));
  EXPECT_EQ(c.origin.at("tags.priority"), "flag --set tags.priority");
  EXPECT_EQ(c.origin.at("uid"), "environment MAINSTAY_UID");
  EXPECT_EQ(c.origin.at("cluster"), "m.yaml:1");
  ASSERT_EQ(c.warnings.size(), 1u);  // the Service's variable is nobody's mistake
  EXPECT_THAT(c.warnings[0], HasSubstr("did you mean MAINSTAY_CLUSTER?"));
}

TEST(Config, AllProblemsAtOnceWithLineAndRemedy) {
  const LoadedConfig c = Load(R"(cluster: Demo
nam: a
election:
  lease: 10
  lock: leese
  takeover: quorom
lease: 3s
listen: {grpc: "0.0.0.0:7400", http: "127.0.0.1:1"}
postgresql:
  port: many
  slot_wal_cap: 3 parsecs
  hba: one
durability: [a]
)");
  const std::string all = c.Problems();
  for (const char* want :
       {"m.yaml:1: cluster = Demo is no name", "m.yaml:2: nam is unknown; did you mean name?",
        "m.yaml:4: election.lease = \"10\" has no unit (did you mean 10s?)",
        "m.yaml:5: election.lock = leese is unknown (did you mean lease?)",
        "m.yaml:6: election.takeover = quorom is unknown (did you mean quorum?)",
        "m.yaml:7: lease is unknown; did you mean election.lease?",
        "m.yaml:8: listen.grpc = \"0.0.0.0:7400\" is not loopback",
        "m.yaml:10: postgresql.port = many is no whole number",
        "m.yaml:11: postgresql.slot_wal_cap = \"3 parsecs\" is no size",
        "m.yaml:12: postgresql.hba is no list", "m.yaml:13: durability must be a single value",
        "shim.socket is missing", "name is missing"}) {
    EXPECT_THAT(all, HasSubstr(want));
  }
}

TEST(Config, DatabaseSettingsThatTheEngineRefusesAreToldBeforeItStarts) {
  const std::string text = std::string(kGood) + R"(    fsync: off
    max_connections: 2
    synchronous_commit: local
  hba: ["host all all 10.0.0.0/8 trust", "host all all 10.0.0.0/8 scram-sha-256"]
)";
  const std::string problems = Load(text).Problems();
  EXPECT_THAT(problems,
              HasSubstr("m.yaml:14: postgresql.parameters.fsync = \"off\" is kept by Mainstay, because an "
                        "acknowledged write must survive a crash; remove it"));
  EXPECT_THAT(problems, HasSubstr("postgresql.parameters.max_connections = \"2\" is too small"));
  EXPECT_THAT(problems,
              HasSubstr("postgresql.parameters.synchronous_commit = local acknowledges writes that"));
  EXPECT_THAT(problems, HasSubstr("m.yaml:17: postgresql.hba[0] = "));
  EXPECT_THAT(problems, Not(HasSubstr("hba[1]")));
}

TEST(Config, WhoMayChangeSomethingByHttp) {
  const LoadedConfig good = Load(std::string(kGood) + R"(http:
  {user: admin, password_file: /run/pw, allow: ["10.0.0.0/8", "fd00::1"], patroni_metrics: true}
tags: {no_load_balance: true, labels: {zone: a-1}}
advertise: {http: "pg-0.pg:7401"}
)");
  ASSERT_TRUE(good.ok()) << good.Problems();
  EXPECT_TRUE(good.config.http.patroni);
  EXPECT_TRUE(good.config.http.patroni_metrics);
  EXPECT_TRUE(good.config.http.no_load_balance);
  EXPECT_EQ(good.config.http.labels.at("zone"), "a-1");
  EXPECT_EQ(good.config.http.advertised, "pg-0.pg:7401");
  const LoadedConfig bad = Load(std::string(kGood) + R"(http: {user: "a:b", tls: true, allow: ["10.0.0.0/40"]}
tags: {labels: {"x y": z}}
advertise: {http: "unix:/run/x"}
)");
  for (const char* what :
       {"http.password_file is missing", "http.user = a:b is no name", "has no certificates",
        "10.0.0.0/40\" is no address", "tags.labels.x y = z is no tag",
        "advertise.http = unix:/run/x is no address that others could dial"}) {
    EXPECT_THAT(bad.Problems(), HasSubstr(what));
  }
}

TEST(Config, ATextThatIsNoYamlIsTheOnlyProblem) {
  const LoadedConfig c = Load("cluster: {demo\nname: a\n");
  ASSERT_EQ(c.problems.size(), 1u) << c.Problems();
  EXPECT_THAT(c.Problems(), HasSubstr("is no YAML"));
}

TEST(Config, UnsafeTimingsAreRefusedWithTheArithmetic) {
  const LoadedConfig c = Load(std::string(kGood), {.file = "", .flags = {{"election.validity", "9s"}}});
  EXPECT_FALSE(c.ok());
  EXPECT_THAT(c.Problems(), HasSubstr("validity/(1-rho) + fence = 11.009 s"));
  EXPECT_THAT(c.Problems(), HasSubstr("raise election.lease to at least"));
}

TEST(Config, ProbesTooRareForTheSuspicionAreRefused) {
  const LoadedConfig c = Load(std::string(kGood), {.file = "", .flags = {{"probe.interval", "1001ms"}}});
  EXPECT_FALSE(c.ok());
  EXPECT_THAT(c.Problems(), HasSubstr("more than a third of election.suspicion (3s)"));
  EXPECT_TRUE(Load(std::string(kGood), {.file = "", .flags = {{"probe.interval", "1s"}}}).ok());
}

TEST(Config, AProblemOfAFlagNamesTheFlagAndNoLine) {
  const LoadedConfig c =
      Load(kGood, {.file = "", .flags = {{"tags.priority", "5000"}, {"tags.prority", "1"}}});
  EXPECT_THAT(
      c.Problems(),
      HasSubstr("flag --set tags.priority: tags.priority = \"5000\" is out of bounds; give 0 to 1000"));
  EXPECT_THAT(
      c.Problems(),
      HasSubstr("flag --set tags.prority: tags.prority = \"1\" is unknown; did you mean tags.priority?"));
}

TEST(Config, HostileYamlIsAProblemAndNeverAnException) {
  std::string deep;
  for (int i = 0; i < 3000; ++i) deep += "[";
  for (const std::string& bad :
       {std::string("a: [1"), std::string("- x"), std::string("\t: :"), std::string("just text"), deep,
        std::string("a: &x [*x]"), std::string("cluster: *nowhere"), std::string("? [a]: b"),
        std::string("cluster: a\ncluster: b"), std::string("cluster: !!binary zz\x01"),
        std::string(300 * 1024, 'x'),
        std::string("cluster: {a: b}\nname: [c]\nelection: 3\nmembers: {x: y}\npostgresql: {parameters: [1], "
                    "hba: [[x]]}")}) {
    EXPECT_FALSE(Load(bad).ok()) << bad.substr(0, 60);
  }
}

TEST(Config, AnAnchorBombStaysSmall) {
  std::string text = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n";
  for (int i = 1; i < 12; ++i) {
    const std::string p = "*a" + std::to_string(i - 1);
    text += "a" + std::to_string(i) + ": &a" + std::to_string(i) + " [" + p + "," + p + "," + p + "," + p +
            "," + p + "]\n";
  }
  const LoadedConfig c = Load(text);
  EXPECT_FALSE(c.ok());
  EXPECT_LT(c.Problems().size(), 10000u);
}

TEST(Config, PrintedItReadsBackTheSame) {
  const LoadedConfig c =
      Load(std::string(kGood) + R"(  hba: ["host all all 10.0.0.0/8 scram-sha-256", 'a "quoted" \ one']
uid: "yes"
)");
  ASSERT_TRUE(c.ok()) << c.Problems();
  const std::string printed = PrintConfig(c.config, nullptr);
  const LoadedConfig again = Load(printed);
  ASSERT_TRUE(again.ok()) << again.Problems() << printed;
  // A section that is absent and one that is empty are the same configuration.
  const auto text = [](const LoadedConfig& l) {
    std::string t = l.config.message->DebugString();
    for (const std::string empty : {"advertise {\n}\n", "tls {\n}\n"}) {
      if (const size_t at = t.find(empty); at != std::string::npos) t.erase(at, empty.size());
    }
    return t;
  };
  EXPECT_EQ(text(again), text(c));
  const LoadedConfig with_origin = Load(PrintConfig(c.config, &c.origin));
  ASSERT_TRUE(with_origin.ok()) << with_origin.Problems();
  EXPECT_TRUE(Compare(c.config, with_origin.config).empty());
}

TEST(Config, AReloadTellsWhatChangedAndTakesOnlyWhatMayChange) {
  const LoadedConfig before = Load(kGood);
  std::string text = kGood;
  text.replace(text.find("8MB"), 3, "9MB");
  const LoadedConfig after =
      Load(text + "    max_connections: 50\nlog: {level: debug}\ntags: {no_failover: true}\ncluster2: x\n",
           {.file = "", .flags = {{"election.renew", "1s"}}});
  EXPECT_FALSE(after.ok());  // a reload with problems is not applied; here only the comparison matters
  const ConfigChange change = Compare(before.config, after.config);
  EXPECT_TRUE(change.needs_restart());
  EXPECT_THAT(change.ToString(),
              HasSubstr("election.renew: 2s -> 1s (needs a restart of the agent; the database goes on)"));
  EXPECT_THAT(change.ToString(), HasSubstr("postgresql.parameters.work_mem: 8MB -> 9MB (in effect)"));
  EXPECT_THAT(change.ToString(), HasSubstr("log.level: info -> debug (in effect)"));
  EXPECT_EQ(change.items.size(), 5u);
  const Config now = ApplyReload(before.config, after.config);
  EXPECT_EQ(now.settings.renew, seconds(2));
  EXPECT_TRUE(now.settings.self.no_failover);
  EXPECT_EQ(now.log_level, LogLevel::kDebug);
  EXPECT_EQ(now.postgresql.parameters.size(), 2u);
  EXPECT_EQ(now.postgresql.parameters.at("work_mem"), "9MB");
  EXPECT_EQ(now.members, before.config.members);
  // A parameter that was taken out is gone, too.
  const Config back = ApplyReload(now, before.config);
  EXPECT_EQ(back.postgresql.parameters.size(), 1u);
  EXPECT_TRUE(Compare(back, before.config).empty());
}

TEST(Config, MembersAreReloaded) {
  const LoadedConfig before = Load(kGood);
  std::string text = kGood;
  const std::string b = "  - {name: b, peer: \"127.0.0.1:7410\"}\n";
  text.replace(text.find(b), b.size(), "  - {name: c, peer: \"127.0.0.1:7420\", http: \"127.0.0.1:7421\"}\n");
  const LoadedConfig after = Load(text);
  ASSERT_TRUE(after.ok()) << after.Problems();
  EXPECT_FALSE(Compare(before.config, after.config).needs_restart());
  const Config now = ApplyReload(before.config, after.config);
  EXPECT_EQ(now.members, (std::vector<ExpectedMember>{{"c", "127.0.0.1:7420", "127.0.0.1:7421"}}));
  EXPECT_EQ(now.settings.expected, std::vector<std::string>{"c"});
}

TEST(Config, FilesMayBeSymlinksAndMissingOnesAreNamed) {
  char dir[] = "/tmp/config_test.XXXXXX";
  ASSERT_NE(mkdtemp(dir), nullptr);
  const std::string real = std::string(dir) + "/real.yaml";
  const std::string link = std::string(dir) + "/link.yaml";
  std::ofstream(real) << kGood;
  ASSERT_EQ(symlink(real.c_str(), link.c_str()), 0);  // as a mounted ConfigMap is
  EXPECT_TRUE(LoadConfig({.file = link, .flags = {}}, nullptr).ok());
  EXPECT_THAT(LoadConfig({.file = real + "x", .flags = {}}, nullptr).Problems(), HasSubstr(real + "x"));
  EXPECT_FALSE(LoadConfig({.file = dir, .flags = {}}, nullptr).ok());
  unlink(link.c_str());
  unlink(real.c_str());
  rmdir(dir);
}

TEST(Schema, EveryFieldHasHelpAndItsPresetIsValid) {
  schema::ForEachField(v1::AgentConfig::descriptor(),
                       [](const std::string& path, const schema::FieldDescriptor* f) {
                         EXPECT_THAT(schema::Help(f), Not(IsEmpty())) << path;
                         if (schema::Preset(f).empty()) return;
                         v1::AgentConfig m;
                         schema::Trace trace;
                         schema::SetPath(&m, path, schema::Preset(f), {.name = "preset"}, &trace);
                         EXPECT_THAT(trace.problems, IsEmpty()) << path;
                       });
}

TEST(Schema, TextsOfTimeAndSize) {
  EXPECT_EQ(schema::ParseDurationText("1m30s"), seconds(90));
  EXPECT_EQ(schema::ParseDurationText("7.5s"), milliseconds(7500));
  for (const char* bad : {"", "10", "-1s", "inf", "1 s", "s", "1y", "99999999h"})
    EXPECT_FALSE(schema::ParseDurationText(bad).has_value()) << bad;
  EXPECT_EQ(schema::ParseSize("64MB"), uint64_t{64} << 20);
  EXPECT_EQ(schema::ParseSize("10 GiB"), uint64_t{10} << 30);
  EXPECT_EQ(schema::ParseSize("0"), 0u);
  for (const char* bad : {"", "MB", "1.5GB", "-1", "1XB", "99999999999TB", "18446744073709551616"})
    EXPECT_FALSE(schema::ParseSize(bad).has_value()) << bad;
  for (uint64_t n : {uint64_t{0}, uint64_t{1}, uint64_t{1024}, uint64_t{3} << 30, uint64_t{1000001}})
    EXPECT_EQ(schema::ParseSize(schema::FormatSize(n)), n);
}

}  // namespace
}  // namespace mainstay::agent
