// Who may change something by HTTP.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>

#include "agent/allow_list.h"
#include "agent/face_access.h"

namespace mainstay::agent {
namespace {

using ::testing::HasSubstr;

class AccessTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::ofstream(file_) << "s3cret\n";
    config_.http.user = "admin";
    config_.http.password_file = file_;
  }
  void TearDown() override { unlink(file_.c_str()); }
  // The status, 0 when it may; `who` and `how` of whom.
  int Ask(const std::string& authorization, const std::string& peer = "10.1.2.3:4711", bool tls = false,
          const std::string& client = "") {
    HttpAccess access;
    EXPECT_TRUE(access.Configure(config_).ok());
    http::Request r;
    r.method = http::Method::kPost;
    r.authorization = authorization;
    r.peer = peer;
    r.tls = tls;
    r.client_name = client;
    HttpActor actor;
    const auto refused = access.Refuse(r, &actor);
    who_ = actor.name;
    how_ = actor.authn;
    said_ = refused ? refused->body : "";
    headers_ = refused ? refused->headers.size() : 0;
    return refused ? refused->status : 0;
  }
  const std::string file_ = "/tmp/mainstay-access-test-" + std::to_string(getpid());
  const std::string good_ = "Basic YWRtaW46czNjcmV0";  // admin:s3cret
  Config config_;
  std::string who_, how_, said_;
  size_t headers_ = 0;
};

// The former rights stay whole when the new ones cannot be taken: neither is an address let in, nor TLS
// waived.
TEST_F(AccessTest, AConfigurationIsTakenAsAWholeOrNotAtAll) {
  config_.http.allow = {"10.1.0.0/16"};
  HttpAccess access;
  ASSERT_TRUE(access.Configure(config_).ok());
  Config next = config_;
  next.http.allow = {};
  next.http.password_file = file_ + ".gone";
  ASSERT_FALSE(access.Configure(next).ok());
  http::Request r;
  r.method = http::Method::kPost;
  r.authorization = good_;
  HttpActor actor;
  r.peer = "192.0.2.1:4711";
  ASSERT_TRUE(access.Refuse(r, &actor).has_value());
  EXPECT_EQ(access.Refuse(r, &actor)->status, 403);
  r.peer = "10.1.2.3:4711";
  EXPECT_FALSE(access.Refuse(r, &actor).has_value());
}

TEST_F(AccessTest, Passwords) {
  EXPECT_EQ(Ask(good_), 0);
  EXPECT_EQ(who_ + how_, "adminbasic");
  EXPECT_EQ(Ask("basic YWRtaW46czNjcmV0"), 0);
  EXPECT_EQ(Ask(""), 401);
  EXPECT_EQ(headers_, 1u);
  EXPECT_EQ(said_, "no auth header received\n");
  for (const char* bad : {"Basic", "Basic !", "Basic YWRtaW46czNjcmV", "Bearer YWRtaW46czNjcmV0",
                          "Basic YWRtaW46czNjcmV0Cg==", "Basic OnMzY3JldA==", "YWRtaW46czNjcmV0"}) {
    EXPECT_EQ(Ask(bad), 401) << bad;
    EXPECT_EQ(said_, "not authenticated\n");
  }
  EXPECT_EQ(Ask("Basic " + std::string(10000, 'A')), 401);
}

TEST_F(AccessTest, WithTlsAPasswordIsTakenByTlsOnly) {
  config_.http.tls = true;
  EXPECT_EQ(Ask(good_), 403);
  EXPECT_THAT(said_, HasSubstr("https"));
  EXPECT_EQ(Ask(good_, "10.1.2.3:4711", true), 0);
  EXPECT_EQ(Ask(good_, "127.0.0.1:4711"), 0);
  EXPECT_EQ(Ask("", "10.1.2.3:4711", true, "alice"), 0);
  EXPECT_EQ(who_ + how_, "alicemtls");
}

TEST_F(AccessTest, NothingConfiguredMeansNobody) {
  config_.http.user.clear();
  EXPECT_EQ(Ask(good_, "127.0.0.1:1"), 403);
  EXPECT_THAT(said_, HasSubstr("http.password_file"));
  EXPECT_EQ(Ask("", "unix:"), 0);
  EXPECT_EQ(who_, "local");
  config_.http.tls = true;
  EXPECT_EQ(Ask("", "10.1.2.3:4711", true), 403);
  EXPECT_EQ(said_, "client certificate required\n");
}

TEST_F(AccessTest, TheListOfAddressesComesFirst) {
  config_.http.allow = {"10.1.0.0/16", "fd00::/8"};
  EXPECT_EQ(Ask(good_, "10.1.2.3:4711"), 0);
  EXPECT_EQ(Ask(good_, "10.2.2.3:4711"), 403);
  EXPECT_EQ(said_, "Access is denied\n");
  EXPECT_EQ(Ask(good_, "[fd12::1]:4711"), 0);
  EXPECT_EQ(Ask(good_, "[::ffff:10.1.9.9]:4711"), 0);
  EXPECT_EQ(Ask(good_, ""), 403);
  EXPECT_EQ(Ask("", "10.2.2.3:4711", true, "alice"), 403);
  EXPECT_EQ(Ask("", "unix:"), 0);
}

TEST_F(AccessTest, AMissingOrEmptyPasswordIsTold) {
  HttpAccess access;
  std::ofstream(file_, std::ios::trunc) << "\n";
  EXPECT_THAT(std::string(access.Configure(config_).message()), HasSubstr("is empty"));
  unlink(file_.c_str());
  EXPECT_THAT(std::string(access.Configure(config_).message()), HasSubstr(file_));
}

TEST(SameSecret, ComparesAll) {
  EXPECT_TRUE(SameSecret("abc", "abc"));
  EXPECT_FALSE(SameSecret("abd", "abc"));
  EXPECT_FALSE(SameSecret("ab", "abc"));
  EXPECT_FALSE(SameSecret("abcabc", "abc"));
  EXPECT_FALSE(SameSecret("", ""));
}

TEST(AllowList, Networks) {
  for (const char* bad :
       {"", "x", "10.0.0.0/33", "10.0.0.0/", "10.0.0/8", "::/129", "10.0.0.1/-1", "10.0.0.1/8/8"})
    EXPECT_FALSE(ParseNetwork(bad).has_value()) << bad;
  EXPECT_TRUE(IsAllowed({*ParseNetwork("0.0.0.0/0")}, "203.0.113.9"));
  EXPECT_FALSE(IsAllowed({*ParseNetwork("0.0.0.0/0")}, "2001:db8::1"));
  EXPECT_TRUE(IsAllowed({*ParseNetwork("192.0.2.128/25")}, "192.0.2.200"));
  EXPECT_FALSE(IsAllowed({*ParseNetwork("192.0.2.128/25")}, "192.0.2.100"));
  EXPECT_EQ(HostOfPeer("[fe80::1%eth0]:80"), "fe80::1");
  EXPECT_TRUE(IsLoopbackHost("127.9.9.9"));
  EXPECT_FALSE(IsLoopbackHost("128.0.0.1"));
}

}  // namespace
}  // namespace mainstay::agent
