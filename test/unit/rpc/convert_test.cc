#include "lib/rpc/convert.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <tuple>

namespace mainstay::rpc {
namespace {

using ::testing::HasSubstr;

election::PeerReport Report() {
  election::PeerReport r;
  r.name = "a";
  r.self = {.name = "a",
            .incarnation = "a_u_n",
            .data_nonce = "d",
            .peer_address = "127.0.0.1:1",
            .db_address = "127.0.0.1:2",
            .priority = 7,
            .no_failover = true};
  r.record_epoch = 5;
  r.promised = 6;
  r.leads = r.db_running = r.empty = r.can_vote = r.lock_changed = r.take = true;
  r.system_id = "73";
  r.position = {.lineage = 4, .offset = UINT64_MAX, .timeline = 3};
  r.record_age = std::chrono::milliseconds(1500);
  r.stream_age = std::chrono::milliseconds(20);
  return r;
}

// Every field survives the way there and back: the texts of both messages are equal and hold every field.
TEST(Convert, AReportSurvives) {
  v1::PeerReport there;
  ToProto(Report(), "demo", &there);
  for (int i = 0; i < there.GetDescriptor()->field_count(); ++i) {
    const auto* f = there.GetDescriptor()->field(i);
    EXPECT_TRUE(there.GetReflection()->HasField(there, f)) << f->name() << " is not converted";
  }
  const auto back = FromProto(there);
  ASSERT_TRUE(back.ok()) << back.status();
  v1::PeerReport again;
  ToProto(*back, "demo", &again);
  EXPECT_EQ(again.DebugString(), there.DebugString());
  EXPECT_EQ(back->position, Report().position);
  EXPECT_EQ(back->self, Report().self);
  EXPECT_EQ(back->stream_age, Report().stream_age);
}

TEST(Convert, NeverSeenStaysNever) {
  election::PeerReport r = Report();
  r.stream_age = Duration::max();
  v1::PeerReport there;
  ToProto(r, "demo", &there);
  EXPECT_FALSE(there.has_stream_age());
  EXPECT_EQ(FromProto(there)->stream_age, Duration::max());
}

// What a member refuses, and to whom its promise belongs, hangs on why it is asked.
TEST(Convert, AFreezeSaysWhyItIsAsked) {
  using election::Cause;
  for (const Cause cause :
       {Cause::kReleased, Cause::kExpired, Cause::kSuspected, Cause::kFrozen, Cause::kLost, Cause::kForced}) {
    v1::FreezeRequest there;
    ToProto(election::FreezeAsked{.ask = 7, .from = "b", .epoch = 9, .cause = cause}, "pg", &there);
    const absl::StatusOr<election::FreezeAsked> back = FromProto(there);
    ASSERT_TRUE(back.ok()) << back.status();
    EXPECT_EQ(back->ask, 7u);
    EXPECT_EQ(back->from, "b");
    EXPECT_EQ(back->epoch, 9);
    EXPECT_EQ(back->cause, cause);
  }
  v1::FreezeRequest silent;
  silent.set_from("b");
  silent.set_epoch(9);
  EXPECT_EQ(FromProto(silent)->cause, Cause::kSuspected);
  silent.set_cause(static_cast<v1::FreezeCause>(99));
  EXPECT_FALSE(FromProto(silent).ok());
}

// The simulation has no wire: a field that a conversion forgets would be seen by nothing else. A structured
// binding names every field of a struct, so a new field of one does not compile here until somebody has
// thought of the wire.
auto Fields(const election::Position& p) {
  const auto& [lineage, offset, timeline] = p;
  return std::tie(lineage, offset, timeline);
}
auto Fields(const election::Member& m) {
  const auto& [name, incarnation, data_nonce, peer_address, db_address, priority, no_failover] = m;
  return std::tie(name, incarnation, data_nonce, peer_address, db_address, priority, no_failover);
}
auto Fields(const election::PeerReport& r) {
  const auto& [name, self, record_epoch, promised, leads, db_running, empty, system_id, position, can_vote,
               record_age, stream_age, lock_changed, take] = r;
  return std::tuple_cat(Fields(self), Fields(position),
                        std::tie(name, record_epoch, promised, leads, db_running, empty, system_id, can_vote,
                                 record_age, stream_age, lock_changed, take));
}
auto Fields(const election::FreezeAsked& a) {
  const auto& [ask, from, epoch, cause] = a;
  return std::tie(ask, from, epoch, cause);
}
auto Fields(const election::FreezeAnswered& a) {
  const auto& [ask, from, epoch, frozen, refusal, promised, position, known, whole] = a;
  return std::tuple_cat(Fields(position),
                        std::tie(ask, from, epoch, frozen, refusal, promised, known, whole));
}
auto Fields(const election::PromiseAsked& a) {
  const auto& [ask, from, epoch] = a;
  return std::tie(ask, from, epoch);
}
auto Fields(const election::PromiseAnswered& a) {
  const auto& [ask, from, epoch, promised] = a;
  return std::tie(ask, from, epoch, promised);
}

// Both what was sent and what came back, field by field; and no field of what was sent has the value that a
// field nobody set has.
template <typename T>
void ExpectCrossed(const T& sent, const T& back) {
  const T unset;
  EXPECT_TRUE(Fields(sent) == Fields(back));
  std::apply(
      [&](const auto&... s) {
        std::apply([&](const auto&... u) { EXPECT_TRUE(((s != u) && ...)) << "a field is not tried"; },
                   Fields(unset));
      },
      Fields(sent));
}

template <typename Message, typename T>
void SendWithCluster(const T& sent) {
  Message there;
  ToProto(sent, "demo", &there);
  const absl::StatusOr<T> back = FromProto(there);
  ASSERT_TRUE(back.ok()) << back.status();
  ExpectCrossed(sent, *back);
}
template <typename Message, typename T>
void Send(const T& sent) {
  Message there;
  ToProto(sent, &there);
  const absl::StatusOr<T> back = FromProto(there);
  ASSERT_TRUE(back.ok()) << back.status();
  ExpectCrossed(sent, *back);
}

TEST(Convert, EveryFieldOfEveryEventCrossesTheWire) {
  const election::Position position = {.lineage = 4, .offset = UINT64_MAX, .timeline = 3};
  SendWithCluster<v1::PeerReport>(Report());
  SendWithCluster<v1::FreezeRequest>(
      election::FreezeAsked{.ask = 7, .from = "b", .epoch = 9, .cause = election::Cause::kForced});
  Send<v1::FreezeReply>(election::FreezeAnswered{.ask = 7,
                                                 .from = "b",
                                                 .epoch = 9,
                                                 .frozen = true,
                                                 .refusal = "no",
                                                 .promised = 8,
                                                 .position = position,
                                                 .known = {"a", "c"},
                                                 .whole = true});
  SendWithCluster<v1::PromiseRequest>(election::PromiseAsked{.ask = 7, .from = "b", .epoch = 9});
  Send<v1::PromiseReply>(election::PromiseAnswered{.ask = 7, .from = "b", .epoch = 9, .promised = true});
}

// Changes one thing of a good report; the error must name the field.
void Refused(const std::string& field, const std::function<void(v1::PeerReport*)>& change) {
  v1::PeerReport r;
  ToProto(Report(), "demo", &r);
  change(&r);
  const auto got = FromProto(r);
  ASSERT_FALSE(got.ok()) << field;
  EXPECT_EQ(got.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(got.status().message()), HasSubstr(field));
  EXPECT_LT(got.status().message().size(), 400u);
}

TEST(Convert, HostileReportsAreRefusedByField) {
  Refused("name", [](auto* r) { r->set_name("A"); });
  Refused("name", [](auto* r) { r->set_name(std::string(41, 'a')); });
  Refused("name", [](auto* r) { r->set_name("a\nb"); });
  Refused("self.name", [](auto* r) { r->mutable_self()->set_name("b"); });
  Refused("self.name", [](auto* r) { r->clear_self(); });
  Refused("self.peer_address", [](auto* r) { r->mutable_self()->set_peer_address("nowhere"); });
  Refused("self.db_address", [](auto* r) { r->mutable_self()->set_db_address("a'b:1"); });
  Refused("self.incarnation", [](auto* r) { r->mutable_self()->set_incarnation(std::string(201, 'x')); });
  Refused("self.data_nonce", [](auto* r) { r->mutable_self()->set_data_nonce("\x1b[2J"); });
  Refused("self.priority", [](auto* r) { r->mutable_self()->set_priority(1001); });
  Refused("record_epoch", [](auto* r) { r->set_record_epoch(-1); });
  Refused("promised", [](auto* r) { r->set_promised(INT64_MAX); });
  Refused("system_id", [](auto* r) { r->set_system_id(std::string(1000, '7')); });
  Refused("position.lineage", [](auto* r) { r->mutable_position()->set_lineage(-5); });
  Refused("record_age", [](auto* r) { r->mutable_record_age()->set_seconds(-1); });
  Refused("stream_age", [](auto* r) { r->mutable_stream_age()->set_nanos(-1); });
}

TEST(Convert, AnAgeOfTheEndOfTimeDoesNotOverflow) {
  v1::PeerReport r;
  ToProto(Report(), "demo", &r);
  r.mutable_record_age()->set_seconds(INT64_MAX);
  EXPECT_EQ(FromProto(r)->record_age, Duration::max());
}

TEST(Convert, AFreezeAnswerMayNotNameTheWorld) {
  v1::FreezeReply r;
  r.set_from("a");
  for (size_t i = 0; i <= kMaxKnown; ++i) r.add_known("m" + std::to_string(i));
  EXPECT_THAT(std::string(FromProto(r).status().message()), HasSubstr("known"));
}

TEST(Convert, MetaNeedsAnId) {
  v1::RequestMeta m;
  EXPECT_FALSE(CheckMeta(m).ok());
  m.set_id("0123456");
  EXPECT_FALSE(CheckMeta(m).ok());
  m.set_id("01234567");
  EXPECT_TRUE(CheckMeta(m).ok());
  m.set_id("0123\n567");
  EXPECT_FALSE(CheckMeta(m).ok());
  m.set_id("01234567");
  m.set_reason("two\nlines");
  EXPECT_FALSE(CheckMeta(m).ok());
}

TEST(Convert, PointsOfTimeBecomeAges) {
  StatusView v;
  const MonoTime now = MonoTime::FromNanos(100'000'000'000);
  v.lock.permitted_until = now - std::chrono::seconds(2);
  v.lock.record_changed_at = now - std::chrono::seconds(3);
  v.members.resize(2);
  v.members[0].heard_at = now - std::chrono::seconds(1);
  v1::Status s;
  ToProto(v, now, 5, true, &s);
  EXPECT_EQ(s.lock().remaining().seconds(), -2);
  EXPECT_EQ(s.lock().record_age().seconds(), 3);
  EXPECT_EQ(s.members(0).age().seconds(), 1);
  EXPECT_FALSE(s.members(1).has_age());
  EXPECT_FALSE(s.members(1).has_lag_bytes());
}

}  // namespace
}  // namespace mainstay::rpc
