// What is sent to a node, whose answer a message is, and what errors of the far side become.
#include "lib/erlang/protocol.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/escaping.h"
#include "lib/erlang/codec.h"

namespace mainstay::erlang {
namespace {

using ::testing::HasSubstr;

const Term kSelf = Term::Opaque(absl::HexStringToBytes("587703614062000000010000000200000003"));
const Term kOther = Term::Opaque(absl::HexStringToBytes("587703614062000000090000000200000003"));

std::string Frame(const Term& control, const Term& message) {
  return "p" + Encode(control) + Encode(message);
}
Term SendTo(const Term& pid) { return Term::Tuple({Term::Integer(2), Term::Atom(""), pid}); }
Term Rex(Term answer) { return Term::Tuple({Term::Atom("rex"), std::move(answer)}); }
Term Exit(Term reason) {
  return Term::Tuple({Term::Atom("badrpc"), Term::Tuple({Term::Atom("EXIT"), std::move(reason)})});
}

TEST(Protocol, ACallIsAMessageToRex) {
  const std::string call = EncodeCall(kSelf, "rabbit", "is_running", {Term::Atom("r@h")});
  ASSERT_GT(call.size(), 5u);
  EXPECT_EQ(call.substr(0, 3), std::string(3, '\0'));
  EXPECT_EQ(static_cast<unsigned char>(call[3]) + 4u, call.size());
  EXPECT_EQ(call[4], 'p');
  size_t used = 0;
  const auto control = Decode(absl::string_view(call).substr(5), {}, &used);
  ASSERT_TRUE(control.ok());
  EXPECT_EQ(control->items()[0].integer(), 6);
  EXPECT_EQ(control->items()[1], kSelf);
  EXPECT_TRUE(control->items()[3].IsAtom("rex"));
  const auto message = Decode(absl::string_view(call).substr(5 + used));
  ASSERT_TRUE(message.ok());
  EXPECT_EQ(message->items()[1].ToString(), "{call,rabbit,is_running,[r@h],user}");
}

TEST(Protocol, OnlyItsOwnAnswerIsTaken) {
  const auto own = DecodeMessage(Frame(SendTo(kSelf), Rex(Term::Atom("true"))), kSelf);
  ASSERT_TRUE(own.ok() && own->has_value());
  EXPECT_TRUE((*own)->IsAtom("true"));
  const auto late = DecodeMessage(Frame(SendTo(kOther), Rex(Term::Atom("true"))), kSelf);
  ASSERT_TRUE(late.ok());
  EXPECT_FALSE(late->has_value());
  const auto chat = DecodeMessage(Frame(SendTo(kSelf), Term::Atom("hello")), kSelf);
  ASSERT_TRUE(chat.ok());
  EXPECT_FALSE(chat->has_value());
  const Term monitor = Term::Tuple({Term::Integer(19), kOther, Term::Atom("rex"), Term::Integer(1)});
  const auto link = DecodeMessage("p" + Encode(monitor), kSelf);
  ASSERT_TRUE(link.ok());
  EXPECT_FALSE(link->has_value());
  EXPECT_TRUE(absl::IsDataLoss(DecodeMessage("x", kSelf).status()));
  EXPECT_TRUE(absl::IsDataLoss(DecodeMessage("", kSelf).status()));
}

TEST(Protocol, ErrorsOfTheFarSide) {
  EXPECT_TRUE(ToResult(Term::Atom("ok")).ok());
  EXPECT_TRUE(
      ToResult(Term::Tuple({Term::Atom("error"), Term::Atom("x")})).ok());  // an answer like any other
  EXPECT_TRUE(
      absl::IsUnavailable(ToResult(Term::Tuple({Term::Atom("badrpc"), Term::Atom("nodedown")})).status()));
  EXPECT_TRUE(absl::IsDeadlineExceeded(
      ToResult(Term::Tuple({Term::Atom("badrpc"), Term::Atom("timeout")})).status()));
  EXPECT_TRUE(
      absl::IsUnimplemented(ToResult(Exit(Term::Tuple({Term::Atom("undef"), Term::List({})}))).status()));
  EXPECT_TRUE(absl::IsFailedPrecondition(
      ToResult(Exit(Term::Tuple({Term::Atom("noproc"), Term::List({})}))).status()));
  EXPECT_TRUE(absl::IsFailedPrecondition(
      ToResult(Exit(Term::Tuple({Term::Atom("aborted"),
                                 Term::Tuple({Term::Atom("no_exists"), Term::Atom("rabbit_queue")})})))
          .status()));
  const absl::Status other = ToResult(Exit(Term::Tuple({Term::Atom("badarg"), Term::List({})}))).status();
  EXPECT_TRUE(absl::IsInternal(other));
  EXPECT_THAT(other.ToString(), HasSubstr("badarg"));
}

TEST(Protocol, Epmd) {
  EXPECT_EQ(EpmdQuestion("rabbit"), std::string("\0\x07zrabbit", 9));
  EXPECT_EQ(*ParseEpmdAnswer(std::string("w\0\x62\x70", 4)), 25200);
  EXPECT_TRUE(absl::IsNotFound(ParseEpmdAnswer("w\x01").status()));
  EXPECT_TRUE(absl::IsDataLoss(ParseEpmdAnswer("HT").status()));
  EXPECT_TRUE(absl::IsDataLoss(ParseEpmdAnswer(std::string("w\0", 2)).status()));
  EXPECT_TRUE(absl::IsDataLoss(ParseEpmdAnswer(std::string("w\0\0\0", 4)).status()));
}

TEST(Protocol, WhatAHandshakeSaid) {
  const std::string ok("\0\x03sok", 5);
  std::string challenge("\0\x17N", 3);
  challenge += std::string(16, 'f');  // flags, challenge, creation
  challenge += std::string("\0\x04r@ab", 6);
  EXPECT_EQ(ParseHandshake(ok).status, "ok");
  EXPECT_EQ(ParseHandshake(ok + challenge).name, "r@ab");
  EXPECT_EQ(ParseHandshake(ok + challenge.substr(0, 10)).name, "");
  EXPECT_EQ(ParseHandshake(std::string("\0\x0csnot_allowed", 14)).status, "not_allowed");
  EXPECT_EQ(ParseHandshake("").status, "");
  EXPECT_EQ(ParseHandshake(std::string("\0\0\0\0", 4)).status, "");
}

}  // namespace
}  // namespace mainstay::erlang
