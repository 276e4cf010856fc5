#include "lib/amqp/probe.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <thread>

#include "test/unit/amqp/fake_broker.h"

namespace mainstay::amqp {
namespace {

using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

ProbeOptions Options(const FakeBroker& broker) {
  ProbeOptions o;
  o.endpoint.port = broker.port();
  o.endpoint.name = "mainstay-probe@test";
  o.login = [] { return Login{.user = "u", .password = "s3cret"}; };
  o.fresh_every = Duration::zero();
  return o;
}

MonoTime In(Duration d) { return BootClock().Now() + d; }

// Waits that are short, for what never answers.
ProbeOptions Quick(const FakeBroker& broker) {
  ProbeOptions o = Options(broker);
  o.open_timeout = o.confirm_timeout = o.deliver_timeout = milliseconds(200);
  return o;
}

TEST(AmqpProbe, RoundsOverOneConnection) {
  FakeBroker broker;
  Probe probe(Options(broker));
  for (int i = 0; i < 20; ++i) {
    const Result r = probe.Check(In(seconds(20)));
    ASSERT_TRUE(r.ok()) << Sentence(Fold({}, r), r.ended);
    ASSERT_TRUE(r.confirmed && r.delivered);
    EXPECT_EQ(r.opened.has_value(), i == 0);
  }
  EXPECT_EQ(probe.server_version(), "3.10.8");
  EXPECT_TRUE(broker.saw_password());
  EXPECT_TRUE(broker.claimed_blocked()) << "or a broker never says that it is";
  probe.Close(In(seconds(5)));
  EXPECT_EQ(broker.connections(), 1);
  EXPECT_EQ(broker.publishes(), 20);
  EXPECT_EQ(broker.queues(), 1);
}

TEST(AmqpProbe, WhatFailsIsNamed) {
  const struct {
    Mode mode;
    Failure failure;
    Step step;
    int code;
  } rows[] = {{Mode::kSilentHeader, Failure::kTimeout, Step::kLogin, 0},
              {Mode::kGarbage, Failure::kProtocol, Step::kLogin, 0},
              {Mode::kHalfFrame, Failure::kTimeout, Step::kLogin, 0},
              {Mode::kRefuseLogin, Failure::kAuth, Step::kLogin, 403},
              {Mode::kRefuseVhost, Failure::kAuth, Step::kLogin, 530},
              {Mode::kSilentLogin, Failure::kTimeout, Step::kLogin, 0},
              {Mode::kHangUpLogin, Failure::kLost, Step::kLogin, 0},
              {Mode::kSilentChannel, Failure::kTimeout, Step::kChannel, 0},
              {Mode::kRefuseQueue, Failure::kAuth, Step::kQueue, 403},
              {Mode::kSilentConfirm, Failure::kTimeout, Step::kConfirm, 0},
              {Mode::kSilentDeliver, Failure::kTimeout, Step::kDeliver, 0},
              {Mode::kNack, Failure::kNacked, Step::kConfirm, 0},
              {Mode::kReturn, Failure::kReturned, Step::kConfirm, 312},
              {Mode::kCloseChannel, Failure::kClosed, Step::kConfirm, 406},
              {Mode::kCloseConnection, Failure::kClosed, Step::kConfirm, 320},
              {Mode::kHangUp, Failure::kLost, Step::kConfirm, 0},
              {Mode::kFlood, Failure::kTimeout, Step::kConfirm, 0}};
  for (const auto& row : rows) {
    SCOPED_TRACE(static_cast<int>(row.mode));
    FakeBroker broker;
    broker.set(row.mode);
    Probe probe(Quick(broker));
    const Result r = probe.Check(In(seconds(20)));
    EXPECT_STREQ(ToString(r.trouble.failure), ToString(row.failure)) << r.trouble.text;
    EXPECT_STREQ(ToString(r.step), ToString(row.step));
    EXPECT_EQ(r.trouble.code, row.code);
    EXPECT_LT(r.ended - r.began, seconds(10));
    EXPECT_EQ(r.trouble.text.find("s3cret"), std::string::npos);
    // And it is well again when the broker is.
    broker.set(Mode::kWell);
    broker.Deliver();
    probe.Hurry();
    Result after = probe.Check(In(seconds(20)));
    for (int i = 0; i < 3 && !after.ok(); ++i) {
      probe.Hurry();
      after = probe.Check(In(seconds(20)));
    }
    if (row.mode == Mode::kSilentDeliver || row.mode == Mode::kFlood)
      continue;  // one of ours is still on its way
    EXPECT_TRUE(after.ok()) << Sentence(Fold({}, after), after.ended);
  }
}

TEST(AmqpProbe, NobodyListens) {
  uint16_t port = 0;
  {
    FakeBroker gone;
    port = gone.port();
  }
  ProbeOptions o;
  o.endpoint.port = port;
  o.login = [] { return Login{.user = "u", .password = "p"}; };
  Probe probe(o);
  Result r = probe.Check(In(seconds(20)));
  EXPECT_EQ(r.trouble.failure, Failure::kRefused);
  EXPECT_EQ(r.step, Step::kConnect);
  r = probe.Check(In(seconds(20)));
  EXPECT_TRUE(r.skipped) << "not again at once";
  EXPECT_EQ(r.trouble.failure, Failure::kRefused);
  probe.Hurry();
  EXPECT_FALSE(probe.Check(In(seconds(20))).skipped);
}

TEST(AmqpProbe, OnlyAddresses) {
  ProbeOptions o;
  o.endpoint.address = "broker.example.org";
  o.login = [] { return Login{.user = "u", .password = "p"}; };
  EXPECT_EQ(Probe(o).Check(In(seconds(20))).trouble.failure, Failure::kLocal);
  o.endpoint.tls.emplace();
  EXPECT_EQ(Probe(o).Check(In(seconds(20))).trouble.failure, Failure::kLocal);
}

TEST(AmqpProbe, ANackOnAnOldChannelIsToldAndCountsNot) {
  FakeBroker broker;
  broker.set(Mode::kNackOnce);
  Probe probe(Options(broker));
  const Result r = probe.Check(In(seconds(20)));
  EXPECT_TRUE(r.ok()) << r.trouble.text;
  EXPECT_EQ(r.stale_nacks, 1u);
  EXPECT_EQ(broker.connections(), 1);
  EXPECT_EQ(broker.queues(), 1) << "the queue is the connection's, not the channel's";
  EXPECT_EQ(probe.Check(In(seconds(20))).stale_nacks, 0u);
}

TEST(AmqpProbe, OldMessagesAndConfirmsOfMany) {
  FakeBroker broker;
  broker.set(Mode::kMultiple);
  Probe probe(Options(broker));
  EXPECT_TRUE(probe.Check(In(seconds(20))).ok());
  probe.Close(In(seconds(5)));
  EXPECT_EQ(broker.acks(), 2) << "also what is nobody's is acknowledged";
}

TEST(AmqpProbe, BlockedIsWaitedOutWithoutPublishing) {
  FakeBroker broker;
  broker.set(Mode::kBlocked);
  Probe probe(Options(broker));
  Verdict v;
  for (int i = 0; i < 5; ++i) {
    const Result r = probe.Check(In(seconds(20)));
    v = Fold(v, r);
    EXPECT_TRUE(r.trouble.ok()) << r.trouble.text;
    EXPECT_TRUE(r.blocked.on && r.blocked.memory && !r.blocked.disk);
    EXPECT_LT(r.ended - r.began, seconds(15)) << "not waited for";
  }
  EXPECT_EQ(v.state, State::kBlocked);
  EXPECT_EQ(broker.publishes(), 1);
  broker.set(Mode::kWell);
  broker.Unblock();
  Result r = probe.Check(In(seconds(20)));
  for (int i = 0; i < 200 && !r.ok(); ++i) {
    std::this_thread::sleep_for(milliseconds(20));
    r = probe.Check(In(seconds(20)));
  }
  EXPECT_TRUE(r.ok());
  EXPECT_TRUE(r.paused) << "how long it took says nothing of the broker's speed";
  EXPECT_EQ(broker.publishes(), 1);
  EXPECT_FALSE(probe.Check(In(seconds(20))).paused);
}

TEST(AmqpProbe, ASilentBrokerHasOneMessageToAnswer) {
  FakeBroker broker;
  broker.set(Mode::kSilentConfirm);
  ProbeOptions o = Quick(broker);
  o.silence = minutes(10);
  Probe probe(o);
  for (int i = 0; i < 6; ++i) EXPECT_EQ(probe.Check(In(seconds(20))).trouble.failure, Failure::kTimeout);
  EXPECT_EQ(broker.publishes(), 1);
  EXPECT_EQ(broker.connections(), 1);
  broker.set(Mode::kWell);
  broker.Deliver();
  Result r = probe.Check(In(seconds(20)));
  for (int i = 0; i < 20 && !r.ok(); ++i) r = probe.Check(In(seconds(20)));
  EXPECT_TRUE(r.ok()) << "the same message, on the same connection";
  EXPECT_EQ(broker.connections(), 1);
  EXPECT_GT(*r.confirmed, milliseconds(900)) << "its true age";
}

TEST(AmqpProbe, SilenceEndsTheConnection) {
  FakeBroker broker;
  broker.set(Mode::kSilentConfirm);
  ProbeOptions o = Quick(broker);
  o.silence = milliseconds(300);
  o.first_pause = Duration::zero();
  Probe probe(o);
  for (int i = 0; i < 6; ++i) probe.Check(In(seconds(20)));
  EXPECT_EQ(broker.connections(), 2);
}

TEST(AmqpProbe, ADeletedQueueIsDeclaredAgain) {
  FakeBroker broker;
  Probe probe(Options(broker));
  EXPECT_TRUE(probe.Check(In(seconds(20))).ok());
  broker.Cancel();
  std::this_thread::sleep_for(milliseconds(200));
  const Result r = probe.Check(In(seconds(20)));
  EXPECT_TRUE(r.ok()) << r.trouble.text;
  EXPECT_EQ(broker.queues(), 2);
  EXPECT_EQ(broker.connections(), 1);
}

TEST(AmqpProbe, ClosesAreAnswered) {
  FakeBroker broker;
  Probe probe(Options(broker));
  EXPECT_TRUE(probe.Check(In(seconds(20))).ok());
  broker.set(Mode::kCloseConnection);
  EXPECT_EQ(probe.Check(In(seconds(20))).trouble.failure, Failure::kClosed);
  for (int i = 0; i < 500 && broker.close_oks() == 0; ++i) std::this_thread::sleep_for(milliseconds(10));
  EXPECT_EQ(broker.close_oks(), 1);
}

TEST(AmqpProbe, TheEntranceIsTriedToo) {
  FakeBroker broker;
  ProbeOptions o = Quick(broker);
  o.fresh_every = Duration(1);
  Probe probe(o);
  EXPECT_TRUE(probe.Check(In(seconds(20))).ok());
  EXPECT_EQ(broker.connections(), 2);
  broker.set(Mode::kRefuseLogin);
  const Result r = probe.Check(In(seconds(20)));
  EXPECT_EQ(r.trouble.failure, Failure::kAuth);
  EXPECT_TRUE(r.fresh);
  EXPECT_TRUE(r.delivered) << "whoever is connected is served";
}

TEST(AmqpProbe, TheDeadlineOfACheckHolds) {
  FakeBroker broker;
  broker.set(Mode::kSilentConfirm);
  ProbeOptions o = Options(broker);
  o.open_timeout = o.confirm_timeout = o.deliver_timeout = minutes(1);
  Probe probe(o);
  const MonoTime began = BootClock().Now();
  EXPECT_EQ(probe.Check(began + milliseconds(500)).trouble.failure, Failure::kTimeout);
  EXPECT_LT(BootClock().Now() - began, seconds(15));
}

TEST(AmqpLogin, FirstLinesOfFiles) {
  const std::string mine = testing::TempDir() + "amqp-" + std::to_string(getpid());
  const std::string user = mine + "-user", password = mine + "-password";
  std::ofstream(user) << "mainstay\r\nmore\n";
  std::ofstream(password) << "p w";
  chmod(password.c_str(), 0644);
  EXPECT_EQ(ReadLogin(user, password).status().code(), absl::StatusCode::kFailedPrecondition)
      << "others can read it";
  chmod(password.c_str(), 0600);
  const auto login = ReadLogin(user, password);
  ASSERT_TRUE(login.ok()) << login.status();
  EXPECT_EQ(login->user, "mainstay");
  EXPECT_EQ(login->password, "p w");
  std::ofstream(password) << "\nnot this\n";
  EXPECT_EQ(ReadLogin(user, password).status().code(), absl::StatusCode::kInvalidArgument);
  unlink(user.c_str());
  unlink(password.c_str());
  EXPECT_FALSE(ReadLogin(user, password + ".none").ok());
}

}  // namespace
}  // namespace mainstay::amqp
