// The agent's HTTP pages and audit lines, over real sockets.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <set>
#include <sstream>

#include "agent/face_pages.h"
#include "agent/face_routes.h"
#include "lib/base/json.h"
#include "lib/rpc/admin_client.h"
#include "test/unit/ctl/faces_case.h"

namespace mainstay::agent {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

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
