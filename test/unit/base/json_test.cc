// Bounds of the parser and messages of the getters.
#include "lib/base/json.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

namespace mainstay {
namespace {

using ::testing::HasSubstr;

std::string Message(const absl::Status& s) { return std::string(s.message()); }

TEST(ParseJson, Bounds) {
  EXPECT_TRUE(ParseJson("{}", 2).ok());
  EXPECT_THAT(Message(ParseJson("{ }", 2).status()), HasSubstr("3 bytes, more than the 2 allowed"));
  EXPECT_TRUE(ParseJson(std::string(32, '[') + std::string(32, ']'), 1000).ok());
  EXPECT_THAT(Message(ParseJson(std::string(33, '[') + std::string(33, ']'), 1000).status()),
              HasSubstr("nested 33 deep"));
  EXPECT_FALSE(ParseJson(std::string(1 << 20, '['), 2 << 20).ok());
  EXPECT_TRUE(ParseJson("\"" + std::string(1000, '[') + "\"", 2000).ok())
      << "brackets in a string are no depth";
  EXPECT_TRUE(ParseJson("\"\\\"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\"", 2000).ok());
}

TEST(ParseJson, SaysWhereItIsWrong) {
  EXPECT_THAT(Message(ParseJson("{\"a\":1,}", 100).status()), HasSubstr("error at byte 8 of 8"));
  for (const char* bad : {"", " ", "{", "[1,", "nul", "'a'", "{\"a\" 1}", "1 2", "\"\\ud800\"", "\"\x01\"",
                          "\"\xff\"", "NaN", "1e999", "// x\n1"}) {
    EXPECT_FALSE(ParseJson(bad, 100).ok()) << bad;
  }
}

TEST(ParseJson, SurvivesNoise) {
  std::mt19937 rng(7);
  const std::string alphabet = "{}[]\",:0123456789.eE+-truefalsn\\u \xff\xc3";
  for (int i = 0; i < 20000; ++i) {
    std::string text;
    for (size_t n = rng() % 40; n > 0; --n) text.push_back(alphabet[rng() % alphabet.size()]);
    const auto json = ParseJson(text, 64);
    if (json.ok()) {
      EXPECT_TRUE(ParseJson(DumpJson(*json), 1000).ok()) << text;
    }
  }
}

TEST(JsonView, GettersAndTheirMessages) {
  const Json json = *ParseJson(R"({"s":"abc","i":-5,"u":18446744073709551615,"b":true,"d":1.5,"n":null,
    "o":{"k":[{"x":"y"},3]},"l":["p","q"],"big":1e300})",
                               1000);
  const JsonView v(&json, "top");
  EXPECT_EQ(*v.String("s", 3), "abc");
  EXPECT_EQ(Message(v.String("s", 2).status()), "top.s: want a string of at most 2 bytes, got \"abc\"");
  EXPECT_EQ(*v.Int("i", -5, 5), -5);
  EXPECT_EQ(Message(v.Int("i", 0, 5).status()), "top.i: want a whole number from 0 to 5, got -5");
  EXPECT_FALSE(v.Int("u", 0, INT64_MAX).ok());
  EXPECT_FALSE(v.Int("big", 0, INT64_MAX).ok());
  EXPECT_FALSE(v.Int("d", 0, 5).ok());
  EXPECT_EQ(*v.Uint("u", UINT64_MAX), UINT64_MAX);
  EXPECT_FALSE(v.Uint("i", UINT64_MAX).ok());
  EXPECT_TRUE(*v.Bool("b"));
  EXPECT_EQ(Message(v.Bool("i").status()), "top.i: want true or false, got -5");
  EXPECT_EQ(*v.Number("d"), 1.5);
  EXPECT_FALSE(v.Has("n"));
  EXPECT_EQ(Message(v.String("missing", 9).status()), "top.missing: want a string, got nothing");
  EXPECT_EQ(*v.StringOr("n", 9, "else"), "else");
  EXPECT_EQ(*v.IntOr("missing", 0, 9, 4), 4);
  EXPECT_FALSE(v.IntOr("s", 0, 9, 4).ok());
  EXPECT_FALSE(v.BoolOr("s", false).ok());
  EXPECT_EQ(*v.Strings("l", 2, 1), (std::vector<std::string>{"p", "q"}));
  EXPECT_FALSE(v.Strings("l", 1, 1).ok());
  EXPECT_EQ(Message(v.Object("o")->Strings("k", 9, 9).status()),
            "top.o.k[0]: want a string of at most 9 bytes, got an object");
  EXPECT_EQ(Message((*v.Object("o")->Array("k", 9))[1].String("x", 9).status()),
            "top.o.k[1]: want an object, got 3");
  EXPECT_EQ(Message((*v.Object("o")->Array("k", 9))[1].StringOr("x", 9, "").status()),
            "top.o.k[1]: want an object, got 3");
}

}  // namespace
}  // namespace mainstay
