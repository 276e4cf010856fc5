// The operational log: shape, bound, threads, and a reader that does not read.
#include "lib/base/log.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <sstream>
#include <thread>
#include <vector>

#include "lib/base/file.h"
#include "lib/base/json.h"

namespace mainstay {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;

class LogTest : public ::testing::Test {
 protected:
  void SetUp() override {
    int fds[2];
    ASSERT_EQ(pipe2(fds, O_CLOEXEC), 0);
    read_.reset(fds[0]);
    write_.reset(fds[1]);
    ASSERT_EQ(fcntl(fds[1], F_SETPIPE_SZ, 1 << 20), 1 << 20);
  }
  void TearDown() override { SetLogOptions({}); }
  void Use(LogFormat format, LogLevel level = LogLevel::kInfo) {
    SetLogOptions({level, format, write_.get()});
  }
  std::string Drain() {
    std::string out(2 << 20, '\0');
    fcntl(read_.get(), F_SETFL, O_NONBLOCK);
    size_t have = 0;
    for (ssize_t n; (n = read(read_.get(), out.data() + have, out.size() - have)) > 0;)
      have += static_cast<size_t>(n);
    out.resize(have);
    return out;
  }
  UniqueFd read_, write_;
};

TEST_F(LogTest, Text) {
  Use(LogFormat::kText);
  Log(LogLevel::kInfo, "store", "update done",
      {{"version", "ab"}, {"took", 2500ms}, {"n", 7}, {"ok", true}, {"why", "a b\nc"}, {"empty", ""}});
  EXPECT_THAT(Drain(), ::testing::ContainsRegex(
                           "^[-0-9]*T[0-9:.]*Z info store: update done version=ab took=2.5s n=7 ok=true "
                           "why=\"a b\\\\nc\" empty=\"\"\n$"));
}

TEST_F(LogTest, TextStaysOneLine) {
  Use(LogFormat::kText);
  Log(LogLevel::kError, "x", "evil\nline \x1b[31m");
  const std::string line = Drain();
  EXPECT_EQ(std::count(line.begin(), line.end(), '\n'), 1);
  EXPECT_EQ(line.find('\x1b'), std::string::npos);
}

TEST_F(LogTest, Json) {
  Use(LogFormat::kJson);
  Log(LogLevel::kWarn, "store", "a \"b\"",
      {{"n", uint64_t{18446744073709551615u}}, {"d", 0.5}, {"nan", 0.0 / 0.0}, {"s", "x\ny"}, {"ok", false}});
  const Json json = *ParseJson(Drain(), 10000);
  EXPECT_EQ(json["level"], "warn");
  EXPECT_EQ(json["msg"], "a \"b\"");
  EXPECT_EQ(json["n"], 18446744073709551615u);
  EXPECT_EQ(json["d"], 0.5);
  EXPECT_TRUE(json["nan"].is_string());
  EXPECT_EQ(json["s"], "x\ny");
  EXPECT_EQ(json["ok"], false);
}

TEST_F(LogTest, LevelsAreFiltered) {
  Use(LogFormat::kText, LogLevel::kWarn);
  Log(LogLevel::kInfo, "x", "no");
  Log(LogLevel::kWarn, "x", "yes");
  EXPECT_THAT(Drain(), ::testing::AllOf(HasSubstr("yes"), ::testing::Not(HasSubstr("no"))));
}

TEST_F(LogTest, LongLinesAreCutAndStayValid) {
  const std::string big(100'000, '\x01');
  for (LogFormat format : {LogFormat::kText, LogFormat::kJson}) {
    Use(format);
    Log(LogLevel::kInfo, "x", big, {{"a", big}, {"b", "small"}});
    Log(LogLevel::kInfo, "x", "m", {{"a", big}, {"b", "small"}});
    std::istringstream lines(Drain());
    int n = 0;
    for (std::string line; std::getline(lines, line); ++n) {
      EXPECT_LE(line.size() + 1, kMaxLogLine);
      if (format == LogFormat::kJson) {
        EXPECT_TRUE(ParseJson(line, kMaxLogLine).ok()) << line.substr(0, 200);
      }
    }
    EXPECT_EQ(n, 2);
  }
}

TEST_F(LogTest, LinesOfThreadsDoNotMix) {
  Use(LogFormat::kJson);
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([t] {
      for (int i = 0; i < 40; ++i)
        Log(LogLevel::kInfo, "x", std::string(3000, static_cast<char>('a' + t)), {{"t", t}});
    });
  }
  for (std::thread& t : threads) t.join();
  std::istringstream lines(Drain());
  int n = 0;
  for (std::string line; std::getline(lines, line); ++n) {
    const auto json = ParseJson(line, kMaxLogLine);
    ASSERT_TRUE(json.ok()) << line.substr(0, 100);
    ASSERT_EQ((*json)["msg"], std::string(3000, static_cast<char>('a' + (*json)["t"].get<int>())));
  }
  EXPECT_EQ(n, 160);
}

TEST_F(LogTest, AReaderThatDoesNotReadCannotStopUs) {
  Use(LogFormat::kText);
  ASSERT_EQ(fcntl(write_.get(), F_SETPIPE_SZ, 65536), 65536);
  const MonoTime begin = BootClock().Now();
  for (int i = 0; i < 1000; ++i) Log(LogLevel::kInfo, "x", std::string(1000, 'a'));
  EXPECT_LT(BootClock().Now() - begin, 10s);  // not for ever: sanitizers on a busy machine take 3
  Drain();
  Log(LogLevel::kInfo, "x", "after");
  const std::string text = Drain();
  EXPECT_THAT(text, ::testing::ContainsRegex("lines were lost, stderr was not read lines=9[0-9][0-9]"));
  EXPECT_THAT(text, HasSubstr("after"));
}

// A line of two pages in front of a pipe with one.
TEST_F(LogTest, ALongLineDoesNotWaitForTheReaderEither) {
  Use(LogFormat::kText);
  ASSERT_EQ(fcntl(write_.get(), F_SETPIPE_SZ, 8192), 8192);
  Log(LogLevel::kInfo, "x", std::string(3000, 'a'));
  const MonoTime begin = BootClock().Now();
  Log(LogLevel::kInfo, "x", "long", {{"value", std::string(7000, 'b')}});
  EXPECT_LT(BootClock().Now() - begin, 10s);
  EXPECT_THAT(Drain(), ::testing::Not(HasSubstr("long")));
}

TEST(LogLimiter, OnePerInterval) {
  LogLimiter limiter(10s);
  const MonoTime t0 = MonoTime::FromNanos(0);
  uint64_t held = 99;
  EXPECT_TRUE(limiter.Allow(t0, &held));
  EXPECT_EQ(held, 0u);
  EXPECT_FALSE(limiter.Allow(t0 + 1s, &held));
  EXPECT_FALSE(limiter.Allow(t0 + 9999ms, &held));
  EXPECT_TRUE(limiter.Allow(t0 + 10s, &held));
  EXPECT_EQ(held, 2u);
}

}  // namespace
}  // namespace mainstay
