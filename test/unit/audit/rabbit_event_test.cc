#include "lib/audit/rabbit_event.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lib/base/json.h"
#include "test/unit/audit/who.h"

namespace mainstay::audit {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

TEST(RabbitEvent, WhoDidWhat) {
  const DatabaseLine l = RabbitEventLine("permission.created", {{"user", "bob"},
                                                                {"vhost", "/"},
                                                                {"configure", ".*"},
                                                                {"user_who_performed_action", "root"},
                                                                {"timestamp_in_ms", "1796083200123"}});
  EXPECT_EQ(ClassOf(l), LogClass::kAudit);
  EXPECT_EQ(l.user, "root");
  EXPECT_EQ(l.database, "/");
  EXPECT_EQ(l.unix_us, 1796083200123000);
  EXPECT_EQ(l.message.head(), "permission.created: user bob");
  EXPECT_EQ(WeightOf(l), LogWeight::kInfo);
}

TEST(RabbitEvent, ARefusedLoginHasItsAddress) {
  const DatabaseLine l = RabbitEventLine(
      "user.authentication.failure",
      {{"name", "eve"}, {"peer_host", "{127,0,0,1}"}, {"peer_port", "40000"}, {"error", "refused"}});
  EXPECT_EQ(l.user, "eve");
  EXPECT_EQ(l.remote, "127.0.0.1(40000)");
  EXPECT_EQ(WeightOf(l), LogWeight::kWarn);
}

TEST(RabbitEvent, ALineOfOurs) {
  const DatabaseLine l =
      RabbitEventLine("parameter.set",
                      {{"name", "up"}, {"component", "federation-upstream"}, {"value", "amqp://u:geheim@h"}});
  const std::string json = Format(l, kWho, 1, 0);
  EXPECT_THAT(json, HasSubstr("\"class\":\"audit\""));
  EXPECT_THAT(json, HasSubstr("\"event\":{\"name\":\"parameter.set\",\"fields\":{\"name\":\"up\""));
  EXPECT_THAT(json, Not(HasSubstr("geheim")));
  EXPECT_THAT(json, Not(HasSubstr("\"audit\":{")));
  EXPECT_TRUE(ParseJson(json, kMaxLineBytes).ok());
}

TEST(RabbitEvent, WhatStrangersChooseStaysInItsPlace) {
  std::vector<std::pair<std::string, std::string>> headers;
  for (int i = 0; i < 100; ++i) headers.emplace_back("k\"\n" + std::to_string(i), std::string(3000, '"'));
  const std::string json = Format(RabbitEventLine("queue.created", headers), kWho, 1, 0);
  EXPECT_LE(json.size(), kMaxLineBytes);
  EXPECT_EQ(json.find('\n'), json.size() - 1);
  EXPECT_TRUE(ParseJson(json, kMaxLineBytes).ok()) << json;
}

TEST(RabbitEvent, NamesToCountByAreFew) {
  EXPECT_EQ(RabbitEventName("user.created"), "user.created");
  EXPECT_EQ(RabbitEventName("user.authentication.failure"), "user.authentication");
  EXPECT_EQ(RabbitEventName("maintenance.connections.closed"), "maintenance");
  EXPECT_EQ(RabbitEventName("node.node.stats"), "other");
  EXPECT_EQ(RabbitEventName("policy.x.y"), "other");
  EXPECT_EQ(RabbitEventName(""), "other");
}

TEST(RabbitEvent, Addresses) {
  EXPECT_EQ(ErlangAddress("{10,0,0,255}"), "10.0.0.255");
  EXPECT_EQ(ErlangAddress("{0,0,0,0,0,65535,2,1}"), "0:0:0:0:0:ffff:2:1");
  for (const char* other : {"", "{", "{}", "{1,2}", "{1,2,3,256}", "{a,b,c,d}", "host"})
    EXPECT_EQ(ErlangAddress(other), other);
}

}  // namespace
}  // namespace mainstay::audit
