// Calls against a server that answers well, badly, slowly or not at all.
#include "test/unit/kube/client_test.h"

#include <thread>

namespace mainstay::kube {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

TEST_F(KubeClient, ARequestIsWhatTheServerExpects) {
  std::vector<std::string> requests;
  Serve([&](FakeServer::Connection& c) {
    for (std::string r; !(r = c.Request()).empty(); c.Send(Answer(200, kObject))) requests.push_back(r);
  });
  Client& client = Make({.user_agent = "mainstay-agent/1.2"});
  ASSERT_TRUE(client.Get(kThing, {In(5s)}).ok());
  ASSERT_TRUE(Put().ok());
  ASSERT_TRUE(client.Patch(kThing, PatchType::kMerge, {{"a", nullptr}}, {In(5s)}).ok());
  ASSERT_TRUE(client.Patch(kThing, PatchType::kJson, Json::array(), {In(5s)}).ok());
  ASSERT_TRUE(client
                  .List({"apps", "v1", "db", "statefulsets", "", ""},
                        {.selector = {"metadata.name=x", "a=b,c in (d)"}, .limit = 5}, {In(5s)})
                  .ok());
  ASSERT_TRUE(client.Create({"", "v1", "db", "configmaps", "", ""}, Json::parse(kObject), {In(5s)}).ok());
  ASSERT_EQ(requests.size(), 6u);
  EXPECT_THAT(requests[0],
              AllOf(StartsWith("GET /api/v1/namespaces/db/configmaps/x HTTP/1.1\r\nHost: 127.0.0.1:"),
                    HasSubstr("\r\nUser-Agent: mainstay-agent/1.2\r\n"),
                    HasSubstr("\r\nAuthorization: Bearer secret-1\r\n"), Not(HasSubstr("Content-Length"))));
  EXPECT_THAT(requests[1], AllOf(StartsWith("PUT /api/v1/namespaces/db/configmaps/x?fieldManager=mainstay"),
                                 HasSubstr(R"("resourceVersion":"7")"), HasSubstr("application/json\r\n")));
  EXPECT_THAT(requests[2], AllOf(StartsWith("PATCH "), HasSubstr("application/merge-patch+json"),
                                 HasSubstr(R"({"a":null})")));
  EXPECT_THAT(requests[3], HasSubstr("application/json-patch+json"));
  EXPECT_THAT(requests[4],
              StartsWith("GET /apis/apps/v1/namespaces/db/statefulsets?fieldSelector=metadata.name%3Dx&"
                         "labelSelector=a%3Db%2Cc%20in%20%28d%29&limit=5 "));
  EXPECT_THAT(requests[5], StartsWith("POST /api/v1/namespaces/db/configmaps?"));
  EXPECT_EQ(client.counters().handshakes, 2u) << "one connection for each priority, kept";
}

TEST_F(KubeClient, AnAnswerMayComeByteByByte) {
  const std::string chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" +
                              Chunk(std::string(kObject).substr(0, 10)) +
                              Chunk(std::string(kObject).substr(10)) + "0\r\n\r\n";
  Serve([&](FakeServer::Connection& c) {
    while (!c.Request().empty()) c.SendByteByByte(c.number() == 1 ? chunked : Answer(200, kObject));
  });
  Make();
  for (int i = 0; i < 2; ++i) {
    const Result r = Get();
    ASSERT_TRUE(r.ok()) << r.error.message;
    EXPECT_EQ(MetaText(*r.object, "resourceVersion"), "7");
  }
  EXPECT_TRUE(Put().ok());
}

TEST_F(KubeClient, ABodyWithoutLengthEndsWithTheConnection) {
  Serve([](FakeServer::Connection& c) {
    c.Request();
    c.Send(std::string("HTTP/1.1 200 OK\r\n\r\n") + kObject);
  });
  Make();
  EXPECT_TRUE(Get().ok());
  EXPECT_TRUE(Get().ok());
  EXPECT_EQ(server_->connections(), 2);
}

TEST_F(KubeClient, ATruncatedAnswerIsNoAnswer) {
  const std::string whole = Answer(200, kObject);
  std::atomic<size_t> cut{0};
  Serve([&](FakeServer::Connection& c) {
    if (!c.Request().empty()) c.Send(whole.substr(0, cut));
  });
  Make();
  for (cut = 1; cut < whole.size(); cut += 7) {
    const Result r = Put();
    ASSERT_FALSE(r.ok()) << cut;
    EXPECT_EQ(r.error.code, 0);
    EXPECT_TRUE(r.error.maybe_executed) << "it may have been done before the server died";
    EXPECT_THAT(r.error.message, HasSubstr("may have been executed"));
  }
}

TEST_F(KubeClient, AKeptConnectionThatWasClosedCostsAGetNothingAndAPutItsCertainty) {
  // Closed while it rests: seen before anything is sent, so also a PUT goes over a fresh one.
  Serve([](FakeServer::Connection& c) {
    c.Request();
    c.Send(Answer(200, kObject));
  });
  Make();
  ASSERT_TRUE(Put().ok());
  std::this_thread::sleep_for(100ms);
  EXPECT_TRUE(Put().ok());
  // Closed when the request is already on its way.
  Serve([](FakeServer::Connection& c) {
    c.Request();
    c.Send(Answer(200, kObject));
    if (c.number() % 2 == 1) {
      c.Request();  // taken, not answered
      return;
    }
    while (!c.Request().empty()) c.Send(Answer(200, kObject));
  });
  Make();
  ASSERT_TRUE(Put().ok());
  const Result put = Put();
  ASSERT_FALSE(put.ok());
  EXPECT_TRUE(put.error.maybe_executed);
  EXPECT_EQ(put.error.reason, reason::kUnreachable);
  EXPECT_EQ(server_->connections(), 1) << "not sent again";
  Make();
  Serve([](FakeServer::Connection& c) {
    c.Request();
    c.Send(Answer(200, kObject));
    c.Request();
    if (c.number() > 1) c.Send(Answer(200, kObject));
  });
  Make();
  ASSERT_TRUE(Get().ok());
  EXPECT_TRUE(Get().ok()) << "a GET is asked again";
  EXPECT_EQ(server_->connections(), 2);
}

TEST_F(KubeClient, NobodyListens) {
  Always(Answer(200, kObject));
  const ClusterConfig config = Config();
  server_.reset();
  auto client = *Client::Create(config, {});
  const Result r = client->Replace(kThing, Json::object(), {In(5s), Priority::kLease});
  ASSERT_FALSE(r.ok());
  EXPECT_EQ(r.error.reason, reason::kUnreachable);
  EXPECT_FALSE(r.error.maybe_executed);
  EXPECT_THAT(r.error.message, AllOf(HasSubstr("127.0.0.1:"), HasSubstr("Connection refused"),
                                     HasSubstr("is the API server up")));
}

TEST_F(KubeClient, ASlowServerCostsTheDeadlineAndTheConnection) {
  Serve([](FakeServer::Connection& c) {
    c.Request();
    if (c.number() == 1) std::this_thread::sleep_for(600ms);
    c.Send(Answer(200, kObject));
    while (!c.Request().empty()) c.Send(Answer(200, kObject));
  });
  Make();
  const MonoTime begin = BootClock().Now();
  const Result r = Put(200ms);
  ASSERT_FALSE(r.ok());
  EXPECT_LT(BootClock().Now() - begin, 450ms);
  EXPECT_EQ(r.error.reason, reason::kTimeout);
  EXPECT_TRUE(r.error.maybe_executed);
  EXPECT_TRUE(Put().ok()) << "on another connection, so the late answer meets nobody";
  EXPECT_EQ(server_->connections(), 2);
  EXPECT_EQ(client_->Get(kThing, {MonoTime()}).error.reason, reason::kTimeout) << "a passed deadline";
}

TEST_F(KubeClient, TooMuchIsRefused) {
  Always("HTTP/1.1 200 OK\r\nX: " + std::string(kMaxHeaderBytes, 'x') + "\r\nContent-Length: 0\r\n\r\n");
  Make();
  EXPECT_EQ(Get().error.reason, reason::kTooLarge);
  Always("HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n{");
  Make();
  EXPECT_EQ(Get().error.reason, reason::kTooLarge);
  Serve([](FakeServer::Connection& c) {
    c.Request();
    c.Send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    const std::string chunk = Chunk(std::string(65536, ' '));
    while (c.Send(chunk)) {
    }
  });
  Make();
  const Result r = Put(20s);
  EXPECT_EQ(r.error.reason, reason::kTooLarge) << r.error.message;
  EXPECT_TRUE(r.error.maybe_executed);
}

TEST_F(KubeClient, WhatIsNoAnswer) {
  for (const char* bytes : {"SSH-2.0-OpenSSH\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}trailing",
                            "HTTP/1.1 100 Continue\r\n\r\n", "HTTP/2 200 OK\r\n\r\n"}) {
    Serve([&](FakeServer::Connection& c) {
      c.Request();
      c.Send(bytes);
    });
    Make();
    const Result r = Get();
    EXPECT_FALSE(r.ok()) << bytes;
    EXPECT_EQ(r.error.reason, reason::kBadAnswer) << r.error.message;
  }
  Always(Answer(200, "<html>a portal</html>"));
  Make();
  EXPECT_THAT(Get().error.message, HasSubstr("no JSON"));
}

TEST_F(KubeClient, RedirectsAreNotFollowed) {
  Always(Answer(307, "", "Location: https://elsewhere/\r\n"));
  Make();
  const Result r = Get();
  ASSERT_FALSE(r.ok());
  EXPECT_EQ(r.error.code, 307);
  EXPECT_THAT(r.error.message, AllOf(HasSubstr("https://elsewhere/"), HasSubstr("not followed")));
  EXPECT_EQ(server_->connections(), 1);
}

TEST_F(KubeClient, AFailureSaysWhatAndWhetherItMayHaveBeenDone) {
  struct Case {
    int code;
    const char* reason;
    bool maybe;
    const char* text;
  };
  for (const Case& c :
       {Case{403, "Forbidden", false, "Role and RoleBinding that allow: update configmaps x"},
        Case{404, "NotFound", false, "404 NotFound"}, Case{409, "Conflict", false, "Conflict"},
        Case{422, "Invalid", false, "does not accept"}, Case{429, "TooManyRequests", false, "overloaded"},
        Case{500, "InternalError", true, "admission webhooks"}, Case{504, "Timeout", true, "etcd"}}) {
    Always(StatusAnswer(c.code, c.reason));
    Make();
    const Result r = Put();
    ASSERT_FALSE(r.ok());
    EXPECT_EQ(r.error.code, c.code);
    EXPECT_EQ(r.error.reason, c.reason);
    EXPECT_EQ(r.error.maybe_executed, c.maybe) << c.code;
    EXPECT_THAT(r.error.message, AllOf(HasSubstr(c.text), HasSubstr("said by the server")));
    EXPECT_THAT(r.error.message, Not(HasSubstr("secret")));
  }
}

TEST_F(KubeClient, RetryAfterIsHandedOnAndHoldsTheOthersBack) {
  Serve([](FakeServer::Connection& c) {
    for (int n = 0; !c.Request().empty(); ++n)
      c.Send(n == 0 && c.number() == 1 ? StatusAnswer(429, "TooManyRequests", "Retry-After: 1\r\n")
                                       : Answer(200, kObject));
  });
  Make();
  const Result r = Put();
  ASSERT_EQ(r.error.code, 429);
  EXPECT_EQ(r.error.retry_after, 1s);
  const MonoTime begin = BootClock().Now();
  EXPECT_EQ(Get(300ms).error.reason, reason::kThrottled) << "its deadline comes first";
  EXPECT_LT(BootClock().Now() - begin, 200ms) << "said at once";
  EXPECT_TRUE(Put().ok()) << "the lease's calls are the caller's to pace";
  EXPECT_TRUE(Get().ok()) << "waits a second";
  EXPECT_GE(BootClock().Now() - begin, 900ms);
}

TEST_F(KubeClient, RenewalsAlwaysHaveRoom) {
  Always(Answer(200, kObject));
  Make({.rate = 10, .burst = 3});
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(Get().ok());
  const MonoTime begin = BootClock().Now();
  for (int i = 0; i < 20; ++i) ASSERT_TRUE(Put().ok());
  EXPECT_LT(BootClock().Now() - begin, 1s) << "20 renewals wait for nobody";
  EXPECT_EQ(Get(50ms).error.reason, reason::kThrottled);
  EXPECT_FALSE(Get(50ms).error.maybe_executed);
  EXPECT_TRUE(Get(5s).ok()) << "the others pay for them";
  EXPECT_GE(BootClock().Now() - begin, 300ms);
  EXPECT_GE(client_->counters().throttled, 3u);
}

TEST_F(KubeClient, InterruptEndsARunningCall) {
  Serve([](FakeServer::Connection& c) {
    c.Request();
    c.Request();
  });
  Make();
  std::thread other([&] {
    std::this_thread::sleep_for(100ms);
    client_->Interrupt();
  });
  const MonoTime begin = BootClock().Now();
  const Result r = Put(10s);
  other.join();
  EXPECT_LT(BootClock().Now() - begin, 2s);
  EXPECT_EQ(r.error.reason, reason::kInterrupted);
  EXPECT_TRUE(r.error.maybe_executed);
}

TEST_F(KubeClient, CallsOfManyThreads) {
  Always(Answer(200, kObject));
  Make({.rate = 1000, .burst = 1000});
  std::vector<std::thread> threads;
  std::atomic<int> good{0};
  for (int t = 0; t < 6; ++t)
    threads.emplace_back([&] {
      for (int i = 0; i < 20; ++i) good += client_->Get(kThing, {In(10s), Priority::kLease}).ok();
    });
  for (std::thread& t : threads) t.join();
  EXPECT_EQ(good, 120);
}

}  // namespace
}  // namespace mainstay::kube
