// The protocol's bytes: requests whole and in pieces, bad ones, replies of both versions, patterns.
#include "lib/sentinel/resp.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace mainstay::sentinel {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr char kTwo[] = "*2\r\n$8\r\nSENTINEL\r\n$7\r\nMASTERS\r\n";

TEST(RequestReader, WholeInPiecesAndPipelined) {
  for (size_t piece = 1; piece <= sizeof kTwo; ++piece) {
    RequestReader reader;
    const std::string bytes = std::string(kTwo) + kTwo + "PING\r\n\r\n";
    std::vector<Words> got;
    for (size_t at = 0; at < bytes.size(); at += piece) {
      reader.Feed(absl::string_view(bytes).substr(at, piece));
      for (;;) {
        const auto next = reader.Next();
        ASSERT_TRUE(next.ok()) << next.status();
        if (!next->has_value()) break;
        got.push_back(**next);
      }
    }
    ASSERT_EQ(got.size(), 3u) << piece;
    EXPECT_THAT(got[1], ElementsAre("SENTINEL", "MASTERS"));
    EXPECT_THAT(got[2], ElementsAre("PING"));
    EXPECT_EQ(reader.buffered(), 0u);
  }
}

TEST(RequestReader, WordsMayHoldAnything) {
  RequestReader reader;
  reader.Feed(absl::string_view("*2\r\n$0\r\n\r\n$4\r\n\r\n\0x\r\n", 20));
  const auto next = reader.Next();
  ASSERT_TRUE(next.ok() && next->has_value());
  EXPECT_THAT(**next, ElementsAre("", std::string("\r\n\0x", 4)));
  reader.Feed("*0\r\n*-1\r\n  sentinel \t masters\n");
  const auto typed = reader.Next();
  ASSERT_TRUE(typed.ok() && typed->has_value());
  EXPECT_THAT(**typed, ElementsAre("sentinel", "masters"));
}

TEST(RequestReader, WhatIsNotTheProtocol) {
  const std::string long_line(kMaxRequestBytes + 1, 'x');
  for (const std::string& bad :
       {std::string("*x\r\n"), std::string("*-2\r\n"), std::string("*129\r\n"), std::string("*+1\r\n"),
        std::string("*99999999999999999999\r\n"), std::string("*1\r\nPING\r\n"), std::string("*1\r\n\r\n"),
        std::string("*1\r\n$x\r\n"), std::string("*1\r\n$-1\r\n"), std::string("*1\r\n$16385\r\n"),
        std::string("*1\r\n$4\r\nPINGxx"), "*1\r\n$" + std::string(40, '1'), long_line, "*" + long_line}) {
    RequestReader reader;
    reader.Feed(bad);
    const auto next = reader.Next();
    ASSERT_FALSE(next.ok()) << bad.substr(0, 40);
    EXPECT_THAT(std::string(next.status().message()), HasSubstr("Protocol error: "));
  }
  RequestReader reader;  // much, each part of it allowed
  reader.Feed("*128\r\n");
  bool refused = false;
  for (int i = 0; i < 100 && !refused; ++i) {
    reader.Feed("$1000\r\n" + std::string(1000, 'x') + "\r\n");
    refused = !reader.Next().ok();
  }
  EXPECT_TRUE(refused);
}

TEST(ReplyWriter, BothVersions) {
  const auto say = [](int proto) {
    ReplyWriter w(proto);
    w.Simple("OK")
        .Error("ERR a\r\nb")
        .Integer(-3)
        .Bulk("x\r\n")
        .Nil()
        .NilArray()
        .Map(1)
        .Bulk("a")
        .Push(0)
        .Array(0);
    return w.Take();
  };
  EXPECT_EQ(say(2), "+OK\r\n-ERR a  b\r\n:-3\r\n$3\r\nx\r\n\r\n$-1\r\n*-1\r\n*2\r\n$1\r\na\r\n*0\r\n*0\r\n");
  EXPECT_EQ(say(3), "+OK\r\n-ERR a  b\r\n:-3\r\n$3\r\nx\r\n\r\n_\r\n_\r\n%1\r\n$1\r\na\r\n>0\r\n*0\r\n");
}

TEST(Patterns, AsRedisMatches) {
  for (const auto& [pattern, text] :
       std::initializer_list<std::pair<const char*, const char*>>{{"*", ""},
                                                                  {"*", "+switch-master"},
                                                                  {"+s*", "+sdown"},
                                                                  {"?sdown", "-sdown"},
                                                                  {"*[ab]z", "xyaz"},
                                                                  {"[^a]x", "bx"},
                                                                  {"[c-a]", "b"},
                                                                  {"\\*x", "*x"},
                                                                  {"a*b*c", "aXbYbZc"},
                                                                  {"", ""},
                                                                  {"x[", "x["}}) {
    const bool odd = std::string(pattern) == "x[";  // a set without an end holds nothing
    EXPECT_EQ(MatchesPattern(pattern, text), !odd) << pattern << " " << text;
  }
  for (const auto& [pattern, text] :
       std::initializer_list<std::pair<const char*, const char*>>{{"", "x"},
                                                                  {"+s", "+sdown"},
                                                                  {"?", ""},
                                                                  {"[a]", "b"},
                                                                  {"[^a]", "a"},
                                                                  {"\\*x", "ax"},
                                                                  {"a*b*c", "acb"}}) {
    EXPECT_FALSE(MatchesPattern(pattern, text)) << pattern << " " << text;
  }
  EXPECT_FALSE(MatchesPattern(std::string(200, '*') + "x", std::string(10'000, 'y')));  // and soon
}

}  // namespace
}  // namespace mainstay::sentinel
