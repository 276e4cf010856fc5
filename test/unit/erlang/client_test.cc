// The client against a node that answers well, late, wrongly, byte by byte, too much or not at all.
#include "lib/erlang/client.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <mutex>

#include "absl/strings/str_cat.h"
#include "lib/erlang/session.h"
#include "test/unit/erlang/cookie_files.h"
#include "test/unit/erlang/fake_node.h"

namespace mainstay::erlang {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr char kName[] = "fake@localhost";
const std::string kTickBytes(4, '\0');

ClientOptions To(const FakeNode& node, const std::string& cookie = "SECRET",
                 const std::string& name = kName) {
  ClientOptions out;
  out.node = name;
  out.self = MakeSelf(name);
  out.port = node.port();
  out.cookie_file = CookieFile(cookie);
  return out;
}

// Until the other side closes, so that a test sees its own time-outs and not our end.
void AwaitEnd(int fd) {
  char c = 0;
  while (recv(fd, &c, 1, 0) > 0) {
  }
}

void AnswerAll(int fd) {
  for (Asked a = ReadCall(fd); !a.what.empty(); a = ReadCall(fd))
    WriteBytes(fd, Answer(a.from, Term::String(a.what)));
}

// How long it took; a deadline that holds within a generous margin.
Duration Took(const std::function<void()>& what) {
  const MonoTime begin = BootClock().Now();
  what();
  return BootClock().Now() - begin;
}

TEST(ErlangClient, CallsOneAfterTheOther) {
  FakeNode node(kName, "SECRET", AnswerAll);
  Client client(To(node));
  ASSERT_TRUE(client.Connect().ok());
  for (int i = 0; i < 100; ++i) {
    const auto answer = client.Call("rabbit", "is_running", {});
    ASSERT_TRUE(answer.ok()) << answer.status();
    EXPECT_EQ(answer->Words(), "rabbit:is_running/0");
  }
  EXPECT_EQ(node.accepted(), 1);
  EXPECT_TRUE(client.KeepAlive().ok());
}

TEST(ErlangClient, SaysWhoWhatAndWhy) {
  FakeNode node(kName, "SECRET", [](int fd) {
    const Asked a = ReadCall(fd);
    WriteBytes(fd, Answer(a.from, Term::Tuple({Term::Atom("badrpc"), Term::Atom("nodedown")})));
    AwaitEnd(fd);
  });
  Client client(To(node));
  EXPECT_TRUE(absl::IsUnavailable(client.Call("a", "b", {}).status()));  // not connected
  ASSERT_TRUE(client.Connect().ok());
  const absl::Status s = client.Call("rabbit_alarm", "get_alarms", {Term::Integer(1)}).status();
  EXPECT_TRUE(absl::IsUnavailable(s));
  EXPECT_THAT(s.ToString(), HasSubstr("fake@localhost, rabbit_alarm:get_alarms/1"));
  EXPECT_TRUE(client.connected());  // the connection is well
}

TEST(ErlangClient, AWrongCookieIsNamed) {
  FakeNode node(kName, "SECRET", AnswerAll);
  Client client(To(node, "ANOTHER"));
  const absl::Status s = client.Connect();
  EXPECT_TRUE(absl::IsUnauthenticated(s)) << s;
  EXPECT_THAT(s.ToString(), HasSubstr("fake@localhost"));
  EXPECT_THAT(s.ToString(), Not(HasSubstr("ANOTHER")));
}

TEST(ErlangClient, AnotherNodeThanAskedFor) {
  FakeNode node("other@localhost", "SECRET", AnswerAll);
  Client client(To(node));
  const absl::Status s = client.Connect();
  EXPECT_TRUE(absl::IsFailedPrecondition(s)) << s;
  EXPECT_THAT(s.ToString(), HasSubstr("other@localhost"));
}

TEST(ErlangClient, NobodyListens) {
  uint16_t port = 0;
  {
    FakeNode node(kName, "SECRET", AnswerAll);
    port = node.port();
  }
  ClientOptions options;
  options.node = kName;
  options.self = MakeSelf(kName);
  options.port = port;
  options.cookie_file = CookieFile("SECRET");
  EXPECT_TRUE(absl::IsUnavailable(Client(options).Connect()));
  options.port = 0;
  options.epmd_port = port;
  const absl::Status s = Client(options).Connect();
  EXPECT_TRUE(absl::IsUnavailable(s));
  EXPECT_THAT(s.ToString(), HasSubstr("epmd"));
  options.address = "rabbit.example.org";
  EXPECT_TRUE(absl::IsInvalidArgument(Client(options).Connect()));
}

// What a frozen node looks like: the kernel accepts, nobody answers.
TEST(ErlangClient, AFrozenNodeInTheHandshake) {
  FakeNode node(kName, "SECRET", AwaitEnd, false);
  Client client(To(node));
  absl::Status s;
  const Duration took = Took([&] { s = client.Connect(300ms); });
  EXPECT_TRUE(absl::IsDeadlineExceeded(s)) << s;
  EXPECT_GE(took, 300ms);
  EXPECT_LT(took, 3s);
}

TEST(ErlangClient, AHandshakeByteByByte) {
  FakeNode node(
      kName, "SECRET",
      [](int fd) {
        for (int i = 0; i < 100; ++i) {
          if (send(fd, "\0", 1, MSG_NOSIGNAL) < 0) return;
          usleep(20'000);
        }
      },
      false);
  Client client(To(node));
  absl::Status s;
  const Duration took = Took([&] { s = client.Connect(300ms); });
  EXPECT_FALSE(s.ok());
  EXPECT_LT(took, 2s);
}

// After a connection that ended badly the node may still count us as connected: another name gets in at once.
TEST(ErlangClient, ANameThatIsTakenIsNotUsedAgain) {
  std::mutex mutex;
  std::vector<std::string> names;
  FakeNode node(
      kName, "SECRET",
      [&](int fd) {
        char name[256] = {};
        const ssize_t n = recv(fd, name, sizeof name, 0);
        {
          const std::lock_guard<std::mutex> lock(mutex);
          names.emplace_back(name, static_cast<size_t>(std::max<ssize_t>(n, 0)));
        }
        WriteBytes(fd, std::string("\0\x06salive", 8));
        AwaitEnd(fd);
      },
      false);
  Client client(To(node));
  for (int i = 0; i < 2; ++i) {
    const absl::Status s = client.Connect();
    EXPECT_TRUE(absl::IsAlreadyExists(s)) << s;
  }
  const std::lock_guard<std::mutex> lock(mutex);
  ASSERT_EQ(names.size(), 2u);
  const std::string first = names[0].substr(names[0].find("mainstay-"));
  EXPECT_EQ(names[1].find(first), std::string::npos);
}

// A node that does not read: what is sent piles up here, which must not outlast the deadline, either.
TEST(ErlangClient, ACallThatCannotBeSent) {
  std::atomic<bool> over{false};
  FakeNode node(kName, "SECRET", [&](int) {
    while (!over) usleep(1000);
  });
  Client client(To(node));
  ASSERT_TRUE(client.Connect().ok());
  absl::Status s;
  const Duration took =
      Took([&] { s = client.Call("a", "b", {Term::Binary(std::string(64 << 20, 'x'))}, 300ms).status(); });
  over = true;
  EXPECT_TRUE(absl::IsDeadlineExceeded(s)) << s;
  EXPECT_LT(took, 5s);
  EXPECT_FALSE(client.connected());
}

TEST(ErlangClient, NoAnswerInTimeIsUnknownAndEndsTheConnection) {
  FakeNode node(kName, "SECRET", AwaitEnd);
  Client client(To(node));
  ASSERT_TRUE(client.Connect().ok());
  absl::Status s;
  const Duration took = Took([&] { s = client.Call("rabbit", "drain", {}, 300ms).status(); });
  EXPECT_TRUE(absl::IsDeadlineExceeded(s)) << s;
  EXPECT_GE(took, 300ms);
  EXPECT_LT(took, 3s);
  EXPECT_FALSE(client.connected());
}

TEST(ErlangClient, AnAnswerByteByByteDoesNotStretchTheDeadline) {
  FakeNode node(kName, "SECRET", [](int fd) {
    const Asked a = ReadCall(fd);
    for (const char c : Answer(a.from, Term::String(std::string(500, 'x')))) {
      if (send(fd, &c, 1, MSG_NOSIGNAL) < 0) return;
      usleep(10'000);
    }
  });
  Client client(To(node));
  ASSERT_TRUE(client.Connect().ok());
  absl::Status s;
  const Duration took = Took([&] { s = client.Call("a", "b", {}, 300ms).status(); });
  EXPECT_TRUE(absl::IsDeadlineExceeded(s)) << s;
  EXPECT_LT(took, 3s);
}

TEST(ErlangClient, TicksAreAnsweredAlsoWithinACall) {
  std::atomic<int> ticks{0};
  FakeNode node(kName, "SECRET", [&](int fd) {
    const Asked a = ReadCall(fd);
    WriteBytes(fd, kTickBytes + kTickBytes);
    char answer[8] = {1};
    if (recv(fd, answer, sizeof answer, MSG_WAITALL) == 8 && std::string(answer, 8) == std::string(8, '\0'))
      ticks = 2;
    WriteBytes(fd, Answer(a.from, Term::Atom("ok")));
    AwaitEnd(fd);
  });
  Client client(To(node));
  ASSERT_TRUE(client.Connect().ok());
  EXPECT_TRUE(client.Call("a", "b", {}).ok());
  EXPECT_EQ(ticks, 2);
}

TEST(ErlangClient, TicksAreAnsweredBetweenCalls) {
  std::atomic<bool> answered{false};
  FakeNode node(kName, "SECRET", [&](int fd) {
    WriteBytes(fd, kTickBytes);
    char answer[4] = {1};
    answered = recv(fd, answer, sizeof answer, MSG_WAITALL) == 4;
    AwaitEnd(fd);
  });
  Client client(To(node));
  ASSERT_TRUE(client.Connect().ok());
  for (int i = 0; i < 200 && !answered; ++i) {
    ASSERT_TRUE(client.KeepAlive().ok());
    usleep(10'000);
  }
  EXPECT_TRUE(answered);
}

// An answer to another question is passed over, also one that came between two calls.
TEST(ErlangClient, WhatWasNotAskedForIsPassedOver) {
  FakeNode node(kName, "SECRET", [](int fd) {
    const Asked first = ReadCall(fd);
    WriteBytes(fd, Answer(first.from, Term::Atom("first")) + Answer(first.from, Term::Atom("again")));
    const Asked second = ReadCall(fd);
    WriteBytes(fd, Answer(first.from, Term::Atom("late")) + Answer(second.from, Term::Atom("second")));
    AwaitEnd(fd);
  });
  Client client(To(node));
  ASSERT_TRUE(client.Connect().ok());
  EXPECT_TRUE(client.Call("a", "b", {})->IsAtom("first"));
  EXPECT_TRUE(client.Call("a", "b", {})->IsAtom("second"));
}

TEST(ErlangClient, AnAnswerTooLargeIsNotTaken) {
  FakeNode node(kName, "SECRET", [](int fd) {
    (void)ReadCall(fd);
    WriteBytes(fd, std::string("\x7f\xff\xff\xff", 4));
    AwaitEnd(fd);
  });
  Client client(To(node));
  ASSERT_TRUE(client.Connect().ok());
  const absl::Status s = client.Call("a", "b", {}).status();
  EXPECT_TRUE(absl::IsResourceExhausted(s)) << s;
  EXPECT_FALSE(client.connected());
}

TEST(ErlangClient, AnAnswerThatCannotBeRead) {
  FakeNode node(kName, "SECRET", [](int fd) {
    (void)ReadCall(fd);
    WriteBytes(fd, std::string("\0\0\0\x03pxx", 7));
    AwaitEnd(fd);
  });
  Client client(To(node));
  ASSERT_TRUE(client.Connect().ok());
  EXPECT_TRUE(absl::IsDataLoss(client.Call("a", "b", {}).status()));
  EXPECT_FALSE(client.connected());
}

TEST(ErlangClient, AConnectionThatEndsBeforeTheAnswerIsUnknown) {
  FakeNode node(kName, "SECRET", [](int fd) { (void)ReadCall(fd); });
  Client client(To(node));
  ASSERT_TRUE(client.Connect().ok());
  const absl::Status s = client.Call("a", "b", {}).status();
  EXPECT_TRUE(absl::IsUnknown(s)) << s;
}

TEST(ErlangClient, AConnectionThatEndedBeforeTheCallIsNot) {
  std::atomic<bool> ended{false};
  FakeNode node(kName, "SECRET", [&](int fd) {
    shutdown(fd, SHUT_RDWR);
    ended = true;
  });
  Client client(To(node));
  ASSERT_TRUE(client.Connect().ok());
  while (!ended) usleep(1000);
  usleep(20'000);
  EXPECT_TRUE(absl::IsUnavailable(client.Call("a", "b", {}).status()));
}

TEST(ErlangSession, ConnectsAnewWhenTheNodeWasRestarted) {
  FakeNode node(kName, "SECRET", [](int fd) {
    const Asked a = ReadCall(fd);
    if (!a.what.empty()) WriteBytes(fd, Answer(a.from, Term::Atom("ok")));
  });  // and closes
  Session session(To(node));
  for (int i = 0; i < 3; ++i) {
    const auto answer = session.Call("a", "b", {});
    ASSERT_TRUE(answer.ok()) << answer.status();
    usleep(50'000);  // the end of the connection is on its way
  }
  EXPECT_EQ(node.accepted(), 3);
}

TEST(ErlangSession, PausesAfterWhatFailed) {
  FakeNode node(kName, "SECRET", AnswerAll);
  Session session(To(node, "ANOTHER"));
  const absl::Status first = session.Call("a", "b", {}).status();
  EXPECT_TRUE(absl::IsUnauthenticated(first)) << first;
  const absl::Status second = session.Call("a", "b", {}).status();
  EXPECT_EQ(second, first);  // at once: nothing was tried
}

TEST(Backoff, GrowsToFiveSeconds) {
  Backoff b;
  MonoTime now = MonoTime::FromNanos(0);
  EXPECT_TRUE(b.Due(now));
  b.Failed(now);
  EXPECT_FALSE(b.Due(now + 99ms));
  EXPECT_TRUE(b.Due(now + 100ms));
  for (int i = 0; i < 10; ++i) b.Failed(now);
  EXPECT_FALSE(b.Due(now + 4999ms));
  EXPECT_TRUE(b.Due(now + 5s));
  b.Succeeded();
  EXPECT_TRUE(b.Due(now));
}

}  // namespace
}  // namespace mainstay::erlang
