// The kube store's objects: what others read in them, and what they write into them.
#include "lib/lease/kube_store_text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lib/kube/object.h"

namespace mainstay::lease {
namespace {

using ::testing::HasSubstr;
using ::testing::MatchesRegex;

constexpr char kLeader[] =
    R"({"holderIdentity":"a_1_2","leaseDurationSeconds":11,"acquireTime":"2026-11-24T06:18:21Z","renewTime":"2026-11-24T06:20:00Z","leaderTransitions":5})";

TEST(ConfigMapText, OthersThingsStay) {
  Json object = Json::parse(
      R"({"metadata":{"name":"x","annotations":{"argocd":"1"},"labels":{"l":"2"},"managedFields":[{"m":1}]},"data":{"other":"o"},"immutable":false})");
  const Json before = object;
  PutIntoConfigMap({"leader", "7", "state"}, &object);
  EXPECT_EQ(FromConfigMap(object), (Document{"leader", "7", "state"}));
  EXPECT_EQ(object["metadata"]["annotations"]["control-plane.alpha.kubernetes.io/leader"], "leader");
  EXPECT_EQ(object["data"]["state"], "state");
  for (const char* key : {kLeaderAnnotation, kRenewalAnnotation, kWriteAnnotation})
    object["metadata"]["annotations"].erase(key);
  object["data"].erase("state");
  EXPECT_EQ(object, before);
}

TEST(ConfigMapText, WhatIsMissingOrStrangeIsEmpty) {
  for (const char* text :
       {"{}", "[]", "7", R"({"metadata":[],"data":"x"})",
        R"({"metadata":{"annotations":{"mainstay.io/renewal":7}},"data":{"state":null}})"}) {
    Json object = Json::parse(text);
    EXPECT_EQ(FromConfigMap(object), Document{}) << text;
    PutIntoConfigMap({"l", "1", "s"}, &object);
    EXPECT_EQ(FromConfigMap(object), (Document{"l", "1", "s"})) << text;
  }
}

TEST(LeaseText, ItsSpecIsClientGos) {
  Json lease = Json::object();
  PutIntoLease({kLeader, "7", "ignored"}, 1'790'000'000'123'456, &lease);
  EXPECT_EQ(lease["spec"], Json::parse(R"({"holderIdentity":"a_1_2","leaseDurationSeconds":11,
    "acquireTime":"2026-11-24T06:18:21.000000Z","renewTime":"2026-09-21T14:13:20.123456Z","leaseTransitions":5})"));
  EXPECT_EQ(FromLease(lease), (Document{kLeader, "7", ""}));
}

TEST(LeaseText, AReleaseIsClientGos) {
  Json lease = Json::object();
  PutIntoLease({kLeader, "7", ""}, 1, &lease);
  PutIntoLease({R"({"holderIdentity":"","leaseDurationSeconds":1,"leaderTransitions":5})", "8", ""},
               2'000'000, &lease);
  EXPECT_FALSE(lease["spec"].contains("holderIdentity"));
  EXPECT_EQ(lease["spec"]["leaseDurationSeconds"], 1);
  EXPECT_EQ(lease["spec"]["acquireTime"], lease["spec"]["renewTime"]);
  EXPECT_EQ(lease["spec"]["leaseTransitions"], 5);
}

TEST(LeaseText, AForeignElectorIsSeen) {
  Json lease = Json::object();
  PutIntoLease({kLeader, "7", ""}, 1, &lease);
  lease["spec"]["holderIdentity"] = "go";
  lease["spec"]["renewTime"] = "2026-11-24T07:00:00.654321Z";
  lease["spec"]["leaseTransitions"] = 6;
  EXPECT_EQ(FromLease(lease).leader,
            R"({"holderIdentity":"go","leaseDurationSeconds":11,"acquireTime":"2026-11-24T06:18:21Z",)"
            R"("renewTime":"2026-11-24T07:00:00Z","leaderTransitions":6})");
  lease["spec"].erase("holderIdentity");
  EXPECT_THAT(FromLease(lease).leader, HasSubstr(R"("holderIdentity":"")"));
  lease.erase("spec");
  EXPECT_THAT(FromLease(lease).leader, HasSubstr(R"("leaderTransitions":0)"));
}

TEST(LeaseText, WhatNoRecordIsStillComesBack) {
  for (const std::string& leader :
       {std::string(), std::string("no json"), std::string("[1]"), std::string("{}"),
        std::string(R"({"holderIdentity":7,"leaseDurationSeconds":-3})")}) {
    Json lease = Json::parse("[]");
    PutIntoLease({leader, "1", ""}, 1, &lease);
    EXPECT_EQ(FromLease(lease).leader, leader);
    EXPECT_EQ(lease["spec"]["leaseDurationSeconds"], 1);
  }
}

TEST(StateText, ATailGoesIntoTheLease) {
  const std::string base = "{\"members\":[\"ä\"],\"check\":\"111\"}";
  for (const std::string& state :
       {base, std::string("{\"members\":[\"ä\"],\"check\":\"222\"}"), std::string("{\"members\":[\"ü\"]"),
        std::string(), base + "longer", std::string("short")}) {
    StateRef ref;
    ASSERT_TRUE(Express(state, "k", base, &ref));
    std::string back;
    ASSERT_TRUE(Join(ref, base, &back));
    EXPECT_EQ(back, state);
    EXPECT_EQ(ref.key.empty(), ref.bytes == 0);
    Json lease = Json::object();
    PutRef(ref, &lease);
    EXPECT_EQ(GetRef(lease), ref) << "the tail is UTF-8 of its own";
    EXPECT_EQ(Json::parse(DumpJson(lease)), lease);
  }
  StateRef ref;
  EXPECT_FALSE(Express(base + std::string(kMaxTail + 1, 'x'), "k", base, &ref));
  std::string back;
  EXPECT_FALSE(Join({"k", 99, ""}, base, &back));
}

TEST(StateText, KeysNameTheVersionTheyAreFor) {
  const std::string key = NewStateKey("uid/7");
  EXPECT_THAT(key, MatchesRegex("state-[0-9a-f]{16}-[0-9a-f]{16}"));
  EXPECT_TRUE(HasTag(key, StateTag("uid/7")));
  EXPECT_FALSE(HasTag(key, StateTag("uid/8")));
  EXPECT_NE(key, NewStateKey("uid/7"));
}

TEST(Version, UidAndResourceVersion) {
  EXPECT_EQ(VersionOf(Json::parse(R"({"metadata":{"uid":"u","resourceVersion":"7"}})")), "u/7");
  EXPECT_EQ(VersionOf(Json::parse(R"({"metadata":{"uid":"u"}})")), "");
}

}  // namespace
}  // namespace mainstay::lease
