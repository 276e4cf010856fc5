// What strangers do to the port: idle crowds, drips, lies about lengths, floods.
#include <fcntl.h>

#include <atomic>
#include <fstream>

#include "lib/http/request_reader.h"
#include "test/unit/http/rig.h"

namespace mainstay::http {
namespace {

const std::string kClose = "Host: x\r\nConnection: close\r\n";

long ResidentKb() {
  long pages = 0;
  long ignored = 0;
  std::ifstream("/proc/self/statm") >> ignored >> pages;
  return pages * (sysconf(_SC_PAGESIZE) / 1024);
}

// A sanitizer keeps what was freed for a while and shadows the rest: how much memory is resident says nothing
// of us then.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kResidentIsOurs = false;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
constexpr bool kResidentIsOurs = false;
#else
constexpr bool kResidentIsOurs = true;
#endif
#else
constexpr bool kResidentIsOurs = true;
#endif

TEST(Hostile, AThousandIdleConnectionsKeepNoProbeOut) {
  Running server(Echo());
  const long before = ResidentKb();
  std::vector<UniqueFd> idle;
  for (int i = 0; i < 1000; ++i) {
    idle.push_back(Connect(server.Port()));
    if (i % 3 == 0) Send(idle.back(), "GET / HTTP/1.1\r\nX: ");
  }
  EXPECT_THAT(Get(server.Port(), "GET /livez HTTP/1.1\r\n" + kClose + "\r\n"), HasSubstr("/livez"));
  EXPECT_GE(server.Count().evicted_connections, 1000u - 64u);
  EXPECT_EQ(server.Count().refused_connections, 0u);
  if (kResidentIsOurs) {
    EXPECT_LT(ResidentKb() - before, 4096);
  }
}

TEST(Hostile, OnlyWhenAllAreBeingAnsweredIsANewcomerRefused) {
  std::vector<Reply> kept;
  std::atomic<int> asked = 0;  // what is before it in `kept` may be read by this thread
  Server::Options options;
  options.max_connections = 4;
  Running server(
      [&](const Request&, Reply reply) {
        kept.push_back(std::move(reply));
        ++asked;
      },
      options);
  std::vector<UniqueFd> busy;
  for (int i = 0; i < 4; ++i) {
    busy.push_back(Connect(server.Port()));
    Send(busy.back(), "GET / HTTP/1.1\r\n" + kClose + "\r\n");
  }
  while (asked < 4) std::this_thread::sleep_for(milliseconds(5));
  EXPECT_THAT(ReadAll(Connect(server.Port())), StartsWith("HTTP/1.1 503"));
  EXPECT_EQ(server.Count().refused_connections, 1u);
  for (auto& reply : kept) reply({.status = 200, .body = "late"});
  for (auto& fd : busy) EXPECT_THAT(ReadAll(fd), HasSubstr("late"));
}

TEST(Hostile, AGigabyteIsRefusedBeforeItIsSent) {
  Running server(Echo());
  const long before = ResidentKb();
  EXPECT_THAT(Get(server.Port(), "POST / HTTP/1.1\r\n" + kClose + "Content-Length: 1000000000\r\n\r\n"),
              StartsWith("HTTP/1.1 413"));
  // One that sends all the same, as fast as it can, still gets to read its answer.
  const UniqueFd fd = Connect(server.Port());
  fcntl(fd.get(), F_SETFL, O_NONBLOCK);
  Send(fd, "POST / HTTP/1.1\r\n" + kClose + "Content-Length: 1000000000\r\n\r\n");
  const std::string junk(65536, 'x');
  const MonoTime until = BootClock().Now() + milliseconds(500);
  while (BootClock().Now() < until) Send(fd, junk);
  EXPECT_THAT(ReadAll(fd, milliseconds(300)), StartsWith("HTTP/1.1 413"));
  std::string chunks = "POST / HTTP/1.1\r\n" + kClose + "Transfer-Encoding: chunked\r\n\r\n";
  for (int i = 0; i < 20; ++i) chunks += "1000\r\n" + std::string(4096, 'y') + "\r\n";
  EXPECT_THAT(Get(server.Port(), chunks), StartsWith("HTTP/1.1 413"));
  if (kResidentIsOurs) {
    EXPECT_LT(ResidentKb() - before, 4096);
  }
}

TEST(Hostile, ABodyThatDripsIsDroppedAtTheDeadlineOfTheWhole) {
  Server::Options options;
  options.read_deadline = milliseconds(400);
  Running server(Echo(), options);
  const UniqueFd fd = Connect(server.Port());
  Send(fd, "POST / HTTP/1.1\r\n" + kClose + "Content-Length: 1000\r\n\r\n");
  const MonoTime began = BootClock().Now();
  for (int i = 0; i < 10; ++i) {
    Send(fd, "x");
    if (!ReadAll(fd, milliseconds(100)).empty()) break;
    struct pollfd p = {fd.get(), POLLIN, 0};
    if (poll(&p, 1, 0) == 1) break;
  }
  EXPECT_LT(BootClock().Now() - began, milliseconds(900));
  EXPECT_EQ(server.Count().timeouts, 1u);
}

TEST(Hostile, LiesAboutTheLengthAreRefused) {
  Running server(Echo());
  const auto post = [&](const std::string& header, const std::string& body) {
    return Get(server.Port(), "POST / HTTP/1.1\r\n" + kClose + header + "\r\n" + body);
  };
  EXPECT_THAT(post("Transfer-Encoding: chunked\r\n", "zz\r\n"), StartsWith("HTTP/1.1 400"));
  EXPECT_THAT(post("Transfer-Encoding: chunked\r\n", "2\r\nabcd\r\n0\r\n\r\n"), StartsWith("HTTP/1.1 400"));
  EXPECT_THAT(post("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"),
              StartsWith("HTTP/1.1 400"));
  EXPECT_THAT(post("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", "0\r\n\r\n"),
              StartsWith("HTTP/1.1 400"));
  EXPECT_THAT(post("Content-Length: 1\r\nContent-Length: 2\r\n", "ab"), StartsWith("HTTP/1.1 400"));
  EXPECT_THAT(post("Content-Length: -1\r\n", ""), StartsWith("HTTP/1.1 400"));
  EXPECT_THAT(post("Content-Length: 99999999999999999999999\r\n", ""), StartsWith("HTTP/1.1 400"));
  EXPECT_THAT(post("Transfer-Encoding: gzip, chunked\r\n", "0\r\n\r\n"), StartsWith("HTTP/1.1 501"));
  EXPECT_THAT(post("Transfer-Encoding: identity\r\n", ""), StartsWith("HTTP/1.1 501"));
}

TEST(Hostile, AnswersThatNobodyReadsAreBounded) {
  Server::Options options;
  options.max_pending_bytes = 8 << 20;
  options.max_answer_bytes = 4 << 20;
  options.write_deadline = seconds(2);
  Running server(
      [](const Request& r, const Reply& reply) {
        reply({.status = 200, .body = std::string(r.path == "/big" ? 4 << 20 : 5, 'x')});
      },
      options);
  std::vector<UniqueFd> lazy;
  for (int i = 0; i < 40; ++i) {
    lazy.push_back(Connect(server.Port()));
    int small = 4096;
    setsockopt(lazy.back().get(), SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    Send(lazy.back(), "GET /big HTTP/1.1\r\n" + kClose + "\r\n");
  }
  std::this_thread::sleep_for(milliseconds(300));
  if (kResidentIsOurs) {
    EXPECT_LT(ResidentKb(), 120 * 1024);
  }
  EXPECT_THAT(Get(server.Port(), "GET /small HTTP/1.1\r\n" + kClose + "\r\n"), HasSubstr("xxxxx"));
  std::this_thread::sleep_for(milliseconds(2200));
  EXPECT_GE(server.Count().timeouts, 1u);
}

// However the bytes are cut, the answer is the same.
TEST(Hostile, AnyCutOfARequestReadsTheSame) {
  const std::string text =
      "POST /a?b=c HTTP/1.1\r\nHost: x\r\nAuthorization: Basic eA==\r\nTransfer-Encoding: chunked\r\n\r\n"
      "3\r\nabc\r\n1\r\nd\r\n0\r\n\r\nGET /next HTTP/1.1\r\n\r\n";
  for (size_t step = 1; step < text.size(); ++step) {
    RequestReader reader({});
    std::string bytes;
    std::vector<Request> got;
    for (size_t at = 0; at < text.size(); at += step) {
      bytes += text.substr(at, step);
      RequestReader::Progress p;
      while ((p = reader.Feed(&bytes)) == RequestReader::Progress::kDone) got.push_back(reader.Take());
      ASSERT_EQ(p, RequestReader::Progress::kMore) << reader.problem();
    }
    ASSERT_EQ(got.size(), 2u) << step;
    EXPECT_EQ(got[0].body, "abcd");
    EXPECT_EQ(got[0].authorization, "Basic eA==");
    EXPECT_EQ(got[1].path, "/next");
  }
}

}  // namespace
}  // namespace mainstay::http
