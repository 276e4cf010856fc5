// Redis' log and commands: parsed, and free of secrets.
#include "lib/audit/redis_log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <ctime>

#include "lib/audit/redis_text.h"
#include "lib/base/json.h"
#include "test/unit/audit/who.h"

namespace mainstay::audit {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

std::vector<DatabaseLine> Parse(const std::string& text, size_t chunk) {
  std::vector<DatabaseLine> out;
  RedisLogParser parser;
  const LogParser::Sink sink = [&](const DatabaseLine& l) { out.push_back(l); };
  for (size_t at = 0; at < text.size(); at += chunk) parser.Feed(text.substr(at, chunk), sink);
  return out;
}

int64_t Local(int year, int month, int day, int hour, int minute, int second) {
  struct tm tm = {};
  tm.tm_year = year - 1900;
  tm.tm_mon = month - 1;
  tm.tm_mday = day;
  tm.tm_hour = hour;
  tm.tm_min = minute;
  tm.tm_sec = second;
  tm.tm_isdst = -1;
  return static_cast<int64_t>(mktime(&tm)) * 1000000;
}

TEST(RedisLog, HeadAndText) {
  const std::string text =
      "4711:M 30 Nov 2026 20:20:00.123 * Background saving started by pid 4712\n"
      "4712:C 30 Nov 2026 20:20:01.001 * DB saved on disk\n"
      "4711:S 30 Nov 2026 20:20:02.000 # Error condition on socket for SYNC: Connection refused\n"
      "4711:M 30 Nov 2026 20:20:03.000 - Accepted 127.0.0.1:40000\n"
      "                _._\n"
      "\n"
      "4711:M 30 Nov 2026 20:20:04.000 # Possible SECURITY ATTACK detected. It looks like somebody is "
      "sending "
      "POST or Host: commands to Redis.\n"
      "4711:M 30 Nov 2026 20:20:04.000 # Client id=3 addr=127.0.0.1:4 cmd=get scheduled to be closed ASAP "
      "for "
      "overcoming of output buffer limits.\n";
  for (const size_t chunk : {size_t{1}, size_t{7}, text.size()}) {
    const auto lines = Parse(text, chunk);
    ASSERT_EQ(lines.size(), 7u) << chunk;
    EXPECT_EQ(lines[0].unix_us, Local(2026, 11, 30, 20, 20, 0) + 123000);
    EXPECT_EQ(lines[0].pid, 4711);
    EXPECT_EQ(lines[0].severity, "notice");
    EXPECT_EQ(lines[0].backend, "primary");
    EXPECT_EQ(lines[0].message.head(), "Background saving started by pid 4712");
    EXPECT_EQ(WeightOf(lines[0]), LogWeight::kInfo);
    EXPECT_EQ(lines[1].backend, "child");
    EXPECT_EQ(lines[2].backend, "replica");
    EXPECT_EQ(WeightOf(lines[2]), LogWeight::kWarn);
    EXPECT_EQ(WeightOf(lines[3]), LogWeight::kDebug);
    EXPECT_EQ(lines[4].severity, "");
    EXPECT_EQ(lines[4].message.head(), "                _._");
    EXPECT_EQ(ClassOf(lines[5]), LogClass::kDenied);
    EXPECT_EQ(ClassOf(lines[6]), LogClass::kKill);
  }
}

TEST(RedisLog, WhatLooksAlmostLikeAHeadHasNone) {
  for (const char* line : {"4711:Q 30 Nov 2026 20:20:00.123 * x", "4711:M 30 Now 2026 20:20:00.123 * x",
                           "4711:M 30 Nov 2026 20:20:00 * x", "0:M 30 Nov 2026 20:20:00.123 * x",
                           "x:M 30 Nov 2026 20:20:00.123 * x", "4711:M 31 Nov 2026 25:20:00.123 * x",
                           "4711:M 30 Nov 2026 20:20:00.123 ? x", "4711:M", ":", "M"}) {
    const auto lines = Parse(std::string(line) + "\n", 100);
    ASSERT_EQ(lines.size(), 1u) << line;
    EXPECT_EQ(lines[0].severity, "") << line;
    EXPECT_EQ(lines[0].message.head(), line);
    EXPECT_EQ(lines[0].unix_us, 0);
  }
}

TEST(RedisLog, LongLinesAndGaps) {
  const std::string head = "4711:M 30 Nov 2026 20:20:00.123 * ";
  auto lines = Parse(head + std::string(5 << 20, 'y') + "\n" + head + "after\n", 8000);
  ASSERT_EQ(lines.size(), 2u);
  EXPECT_TRUE(lines[0].cut());
  EXPECT_EQ(lines[0].bytes(), size_t{5} << 20);
  EXPECT_LE(Format(lines[0], kWho, 1, 0).size(), kMaxLineBytes);
  EXPECT_EQ(lines[1].message.head(), "after");
  std::vector<DatabaseLine> out;
  RedisLogParser parser;
  const LogParser::Sink sink = [&](const DatabaseLine& l) { out.push_back(l); };
  parser.Feed(head + "begun", sink);
  parser.Gap(sink);
  parser.Feed("the rest\n" + head + "whole\n", sink);
  ASSERT_EQ(out.size(), 2u);
  EXPECT_TRUE(out[0].broken);
  EXPECT_EQ(out[1].message.head(), "whole");
}

TEST(RedisLog, ALineOfJson) {
  const auto lines = Parse("4711:M 30 Nov 2026 20:20:00.123 # Out of memory\n", 100);
  Identity who = kWho;
  who.engine = "redis";
  const Json j = *ParseJson(Format(lines.at(0), who, 3, 0), 1 << 20);
  EXPECT_EQ(j["logger"], "redis");
  EXPECT_EQ(j["level"], "warn");
  EXPECT_EQ(j["class"], "log");
  EXPECT_EQ(j["record"]["pid"], 4711);
  EXPECT_EQ(j["record"]["severity"], "warning");
  EXPECT_EQ(j["record"]["backend"], "primary");
}

// No password of these may be in a line, whatever the server blanked or did not.
TEST(RedisText, SecretsOfCommands) {
  const std::vector<std::vector<std::string>> commands = {
      {"AUTH", "geheim"},
      {"auth", "bob", "geheim"},
      {"HELLO", "3", "AUTH", "bob", "geheim", "SETNAME", "x"},
      {"ACL", "SETUSER", "bob", "on", ">geheim", "~*", "+@all"},
      {"acl", "setuser", "bob", "<geheim", "#geheim", "!geheim"},
      {"CONFIG", "SET", "requirepass", "geheim"},
      {"CONFIG", "SET", "maxmemory", "1gb", "masterauth", "geheim"},
      {"CONFIG", "SET", "tls-key-file-pass", "geheim"},
      {"MIGRATE", "10.0.0.1", "6379", "", "0", "5000", "AUTH2", "bob", "geheim", "KEYS", "a"},
      {"MIGRATE", "10.0.0.1", "6379", "a", "0", "5000", "AUTH", "geheim"},
      {"SENTINEL", "SET", "shop", "auth-pass", "geheim"},
      {"HSET", "user:1", "password", "geheim"},
      {"HSET", "user:1", "name", "bob", "user_password", "geheim"},
      {"HMSET", "user:1", "token", "geheim"},
      {"EVAL", "return redis.call('auth', 'x') -- password='geheim'", "0"},
      {"SET", "dsn", "redis://bob:geheim@10.0.0.1/0"},
      {"MODULE", "LOAD", "/x.so", "geheim"},
      {"ACL", "DRYRUN", "bob", "AUTH", "geheim"},
  };
  for (const auto& words : commands) {
    const std::string text = RedisCommandText(words);
    EXPECT_THAT(text, Not(HasSubstr("geheim"))) << text;
    EXPECT_THAT(text, HasSubstr("***")) << text;
    EXPECT_THAT(text, HasSubstr(words[0])) << text;
  }
  EXPECT_EQ(RedisCommandText({"AUTH", "bob", "geheim"}), "AUTH ***");
  EXPECT_EQ(RedisCommandText({"ACL", "SETUSER", "bob", ">geheim"}), "ACL SETUSER bob ***");
  EXPECT_EQ(RedisCommandText({"CONFIG", "SET", "masterauth", "geheim"}), "CONFIG SET masterauth ***");
}

TEST(RedisText, WhatIsNoSecretStays) {
  EXPECT_EQ(RedisCommandText({"KEYS", "*"}), "KEYS *");
  EXPECT_EQ(RedisCommandText({"SET", "a b", "x\ny", ""}), "SET a b x\\x0ay \"\"");
  EXPECT_EQ(RedisCommandText({"CONFIG", "GET", "max*"}), "CONFIG GET max*");
  EXPECT_EQ(RedisCommandText({"ACL", "LOG", "10"}), "ACL LOG 10");
  EXPECT_EQ(RedisCommandText({}), "");
  EXPECT_THAT(RedisCommandText({"SET", "k", std::string(1 << 20, 'v')}), HasSubstr("... (1048576 bytes)"));
}

TEST(RedisText, SecretsOfTheLog) {
  for (const char* text :
       {">>> 'requirepass \"geheim\" x'", ">>> 'user bob on >geheim'", ">>> 'masterauth geheim'",
        "Error in user declaration '>geheim': Syntax error", "Error in applying operation '<geheim': x",
        "Bad directive: requirepass geheim", "'masterauth' geheim", "AUTH failed for password='geheim'"})
    EXPECT_THAT(RedisLogText(text), Not(HasSubstr("geheim"))) << text;
  EXPECT_EQ(RedisLogText("Ready to accept connections"), "Ready to accept connections");
  EXPECT_EQ(RedisLogText(">>> 'maxmemory lots'"), ">>> 'maxmemory ***");
  EXPECT_EQ(RedisLogText("a  b > c"), "a  b > c");
}

}  // namespace
}  // namespace mainstay::audit
