// HTTP without a socket: split, cut and overlong answers; lines of watches.
#include "lib/kube/http.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lib/kube/bucket.h"

namespace mainstay::kube {
namespace {

using namespace std::chrono_literals;

constexpr char kChunked[] =
    "HTTP/1.1 201 Created\r\nRetry-After: 7\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6;x=y\r\n "
    "world\r\n0\r\n"
    "X-Trailer: t\r\n\r\n";
constexpr char kSized[] = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello";

TEST(ResponseDecoder, SplitAtEveryPlace) {
  const std::string text = kChunked;
  for (size_t at = 0; at <= text.size(); ++at) {
    ResponseDecoder d(100);
    ASSERT_TRUE(d.Feed(text.substr(0, at)).ok()) << at;
    EXPECT_EQ(d.begun(), at > 0);
    ASSERT_TRUE(d.Feed(text.substr(at)).ok()) << at;
    ASSERT_TRUE(d.done()) << at;
    EXPECT_EQ(d.code(), 201);
    EXPECT_EQ(*d.body(), "hello world");
    EXPECT_EQ(d.retry_after(), 7s);
    EXPECT_TRUE(d.keep_alive());
  }
}

TEST(ResponseDecoder, CutAtEveryPlace) {
  for (const std::string& text : {std::string(kChunked), std::string(kSized)}) {
    for (size_t at = 0; at < text.size(); ++at) {
      ResponseDecoder d(100);
      ASSERT_TRUE(d.Feed(text.substr(0, at)).ok());
      EXPECT_FALSE(d.done()) << at;
      EXPECT_TRUE(absl::IsUnavailable(d.End())) << at << " " << d.End();
    }
  }
  ResponseDecoder d(100);
  ASSERT_TRUE(d.Feed(kSized).ok());
  EXPECT_TRUE(d.done());
  EXPECT_FALSE(d.keep_alive()) << "Connection: close";
  EXPECT_TRUE(d.End().ok());
}

TEST(ResponseDecoder, Bounds) {
  ResponseDecoder header(100);
  EXPECT_TRUE(absl::IsResourceExhausted(header.Feed("HTTP/1.1 200 OK\r\nA: " + std::string(20'000, 'a'))));
  ResponseDecoder declared(100);
  EXPECT_TRUE(absl::IsResourceExhausted(declared.Feed("HTTP/1.1 200 OK\r\nContent-Length: 101\r\n\r\n")));
  ResponseDecoder chunked(10);
  EXPECT_TRUE(absl::IsResourceExhausted(chunked.Feed(kChunked)));
  ResponseDecoder exact(11);
  EXPECT_TRUE(exact.Feed(kChunked).ok());
  ResponseDecoder size_line(100);
  EXPECT_FALSE(
      size_line.Feed("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;" + std::string(40'000, 'e'))
          .ok());
}

TEST(ResponseDecoder, AStreamIsBoundedByWhatIsLeftInIt) {
  ResponseDecoder d(1000, /*stream=*/true);
  ASSERT_TRUE(d.Feed("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").ok());
  for (int i = 0; i < 1000; ++i) {
    ASSERT_TRUE(d.Feed("1f4\r\n" + std::string(500, 'x') + "\r\n").ok()) << i;
    ASSERT_EQ(d.body()->size(), 500u);
    d.body()->clear();
  }
  EXPECT_FALSE(d.done());
}

// A watch that is refused: 403 and 410 come with a Content-Length.
TEST(ResponseDecoder, AStreamMayBeASizedAnswer) {
  const std::string text = kSized;
  for (size_t at = 0; at <= text.size(); ++at) {
    ResponseDecoder d(100, /*stream=*/true);
    ASSERT_TRUE(d.Feed(text.substr(0, at)).ok()) << at;
    ASSERT_TRUE(d.Feed(text.substr(at)).ok()) << at;
    ASSERT_TRUE(d.done()) << at;
    EXPECT_EQ(*d.body(), "hello");
  }
}

TEST(ResponseDecoder, RetryAfterIsBoundedAndSecondsOnly) {
  const auto of = [](const std::string& value) {
    ResponseDecoder d(0);
    EXPECT_TRUE(d.Feed("HTTP/1.1 429 X\r\nContent-Length: 0\r\nRetry-After: " + value + "\r\n\r\n").ok());
    return d.retry_after();
  };
  EXPECT_EQ(of("0"), 0s);
  EXPECT_EQ(of("999999"), 1h);
  EXPECT_EQ(of("-1"), std::nullopt);
  EXPECT_EQ(of("Wed, 21 Oct 2026 07:28:00 GMT"), std::nullopt);
}

TEST(LineSplitter, CutAtEveryPlace) {
  const std::string text = "one\n\ntwo\r\nthree\n";
  for (size_t at = 0; at <= text.size(); ++at) {
    LineSplitter s(10);
    std::vector<std::string> lines;
    for (const std::string& part : {text.substr(0, at), text.substr(at)}) {
      ASSERT_TRUE(s.Feed(part).ok());
      while (auto line = s.Next()) lines.push_back(*line);
    }
    EXPECT_THAT(lines, ::testing::ElementsAre("one", "two", "three")) << at;
    EXPECT_FALSE(s.partial());
  }
}

TEST(LineSplitter, Bounds) {
  LineSplitter s(10);
  ASSERT_TRUE(s.Feed("0123456789").ok());
  EXPECT_EQ(s.Next(), std::nullopt);
  EXPECT_TRUE(s.partial());
  EXPECT_TRUE(absl::IsResourceExhausted(s.Feed("x")));
  LineSplitter many(10);
  EXPECT_TRUE(many.Feed("0123456789\n0123456789\n").ok());
  EXPECT_EQ(many.Next(), "0123456789");
  EXPECT_TRUE(many.Feed("abc\n").ok());
  EXPECT_EQ(many.Next(), "0123456789");
  EXPECT_EQ(many.Next(), "abc");
  LineSplitter behind(10);
  EXPECT_TRUE(absl::IsResourceExhausted(behind.Feed("ok\n0123456789x")));
}

TEST(PercentEncode, EverythingButUnreserved) {
  EXPECT_EQ(PercentEncode("aZ09-._~"), "aZ09-._~");
  EXPECT_EQ(PercentEncode("a/b c%\n\xc3\xbc"), "a%2Fb%20c%25%0A%C3%BC");
}

TEST(TokenBucket, UrgentOnesPassAndOthersPay) {
  TokenBucket b(10, 2);
  MonoTime now = MonoTime::FromNanos(1'000'000'000);
  EXPECT_EQ(b.Take(now), 0s);
  EXPECT_EQ(b.Take(now), 0s);
  EXPECT_GT(b.Take(now), 50ms);
  for (int i = 0; i < 1000; ++i) b.TakeUrgent(now);
  const Duration wait = b.Take(now);
  EXPECT_GT(wait, 200ms);
  EXPECT_LE(wait, 301ms) << "the debt is bounded";
  now += wait;
  EXPECT_EQ(b.Take(now), 0s);
  b.Block(now + 2s);
  now += 1s;
  EXPECT_EQ(b.Take(now), 1s);
}

}  // namespace
}  // namespace mainstay::kube
