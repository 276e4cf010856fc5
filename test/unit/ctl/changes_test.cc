// Patroni's changing requests, over real sockets.
#include <gmock/gmock.h>

#include <fstream>

#include "agent/schedule.h"
#include "lib/base/wall_clock.h"
#include "test/unit/ctl/faces_case.h"

namespace mainstay::agent {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

class ChangesTest : public FacesTest {
 protected:
  void SetUp() override {
    std::ofstream(file_) << "pw\n";
    config_.http.user = "admin";
    config_.http.password_file = file_;
    config_.state_dir = "/tmp";
    FacesTest::SetUp();
    Leads("a");
  }
  void TearDown() override {
    FacesTest::TearDown();
    unlink(file_.c_str());
    unlink("/tmp/mainstay-schedule.json");
  }
  void Leads(const std::string& leader) {
    port_.Publish([&](StatusView& v) {
      v.leader = leader;
      v.role = leader == "a" ? election::Role::kPrimary : election::Role::kReplica;
      v.members.clear();
      for (const char* name : {"a", "b"}) {
        rpc::MemberView m;
        m.name = name;
        m.in_record = true;
        m.state = election::DbState::kRunning;
        v.members.push_back(m);
      }
    });
  }
  // Method, path, body -> "200 text".
  std::string Do(const std::string& method, const std::string& path, const std::string& body = "{}",
                 const std::string& more = "Authorization: Basic YWRtaW46cHc=\r\n") {
    const std::string got = Raw(method + " " + path + " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" + more +
                                "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body);
    return got.substr(9, 4) + Body(got);
  }
  std::vector<std::string> Asked() {
    std::vector<std::string> out;
    for (const auto& c : port_.commands()) out.push_back(std::string(rpc::ToString(c.verb)) + ":" + c.target);
    return out;
  }
  const std::string file_ = "/tmp/mainstay-faces-test-" + std::to_string(getpid());
};

TEST_F(ChangesTest, NeedCredentials) {
  for (const auto& [method, path] :
       std::vector<std::pair<std::string, std::string>>{{"POST", "/switchover"},
                                                        {"DELETE", "/switchover"},
                                                        {"POST", "/failover"},
                                                        {"POST", "/restart"},
                                                        {"DELETE", "/restart"},
                                                        {"POST", "/reload"},
                                                        {"POST", "/reinitialize"},
                                                        {"PATCH", "/config"},
                                                        {"PUT", "/config"},
                                                        {"POST", "/failsafe"},
                                                        {"POST", "/sigterm"},
                                                        {"POST", "/citus"}}) {
    EXPECT_EQ(Do(method, path, "{}", ""), "401 no auth header received\n") << path;
    EXPECT_EQ(Do(method, path, "{}", "Authorization: Basic eDp5\r\n"), "401 not authenticated\n") << path;
  }
  EXPECT_THAT(port_.commands(), testing::IsEmpty());
  EXPECT_THAT(Do("GET", "/switchover"), StartsWith("405"));
  EXPECT_THAT(Do("POST", "/primary"), StartsWith("405"));
  EXPECT_THAT(Do("POST", "/citus"), StartsWith("501"));
  EXPECT_THAT(Do("POST", "/failsafe"), StartsWith("501"));
}

TEST_F(ChangesTest, AskTheSameAsTheCommandLine) {
  EXPECT_EQ(Do("POST", "/switchover", R"({"leader": "a", "candidate": "b"})"),
            "200 Successfully switched over to \"b\"\n");
  EXPECT_EQ(Do("POST", "/restart"), "200 restarted successfully\n");
  EXPECT_EQ(Do("POST", "/restart", R"({"role": "replica"})"), "503 restart conditions are not satisfied\n");
  EXPECT_EQ(Do("POST", "/reload", ""), "202 reload scheduled\n");
  EXPECT_EQ(Do("POST", "/reinitialize", ""), "503 I am the leader, can not reinitialize\n");
  EXPECT_THAT(Do("PATCH", "/config", R"({"pause": true, "synchronous_mode_strict": true})"),
              testing::AllOf(StartsWith("200"), HasSubstr("\"pause\": true"),
                             HasSubstr("\"synchronous_mode_strict\": true")));
  EXPECT_THAT(Asked(),
              testing::ElementsAre("switchover:b", "restart:", "reload:", "pause:", "set-durability:"));
  EXPECT_EQ(port_.commands()[0].actor, "admin");
  EXPECT_THAT(port_.commands()[0].peer, StartsWith("ipv4:127.0.0.1:"));
  Leads("b");
  EXPECT_EQ(Do("POST", "/reinitialize", ""), "200 reinitialize started\n");
  // b leads, but its address is not known here: said, not guessed.
  EXPECT_EQ(Do("POST", "/switchover", R"({"leader": "b", "candidate": "a"})"),
            "412 Switchover is not possible: no address of b\n");
}

TEST_F(ChangesTest, RefusalsAndFailuresHaveTheirCodes) {
  election::AdminStatus status = election::AdminStatus::kRefused;
  std::string message = "busy with request x: try again when it is done";
  port_.on_submit = [&](const AdminCommand&, auto done) { done({status, message}); };
  const std::string ask = R"({"leader": "a", "candidate": "b"})";
  EXPECT_THAT(Do("POST", "/switchover", ask), StartsWith("412 Switchover is not possible: busy"));
  EXPECT_THAT(Do("PATCH", "/config", R"({"pause": true})"), StartsWith("409"));
  status = election::AdminStatus::kFailed;
  message = "not done in time";
  EXPECT_THAT(Do("POST", "/switchover", ask), StartsWith("503 Switchover failed: not done in time"));
  EXPECT_THAT(Do("PATCH", "/config", R"({"pause": true})"), StartsWith("503"));
  EXPECT_THAT(Do("POST", "/restart"), StartsWith("503 not done in time"));
}

TEST_F(ChangesTest, SchedulesAreKeptShownAndDeleted) {
  EXPECT_EQ(Do("DELETE", "/switchover", ""), "404 no switchover is scheduled\n");
  EXPECT_EQ(Do("POST", "/switchover", R"({"leader": "a", "scheduled_at": "2099-01-01T00:00:00Z"})"),
            "202 Switchover scheduled\n");
  EXPECT_THAT(Body(Get("/cluster")),
              HasSubstr("\"scheduled_switchover\": {\"at\": \"2099-01-01T00:00:00+00:00\""));
  EXPECT_EQ(Do("POST", "/restart", R"({"schedule": "2099-01-01T00:00:00Z"})"), "202 Restart scheduled\n");
  EXPECT_EQ(Do("POST", "/restart", R"({"schedule": "2099-01-01T00:00:00Z"})"),
            "409 Another restart is already scheduled\n");
  EXPECT_THAT(Body(Get("/patroni")), HasSubstr("\"scheduled_restart\""));
  // Another agent on the same disk knows of it.
  OnLoop([this] {
    faces_.reset();
    auto faces = Faces::Start(loop_, config_, &port_, &instruments_, log_.get());
    ASSERT_TRUE(faces.ok()) << faces.status();
    faces_ = *std::move(faces);
  });
  EXPECT_EQ(Do("DELETE", "/switchover", ""), "200 scheduled switchover deleted\n");
  EXPECT_EQ(Do("DELETE", "/restart", ""), "200 scheduled restart deleted\n");
  EXPECT_EQ(Do("DELETE", "/restart", ""), "404 no restarts are scheduled\n");
}

TEST_F(ChangesTest, WhatIsDueIsDoneOnce) {
  const auto soon = FormatWhen(UnixMillis() + 700);
  EXPECT_EQ(
      Do("POST", "/switchover", R"({"leader": "a", "candidate": "b", "scheduled_at": ")" + soon + "\"}"),
      "202 Switchover scheduled\n");
  EXPECT_THAT(Asked(), testing::IsEmpty());
  for (int i = 0; i < 100 && Asked().empty(); ++i) std::this_thread::sleep_for(std::chrono::milliseconds(50));
  EXPECT_THAT(Asked(), testing::ElementsAre("switchover:b"));
  EXPECT_EQ(Do("DELETE", "/switchover", ""), "404 no switchover is scheduled\n");
}

TEST_F(ChangesTest, AreOffWithPatronisEndpoints) {
  OnLoop([this] {
    Config next = config_;
    next.http.patroni = false;
    EXPECT_TRUE(faces_->Configure(next).ok());
  });
  EXPECT_THAT(Do("POST", "/switchover"), StartsWith("404"));
  EXPECT_THAT(Get("/primary"), StartsWith("HTTP/1.1 404"));
  EXPECT_THAT(Get("/"), HasSubstr("<!doctype html>"));
  EXPECT_THAT(Get("/livez"), StartsWith("HTTP/1.1 200"));
}

}  // namespace
}  // namespace mainstay::agent
