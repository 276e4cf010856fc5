// The allow-list of tools: what passes and, above all, what does not.
#include "agent/shim/tools.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace mainstay::shimd {
namespace {

using shim::wire::Tool;

PathRules Rules() {
  PathRules rules;
  rules.data_dir = "/vol/pg/data";
  rules.parent = "/vol/pg";
  rules.extra[0] = "/etc/mainstay/tls";
  rules.extra_count = 1;
  return rules;
}

int Check(Tool tool, std::vector<const char*> args) {
  const ToolSpec* spec = FindTool(tool);
  if (spec == nullptr) return -99;
  return CheckArguments(*spec, Rules(), args.data(), args.size());
}

bool Ok(Tool tool, std::vector<const char*> args) { return Check(tool, std::move(args)) == kAllowed; }

TEST(ToolsTest, WhatTheEngineUsesPasses) {
  EXPECT_TRUE(Ok(Tool::kInitdb, {"-D", "/vol/pg/data", "-k", "-E", "UTF8", "--locale=C.UTF-8", "-U",
                                 "postgres", "--auth-local=peer", "--auth-host=scram-sha-256",
                                 "--pwfile=/vol/pg/pw", "--no-instructions"}));
  EXPECT_TRUE(Ok(Tool::kBasebackup,
                 {"-D", "/vol/pg/data.new", "-d",
                  "host=10.0.0.1 port=5432 user=mainstay sslmode=verify-full "
                  "sslrootcert=/etc/mainstay/tls/ca.crt passfile=/vol/pg/pgpass application_name=b.5.x",
                  "-X", "stream", "-c", "fast", "-P", "--no-slot", "-w"}));
  EXPECT_TRUE(Ok(Tool::kRewind, {"-D", "/vol/pg/data", "--source-server", "host='10.0.0.1' dbname=postgres",
                                 "-P", "--no-ensure-shutdown"}));
  EXPECT_TRUE(Ok(Tool::kControldata, {"/vol/pg/data"}));
  EXPECT_TRUE(Ok(Tool::kControldata, {"-D", "/vol/pg/data"}));
  EXPECT_TRUE(Ok(Tool::kWaldump, {"-p", "/vol/pg/data/pg_wal", "-t", "3", "-s", "0/3000028", "-n", "10"}));
  EXPECT_TRUE(Ok(Tool::kWaldump, {"-p", "/vol/pg/data/pg_wal", "000000010000000000000001"}));
  EXPECT_TRUE(Ok(Tool::kChecksums, {"-D", "/vol/pg/data", "--check"}));
  EXPECT_TRUE(Ok(Tool::kPostgresC, {"-D", "/vol/pg/data", "-C", "shared_buffers"}));
  EXPECT_TRUE(Ok(Tool::kSwapData, {"/vol/pg/data.new"}));
  EXPECT_TRUE(Ok(Tool::kRemoveStale, {"/vol/pg/data.old-1700000000"}));
}

TEST(ToolsTest, UnknownToolsAreNotFound) {
  EXPECT_EQ(FindTool(static_cast<Tool>(0)), nullptr);
  EXPECT_EQ(FindTool(static_cast<Tool>(9)), nullptr);
  EXPECT_EQ(FindTool(static_cast<Tool>(255)), nullptr);
}

TEST(ToolsTest, OptionsThatNameProgramsOrWriteElsewhereAreRefused) {
  EXPECT_EQ(Check(Tool::kBasebackup, {"-D", "/vol/pg/data.new", "-t", "server:/tmp/x"}), 2);
  EXPECT_EQ(Check(Tool::kBasebackup, {"--target=server:/tmp/x"}), 0);
  EXPECT_EQ(Check(Tool::kInitdb, {"-L", "/vol/pg/share"}), 0);
  EXPECT_EQ(Check(Tool::kInitdb, {"--set", "archive_command=x"}), 0);
  EXPECT_EQ(Check(Tool::kPostgresC, {"-C", "x", "-c", "archive_command=x"}), 2);
  EXPECT_EQ(Check(Tool::kPostgresC, {"-C", "x", "--single"}), 2);
  EXPECT_EQ(Check(Tool::kVerifybackup, {"--pg-waldump"}), 0);
}

TEST(ToolsTest, AbbreviatedClusteredAndAttachedOptionsAreRefused) {
  EXPECT_EQ(Check(Tool::kRewind, {"--target-pgd=/vol/pg/data"}), 0);
  EXPECT_EQ(Check(Tool::kInitdb, {"-D/vol/pg/data"}), 0);
  EXPECT_EQ(Check(Tool::kInitdb, {"-kN"}), 0);
  EXPECT_EQ(Check(Tool::kInitdb, {"--"}), 0);
  EXPECT_EQ(Check(Tool::kInitdb, {"-"}), 0);
  EXPECT_EQ(Check(Tool::kInitdb, {"--data-checksums=yes"}), 0);
}

TEST(ToolsTest, PostgresNeedsTheQuestion) {
  // Without -C, postgres would start a server.
  EXPECT_EQ(Check(Tool::kPostgresC, {"-D", "/vol/pg/data"}), -1);
  EXPECT_EQ(Check(Tool::kPostgresC, {}), -1);
  EXPECT_EQ(Check(Tool::kPostgresC, {"-D", "-C"}), 1) << "-C as a value is no question";
}

TEST(ToolsTest, PathsStayBelowTheParent) {
  for (const char* bad : {"/", "", "data", "/vol/pg", "/vol/pg/", "/vol/pgx/data", "/vol/pg/../x",
                          "/vol/pg/data/..", "/vol/pg/./data", "/vol/pg//data", "/etc/passwd",
                          "/etc/mainstay/tls", "/etc/mainstay/tls/../x", "/vol/pg/a\nb"}) {
    EXPECT_FALSE(CheckValue(Value::kPath, Rules(), bad)) << bad;
  }
  EXPECT_TRUE(CheckValue(Value::kPath, Rules(), "/vol/pg/data/..x"));
  EXPECT_TRUE(CheckValue(Value::kPath, Rules(), "/etc/mainstay/tls/ca.crt"));
  EXPECT_FALSE(CheckValue(Value::kPath, Rules(), ("/vol/pg/" + std::string(2000, 'a')).c_str()));
}

TEST(ToolsTest, SiblingsAreNeverTheDataDirectory) {
  for (const char* bad : {"/vol/pg/data", "/vol/pg/data.", "/vol/pg/data/x", "/vol/pg/other",
                          "/vol/pg/data.a/b", "/vol/pg/data.a/../data", "data.new"}) {
    EXPECT_EQ(Check(Tool::kRemoveStale, {bad}), 0) << bad;
  }
  EXPECT_EQ(Check(Tool::kRemoveStale, {}), -1);
  EXPECT_EQ(Check(Tool::kSwapData, {"/vol/pg/data.a", "/vol/pg/data.b"}), 1);
}

TEST(ToolsTest, ConnectionStringsCarryNoPasswordsAndNoSurprises) {
  for (const char* bad : {"",
                          "password=x",
                          "host=a password=x",
                          "postgresql://u:p@h/db",
                          "host=a options='-c x=y'",
                          "service=x",
                          "host",
                          "host=a b",
                          "host='a",
                          "host=a\\ b",
                          "passfile=/etc/shadow",
                          "sslkey=/root/key",
                          "dbname='host=a password=x'",
                          "HOST=a",
                          "dbname=postgres://u:p@h",
                          "host = a",
                          "host='a''b'",
                          "require_auth=none",
                          "host=a(password=x",
                          "host=/run/../x/../y"}) {
    EXPECT_FALSE(CheckValue(Value::kConninfo, Rules(), bad)) << bad;
  }
  EXPECT_TRUE(CheckValue(Value::kConninfo, Rules(), "host='/run/postgresql' user=a  port=5432 "));
}

TEST(ToolsTest, OtherValues) {
  EXPECT_TRUE(CheckValue(Value::kMapping, Rules(), "/mnt/ts1=/vol/pg/ts1"));
  EXPECT_FALSE(CheckValue(Value::kMapping, Rules(), "/mnt/ts1=/tmp/ts1"));
  EXPECT_FALSE(CheckValue(Value::kMapping, Rules(), "/mnt/ts1"));
  EXPECT_FALSE(CheckValue(Value::kLsn, Rules(), "0/"));
  EXPECT_FALSE(CheckValue(Value::kLsn, Rules(), "0/0/0"));
  EXPECT_FALSE(CheckValue(Value::kNumber, Rules(), "-1"));
  EXPECT_FALSE(CheckValue(Value::kNumber, Rules(), ""));
  EXPECT_FALSE(CheckValue(Value::kWord, Rules(), "-x"));
  EXPECT_FALSE(CheckValue(Value::kWord, Rules(), "a b"));
  EXPECT_FALSE(CheckValue(Value::kWord, Rules(), "$(x)"));
  EXPECT_FALSE(CheckValue(Value::kWalFile, Rules(), "../../../../etc/passwdxx"));
}

}  // namespace
}  // namespace mainstay::shimd
