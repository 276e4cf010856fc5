// Paths, failures, events of watches.
#include "lib/kube/object.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace mainstay::kube {
namespace {

using namespace std::chrono_literals;
using ::testing::AllOf;
using ::testing::HasSubstr;

TEST(ResourcePath, CoreAndGroups) {
  EXPECT_EQ(ResourcePath({"", "v1", "db", "pods", "pg-0", "status"}),
            "/api/v1/namespaces/db/pods/pg-0/status");
  EXPECT_EQ(ResourcePath({"coordination.k8s.io", "v1", "db", "leases", "", ""}),
            "/apis/coordination.k8s.io/v1/namespaces/db/leases");
  EXPECT_EQ(ResourcePath({"", "v1", "", "namespaces", "db", ""}), "/api/v1/namespaces/db");
  EXPECT_EQ(ResourcePath({"", "v1", "a/../b", "pods", "x?y", ""}),
            "/api/v1/namespaces/a%2F..%2Fb/pods/x%3Fy");
}

TEST(ParseFailure, AStatus) {
  const Error e = ParseFailure(
      429,
      R"({"kind":"Status","reason":"TooManyRequests","message":"slow\ndown","details":{"name":"x","kind":"configmaps","retryAfterSeconds":3}})",
      "update configmaps x in namespace db");
  EXPECT_EQ(e.code, 429);
  EXPECT_EQ(e.reason, "TooManyRequests");
  EXPECT_EQ(e.details_kind, "configmaps");
  EXPECT_EQ(e.details_name, "x");
  EXPECT_EQ(e.retry_after, 3s);
  EXPECT_THAT(e.message,
              AllOf(HasSubstr("update configmaps x in namespace db: 429 TooManyRequests: slow down"),
                    ::testing::Not(HasSubstr("\n"))));
}

TEST(ParseFailure, NoStatus) {
  const Error e = ParseFailure(502, "<html>Bad Gateway" + std::string(1000, 'x'), "get pods");
  EXPECT_EQ(e.reason, "");
  EXPECT_TRUE(e.maybe_executed);
  EXPECT_LT(e.message.size(), 400u);
  EXPECT_THAT(
      ParseFailure(404, R"({"kind":"Status","reason":"NotFound","details":{"kind":"namespaces"}})", "x")
          .message,
      HasSubstr("create the namespace"));
  EXPECT_EQ(ParseFailure(500, R"({"kind":"Status","reason":7,"details":[],"message":{}})", "x").reason, "");
}

TEST(Meta, NothingIsTakenForGranted) {
  EXPECT_EQ(MetaText(Json::parse("[]"), "uid"), "");
  EXPECT_EQ(MetaText(Json::parse(R"({"metadata":7})"), "uid"), "");
  EXPECT_EQ(MetaText(Json::parse(R"({"metadata":{"uid":7}})"), "uid"), "");
  EXPECT_EQ(TextAt(Json::parse(R"({"data":{"state":"s"}})"), "data", nullptr, "state"), "s");
  EXPECT_EQ(TextAt(Json::parse(R"({"data":null})"), "data", nullptr, "state"), "");
}

TEST(MicroTime, HasSixDigitsAlways) {
  EXPECT_EQ(FormatMicroTime(0), "1970-01-01T00:00:00.000000Z");
  EXPECT_EQ(FormatMicroTime(1'790'000'000'123'000), "2026-09-21T14:13:20.123000Z");
  EXPECT_EQ(FormatMicroTime(-1), "1969-12-31T23:59:59.999999Z");
}

}  // namespace
}  // namespace mainstay::kube
