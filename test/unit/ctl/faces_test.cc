// The agent's HTTP pages and audit lines, over real sockets.
#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <fstream>
#include <future>
#include <set>
#include <sstream>
#include <thread>

#include "agent/face.h"
#include "agent/face_pages.h"
#include "agent/face_routes.h"
#include "agent/schedule.h"
#include "lib/base/file.h"
#include "lib/base/json.h"
#include "lib/base/wall_clock.h"
#include "lib/rpc/admin_client.h"
#include "test/unit/rpc/fake_port.h"

namespace mainstay::agent {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

class FacesTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_EQ(pipe(audit_), 0);
    log_ = std::make_unique<audit::Log>(audit_[1], audit::Identity{});
    config_.cluster = "demo";
    config_.name = "a";
    config_.listen_grpc = config_.listen_http = "127.0.0.1:0";
    thread_ = std::thread([this] { loop_.run(); });
    OnLoop([this] {
      auto faces = Faces::Start(loop_, config_, &port_, &instruments_, log_.get());
      ASSERT_TRUE(faces.ok()) << faces.status();
      faces_ = *std::move(faces);
    });
    Healthy();
  }
  void TearDown() override {
    OnLoop([this] { faces_.reset(); });
    work_.reset();
    thread_.join();
    log_.reset();
    close(audit_[0]);
    close(audit_[1]);
  }
  void OnLoop(std::function<void()> f) {
    std::promise<void> done;
    boost::asio::post(loop_, [&] {
      f();
      done.set_value();
    });
    done.get_future().wait();
  }
  void Healthy() {
    port_.Publish([](StatusView& v) {
      v.shim_connected = true;
      v.role = election::Role::kReplica;
      v.database.state = election::DbState::kRunning;
      v.database.streaming_from = "b";
      v.database.probed_at = BootClock().Now();
      v.lock.where = "file:/run/\"x\"";
      v.lock.health = rpc::LockHealth::kOk;
      v.lock.record_changed_at = BootClock().Now();
      v.members.resize(1);
      v.members[0].name = "b";
      v.members[0].lag_bytes = 5;
    });
  }
  std::string Get(const std::string& path, const std::string& headers = "") {
    return Raw("GET " + path + " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" + headers + "\r\n");
  }
  std::string Raw(const std::string& request) {
    UniqueFd fd(socket(AF_INET, SOCK_STREAM, 0));
    struct sockaddr_in a = {};
    a.sin_family = AF_INET;
    const std::string address = faces_->http_address();
    a.sin_port = htons(static_cast<uint16_t>(std::stoi(address.substr(address.rfind(':') + 1))));
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(connect(fd.get(), reinterpret_cast<struct sockaddr*>(&a), sizeof a), 0);
    EXPECT_EQ(send(fd.get(), request.data(), request.size(), 0), static_cast<ssize_t>(request.size()));
    std::string out;
    char buffer[4096];
    for (ssize_t n; (n = read(fd.get(), buffer, sizeof buffer)) > 0;)
      out.append(buffer, static_cast<size_t>(n));
    return out;
  }
  static std::string Body(const std::string& answer) { return answer.substr(answer.find("\r\n\r\n") + 4); }

  boost::asio::io_context loop_;
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work_ =
      boost::asio::make_work_guard(loop_);
  std::thread thread_;
  int audit_[2] = {-1, -1};
  Config config_;
  rpc::FakePort port_{"a"};
  metrics::AgentInstruments instruments_;
  std::unique_ptr<audit::Log> log_;
  std::unique_ptr<Faces> faces_;
};

TEST_F(FacesTest, LivenessDependsOnNothingButLoopAndShim) {
  port_.Publish([](StatusView& v) {
    v.lock.health = rpc::LockHealth::kUnreachable;
    v.database.state = election::DbState::kDead;
    v.role = election::Role::kUnknown;
    v.members.clear();
  });
  EXPECT_THAT(Get("/livez"), StartsWith("HTTP/1.1 200"));
  EXPECT_THAT(Get("/readyz"), StartsWith("HTTP/1.1 503"));
  port_.Publish([](StatusView& v) { v.shim_connected = false; });
  EXPECT_THAT(Get("/livez"), StartsWith("HTTP/1.1 503"));
  Healthy();
  port_.turned = BootClock().Now() - std::chrono::minutes(1);
  EXPECT_THAT(Body(Get("/livez?verbose")),
              HasSubstr("[-]loop failed: reason withheld\n[+]shim ok\nlivez check failed"));
}

TEST_F(FacesTest, ReadinessFollowsRoleAndDatabase) {
  EXPECT_EQ(Body(Get("/readyz")), "ok\n");
  port_.Publish([](StatusView& v) { v.database.streaming_from.clear(); });
  // As the API server: the lines are told when something failed, the reasons never.
  EXPECT_EQ(Body(Get("/readyz")),
            "[+]serving ok\n[+]database ok\n[-]role failed: reason withheld\nreadyz check failed\n");
  EXPECT_EQ(Body(Get("/readyz?exclude=role")), "ok\n");
  EXPECT_EQ(
      Body(Get("/readyz?exclude=role&exclude=x&verbose")),
      "[+]serving ok\n[+]database ok\n[+]role excluded: ok\nwarn: some health checks cannot be excluded: "
      "no matches for \"x\"\nreadyz check passed\n");
  EXPECT_THAT(Get("/readyz/role"), StartsWith("HTTP/1.1 503"));
  EXPECT_THAT(Get("/readyz/database"), StartsWith("HTTP/1.1 200"));
  EXPECT_THAT(Get("/readyz/nonsense"), StartsWith("HTTP/1.1 404"));
  port_.Publish([](StatusView& v) {
    v.role = election::Role::kPrimary;
    v.database.writable = true;
  });
  EXPECT_THAT(Get("/readyz"), StartsWith("HTTP/1.1 200"));
  OnLoop([this] { faces_->SetServing(false); });
  EXPECT_THAT(Get("/readyz"), StartsWith("HTTP/1.1 503"));
}

TEST_F(FacesTest, StartupWaitsForLockAndProbe) {
  EXPECT_THAT(Get("/startupz"), StartsWith("HTTP/1.1 200"));
  port_.Publish([](StatusView& v) { v.database.probed_at = MonoTime(); });
  EXPECT_THAT(Get("/startupz"), StartsWith("HTTP/1.1 503"));
}

TEST_F(FacesTest, MetricsAreWellFormed) {
  instruments_.probe_seconds.ObserveValue(0.01);
  for (const bool open : {false, true}) {
    const std::string answer = Get("/metrics", open ? "Accept: application/openmetrics-text\r\n" : "");
    EXPECT_THAT(answer, HasSubstr(open ? "openmetrics-text; version=1.0.0" : "text/plain; version=0.0.4"));
    std::istringstream in(Body(answer));
    std::string line;
    std::set<std::string> series;
    std::set<std::string> families;
    std::string family;
    while (std::getline(in, line)) {
      if (line == "# EOF") continue;
      if (line.rfind("# TYPE ", 0) == 0) {
        family = line.substr(7, line.find(' ', 7) - 7);
        EXPECT_TRUE(families.insert(family).second) << line;
      } else if (line[0] != '#') {
        EXPECT_EQ(line.rfind(family, 0), 0u) << line;
        EXPECT_TRUE(series.insert(line.substr(0, line.rfind(' '))).second) << "twice: " << line;
      }
    }
    EXPECT_GT(families.size(), 30u);
  }
  const std::string text = Body(Get("/metrics"));
  EXPECT_THAT(text, HasSubstr("mainstay_role{role=\"replica\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("mainstay_lease_held{lock=\"file:/run/\\\"x\\\"\"} 0\n"));
  EXPECT_THAT(text, HasSubstr("mainstay_member_lag_bytes{member=\"b\"} 5\n"));
  EXPECT_THAT(text, HasSubstr("mainstay_probe_duration_seconds_count 1\n"));
  EXPECT_THAT(text, HasSubstr("process_resident_memory_bytes "));
}

TEST_F(FacesTest, StatusAndDecisionsAreJson) {
  port_.Publish([](StatusView& v) { v.decisions = {{"r", "S.", "f", 3, 1}}; });
  const auto status = ParseJson(Body(Get("/status")), 1 << 20);
  ASSERT_TRUE(status.ok()) << status.status();
  EXPECT_EQ((*status)["role"], "replica");
  EXPECT_EQ((*status)["decisions"].size(), 0u);
  const auto why = ParseJson(Body(Get("/decisions?pretty")), 1 << 20);
  ASSERT_TRUE(why.ok());
  EXPECT_EQ((*why)["decisions"][0]["sentence"], "S.");
  EXPECT_THAT(Get("/nothing"), StartsWith("HTTP/1.1 404"));
  EXPECT_THAT(Get("/", "Accept: text/html\r\n"), HasSubstr("/metrics"));
}

// ---- Patroni's changing requests ----

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

TEST(Endpoints, ThePageIsWhatTheCodeSays) {
  std::ifstream in("docs/ENDPOINTS.md");
  const std::string page((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
  const std::string begin = "<!-- from agent/face_routes.cc -->\n";
  const std::string end = "<!-- end -->\n";
  const size_t a = page.find(begin);
  const size_t b = page.find(end);
  ASSERT_TRUE(a != std::string::npos && b != std::string::npos) << "docs/ENDPOINTS.md lost its marks";
  const std::string want = RoutesAsMarkdown();
  if (getenv("MAINSTAY_WRITE_DOCS") != nullptr) {
    std::ofstream("docs/ENDPOINTS.md") << page.substr(0, a + begin.size()) << want << page.substr(b);
    return;
  }
  EXPECT_EQ(page.substr(a + begin.size(), b - a - begin.size()), want)
      << "run MAINSTAY_WRITE_DOCS=1 unit_faces --gtest_filter=Endpoints.*";
}

TEST_F(FacesTest, AdminCallsAreAuditedBeforeAndAfter) {
  rpc::AdminClient client(faces_->grpc_address());
  port_.on_submit = [](const AdminCommand&, auto done) { done({election::AdminStatus::kRefused, "no\n"}); };
  AdminCommand c;
  c.verb = AdminVerb::kFailover;
  c.id = "audit-0001";
  c.target = "b";
  c.accept_loss = true;
  ASSERT_TRUE(client.Call(c, {}, std::chrono::seconds(5)).ok());
  c.id = "";
  ASSERT_FALSE(client.Call(c, {}, std::chrono::seconds(5)).ok());
  ASSERT_TRUE(log_->Flush(BootClock().Now() + std::chrono::seconds(2)));
  std::string text(65536, '\0');
  const ssize_t n = read(audit_[0], text.data(), text.size());
  ASSERT_GT(n, 0);
  text.resize(static_cast<size_t>(n));
  std::istringstream in(text);
  std::vector<Json> lines;
  for (std::string line; std::getline(in, line);) lines.push_back(*ParseJson(line, 1 << 20));
  ASSERT_EQ(lines.size(), 3u) << text;
  EXPECT_EQ(lines[0]["stage"], "started");
  EXPECT_EQ(lines[0]["action"], "failover");
  EXPECT_EQ(lines[0]["request"]["params"]["accept_loss"], "true");
  EXPECT_EQ(lines[0]["actor"]["ip"], "127.0.0.1");
  EXPECT_EQ(lines[1]["stage"], "failed");
  EXPECT_EQ(lines[1]["outcome"], "failure");
  EXPECT_EQ(lines[2]["stage"], "failed");
  EXPECT_EQ(lines[2]["error"]["code"], "INVALID");
}

TEST_F(FacesTest, ATakenPortIsAnErrorAndNoCrash) {
  OnLoop([this] {
    Config second = config_;
    second.listen_http = faces_->http_address();
    EXPECT_FALSE(Faces::Start(loop_, second, &port_, nullptr, nullptr).ok());
    second = config_;
    second.listen_grpc = faces_->grpc_address();
    EXPECT_FALSE(Faces::Start(loop_, second, &port_, nullptr, nullptr).ok());
  });
}

}  // namespace
}  // namespace mainstay::agent
