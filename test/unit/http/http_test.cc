#include <sys/stat.h>
#include <sys/un.h>

#include "lib/base/random.h"
#include "lib/http/gzip.h"
#include "test/unit/http/rig.h"

namespace mainstay::http {
namespace {

TEST(HttpServer, AnswersGetAndHead) {
  Running server(Echo());
  const std::string got =
      Get(server.Port(), "GET /a%20b?x=1&q=%41+c HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  EXPECT_THAT(got, StartsWith("HTTP/1.1 200 OK\r\n"));
  EXPECT_THAT(got, HasSubstr("\r\n\r\n/a b|A c|\n"));
  const std::string head = Get(server.Port(), "HEAD /x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  EXPECT_THAT(head, HasSubstr("Content-Length: 10\r\n"));
  EXPECT_THAT(head, Not(HasSubstr("/x|-")));
}

TEST(HttpServer, KeepsConnectionsAlive) {
  Running server(Echo());
  const UniqueFd fd = Connect(server.Port());
  for (int i = 0; i < 3; ++i) {
    Send(fd, "GET /k HTTP/1.1\r\nHost: x\r\n\r\n");
    EXPECT_THAT(ReadAll(fd, milliseconds(200)), HasSubstr("/k|-"));
  }
  Send(fd, "GET /1 HTTP/1.1\r\nHost: x\r\n\r\nGET /2 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  const std::string both = ReadAll(fd);
  EXPECT_THAT(both, HasSubstr("/1|-"));
  EXPECT_THAT(both, HasSubstr("/2|-"));
}

TEST(HttpServer, RefusesWhatItDoesNotDo) {
  Running server(Echo());
  EXPECT_THAT(Get(server.Port(), "BREW / HTTP/1.1\r\nHost: x\r\n\r\n"), StartsWith("HTTP/1.1 501"));
  EXPECT_THAT(Get(server.Port(), "TRACE / HTTP/1.1\r\nHost: x\r\n\r\n"), StartsWith("HTTP/1.1 501"));
  EXPECT_THAT(Get(server.Port(), "GET /%0d%0aX:y HTTP/1.1\r\nHost: x\r\n\r\n"), StartsWith("HTTP/1.1 400"));
  EXPECT_THAT(Get(server.Port(), "GET http://evil/ HTTP/1.1\r\nHost: x\r\n\r\n"), StartsWith("HTTP/1.1 400"));
  EXPECT_THAT(Get(server.Port(), "\x16\x03\x01 rubbish\r\n\r\n"), StartsWith("HTTP/1.1 400"));
  EXPECT_THAT(Get(server.Port(), "GET / HTTP/1.1\r\nX: " + std::string(9000, 'x') + "\r\n\r\n"),
              StartsWith("HTTP/1.1 431"));
  EXPECT_THAT(Get(server.Port(), "GET / HTTP/2.0\r\nHost: x\r\n\r\n"), Not(StartsWith("HTTP/1.1 200")));
}

TEST(HttpServer, TakesBodies) {
  Running server(Echo());
  const std::string close = "Host: x\r\nConnection: close\r\n";
  EXPECT_THAT(Get(server.Port(), "POST /p HTTP/1.1\r\n" + close + "Content-Length: 5\r\n\r\nhello"),
              HasSubstr("POST/p|-|hello\n"));
  EXPECT_THAT(Get(server.Port(), "PATCH /p HTTP/1.1\r\n" + close +
                                     "Transfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n"),
              HasSubstr("PATCH/p|-|hello\n"));
  EXPECT_THAT(Get(server.Port(), "OPTIONS /o HTTP/1.0\r\n\r\n"), StartsWith("HTTP/1.0 200 OK\r\n"));
  EXPECT_THAT(Get(server.Port(), "DELETE /d HTTP/1.1\r\n" + close + "\r\n"), HasSubstr("DELETE/d|-|\n"));
  // curl waits for this before it sends a large body.
  const UniqueFd fd = Connect(server.Port());
  Send(fd, "PUT /c HTTP/1.1\r\n" + close + "Content-Length: 2\r\nExpect: 100-continue\r\n\r\n");
  EXPECT_EQ(ReadAll(fd, milliseconds(300)), "HTTP/1.1 100 Continue\r\n\r\n");
  Send(fd, "ok");
  EXPECT_THAT(ReadAll(fd), HasSubstr("PUT/c|-|ok\n"));
}

TEST(HttpServer, AnswersPipelinedRequestsInOrder) {
  Running server(Echo());
  std::string all;
  for (int i = 0; i < 20; ++i) {
    all += i % 2 == 0 ? "GET /" + std::to_string(i) + " HTTP/1.1\r\nHost: x\r\n\r\n"
                      : "POST /" + std::to_string(i) + " HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc";
  }
  const UniqueFd fd = Connect(server.Port());
  Send(fd, all);
  const std::string got = ReadAll(fd, milliseconds(500));
  size_t at = 0;
  for (int i = 0; i < 20; ++i) {
    at = got.find("/" + std::to_string(i) + "|", at);
    ASSERT_NE(at, std::string::npos) << i;
  }
}

TEST(HttpServer, OldClientsAreClosedUnlessTheyAsk) {
  Running server(Echo());
  EXPECT_THAT(Get(server.Port(), "GET /1 HTTP/1.0\r\n\r\nGET /2 HTTP/1.0\r\n\r\n"), Not(HasSubstr("/2|")));
  const UniqueFd fd = Connect(server.Port());
  Send(fd, "GET /1 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
  EXPECT_THAT(ReadAll(fd, milliseconds(200)), HasSubstr("Connection: keep-alive\r\n"));
  Send(fd, "GET /2 HTTP/1.0\r\n\r\n");
  EXPECT_THAT(ReadAll(fd), HasSubstr("/2|-"));
}

TEST(HttpServer, CompressesWhatIsWorthIt) {
  const std::string text = std::string(5000, 'a') + "end";
  Running server([&](const Request& r, const Reply& reply) {
    reply({.status = 200, .body = r.path == "/short" ? "short" : text, .compress = r.path != "/plain"});
  });
  const auto get = [&](const std::string& path, const std::string& header) {
    return Get(server.Port(),
               "GET " + path + " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" + header + "\r\n");
  };
  const std::string packed = get("/", "Accept-Encoding: deflate, gzip;q=0.8\r\n");
  EXPECT_THAT(packed, HasSubstr("Content-Encoding: gzip\r\n"));
  EXPECT_LT(packed.size(), 1000u);
  EXPECT_THAT(get("/", ""), HasSubstr("end"));
  EXPECT_THAT(get("/", "Accept-Encoding: gzip;q=0\r\n"), HasSubstr("end"));
  EXPECT_THAT(get("/plain", "Accept-Encoding: gzip\r\n"), HasSubstr("end"));
  EXPECT_THAT(get("/short", "Accept-Encoding: gzip\r\n"), HasSubstr("short"));
  EXPECT_TRUE(AcceptsGzip("*"));
  EXPECT_FALSE(AcceptsGzip("gzip; q=0, *"));
  EXPECT_FALSE(AcceptsGzip("deflate"));
}

TEST(HttpServer, ASlowSenderIsDropped) {
  Server::Options options;
  options.read_deadline = milliseconds(300);
  Running server(Echo(), options);
  const UniqueFd fd = Connect(server.Port());
  Send(fd, "GET / HT");
  const MonoTime began = BootClock().Now();
  EXPECT_EQ(ReadAll(fd, seconds(5)), "");
  const Duration took = BootClock().Now() - began;
  EXPECT_GT(took, milliseconds(200));
  EXPECT_LT(took, seconds(3));
  EXPECT_EQ(server.Count().timeouts, 1u);
}

TEST(HttpServer, ASilentHandlerIsAnsweredFor) {
  Server::Options options;
  options.answer_deadline = milliseconds(200);
  Reply kept;
  Running server([&](const Request&, Reply reply) { kept = std::move(reply); }, options);
  EXPECT_THAT(Get(server.Port(), "GET / HTTP/1.1\r\nHost: x\r\n\r\n"), StartsWith("HTTP/1.1 504"));
  kept({.status = 200, .body = "late"});  // nobody is there: must not crash
}

TEST(HttpServer, RepliesMayComeFromAnyThread) {
  std::vector<std::thread> threads;
  Running server([&](const Request&, const Reply& reply) {
    threads.emplace_back([reply] {
      std::this_thread::sleep_for(milliseconds(20));
      reply({.status = 200, .body = "from afar"});
    });
  });
  EXPECT_THAT(Get(server.Port(), "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"),
              HasSubstr("from afar"));
  for (auto& t : threads) t.join();
}

TEST(HttpServer, ATooLongAnswerBecomesAnError) {
  Server::Options options;
  options.max_answer_bytes = 1000;
  Running server([](const Request&, Reply reply) { reply({.status = 200, .body = std::string(1001, 'x')}); },
                 options);
  EXPECT_THAT(Get(server.Port(), "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"),
              StartsWith("HTTP/1.1 500"));
}

TEST(HttpServer, UnixSocketsAreOursAloneAndLeftOversAreReplaced) {
  char dir[] = "/tmp/http_test.XXXXXX";
  ASSERT_NE(mkdtemp(dir), nullptr);
  const std::string path = std::string(dir) + "/s";
  Server::Options options;
  options.address = "unix:" + path;
  {
    Running first(Echo(), options);
    struct stat st = {};
    ASSERT_EQ(stat(path.c_str(), &st), 0);
    EXPECT_EQ(st.st_mode & 0777, 0660u);
    boost::asio::io_context loop;
    EXPECT_EQ(Server::Start(loop, options, Echo()).status().code(), absl::StatusCode::kAlreadyExists);
  }
  // A left-over: bound once, nobody listens.
  UniqueFd fd(socket(AF_UNIX, SOCK_STREAM, 0));
  struct sockaddr_un a = {};
  a.sun_family = AF_UNIX;
  strncpy(a.sun_path, path.c_str(), sizeof a.sun_path - 1);
  ASSERT_EQ(bind(fd.get(), reinterpret_cast<struct sockaddr*>(&a), sizeof a), 0);
  fd.reset();
  { Running again(Echo(), options); }
  EXPECT_NE(access(path.c_str(), F_OK), 0);
  rmdir(dir);
}

TEST(HttpServer, ATakenPortIsToldWithARemedy) {
  Running server(Echo());
  boost::asio::io_context loop;
  const auto second = Server::Start(loop, {.address = "127.0.0.1:" + std::to_string(server.Port())}, Echo());
  EXPECT_EQ(second.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(second.status().message()), HasSubstr("another agent"));
}

TEST(ParseTarget, IsStrict) {
  EXPECT_EQ(ParseTarget("/a/b")->path, "/a/b");
  EXPECT_EQ(ParseTarget("/?verbose")->Param("verbose"), "");
  EXPECT_FALSE(ParseTarget("/").value().Param("verbose").has_value());
  for (const char* bad : {"", "a", "*", "/%", "/%4", "/%zz", "/%00", "/?a=%1"})
    EXPECT_FALSE(ParseTarget(bad).has_value()) << bad;
  std::string many = "/?";
  for (int i = 0; i < 33; ++i) many += "a=1&";
  EXPECT_FALSE(ParseTarget(many).has_value());
}

}  // namespace
}  // namespace mainstay::http
