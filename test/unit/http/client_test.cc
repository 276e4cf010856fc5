#include "lib/http/client.h"

#include <gtest/gtest.h>

#include "test/unit/http/raw_server.h"

namespace mainstay::http {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

MonoTime In(Duration d) { return BootClock().Now() + d; }

absl::StatusOr<GetAnswer> Ask(const RawServer& server, Duration patience = seconds(20),
                              size_t max_body = 4 << 20) {
  GetRequest r;
  r.port = server.port();
  r.target = "/metrics?family=a&vhost=%2F";
  r.headers = {{"Accept", "text/plain"}};
  r.max_body = max_body;
  return Get(r, In(patience));
}

std::string Ok(const std::string& header, const std::string& body) {
  return "HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4\r\n" + header + "\r\n" + body;
}

TEST(HttpClient, TheWaysABodyEnds) {
  const std::string bodies[] = {Ok("Content-Length: 5\r\n", "a 1\nb"),
                                Ok("Transfer-Encoding: chunked\r\n", "3\r\na 1\r\n2\r\n\nb\r\n0\r\n\r\n"),
                                Ok("", "a 1\nb")};
  for (const std::string& text : bodies) {
    for (const size_t piece : {size_t{1}, size_t{7}, size_t{1} << 20}) {
      RawServer server({.answer = text, .piece = piece});
      const auto got = Ask(server);
      ASSERT_TRUE(got.ok()) << got.status();
      EXPECT_EQ(got->body, "a 1\nb");
      EXPECT_EQ(got->status, 200);
      EXPECT_EQ(got->content_type, "text/plain; version=0.0.4");
      EXPECT_FALSE(got->cut);
    }
  }
}

TEST(HttpClient, TheRequest) {
  RawServer server({.answer = Ok("Content-Length: 0\r\n", "")});
  ASSERT_TRUE(Ask(server).ok());
  EXPECT_EQ(server.request().find("GET /metrics?family=a&vhost=%2F HTTP/1.1\r\nHost: 127.0.0.1:"), 0u)
      << server.request();
  EXPECT_NE(server.request().find("\r\nAccept: text/plain\r\n"), std::string::npos);
}

// Erlang's cowboy and Python's http.server write header and body one after the other.
TEST(HttpClient, AHeaderThatArrivesAlone) {
  const std::string header = Ok("Content-Length: 300000\r\n", "");
  for (const size_t max : {size_t{100'000}, size_t{400'000}}) {
    RawServer server({.answer = header + std::string(300'000, 'x'),
                      .first = header.size(),
                      .pause_ms = 20,
                      .close = false});
    const auto got = Ask(server, seconds(20), max);
    ASSERT_TRUE(got.ok()) << got.status();
    EXPECT_EQ(got->body.size(), std::min<size_t>(max, 300'000));
    EXPECT_EQ(got->cut, max < 300'000);
  }
}

TEST(HttpClient, ALongBodyIsCutAndNotWaitedFor) {
  const std::string body(300'000, 'x');
  const std::string answers[] = {Ok("Content-Length: 300000\r\n", body), Ok("", body),
                                 Ok("Transfer-Encoding: chunked\r\n", "493e0\r\n" + body + "\r\n0\r\n\r\n")};
  for (const std::string& text : answers) {
    RawServer server({.answer = text, .close = false});
    const auto got = Ask(server, seconds(20), 100'000);
    ASSERT_TRUE(got.ok()) << got.status();
    EXPECT_EQ(got->body.size(), 100'000u);
    EXPECT_TRUE(got->cut);
  }
  RawServer exact({.answer = Ok("Content-Length: 300000\r\n", body)});
  const auto got = Ask(exact, seconds(20), 300'000);
  ASSERT_TRUE(got.ok());
  EXPECT_FALSE(got->cut);
}

TEST(HttpClient, LargeBodies) {
  std::string body;
  while (body.size() < 20u << 20) body += "rabbitmq_queue_messages{vhost=\"/\",queue=\"q\"} 1\n";
  RawServer server({.answer = Ok("Transfer-Encoding: chunked\r\n", "1\r\nx\r\n") + [&] {
    char size[20];
    snprintf(size, sizeof size, "%zx\r\n", body.size());
    return size + body + "\r\n0\r\n\r\n";
  }()});
  const auto got = Ask(server, seconds(60), 32 << 20);
  ASSERT_TRUE(got.ok()) << got.status();
  EXPECT_EQ(got->body, "x" + body);
}

TEST(HttpClient, WhatIsNoAnswer) {
  const struct {
    std::string answer;
    absl::StatusCode want;
  } rows[] = {
      {"SSH-2.0-OpenSSH_9.2\r\n", absl::StatusCode::kInvalidArgument},
      {"", absl::StatusCode::kUnavailable},
      {"HTTP/1.1 200", absl::StatusCode::kUnavailable},
      {Ok("Content-Length: 50\r\n", "half"), absl::StatusCode::kUnavailable},
      {Ok("Transfer-Encoding: chunked\r\n", "5\r\nab"), absl::StatusCode::kUnavailable},
      {Ok("Transfer-Encoding: chunked\r\n", "zz\r\nab\r\n"), absl::StatusCode::kInvalidArgument},
      {Ok("Content-Length: minus\r\n", ""), absl::StatusCode::kInvalidArgument},
      {"HTTP/1.1 200 OK\r\nX: " + std::string(40'000, 'x') + "\r\n\r\n",
       absl::StatusCode::kResourceExhausted},
  };
  for (const auto& row : rows) {
    RawServer server({.answer = row.answer});
    EXPECT_EQ(Ask(server).status().code(), row.want) << Ask(server).status() << row.answer.substr(0, 60);
  }
}

TEST(HttpClient, TheDeadlineHolds) {
  const RawServer::Options slow[] = {
      {.answer = "", .close = false},
      {.answer = Ok("Content-Length: 100000\r\n", std::string(100'000, 'x')), .piece = 1, .pause_ms = 20},
      {.answer = Ok("Content-Length: 100\r\n", "begun"), .close = false},
  };
  for (const auto& options : slow) {
    RawServer server(options);
    const MonoTime began = BootClock().Now();
    EXPECT_EQ(Ask(server, milliseconds(300)).status().code(), absl::StatusCode::kDeadlineExceeded);
    EXPECT_LT(BootClock().Now() - began, seconds(10));
  }
}

TEST(HttpClient, Refusals) {
  GetRequest r;
  r.port = 1;  // nobody listens there
  EXPECT_EQ(Get(r, In(seconds(20))).status().code(), absl::StatusCode::kUnavailable);
  for (const char* target : {"", "metrics", "/a b", "/a\r\nHost: b", "/\x80"}) {
    r.target = target;
    EXPECT_EQ(Get(r, In(seconds(20))).status().code(), absl::StatusCode::kInvalidArgument) << target;
  }
  r.target = "/";
  r.address = "localhost";
  EXPECT_EQ(Get(r, In(seconds(20))).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST(HttpClient, Encodes) { EXPECT_EQ(Encode("a/b &=\xc3\xa4~_.-"), "a%2Fb%20%26%3D%C3%A4~_.-"); }

}  // namespace
}  // namespace mainstay::http
