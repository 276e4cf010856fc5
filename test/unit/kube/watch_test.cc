// Watches: events however they are cut, ends of all kinds.
#include <thread>

#include "test/unit/kube/client_test.h"

namespace mainstay::kube {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;
using Got = Watch::Got;

constexpr char kHead[] =
    "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";
const Resource kThings{"", "v1", "db", "configmaps", "", ""};

std::string Event(const std::string& type, int version) {
  return R"({"type":")" + type + R"(","object":{"metadata":{"name":"x","resourceVersion":")" +
         std::to_string(version) + "\"}}}\n";
}
constexpr char kExpiredLine[] =
    "{\"type\":\"ERROR\",\"object\":{\"kind\":\"Status\",\"status\":\"Failure\",\"message\":\"too old "
    "resource "
    "version\",\"reason\":\"Expired\",\"code\":410}}\n";

class KubeWatch : public KubeClient {
 protected:
  std::unique_ptr<Watch> Open(const WatchOptions& options = {}) {
    auto watch = client_->OpenWatch(kThings, options, {In(5s)}, &error_);
    return watch;
  }
  // Sends `bytes` after the head, then waits for the client to go (`stay`) or ends the answer.
  void Stream(const std::string& bytes, bool stay, bool byte_by_byte = false) {
    Serve([=](FakeServer::Connection& c) {
      if (c.Request().empty()) return;
      c.Send(kHead);
      byte_by_byte ? c.SendByteByByte(bytes) : c.Send(bytes);
      if (stay) {
        c.Request();
      } else {
        c.Send("0\r\n\r\n");
      }
    });
    Make();
  }
  Error error_;
};

TEST_F(KubeWatch, Events) {
  std::string request;
  Serve([&](FakeServer::Connection& c) {
    request = c.Request();
    c.Send(kHead);
    c.Send(Chunk(Event("ADDED", 1) + Event("MODIFIED", 2)));
    c.Send(Chunk(Event("BOOKMARK", 3)));
    c.Send(Chunk(Event("DELETED", 4)));
    c.Send("0\r\n\r\n");
  });
  Make();
  auto watch = Open({.selector = {.field = "metadata.name=x"}, .resource_version = "5", .timeout = 120s});
  ASSERT_NE(watch, nullptr) << error_.message;
  EXPECT_THAT(request,
              StartsWith("GET /api/v1/namespaces/db/configmaps?watch=1&timeoutSeconds=120&"
                         "allowWatchBookmarks=true&resourceVersion=5&fieldSelector=metadata.name%3Dx "));
  using Type = WatchEvent::Type;
  int version = 0;
  for (const Type type : {Type::kAdded, Type::kModified, Type::kBookmark, Type::kDeleted}) {
    const Watch::Item item = watch->Next(In(5s));
    ASSERT_EQ(item.got, Got::kEvent);
    EXPECT_EQ(item.event.type, type);
    EXPECT_EQ(MetaText(item.event.object, "resourceVersion"), std::to_string(++version));
  }
  EXPECT_EQ(watch->Next(In(5s)).got, Got::kEnded);
  EXPECT_EQ(watch->Next(In(5s)).got, Got::kEnded) << "and stays so";
}

TEST_F(KubeWatch, ByteByByte) {
  Stream(Chunk(Event("ADDED", 1)) + Chunk(Event("MODIFIED", 2).substr(0, 20)) +
             Chunk(Event("MODIFIED", 2).substr(20)),
         false, true);
  auto watch = Open();
  ASSERT_NE(watch, nullptr) << error_.message;
  EXPECT_EQ(watch->Next(In(5s)).event.type, WatchEvent::Type::kAdded);
  EXPECT_EQ(watch->Next(In(5s)).event.type, WatchEvent::Type::kModified);
  EXPECT_EQ(watch->Next(In(5s)).got, Got::kEnded);
}

TEST_F(KubeWatch, CutAtEveryByte) {
  const std::string whole = Chunk(Event("ADDED", 1)) + Chunk(Event("MODIFIED", 2));
  std::atomic<size_t> cut{0};
  Serve([&](FakeServer::Connection& c) {
    if (c.Request().empty()) return;
    c.Send(kHead);
    c.Send(whole.substr(0, cut));
  });
  Make({.rate = 1000, .burst = 1000});
  for (cut = 1; cut < whole.size(); ++cut) {
    auto watch = Open();
    ASSERT_NE(watch, nullptr) << error_.message;
    int events = 0;
    Watch::Item item;
    while ((item = watch->Next(In(5s))).got == Got::kEvent) ++events;
    EXPECT_EQ(item.got, Got::kFailed) << "cut at " << cut;
    EXPECT_EQ(events, (cut >= Chunk(Event("ADDED", 1)).size() - 2) + (cut >= whole.size() - 2)) << cut;
  }
}

TEST_F(KubeWatch, ExpiredIsToldByCodeAndByEvent) {
  Stream(Chunk(Event("ADDED", 1) + kExpiredLine), true);
  auto watch = Open();
  EXPECT_EQ(watch->Next(In(5s)).got, Got::kEvent);
  const Watch::Item item = watch->Next(In(5s));
  EXPECT_EQ(item.got, Got::kExpired);
  EXPECT_THAT(item.error.message, HasSubstr("too old resource version"));
  Always(StatusAnswer(410, "Expired"));
  Make();
  EXPECT_EQ(Open(), nullptr);
  EXPECT_EQ(error_.code, 410);
  EXPECT_EQ(error_.reason, "Expired");
}

TEST_F(KubeWatch, RefusedAndUnderstood) {
  Always(StatusAnswer(403, "Forbidden"));
  Make();
  EXPECT_EQ(Open(), nullptr);
  EXPECT_EQ(error_.code, 403);
  EXPECT_THAT(error_.message, HasSubstr("Role and RoleBinding that allow: watch configmaps in namespace db"));
}

TEST_F(KubeWatch, ADeadlineAndAnInterruptLeaveItOpen) {
  Serve([](FakeServer::Connection& c) {
    c.Request();
    c.Send(kHead);
    std::this_thread::sleep_for(500ms);
    c.Send(Chunk(Event("ADDED", 1)));
    c.Request();
  });
  Make();
  auto watch = Open();
  ASSERT_NE(watch, nullptr);
  EXPECT_EQ(watch->Next(In(50ms)).got, Got::kTimeout);
  watch->Interrupt();
  EXPECT_EQ(watch->Next(In(5s)).got, Got::kInterrupted);
  EXPECT_EQ(watch->Next(In(5s)).got, Got::kEvent);
}

TEST_F(KubeWatch, ASilentOneIsGivenUp) {
  Stream("", true);
  auto watch = Open({.timeout = 1s});
  ASSERT_NE(watch, nullptr);
  const MonoTime begin = BootClock().Now();
  const Watch::Item item = watch->Next(In(60s));
  EXPECT_EQ(item.got, Got::kEnded);
  EXPECT_LE(BootClock().Now() - begin, 1s + Watch::kGrace + 1s);
  EXPECT_GE(BootClock().Now() - begin, Watch::kGrace);
}

TEST_F(KubeWatch, Nonsense) {
  for (const char* line :
       {"no json\n", "{}\n", "{\"type\":\"NEW\",\"object\":{}}\n", "{\"type\":\"ADDED\",\"object\":[]}\n",
        "{\"type\":\"ADDED\",\"object\":{\"metadata\":{}}}\n"}) {
    Stream(Chunk(line), true);
    auto watch = Open();
    ASSERT_NE(watch, nullptr);
    EXPECT_EQ(watch->Next(In(5s)).got, Got::kFailed) << line;
  }
}

TEST_F(KubeWatch, ALineWithoutAnEndIsGivenUp) {
  Serve([](FakeServer::Connection& c) {
    c.Request();
    c.Send(kHead);
    const std::string chunk = Chunk(std::string(100'000, 'x'));
    while (c.Send(chunk)) {
    }
  });
  Make();
  auto watch = Open();
  const Watch::Item item = watch->Next(In(20s));
  EXPECT_EQ(item.got, Got::kFailed);
  EXPECT_EQ(item.error.reason, reason::kTooLarge);
}

}  // namespace
}  // namespace mainstay::kube
