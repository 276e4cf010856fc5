// strings, random, wall_clock, result.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>
#include <set>

#include "lib/base/json.h"
#include "lib/base/random.h"
#include "lib/base/result.h"
#include "lib/base/strings.h"
#include "lib/base/wall_clock.h"

namespace mainstay {
namespace {

using namespace std::chrono_literals;

TEST(JsonString, IsAlwaysValidAndOneLine) {
  std::mt19937 rng(3);
  for (int i = 0; i < 5000; ++i) {
    std::string text, out;
    for (size_t n = rng() % 20; n > 0; --n) text.push_back(static_cast<char>(rng()));
    AppendJsonString(&out, text);
    ASSERT_TRUE(ParseJson(out, 1000).ok()) << out;
    ASSERT_EQ(out.find('\n'), std::string::npos);
  }
  std::string out;
  AppendJsonString(&out, "a\"\\\n\x01ü\xf0\x9f\x98\x80\xed\xa0\x80");
  EXPECT_EQ(out, "\"a\\\"\\\\\\n\\u0001ü\xf0\x9f\x98\x80\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"");
}

TEST(Cut, KeepsWholeCharacters) {
  EXPECT_EQ(Cut("abc", 3), "abc");
  EXPECT_EQ(Cut("abcdefgh", 6), "abc...");
  EXPECT_EQ(Cut("abü", 4), "abü");
  EXPECT_EQ(Cut("aüüü", 5), "a...");  // 2 bytes are left: "a" and half a character
  EXPECT_EQ(Cut("abcdef", 2), "ab");
}

TEST(FormatDuration, ReadsWell) {
  EXPECT_EQ(FormatDuration(250ms), "250ms");
  EXPECT_EQ(FormatDuration(2500ms), "2.5s");
  EXPECT_EQ(FormatDuration(90s), "1m30s");
  EXPECT_EQ(FormatDuration(125min), "2h05m");
  EXPECT_EQ(FormatDuration(15us), "15us");
  EXPECT_EQ(FormatDuration(Duration::zero()), "0us");
  EXPECT_EQ(FormatDuration(-2500ms), "-2.5s");
  EXPECT_EQ(FormatDuration(Duration::max()), "never");
}

TEST(Fnv1a64, KnownValues) {
  EXPECT_EQ(Fnv1a64(""), 0xcbf29ce484222325u);
  EXPECT_EQ(Fnv1a64("a"), 0xaf63dc4c8601ec8cu);
  EXPECT_EQ(Fnv1a64("foobar"), 0x85944171f73967e8u);
}

TEST(Random, DoesNotRepeat) {
  std::set<std::string> seen;
  for (int i = 0; i < 1000; ++i) EXPECT_TRUE(seen.insert(RandomHex(16)).second);
  EXPECT_EQ(RandomBytes(1000).size(), 1000u);
  EXPECT_NE(RandomUint64(), RandomUint64());
}

TEST(UuidV7, HasShapeAndOrder) {
  const std::string a = UuidV7();
  EXPECT_THAT(a,
              ::testing::MatchesRegex("[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"));
  const int64_t ms = std::stoll(a.substr(0, 8) + a.substr(9, 4), nullptr, 16);
  EXPECT_LT(std::abs(ms - UnixMillis()), 5000);
}

TEST(WallClock, FormatsAndParses) {
  EXPECT_EQ(FormatUtcSeconds(1790000055999), "2026-09-21T14:14:15Z");
  EXPECT_EQ(FormatUtcMillis(1790000055999), "2026-09-21T14:14:15.999Z");
  EXPECT_EQ(FormatUtcMillis(-1), "1969-12-31T23:59:59.999Z");
  EXPECT_EQ(FormatUtcSeconds(INT64_MIN), "0001-01-01T00:00:00Z");
  EXPECT_EQ(FormatUtcSeconds(INT64_MAX), "9999-12-31T23:59:59Z");
  EXPECT_EQ(ParseUtc("2026-09-21T14:14:15.999Z"), 1790000055999);
  EXPECT_EQ(ParseUtc("2026-09-21T14:14:15.999999Z"), 1790000055999);
  EXPECT_EQ(ParseUtc("2026-09-21T16:14:15+02:00"), 1790000055000);
  EXPECT_EQ(ParseUtc("2024-02-29T00:00:00Z"), 1709164800000);
  for (int64_t ms :
       {int64_t{0}, int64_t{-1}, int64_t{951782400000}, int64_t{4102444799999}, int64_t{-62135596800000}}) {
    EXPECT_EQ(ParseUtc(FormatUtcMillis(ms)), ms);
  }
  for (const char* bad :
       {"", "2026-09-21", "2026-09-21T14:14:15", "2026-13-21T14:14:15Z", "2026-09-21T24:14:15Z",
        "2026-09-21 14:14:15Z", "2026-09-21T14:14:15.Z", "2026-09-21T14:14:15.1234567890Z",
        "2026-09-21T14:14:15+2:00", "2026-0a-21T14:14:15Z"}) {
    EXPECT_FALSE(ParseUtc(bad)) << bad;
  }
}

absl::StatusOr<int> Half(int v) {
  if (v % 2 != 0) return absl::InvalidArgumentError("odd");
  return v / 2;
}
absl::StatusOr<int> Quarter(int v) {
  MAINSTAY_ASSIGN_OR_RETURN(const int half, Half(v));
  MAINSTAY_ASSIGN_OR_RETURN(const int quarter, Half(half));
  MAINSTAY_RETURN_IF_ERROR(Half(quarter * 2).status());
  return quarter;
}

TEST(Result, PassesErrorsOn) {
  EXPECT_EQ(*Quarter(12), 3);
  EXPECT_FALSE(Quarter(6).ok());
  EXPECT_FALSE(Quarter(3).ok());
}

}  // namespace
}  // namespace mainstay
