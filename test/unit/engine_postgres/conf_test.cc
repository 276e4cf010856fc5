// The files that Mainstay writes into a data directory: hostile values, protected parameters, reading back.
#include "lib/engine/postgres/conf.h"
#include "gtest/gtest.h"
#include "lib/engine/postgres/names.h"

namespace mainstay::engine::postgres {
namespace {

Options TestOptions() {
  Options o;
  o.member = "a";
  o.data_dir = "/v/data";
  o.socket_dir = "/run/pg";
  o.port = 5433;
  return o;
}

std::string LastValue(const std::string& conf, const std::string& name) {
  const size_t at = conf.rfind("\n" + name + " = ");
  if (at == std::string::npos) return "(none)";
  const size_t from = at + name.size() + 4;
  return conf.substr(from, conf.find('\n', from) - from);
}

TEST(Conf, OwnParametersComeLastAndWin) {
  const Options o = TestOptions();
  Settings s;
  s.parameters = {{"max_connections", "50"}, {"Work_Mem", "1'; port = 1"}};
  RoleState role;
  role.sync = "ANY 1 (\"ms_b_00000001_3\")";
  role.epoch = 3;
  role.primary = true;
  const auto conf = BuildConf({&o, &s, 15}, role);
  ASSERT_TRUE(conf.ok()) << conf.status();
  EXPECT_EQ(LastValue(*conf, "port"), "'5433'");
  EXPECT_EQ(LastValue(*conf, "max_connections"), "'50'");
  EXPECT_EQ(LastValue(*conf, "work_mem"), "'1''; port = 1'");
  EXPECT_EQ(LastValue(*conf, "synchronous_standby_names"), "'ANY 1 (\"ms_b_00000001_3\")'");
  EXPECT_EQ(LastValue(*conf, "restart_after_crash"), "'off'");
  EXPECT_EQ(LastValue(*conf, "mainstay.leader"), "'a'");
  EXPECT_EQ(LastValue(*conf, "allow_alter_system"), "(none)");
  EXPECT_EQ(LastValue(*BuildConf({&o, &s, 17}, role), "allow_alter_system"), "'off'");
}

TEST(Conf, RoleIsReadBack) {
  const Options o = TestOptions();
  const Settings s;
  RoleState role;
  role.sync = "FIRST 2 (\"mainstay_barrier\",\"x\")";
  role.primary_conninfo = "host='h' passfile='/a b/it\\'s'";
  role.primary_slot = "ms_a";
  role.leader = "b";
  role.epoch = 7;
  role.names = {{"b", "c"}, 2};
  EXPECT_EQ(*ParseRole(*BuildConf({&o, &s, 15}, role)), role);
  EXPECT_FALSE(ParseRole("").ok());
  EXPECT_FALSE(ParseRole("# role: {\"schema\":1}\n").ok());
  EXPECT_FALSE(ParseRole("# role: nonsense\n").ok());
}

TEST(Conf, ProtectedAndUnsafeParametersAreRefusedTogether) {
  const std::string problems = CheckParameters({{"synchronous_standby_names", ""},
                                                {"FSYNC", "off"},
                                                {"wal_level", "minimal"},
                                                {"synchronous_commit", "local"},
                                                {"max_wal_senders", "2"},
                                                {"a b", "1"},
                                                {"ok", "x\ny"},
                                                {"mainstay.epoch", "9"},
                                                {"include_dir", "/x"},
                                                {"work_mem", "1MB"},
                                                {"wal_keep_size", "1GB"}});
  for (const char* name : {"synchronous_standby_names", "FSYNC", "wal_level", "synchronous_commit",
                           "max_wal_senders", "a b", ".ok", "mainstay.epoch", "include_dir"}) {
    EXPECT_NE(problems.find(name), std::string::npos) << name << "\n" << problems;
  }
  EXPECT_EQ(problems.find("work_mem"), std::string::npos);
  EXPECT_EQ(problems.find("wal_keep_size"), std::string::npos);
  EXPECT_EQ(CheckParameters({{"synchronous_commit", "remote_apply"},
                             {"wal_level", "logical"},
                             {"pg_stat_statements.max", "100"}}),
            "");
}

TEST(Conf, HbaHasNoTrustOverTheNetwork) {
  const Options o = TestOptions();
  Settings s;
  s.hba = {"hostssl app app 10.0.0.0/8 scram-sha-256"};
  const auto hba = BuildHba(o, s, "postgres");
  ASSERT_TRUE(hba.ok()) << hba.status();
  EXPECT_EQ(hba->find("trust"), std::string::npos);
  EXPECT_LT(hba->find("all reject"), hba->find("hostssl app"));
  EXPECT_LT(hba->find("hostssl app"), hba->find("host all all all scram-sha-256"));
  EXPECT_NE(hba->find("peer map=mainstay"), std::string::npos);
  EXPECT_EQ(BuildHba(o, s, "")->find("peer"), std::string::npos);
  for (const char* bad :
       {"host all all 0.0.0.0/0 trust", "hostnossl all all all \"trust\"", "host all all all TRUST",
        "include /x", "local all all peer\nhost all all all trust"}) {
    s.hba = {bad};
    EXPECT_FALSE(BuildHba(o, s, "postgres").ok()) << bad;
  }
  Options odd = o;
  odd.superuser = "po\"st\ngres";
  EXPECT_FALSE(BuildHba(odd, Settings(), "x").ok());
  EXPECT_NE(BuildIdent(o, "pg user").find("mainstay \"pg user\" \"postgres\""), std::string::npos);
}

TEST(Conf, IncludeOnceAndAtTheEnd) {
  EXPECT_EQ(WithInclude(""), "include 'mainstay.conf'\n");
  EXPECT_EQ(WithInclude("a = 1\n"), "a = 1\ninclude 'mainstay.conf'\n");
  EXPECT_EQ(WithInclude(WithInclude("a = 1\n\n\n")), "a = 1\ninclude 'mainstay.conf'\n");
  EXPECT_EQ(WithInclude("include 'mainstay.conf'\nport = 1"), "port = 1\ninclude 'mainstay.conf'\n");
}

TEST(Conf, AlterSystemCannotOverride) {
  EXPECT_EQ(WithoutProtected("# Do not edit\nwork_mem = '1MB'\n Synchronous_Standby_Names = "
                             "''\nprimary_conninfo='x'\nmainstay.epoch = '1'\n"),
            "# Do not edit\nwork_mem = '1MB'\n");
  EXPECT_EQ(WithoutProtected(""), "");
}

}  // namespace
}  // namespace mainstay::engine::postgres
