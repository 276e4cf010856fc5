#include "lib/amqp/round.h"

#include <gtest/gtest.h>

namespace mainstay::amqp {
namespace {

using Kind = Event::Kind;
using std::chrono::milliseconds;

MonoTime Ms(int ms) { return MonoTime::FromNanos(int64_t{ms} * 1'000'000); }

Event Ack(uint64_t tag, bool multiple = false) {
  Event e;
  e.kind = Kind::kAck;
  e.tag = tag;
  e.multiple = multiple;
  return e;
}

Event Deliver(uint64_t tag, const std::string& body) {
  Event e;
  e.kind = Kind::kDeliver;
  e.tag = tag;
  e.body = body;
  return e;
}

Event Of(Kind kind, int code = 0, const std::string& text = "") {
  Event e;
  e.kind = kind;
  e.code = code;
  e.text = text;
  return e;
}

TEST(AmqpRound, ConfirmThenDelivery) {
  Round r(1, "n-1", Ms(0));
  EXPECT_EQ(r.step(), Step::kConfirm);
  r.Feed(Ack(1), Ms(3));
  EXPECT_EQ(r.step(), Step::kDeliver);
  EXPECT_FALSE(r.done());
  r.Feed(Deliver(9, "n-1"), Ms(5));
  EXPECT_TRUE(r.done());
  EXPECT_EQ(r.confirm_took(), milliseconds(3));
  EXPECT_EQ(r.deliver_took(), milliseconds(5));
  EXPECT_EQ(r.TakeAck(), 9u);
  EXPECT_EQ(r.TakeAck(), std::nullopt);
}

TEST(AmqpRound, DeliveryFirst) {
  Round r(4, "n-4", Ms(0));
  r.Feed(Deliver(1, "n-4"), Ms(1));
  EXPECT_FALSE(r.done());
  r.Feed(Ack(4), Ms(2));
  EXPECT_TRUE(r.done());
}

TEST(AmqpRound, WhichConfirmsCount) {
  const struct {
    uint64_t tag;
    bool multiple, counts;
  } rows[] = {{3, false, true}, {2, false, false}, {4, false, false}, {3, true, true},
              {2, true, false}, {7, true, true},   {0, true, true},   {0, false, false}};
  for (const auto& row : rows) {
    Round r(3, "n", Ms(0));
    r.Feed(Ack(row.tag, row.multiple), Ms(1));
    EXPECT_EQ(r.confirmed(), row.counts) << row.tag << row.multiple;
    Event nack = Ack(row.tag, row.multiple);
    nack.kind = Kind::kNack;
    Round n(3, "n", Ms(0));
    n.Feed(nack, Ms(1));
    EXPECT_EQ(n.trouble().failure == Failure::kNacked, row.counts) << row.tag << row.multiple;
  }
}

TEST(AmqpRound, MessagesOfEarlierRoundsAreAcknowledgedAndNobodys) {
  Round r(2, "n-2", Ms(0));
  r.Feed(Deliver(1, "n-1"), Ms(1));
  r.Feed(Deliver(2, std::string("n-2\0", 4)), Ms(1));
  EXPECT_FALSE(r.delivered());
  EXPECT_EQ(r.TakeAck(), 1u);
  EXPECT_EQ(r.TakeAck(), 2u);
  r.Feed(Deliver(3, "n-2"), Ms(2));
  r.Feed(Deliver(4, "n-2"), Ms(9));  // twice: at least once is what a broker promises
  EXPECT_EQ(r.deliver_took(), milliseconds(2));
}

TEST(AmqpRound, Troubles) {
  const struct {
    Event event;
    Failure want;
  } rows[] = {{Of(Kind::kReturn, 312, "NO_ROUTE"), Failure::kReturned},
              {Of(Kind::kCancel), Failure::kLost},
              {Of(Kind::kChannelClose, 406, "PRECONDITION_FAILED"), Failure::kClosed},
              {Of(Kind::kChannelClose, 403, "ACCESS_REFUSED"), Failure::kAuth},
              {Of(Kind::kBlocked, 0, "low on disk"), Failure::kNone},
              {Of(Kind::kUnblocked), Failure::kNone},
              {Of(Kind::kConnectionClose, 320, ""), Failure::kNone},
              {Of(Kind::kOther), Failure::kNone}};
  for (const auto& row : rows) {
    Round r(1, "n", Ms(0));
    r.Feed(row.event, Ms(1));
    EXPECT_EQ(r.trouble().failure, row.want) << static_cast<int>(row.event.kind);
    EXPECT_EQ(r.trouble().code, row.want == Failure::kNone ? 0 : row.event.code);
  }
}

}  // namespace
}  // namespace mainstay::amqp
