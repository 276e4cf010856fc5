#include "lib/engine/rabbitmq/relay.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <condition_variable>
#include <mutex>
#include <vector>

#include "lib/engine/rabbitmq/detail_pages.h"
#include "lib/metrics/scraper.h"
#include "test/unit/http/raw_server.h"

namespace mainstay::engine::rabbitmq {
namespace {

using http::RawServer;
using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::HasSubstr;
using testing::Not;

constexpr char kText[] =
    "# TYPE rabbitmq_queues gauge\n# HELP rabbitmq_queues Queues available\nrabbitmq_queues 3\n"
    "# TYPE odd untyped\nodd{b=\"1\",a=\"2\"} NaN 17\n";

MonoTime In(Duration d) { return BootClock().Now() + d; }

std::string Ok(const std::string& body, const std::string& type = "text/plain; version=0.0.4",
               int status = 200) {
  return "HTTP/1.1 " + std::to_string(status) + " X\r\nContent-Type: " + type +
         "\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
}

std::string Page(Relay* relay, Duration patience = seconds(20)) {
  metrics::Writer w;
  const metrics::SnapshotPtr s = relay->Collect(In(patience));
  metrics::WriteSnapshot(*s, relay->prefix(), false, BootClock().Now(), {}, w);
  return w.Finish();
}

TEST(RabbitmqRelay, HandsOnByteForByte) {
  RawServer server({.answer = Ok(kText)});
  Relay relay({.port = server.port()});
  const std::string page = Page(&relay);
  EXPECT_THAT(page, HasSubstr(kText));
  EXPECT_THAT(page, HasSubstr("\nmainstay_rabbitmq_plugin_up 1\n"));
  EXPECT_THAT(page, HasSubstr("\nrabbitmq_up 1\n"));
  EXPECT_THAT(page, HasSubstr("mainstay_rabbitmq_plugin_answer{state=\"ok\"} 1\n"));
  EXPECT_THAT(page, HasSubstr("mainstay_rabbitmq_relay_cut 0\n"));
  EXPECT_THAT(page, HasSubstr("rabbitmq_scrape_collector_success{collector=\"plugin\"} 1\n"));
  EXPECT_THAT(server.request(), HasSubstr("GET /metrics HTTP/1.1\r\n"));
}

TEST(RabbitmqRelay, WhyThereIsNothing) {
  const struct {
    RawServer::Options options;
    const char* state;
  } rows[] = {{{.answer = Ok("no\n", "text/plain", 401)}, "refused"},
              {{.answer = Ok("<html>\n", "text/html")}, "unreadable"},
              {{.answer = "SSH-2.0\r\n\r\n"}, "unreadable"},
              {{.answer = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 900\r\n\r\na 1\n"},
               "unreachable"},
              {{.answer = "", .close = false}, "silent"}};
  for (const auto& row : rows) {
    RawServer server(row.options);
    Relay relay({.port = server.port()});
    const std::string page = Page(&relay, milliseconds(500));
    EXPECT_THAT(page,
                HasSubstr("mainstay_rabbitmq_plugin_answer{state=\"" + std::string(row.state) + "\"} 1\n"));
    EXPECT_THAT(page, HasSubstr("\nmainstay_rabbitmq_plugin_up 0\n"));
    EXPECT_THAT(page, HasSubstr("\nrabbitmq_up 0\n"));
    EXPECT_THAT(page, Not(HasSubstr("a 1\n"))) << "half an answer is none";
  }
  Relay nobody({.port = 1});
  EXPECT_THAT(Page(&nobody), HasSubstr("mainstay_rabbitmq_plugin_answer{state=\"unreachable\"} 1\n"));
}

TEST(RabbitmqRelay, CutAfterAWholeLine) {
  RawServer server({.answer = Ok("a 1\nb 2\nccc 3\n")});
  Relay relay({.port = server.port(), .max_body = 10});
  const std::string page = Page(&relay);
  EXPECT_THAT(page, HasSubstr("\na 1\nb 2\n# mainstay: cut here, the rest is over 10 bytes\n"));
  EXPECT_THAT(page, Not(HasSubstr("ccc")));
  EXPECT_THAT(page, HasSubstr("mainstay_rabbitmq_relay_cut 1\n"));
}

TEST(RabbitmqRelay, ALastLineWithoutItsEnd) {
  EXPECT_EQ(
      JudgeFetched(http::GetAnswer{.status = 200, .content_type = "text/plain", .body = "a 1"}, 10).text,
      "a 1\n");
  EXPECT_EQ(
      JudgeFetched(http::GetAnswer{.status = 200, .content_type = "text/plain", .body = "", .cut = true}, 10)
          .text,
      "# mainstay: cut here, the rest is over 10 bytes\n");
}

TEST(RabbitmqRelay, NamesOfTheOldExporter) {
  RawServer server({.answer = Ok("# HELP rabbitmq_process_resident_memory_bytes Memory used\n"
                                 "rabbitmq_process_resident_memory_bytes_max 7\n"
                                 "rabbitmq_process_resident_memory_bytes 143089664\n"
                                 "rabbitmq_resident_memory_limit_bytes{a=\"b c\"} 1000000000\n")});
  Relay relay({.port = server.port()});
  const std::string page = Page(&relay);
  EXPECT_THAT(page, HasSubstr("\nrabbitmq_node_mem_used 143089664\n"));
  EXPECT_THAT(page, HasSubstr("\nrabbitmq_node_mem_limit 1e+09\n"));
  Relay nobody({.port = 1});
  EXPECT_THAT(Page(&nobody), HasSubstr("# TYPE rabbitmq_node_mem_used gauge\n"));
  EXPECT_THAT(Page(&nobody), Not(HasSubstr("\nrabbitmq_node_mem_used ")));
}

TEST(RabbitmqRelay, Authorization) {
  RawServer server({.answer = Ok(kText)});
  RelayOptions o;
  o.port = server.port();
  o.authorization = [] { return std::string("Basic dTpw"); };
  Relay relay(o);
  Page(&relay);
  EXPECT_THAT(server.request(), HasSubstr("\r\nAuthorization: Basic dTpw\r\n"));
  o.authorization = []() -> absl::StatusOr<std::string> { return absl::NotFoundError("no file"); };
  Relay none(o);
  EXPECT_THAT(Page(&none), HasSubstr("{state=\"refused\"} 1\n"));
}

TEST(RabbitmqRelay, ScrapersAtTheSameTimeShareOneAnswer) {
  RawServer server({.answer = Ok(kText), .piece = 60, .pause_ms = 100});
  metrics::Scraper scraper(std::make_shared<Relay>(RelayOptions{.port = server.port()}), {});
  EXPECT_TRUE(scraper.text_only());
  std::mutex mutex;
  std::condition_variable changed;
  int answers = 0;
  for (int i = 0; i < 8; ++i) {
    scraper.Scrape(In(seconds(20)), [&](const metrics::SnapshotPtr& s) {
      EXPECT_TRUE(s->up) << s->problem;
      const std::lock_guard<std::mutex> lock(mutex);
      ++answers;
      changed.notify_all();
    });
  }
  std::unique_lock<std::mutex> lock(mutex);
  EXPECT_TRUE(changed.wait_for(lock, seconds(30), [&] { return answers == 8; }));
  EXPECT_EQ(server.requests(), 1);
}

TEST(RabbitmqRelay, LateIsSilentAndNotTheLastAnswer) {
  RawServer server({.answer = Ok(kText)});
  Relay relay({.port = server.port()});
  Page(&relay);
  const metrics::SnapshotPtr late = relay.Late();
  EXPECT_FALSE(late->up);
  EXPECT_EQ(late->text, nullptr);
}

// ---- pages of queues ----

http::Request Asks(const std::string& path, std::vector<std::pair<std::string, std::string>> query = {}) {
  http::Request r;
  r.path = path;
  r.query = std::move(query);
  return r;
}

TEST(RabbitmqDetailPages, Targets) {
  EXPECT_EQ(*DetailTarget(Asks("/metrics/per-object")), "/metrics/per-object");
  EXPECT_EQ(*DetailTarget(
                Asks("/metrics/detailed",
                     {{"family", "queue_coarse_metrics"}, {"family", "queue_metrics"}, {"vhost", "/a b"}})),
            "/metrics/detailed?family=queue_coarse_metrics&family=queue_metrics&vhost=%2Fa%20b");
  for (const auto& bad :
       {Asks("/metrics"), Asks("/metrics/x"), Asks("/metrics/detailed", {{"family", "Queue"}}),
        Asks("/metrics/detailed", {{"family", ""}}), Asks("/metrics/detailed", {{"vhost", "a\nb"}}),
        Asks("/metrics/detailed", {{"vhost", std::string(300, 'v')}}),
        Asks("/metrics/detailed", {{"limit", "3"}}),
        Asks("/metrics/detailed", {{"family", std::string(65, 'f')}}),
        Asks("/metrics/detailed", std::vector<std::pair<std::string, std::string>>(33, {"family", "a"}))}) {
    EXPECT_EQ(DetailTarget(bad).status().code(), absl::StatusCode::kInvalidArgument) << bad.path;
  }
}

http::Response AskPage(DetailPages* pages, const http::Request& request) {
  std::mutex mutex;
  std::condition_variable changed;
  std::optional<http::Response> got;
  pages->Answer(request, BootClock().Now(), [&](http::Response r) {
    const std::lock_guard<std::mutex> lock(mutex);
    got = std::move(r);
    changed.notify_all();
  });
  std::unique_lock<std::mutex> lock(mutex);
  EXPECT_TRUE(changed.wait_for(lock, seconds(30), [&] { return got.has_value(); }));
  return *std::move(got);
}

TEST(RabbitmqDetailPages, SayOfThemselvesWhetherTheyAreThere) {
  RawServer server({.answer = Ok(kText)});
  DetailPages pages({.relay = {.port = server.port()}});
  const http::Request r = Asks("/metrics/detailed", {{"family", "queue_coarse_metrics"}});
  http::Response got = AskPage(&pages, r);
  EXPECT_EQ(got.status, 200);
  EXPECT_THAT(got.body, HasSubstr(kText));
  EXPECT_THAT(got.body, HasSubstr("mainstay_rabbitmq_page_up{page=\"detailed\"} 1\n"));
  EXPECT_THAT(got.body, HasSubstr("mainstay_rabbitmq_page_cut{page=\"detailed\"} 0\n"));
  EXPECT_THAT(server.request(), HasSubstr("GET /metrics/detailed?family=queue_coarse_metrics HTTP/1.1"));
  DetailPages down({.relay = {.port = 1}});
  got = AskPage(&down, r);
  EXPECT_EQ(got.status, 200);
  EXPECT_THAT(got.body, HasSubstr("mainstay_rabbitmq_page_up{page=\"detailed\"} 0\n"));
  EXPECT_EQ(AskPage(&down, Asks("/metrics/detailed", {{"x", "y"}})).status, 400);
}

TEST(RabbitmqDetailPages, BoundedSizeAndNumber) {
  RawServer server({.answer = Ok(kText)});
  DetailPages small({.relay = {.port = server.port()}, .max_body = 90});
  const http::Response got = AskPage(&small, Asks("/metrics/per-object"));
  EXPECT_THAT(got.body, HasSubstr("mainstay_rabbitmq_page_cut{page=\"per-object\"} 1\n"));
  // Many pages one after the other: the oldest makes room.
  for (int i = 0; i < 12; ++i)
    EXPECT_EQ(AskPage(&small, Asks("/metrics/detailed", {{"vhost", std::to_string(i)}})).status, 200);
  // At the same time only so many: one that hangs keeps its place.
  RawServer silent({.answer = "", .close = false});
  DetailPages full({.relay = {.port = silent.port()}, .pages = 1, .patience = seconds(1)});
  std::atomic<bool> first{false};
  full.Answer(Asks("/metrics/per-object"), BootClock().Now(), [&](const http::Response&) { first = true; });
  EXPECT_EQ(AskPage(&full, Asks("/metrics/memory-breakdown")).status, 503);
  EXPECT_EQ(AskPage(&full, Asks("/metrics/per-object")).status, 200) << "the same page is shared";
  EXPECT_TRUE(first);
}

}  // namespace
}  // namespace mainstay::engine::rabbitmq
