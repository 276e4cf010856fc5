// Terms: what is decoded, encoded, printed, refused; and that every cut or broken answer is refused within
// its bounds.
#include "lib/erlang/codec.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "absl/strings/escaping.h"

namespace mainstay::erlang {
namespace {

using ::testing::HasSubstr;

Term MustDecode(const std::string& bytes) {
  const auto t = Decode(bytes);
  EXPECT_TRUE(t.ok()) << t.status();
  return t.ok() ? *t : Term();
}
Term FromHex(absl::string_view hex) { return MustDecode(absl::HexStringToBytes(hex)); }
absl::Status Refusal(absl::string_view hex) { return Decode(absl::HexStringToBytes(hex)).status(); }

Term Sample() {
  return Term::List(
      {Term::Tuple({Term::Tuple({Term::Atom("resource_limit"), Term::Atom("disk"), Term::Atom("r@h")}),
                    Term::List({})}),
       Term::Map({{Term::Atom("a"), Term::Integer(-1)}, {Term::Binary("k"), Term::Float(1.5)}}),
       Term::String("text"), Term::Binary(std::string("\0\xff", 2)), Term::Integer(INT64_MAX),
       Term::Integer(INT64_MIN), Term::Integer(255), Term::Integer(256)});
}

TEST(Codec, WhatIsEncodedDecodes) {
  const Term t = Sample();
  EXPECT_EQ(MustDecode(Encode(t)), t);
  EXPECT_EQ(MustDecode(Encode(Term::String(""))), Term::List({}));
  const Term wide = Term::Tuple(std::vector<Term>(300, Term::Integer(7)));
  EXPECT_EQ(MustDecode(Encode(wide)), wide);
  const std::string text(70'000, 'x');  // longer than a string's form allows
  EXPECT_EQ(MustDecode(Encode(Term::String(text))).Words(), text);
}

// Written by hand after the description of the external term format.
TEST(Codec, EachForm) {
  EXPECT_TRUE(FromHex("836400057265616479").IsAtom("ready"));  // ATOM_EXT
  EXPECT_TRUE(FromHex("8377057265616479").IsAtom("ready"));    // SMALL_ATOM_UTF8_EXT
  EXPECT_TRUE(FromHex("83730161").IsAtom("a"));                // SMALL_ATOM_EXT
  EXPECT_TRUE(FromHex("837301e9").IsAtom("\xc3\xa9"));         // Latin-1 becomes UTF-8
  EXPECT_TRUE(FromHex("8376000161").IsAtom("a"));              // ATOM_UTF8_EXT
  EXPECT_EQ(FromHex("8361ff").integer(), 255);
  EXPECT_EQ(FromHex("8362ffffffff").integer(), -1);
  EXPECT_EQ(FromHex("836e040100000080").integer(), -2147483648LL);        // SMALL_BIG_EXT
  EXPECT_EQ(FromHex("836e0900ffffffffffffff7f00").integer(), INT64_MAX);  // with a zero on top
  EXPECT_EQ(FromHex("836e08010000000000000080").integer(), INT64_MIN);
  EXPECT_EQ(FromHex("83463ff8000000000000").real(), 1.5);
  EXPECT_EQ(FromHex("836b0003616263").Words(), "abc");         // STRING_EXT
  EXPECT_EQ(FromHex("836d00000002c3a9").Words(), "\xc3\xa9");  // BINARY_EXT
  EXPECT_EQ(FromHex("836c00000002610161026a").ToString(), "[1,2]");
  EXPECT_EQ(FromHex("83740000000161016102").ToString(), "#{1 => 2}");
  EXPECT_EQ(FromHex("83680261016102"), Term::Tuple({Term::Integer(1), Term::Integer(2)}));
}

TEST(Codec, WhatCannotBeLookedIntoStaysAsItCame) {
  const char* const opaque[] = {
      "8358770161000000010000000200000003",  // NEW_PID_EXT
      "8367770161"
      "00000001"
      "00000002"
      "03",  // PID_EXT
      "8359770161"
      "00000001"
      "00000003",  // NEW_PORT_EXT
      "8378770161"
      "0000000000000001"
      "00000003",  // V4_PORT_EXT
      "835a0002770161"
      "00000003"
      "00000001"
      "00000002",  // NEWER_REFERENCE_EXT
      "83720001770161"
      "03"
      "00000001",  // NEW_REFERENCE_EXT
      "834d0000000205"
      "ffe0",  // BIT_BINARY_EXT
      "8371"
      "770161"
      "770162"
      "6101",  // EXPORT_EXT
      "8370"
      "00000006"
      "abcd",  // NEW_FUN_EXT
      "836c00000001"
      "6101"
      "6102",  // [1|2]
  };
  for (const char* hex : opaque) {
    const Term t = FromHex(hex);
    EXPECT_EQ(t.kind(), Term::Kind::kOpaque) << hex;
    EXPECT_EQ(absl::BytesToHexString(Encode(t)), hex);
    EXPECT_EQ(t.ToString(), "#opaque");
  }
}

TEST(Codec, WhatIsRefused) {
  EXPECT_TRUE(absl::IsOutOfRange(Refusal("836e0900000000000000000001")));  // 2^64
  EXPECT_TRUE(absl::IsOutOfRange(Refusal("836e0800ffffffffffffffff")));    // 2^64 - 1
  EXPECT_TRUE(absl::IsUnimplemented(Refusal("8350000000ff")));             // compressed
  EXPECT_TRUE(absl::IsUnimplemented(Refusal("835200")));                   // a reference to a cache of atoms
  EXPECT_TRUE(absl::IsDataLoss(Refusal("")));
  EXPECT_TRUE(absl::IsDataLoss(Refusal("846101")));            // another version
  EXPECT_TRUE(absl::IsDataLoss(Refusal("83610161")));          // something after it
  EXPECT_TRUE(absl::IsDataLoss(Refusal("836cffffffff6101")));  // a count beyond the bytes
  EXPECT_TRUE(absl::IsDataLoss(Refusal("8374ffffffff6101")));
  EXPECT_TRUE(absl::IsDataLoss(Refusal("836dffffffff61")));
  EXPECT_TRUE(absl::IsDataLoss(Refusal("8370000000016101")));      // a function smaller than its size
  EXPECT_TRUE(absl::IsDataLoss(Refusal("83467ff0000000000000")));  // infinity
  EXPECT_THAT(Refusal("8362ffff").ToString(), HasSubstr("cut at byte 2"));
}

TEST(Codec, Bounds) {
  std::string deep(1, '\x83');
  for (int i = 0; i < 100; ++i) deep += "h\x01";
  deep += "j";
  EXPECT_TRUE(absl::IsResourceExhausted(Decode(deep).status()));
  const std::string many = Encode(Term::List(std::vector<Term>(1000)));
  EXPECT_TRUE(absl::IsResourceExhausted(Decode(many, {.terms = 500}).status()));
  EXPECT_TRUE(Decode(many, {.terms = 1100}).ok());
}

TEST(Codec, EveryCutIsRefused) {
  const std::string whole = Encode(Sample());
  for (size_t n = 0; n < whole.size(); ++n) EXPECT_FALSE(Decode(whole.substr(0, n)).ok()) << n;
}

TEST(Codec, BytesAtRandomNeverBreakIt) {
  std::mt19937 rng(7);
  const std::string whole = Encode(Sample());
  for (int i = 0; i < 20'000; ++i) {
    std::string bytes = whole;
    for (int n = 1 + static_cast<int>(rng() % 4); n > 0; --n)
      bytes[rng() % bytes.size()] = static_cast<char>(rng());
    const auto t = Decode(bytes);
    if (!t.ok()) continue;
    EXPECT_TRUE(Decode(Encode(*t)).ok());
  }
}

TEST(Terms, AreReadAsTheyAre) {
  const Term list = Term::List({Term::Tuple({Term::Atom("name"), Term::Atom("quorum_queue")}),
                                Term::Tuple({Term::Atom("state"), Term::Atom("enabled")})});
  ASSERT_NE(list.Find("state"), nullptr);
  EXPECT_TRUE(list.Find("state")->IsAtom("enabled"));
  EXPECT_EQ(list.Find("nothing"), nullptr);
  EXPECT_EQ(list.FindBinary("state"), nullptr);
  EXPECT_EQ(Term::Integer(3).Words(), "");
  EXPECT_EQ(Term::List({Term::Integer(0x20ac), Term::Integer('a')}).Words(),
            "\xe2\x82\xac"
            "a");
  EXPECT_EQ(Term::List({Term::Integer(-1)}).Words(), "");
  EXPECT_EQ(Term::Atom("a").integer(), 0);
}

TEST(Terms, PrintAsErlangDoes) {
  EXPECT_EQ(Term::Tuple({Term::Atom("rmq1@localhost"), Term::Atom("rabbit@a-1"), Term::Atom("")}).ToString(),
            "{rmq1@localhost,'rabbit@a-1',''}");
  EXPECT_EQ(Term::Binary("a\"b\n").ToString(), "<<\"a\\\"b\\x0a\">>");
  EXPECT_EQ(Term::String("x").ToString(), "\"x\"");
  const std::string cut = Term::List(std::vector<Term>(1000, Term::Integer(1))).ToString(50);
  EXPECT_LE(cut.size(), 50u);
}

}  // namespace
}  // namespace mainstay::erlang
