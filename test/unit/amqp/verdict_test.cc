#include "lib/amqp/verdict.h"

#include <gtest/gtest.h>

#include <iterator>

namespace mainstay::amqp {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

MonoTime At(int s) { return MonoTime::FromNanos(int64_t{s} * 1'000'000'000); }

Result Good(int s) {
  Result r;
  r.began = At(s);
  r.ended = At(s) + milliseconds(2);
  r.confirmed = milliseconds(1);
  r.delivered = milliseconds(2);
  r.step = Step::kAck;
  return r;
}

Result Bad(int s, Failure failure, Step step = Step::kConfirm) {
  Result r;
  r.began = At(s);
  r.ended = At(s) + seconds(2);
  r.trouble = {.failure = failure, .code = 0, .text = ""};
  r.step = step;
  return r;
}

TEST(AmqpVerdict, CountsRowsAndKeepsWhenItBegan) {
  Verdict v = Fold({}, Good(1));
  EXPECT_EQ(v.state, State::kOk);
  EXPECT_EQ(v.last_ok, At(1) + milliseconds(2));
  v = Fold(v, Bad(6, Failure::kTimeout));
  v = Fold(v, Bad(11, Failure::kTimeout));
  EXPECT_EQ(v.state, State::kFailed);
  EXPECT_EQ(v.in_row, 2);
  EXPECT_EQ(v.since, At(6));
  EXPECT_EQ(v.last_ok, At(1) + milliseconds(2)) << "the last round is remembered";
  v = Fold(v, Bad(16, Failure::kRefused, Step::kConnect));
  EXPECT_EQ(v.in_row, 1) << "another failure";
  EXPECT_EQ(v.since, At(16));
  v = Fold(v, Good(21));
  EXPECT_EQ(v.state, State::kOk);
  EXPECT_EQ(v.since, At(21));
}

TEST(AmqpVerdict, BlockedIsNoFailure) {
  Result r;
  r.began = At(5);
  r.ended = At(5);
  r.blocked = ReadBlocked("low on memory", At(4));
  const Verdict v = Fold(Fold({}, Good(1)), r);
  EXPECT_EQ(v.state, State::kBlocked);
  EXPECT_EQ(v.since, At(4)) << "since the broker said so";
  EXPECT_EQ(Sentence(v, At(44)), "blocked for 40s: low on memory");
}

TEST(AmqpVerdict, ASkippedCheckChangesNothing) {
  const Verdict before = Fold({}, Bad(1, Failure::kRefused, Step::kConnect));
  Result r = Bad(2, Failure::kRefused, Step::kConnect);
  r.skipped = true;
  const Verdict after = Fold(before, r);
  EXPECT_EQ(after.in_row, 1);
  EXPECT_EQ(after.since, At(1));
}

TEST(AmqpVerdict, AClosedEntranceFailsButTheRoundCounts) {
  Result r = Good(9);
  r.trouble = {.failure = Failure::kRefused, .code = 0, .text = "Connection refused"};
  r.step = Step::kConnect;
  r.fresh = true;
  const Verdict v = Fold({}, r);
  EXPECT_EQ(v.state, State::kFailed);
  EXPECT_EQ(v.last_ok, r.ended);
  EXPECT_EQ(Sentence(v, At(19)),
            "a new connection: connection refused: nobody listens for 10s: Connection refused");
}

TEST(AmqpVerdict, ReasonsOfBeingBlocked) {
  const struct {
    const char* text;
    bool memory, disk;
  } rows[] = {{"low on memory", true, false},
              {"low on disk", false, true},
              {"low on memory & disk", true, true},
              {"low on file descriptors", false, false},
              {"", false, false}};
  for (const auto& row : rows) {
    const Blocked b = ReadBlocked(row.text, At(1));
    EXPECT_TRUE(b.on) << row.text;
    EXPECT_EQ(b.memory, row.memory) << row.text;
    EXPECT_EQ(b.disk, row.disk) << row.text;
  }
  EXPECT_EQ(ReadBlocked("low\non\x01memory", At(1)).text, "low on memory") << "a line stays a line";
  EXPECT_LE(ReadBlocked(std::string(5000, 'x'), At(1)).text.size(), 310u);
}

TEST(AmqpVerdict, ClosesByTheBroker) {
  const struct {
    int code;
    Step step;
    Failure want;
  } rows[] = {{403, Step::kLogin, Failure::kAuth},     {403, Step::kQueue, Failure::kAuth},
              {530, Step::kLogin, Failure::kAuth},     {530, Step::kConfirm, Failure::kClosed},
              {320, Step::kConfirm, Failure::kClosed}, {541, Step::kChannel, Failure::kClosed}};
  for (const auto& row : rows) EXPECT_EQ(FromClose(row.code, "why", row.step).failure, row.want) << row.code;
  const Trouble t = FromClose(320, "CONNECTION_FORCED - Node is put into maintenance mode", Step::kConfirm);
  EXPECT_EQ(t.code, 320);
  EXPECT_EQ(t.text, "CONNECTION_FORCED - Node is put into maintenance mode");
}

TEST(AmqpVerdict, EveryFailureHasItsSentence) {
  for (const Failure f :
       {Failure::kRefused, Failure::kTls, Failure::kAuth, Failure::kTimeout, Failure::kNacked,
        Failure::kReturned, Failure::kClosed, Failure::kLost, Failure::kProtocol, Failure::kLocal}) {
    Result r = Bad(1, f);
    r.trouble.code = 7;
    r.trouble.text = "words";
    const std::string s = Sentence(Fold(Fold({}, r), r), At(13));
    EXPECT_NE(s.find("for 12s (2 checks): 7 words"), std::string::npos) << s;
    EXPECT_GT(s.find(" for 12s"), 5u) << s;
  }
  EXPECT_EQ(Sentence({}, At(1)), "not probed yet");
}

}  // namespace
}  // namespace mainstay::amqp
