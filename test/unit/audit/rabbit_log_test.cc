// RabbitMQ's log: records, what stands around them, and what is cut.
#include "lib/audit/rabbit_log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lib/base/json.h"
#include "test/unit/audit/who.h"

namespace mainstay::audit {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

constexpr int64_t k20261201 = 1796083200;

std::vector<DatabaseLine> Parse(const std::string& text, size_t chunk) {
  std::vector<DatabaseLine> out;
  RabbitLogParser parser;
  const LogParser::Sink sink = [&](const DatabaseLine& l) { out.push_back(l); };
  for (size_t at = 0; at < text.size(); at += chunk) parser.Feed(text.substr(at, chunk), sink);
  return out;
}

TEST(RabbitLog, RecordsBannerAndTheFirstRecordGluedToIt) {
  const std::string text =
      "\n  ##  ##      RabbitMQ 3.10.8\n"
      "  Starting broker...{\"time\":\"2026-12-01 "
      "01:00:00.000007+01:00\",\"level\":\"info\",\"msg\":\"one\\n two "
      "\\\"three\\\"\",\"pid\":\"<0.222.0>\",\"mfa\":[\"rabbit\",\"msg\",\"2\"],\"domain\":\"rabbitmq."
      "prelaunch\","
      "\"file\":\"rabbit.erl\",\"line\":806}\n"
      "{\"level\":\"error\",\"msg\":\"\\u00fc\",\"time\":\"2026-12-01 00:00:01.500000+00:00\"}\n"
      " completed with 3 plugins.\n";
  for (const size_t chunk : {size_t{1}, size_t{7}, text.size()}) {
    const auto lines = Parse(text, chunk);
    ASSERT_EQ(lines.size(), 5u) << chunk;
    EXPECT_THAT(lines[0].message.head(), HasSubstr("RabbitMQ 3.10.8"));
    EXPECT_EQ(lines[1].message.head(), "  Starting broker...");
    EXPECT_EQ(lines[1].severity, "");
    EXPECT_EQ(lines[2].message.head(), "one\n two \"three\"");
    EXPECT_EQ(lines[2].unix_us, k20261201 * 1000000 + 7);
    EXPECT_EQ(lines[2].severity, "info");
    EXPECT_EQ(lines[2].session, "<0.222.0>");
    EXPECT_EQ(lines[2].backend, "rabbitmq.prelaunch");
    EXPECT_EQ(lines[2].location, "rabbit.erl:806");
    EXPECT_EQ(lines[3].message.head(), "\xc3\xbc");
    EXPECT_EQ(WeightOf(lines[3]), LogWeight::kError);
    EXPECT_EQ(lines[4].message.head(), " completed with 3 plugins.");
  }
}

TEST(RabbitLog, RefusedLoginsAreTold) {
  const auto lines = Parse(
      "{\"time\":\"2026-12-01 00:00:00.000000+00:00\",\"level\":\"error\",\"msg\":\"Error on AMQP connection "
      "<0.7.0> (127.0.0.1:40000 -> 127.0.0.1:5672, state: starting):\\nPLAIN login refused: user 'bob' - "
      "invalid "
      "credentials\"}\n"
      "{\"time\":\"2026-12-01 00:00:00.000000+00:00\",\"level\":\"warning\",\"msg\":\"HTTP access denied: "
      "user 'eve' "
      "- invalid credentials\"}\n"
      "{\"time\":\"2026-12-01 00:00:00.000000+00:00\",\"level\":\"info\",\"msg\":\"accepting AMQP "
      "connection\"}\n",
      64);
  ASSERT_EQ(lines.size(), 3u);
  EXPECT_EQ(ClassOf(lines[0]), LogClass::kDenied);
  EXPECT_EQ(lines[0].user, "bob");
  EXPECT_EQ(lines[0].remote, "127.0.0.1:40000");
  EXPECT_EQ(ClassOf(lines[1]), LogClass::kDenied);
  EXPECT_EQ(lines[1].user, "eve");
  EXPECT_EQ(lines[1].remote, "");
  EXPECT_EQ(ClassOf(lines[2]), LogClass::kLog);
}

TEST(RabbitLog, WhatIsNoRecordStaysALine) {
  const auto lines = Parse("crash {\"a\": [1, \"b\"]} end\nlone {\n{\"level\":\"info\"}\n", 5);
  ASSERT_EQ(lines.size(), 3u);
  EXPECT_EQ(lines[0].message.head(), "crash {\"a\": [1, \"b\"]} end");
  EXPECT_EQ(lines[1].message.head(), "lone {");
  EXPECT_EQ(lines[2].message.head(), "{\"level\":\"info\"}");
}

TEST(RabbitLog, ALongMessageKeepsItsHeadAndALostMiddleIsSaid) {
  const std::string head = "{\"time\":\"2026-12-01 00:00:00.000000+00:00\",\"level\":\"error\",\"msg\":\"";
  const auto lines = Parse(head + std::string(100000, 'x') + "\",\"pid\":\"<0.1.0>\"}\n", 4096);
  ASSERT_EQ(lines.size(), 1u);
  EXPECT_EQ(lines[0].message.head().size(), kMaxLogText);
  EXPECT_EQ(lines[0].message.size(), 100000u);
  EXPECT_EQ(lines[0].session, "<0.1.0>");

  std::vector<DatabaseLine> out;
  RabbitLogParser parser;
  const LogParser::Sink sink = [&](const DatabaseLine& l) { out.push_back(l); };
  parser.Feed(head + "begun", sink);
  parser.Gap(sink);
  parser.Feed("rest\"}\nplain\n", sink);
  ASSERT_EQ(out.size(), 2u);
  EXPECT_EQ(out[0].message.head(), "begun");
  EXPECT_TRUE(out[0].broken);
  EXPECT_EQ(out[1].message.head(), "plain");
}

TEST(RabbitLog, ALineOfOurs) {
  const auto lines = Parse(
      "{\"time\":\"2026-12-01 00:00:00.000000+00:00\",\"level\":\"warning\",\"msg\":\"shovel from "
      "amqp://bob:geheim@host\"}\n",
      9);
  ASSERT_EQ(lines.size(), 1u);
  Identity who = kWho;
  who.engine = "rabbitmq";
  const std::string json = Format(lines[0], who, 7, 0);
  EXPECT_THAT(
      json, StartsWith("{\"ts\":\"2026-12-01T00:00:00.000000Z\",\"level\":\"warn\",\"logger\":\"rabbitmq\""));
  EXPECT_EQ(json.find("geheim"), std::string::npos) << json;
  EXPECT_TRUE(ParseJson(json, 8192).ok());
}

TEST(RabbitLog, Times) {
  EXPECT_EQ(ParseRabbitTime("2026-12-01 00:00:00.000000+00:00"), k20261201 * 1000000);
  EXPECT_EQ(ParseRabbitTime("2026-11-30 19:30:00.000001-04:30"), k20261201 * 1000000 + 1);
  for (const char* bad : {"", "2026-12-01 00:00:00", "2026-13-01 00:00:00.000000+00:00",
                          "2026-12-01T00:00:00.000000+00:00", "2026-12-01 00:00:00.00000x+00:00"})
    EXPECT_EQ(ParseRabbitTime(bad), 0) << bad;
}

}  // namespace
}  // namespace mainstay::audit
