#include "lib/audit/audit.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <thread>

#include "lib/base/json.h"
#include "lib/base/random.h"
#include "test/unit/audit/who.h"

namespace mainstay::audit {
namespace {

using std::chrono::seconds;
using ::testing::HasSubstr;
using ::testing::Not;

Event Simple(const std::string& msg) {
  Event e;
  e.action = "role.promote";
  e.msg = msg;
  return e;
}

Event Everything(const std::string& text) {
  Event e = Simple(text);
  e.reason = text;
  e.actor = {text, text, text, text, text};
  e.request = Request{text, text, {}};
  for (int i = 0; i < 40; ++i) e.request->params.emplace_back(text, text);
  e.before = Standing{text, 7, 3, 0x5000060};
  e.after = Standing{text, 8, 4, 0x5000100};
  e.lease = LeaseFacts{text, text, text, 11873};
  e.took = std::chrono::milliseconds(812);
  e.error = Problem{text, text};
  return e;
}

Json Parse(const std::string& line) {
  auto json = ParseJson(line, 1 << 20);
  EXPECT_TRUE(json.ok()) << json.status() << "\n" << line;
  return json.ok() ? *json : Json();
}

TEST(AuditFormat, HasTheSchemasKeysAndTypes) {
  Event e = Everything("x");
  e.stage = Stage::kFailed;
  e.outcome = Outcome::kFailure;
  const Json j = Parse(Format(e, kWho, 42, 1767225600123456, "018f"));
  EXPECT_EQ(j["ts"], "2026-01-01T00:00:00.123456Z");
  EXPECT_EQ(j["logger"], "audit");
  EXPECT_EQ(j["schema"], "mainstay.audit/v1");
  EXPECT_EQ(j["seq"], 42);
  EXPECT_EQ(j["stage"], "failed");
  EXPECT_EQ(j["outcome"], "failure");
  EXPECT_EQ(j["before"]["lsn"], "0/5000060");
  EXPECT_EQ(j["after"]["epoch"], 8);
  EXPECT_EQ(j["lease"]["deadline_ms"], 11873);
  EXPECT_EQ(j["duration_ms"], 812);
  EXPECT_EQ(j["object"]["pod"], "pg-0");
  for (const char* taken : {"log", "stream", "time", "logtag", "_p", "kubernetes"})
    EXPECT_FALSE(j.contains(taken)) << taken;
}

TEST(AuditFormat, NothingFromOutsideBreaksTheLine) {
  const std::string evil =
      std::string("a\"},\n{\"level\":\"error\"\\\x01\x1b[2J\xff\xe2\x80\xa8\xe2\x80\xa9") + '\0' + "z";
  const std::string line = Format(Everything(evil), kWho, 1, 0, "id");
  EXPECT_EQ(line.find('\n'), line.size() - 1);
  EXPECT_THAT(line, Not(HasSubstr("\xe2\x80\xa8")));
  EXPECT_THAT(line, HasSubstr("\\u2028"));
  EXPECT_THAT(line, Not(HasSubstr("\x1b")));
  EXPECT_EQ(Parse(line)["level"], "info");
}

TEST(AuditFormat, AlwaysFitsIntoEightKilobytes) {
  for (const std::string& unit : {std::string("x"), std::string("\x01"), std::string("\xe2\x80\xa8"),
                                  std::string("\xf0\x9f\x90\x98")}) {
    std::string text;
    while (text.size() < 20000) text += unit;
    const std::string line = Format(Everything(text), kWho, UINT32_MAX, 0, "id");
    EXPECT_LE(line.size(), kMaxLineBytes);
    EXPECT_EQ(Parse(line)["schema"], "mainstay.audit/v1");
  }
}

class Pipe {
 public:
  Pipe() { EXPECT_EQ(pipe2(fd_, O_CLOEXEC), 0); }
  ~Pipe() {
    close(fd_[0]);
    if (fd_[1] >= 0) close(fd_[1]);
  }
  int in() const { return fd_[1]; }
  std::string ReadSome() const {
    std::string out(65536, '\0');
    const ssize_t n = read(fd_[0], out.data(), out.size());
    out.resize(n > 0 ? static_cast<size_t>(n) : 0);
    return out;
  }
  // Everything until nothing more comes for a while.
  std::string Drain() const {
    std::string out;
    struct pollfd p = {fd_[0], POLLIN, 0};
    while (poll(&p, 1, 300) == 1) out += ReadSome();
    return out;
  }

 private:
  int fd_[2] = {-1, -1};
};

std::vector<Json> Lines(const std::string& text) {
  std::vector<Json> out;
  size_t begin = 0;
  while (begin < text.size()) {
    const size_t end = text.find('\n', begin);
    EXPECT_NE(end, std::string::npos) << "unfinished line";
    if (end == std::string::npos) break;
    out.push_back(Parse(text.substr(begin, end - begin)));
    begin = end + 1;
  }
  return out;
}

TEST(AuditLog, AnEmptyPipeGetsTheLineAtOnceInOneWrite) {
  Pipe pipe;
  Log log(pipe.in(), kWho);
  log.Write(Simple("one"));
  const auto lines = Lines(pipe.ReadSome());  // no waiting: Write has written
  ASSERT_EQ(lines.size(), 1u);
  EXPECT_EQ(lines[0]["seq"], 1);
  EXPECT_EQ(log.written(), 1u);
}

TEST(AuditLog, AReaderThatDoesNotReadBlocksNobodyAndTheGapIsTold) {
  Pipe pipe;
  Log log(pipe.in(), kWho);
  const MonoTime began = BootClock().Now();
  uint64_t sent = 0;
  while (log.dropped() == 0 && sent < 5000) {
    log.Write(Simple(std::string(1500, 'x')));
    ++sent;
  }
  EXPECT_LT(BootClock().Now() - began, seconds(20));
  ASSERT_GT(log.dropped(), 0u);
  std::string text = pipe.Drain();
  EXPECT_THAT(text, HasSubstr("audit.dropped"));  // without another event
  log.Write(Simple("after"));
  ASSERT_TRUE(log.Flush(BootClock().Now() + seconds(5)));
  text += pipe.Drain();
  const auto lines = Lines(text);
  EXPECT_THAT(text, HasSubstr("audit.dropped"));
  EXPECT_EQ(lines.back()["msg"], "after");
  for (size_t i = 1; i < lines.size(); ++i) EXPECT_GT(lines[i]["seq"], lines[i - 1]["seq"]);
  uint64_t told = 0;
  for (const Json& line : lines)
    told += line.contains("dropped") ? line["dropped"]["lines"].get<uint64_t>() : 0;
  EXPECT_EQ(told, log.dropped());
  EXPECT_EQ(lines.back()["seq"].get<uint64_t>() - lines.size(), told);
}

TEST(AuditLog, LongLinesOfManyThreadsStayWhole) {
  Pipe pipe;
  std::string text;
  std::thread reader([&] { text = pipe.Drain(); });
  {
    Log log(pipe.in(), kWho);
    std::vector<std::thread> writers;
    for (int t = 0; t < 4; ++t) {
      writers.emplace_back([&] {
        for (int i = 0; i < 50; ++i) log.Write(Simple(std::string(6000, static_cast<char>('a' + i % 26))));
      });
    }
    for (auto& w : writers) w.join();
    EXPECT_TRUE(log.Flush(BootClock().Now() + seconds(5)));
  }
  reader.join();
  EXPECT_EQ(Lines(text).size(), 200u);
}

TEST(AuditLog, ItsEndDoesNotWaitForAReaderThatIsGone) {
  Pipe pipe;
  const MonoTime began = BootClock().Now();
  {
    Log log(pipe.in(), kWho);
    for (int i = 0; i < 200; ++i) log.Write(Simple(std::string(4000, 'x')));
    EXPECT_FALSE(log.Flush(BootClock().Now() + std::chrono::milliseconds(100)));
  }
  EXPECT_LT(BootClock().Now() - began, seconds(10));  // a second for the end; sanitizers on a busy machine
}

}  // namespace
}  // namespace mainstay::audit
