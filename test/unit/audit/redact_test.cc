#include "lib/audit/redact.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace mainstay::audit {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

TEST(Redact, TakesOutTheSecretAndNothingElse) {
  const struct {
    const char* before;
    const char* after;
  } cases[] = {
      {"ALTER ROLE bob PASSWORD 'geheim'", "ALTER ROLE bob PASSWORD '***'"},
      {"alter user bob with encrypted password 'ge''heim' valid until 'infinity'",
       "alter user bob with encrypted password '***' valid until 'infinity'"},
      {"CREATE ROLE a PASSWORD E'ge\\'heim' LOGIN", "CREATE ROLE a PASSWORD E'***' LOGIN"},
      {"CREATE ROLE a PASSWORD U&'geheim' LOGIN", "CREATE ROLE a PASSWORD U&'***' LOGIN"},
      {"CREATE ROLE a PASSWORD $x$ge'heim$x$ LOGIN", "CREATE ROLE a PASSWORD $x$***$x$ LOGIN"},
      {"CREATE ROLE a PASSWORD /* its 'pw' */ 'geheim' -- x",
       "CREATE ROLE a PASSWORD /* its 'pw' */ '***' -- x"},
      {"CREATE ROLE a PASSWORD 'ge'\n  'heim'", "CREATE ROLE a PASSWORD '***'\n  '***'"},
      {"ALTER ROLE a PASSWORD NULL", "ALTER ROLE a PASSWORD NULL"},
      {"ALTER ROLE a PASSWORD ''", "ALTER ROLE a PASSWORD ''"},
      {"ALTER ROLE a PASSWORD $1", "ALTER ROLE a PASSWORD $1"},
      {"host=a password=geheim user=bob", "host=a password=*** user=bob"},
      {"host=a password = 'ge heim' user=bob", "host=a password = '***' user=bob"},
      {"CREATE SUBSCRIPTION s CONNECTION 'host=a password=geheim' PUBLICATION p",
       "CREATE SUBSCRIPTION s CONNECTION 'host=a password=***' PUBLICATION p"},
      {"SELECT dblink('host=a password=''ge heim'' dbname=x')",
       "SELECT dblink('host=a password=''***'' dbname=x')"},
      {"CREATE USER MAPPING FOR u SERVER s OPTIONS (user 'u', password 'geheim')",
       "CREATE USER MAPPING FOR u SERVER s OPTIONS (user 'u', password '***')"},
      {"PGPASSWORD=geheim psql", "PGPASSWORD=*** psql"},
      {"{\"password\": \"ge\\\"heim\", \"user\": \"bob\"}", "{\"password\": \"***\", \"user\": \"bob\"}"},
      {"postgresql://bob:geheim@a:5432/db?x=y", "postgresql://bob:***@a:5432/db?x=y"},
      {"http://127.0.0.1:8080", "http://127.0.0.1:8080"},
      {"see https://www.postgresql.org/docs: password authentication failed for user \"bob\"",
       "see https://www.postgresql.org/docs: password authentication failed for user \"bob\""},
      {"password_encryption = 'scram-sha-256'", "password_encryption = 'scram-sha-256'"},
      {"x SCRAM-SHA-256$4096:abc$def:ghi' y", "x SCRAM-SHA-256$***' y"},
      {"md50123456789abcdef0123456789abcdef", "md5***"},
      {"aws_secret_access_key=geheim", "aws_secret_access_key=***"},
      {"syntax error at or near \"token\"", "syntax error at or near \"token\""},
      {"CREATE ROLE a PASWORD 'geheim' VALID UNTIL 'infinity'; SELECT 'x'",
       "CREATE ROLE a PASWORD '***' VALID UNTIL 'infinity'; SELECT 'x'"},
      {"alter  user a passwort E'geheim'", "alter  user a passwort E'***'"},
      {"syntax error at or near \"'geheim'\" at character 24",
       "syntax error at or near \"'***'\" at character 24"},
      {"unterminated quoted string at or near \"'geheim\" at character 24",
       "unterminated quoted string at or near \"'***"},
      {"CREATE TABLE role (x text DEFAULT 'a')", "CREATE TABLE role (x text DEFAULT 'a')"},
      {"ALTER SYSTEM SET x.password TO 'geheim'", "ALTER SYSTEM SET x.password TO '***'"},
  };
  for (const auto& c : cases) EXPECT_EQ(Redact(c.before), c.after) << c.before;
}

// A line that was cut ends anywhere.
TEST(Redact, WhatIsCutIsASecretToItsEnd) {
  for (const std::string whole :
       {"ALTER ROLE bob PASSWORD 'geheim'", "ALTER ROLE bob PASSWORD $$geheim$$", "password=geheim x",
        "postgresql://bob:geheim@a/db", "OPTIONS (password E'geheim')", "x \"password\": \"geheim\"",
        "password=''geheim'' x", "ALTER ROLE a PASSWORD 'x\\' -- PASSWORD 'geheim'"}) {
    const size_t at = whole.find("geheim");
    for (size_t n = at + 1; n <= whole.size(); ++n) {
      const std::string cut = whole.substr(0, n);
      EXPECT_THAT(Redact(cut).substr(0, at + 20), Not(HasSubstr("geh"))) << cut;
    }
  }
}

TEST(Redact, IsQuickAndLeavesOrdinaryTextAlone) {
  std::string text;
  while (text.size() < 100000) text += "the quick brown fox jumps over the lazy dog 'and' $1 again; ";
  EXPECT_EQ(Redact(text), text);
}

}  // namespace
}  // namespace mainstay::audit
