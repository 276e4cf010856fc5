// Verifiers against passwords; the vectors are made by Python's hashlib, the first with RFC 7677's salt.
#include "lib/engine/postgres/scram.h"

#include <gtest/gtest.h>

namespace mainstay::engine::postgres {
namespace {

constexpr char kPencil[] =
    "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:"
    "wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=";
constexpr char kGreen[] =
    "SCRAM-SHA-256$10:MDEyMzQ1Njc4OWFiY2RlZg==$18DBsYntcctd8rahRdJvI0BzIfi7kwu4hWX8WQ4u/"
    "F4=:Yu2y7n2phv+Svhbr7f7ZJN024aumXAyQ0gJrrijCdSk=";

TEST(Scram, RightAndWrongPasswords) {
  EXPECT_TRUE(ScramMatches(kPencil, "pencil"));
  EXPECT_TRUE(ScramMatches(kGreen, "gr\xc3\xbcn"));
  for (const char* wrong : {"", "pencil ", "Pencil", "pencils"})
    EXPECT_FALSE(ScramMatches(kPencil, wrong)) << wrong;
  EXPECT_FALSE(ScramMatches(kGreen, "pencil"));
  EXPECT_TRUE(IsScramVerifier(kPencil));
}

TEST(Scram, WhatIsNoVerifierMatchesNothing) {
  const std::string good = kPencil;
  for (const std::string& bad :
       {std::string(), std::string("md5d41d8cd98f00b204e9800998ecf8427e"), std::string("SCRAM-SHA-256$"),
        std::string("SCRAM-SHA-256$4096:salt"), good.substr(0, good.size() - 2), good + "A", "x" + good,
        std::string("SCRAM-SHA-256$0:") + good.substr(19), std::string("SCRAM-SHA-256$-1:") + good.substr(19),
        std::string("SCRAM-SHA-256$99999999:") + good.substr(19),
        std::string("SCRAM-SHA-256$4096:!!") + good.substr(43)}) {
    EXPECT_FALSE(IsScramVerifier(bad)) << bad;
    EXPECT_FALSE(ScramMatches(bad, "pencil")) << bad;
  }
}

}  // namespace
}  // namespace mainstay::engine::postgres
