// The cookie's file: modes, bounds, and that no error shows a part of it.
#include "lib/erlang/cookie.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "test/unit/erlang/cookie_files.h"

namespace mainstay::erlang {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

TEST(Cookie, OfItsOwnerAlone) {
  EXPECT_EQ(*ReadCookie(CookieFile("SECRET\n", 0400)), "SECRET");
  EXPECT_EQ(*ReadCookie(CookieFile("SECRET", 0600)), "SECRET");
  for (const mode_t mode : {0644, 0444, 0660, 0604, 0700}) {
    const absl::Status s = ReadCookie(CookieFile("SECRET", mode)).status();
    EXPECT_TRUE(absl::IsPermissionDenied(s)) << s;
    EXPECT_THAT(s.ToString(), Not(HasSubstr("SECRET")));
    EXPECT_THAT(s.ToString(), HasSubstr("0400"));
  }
  // A Secret's file for pods with an fsGroup: root's, its group reads.
  const auto secret = ReadCookie(CookieFile("SECRET", 0440));
  EXPECT_EQ(secret.ok(), geteuid() == 0);
}

TEST(Cookie, WhatIsNone) {
  EXPECT_TRUE(absl::IsNotFound(ReadCookie("/nonexistent/cookie").status()));
  EXPECT_TRUE(absl::IsInvalidArgument(ReadCookie(CookieFile("", 0400)).status()));
  EXPECT_TRUE(absl::IsInvalidArgument(ReadCookie(CookieFile(" \n", 0400)).status()));
  const absl::Status two = ReadCookie(CookieFile("SECRET WORDS\n", 0400)).status();
  EXPECT_TRUE(absl::IsInvalidArgument(two));
  EXPECT_THAT(two.ToString(), Not(HasSubstr("WORDS")));
  EXPECT_FALSE(ReadCookie(CookieFile(std::string(256, 'x'), 0400)).ok());
  EXPECT_TRUE(ReadCookie(CookieFile(std::string(255, 'x'), 0400)).ok());
  EXPECT_FALSE(ReadCookie(::testing::TempDir()).ok());
}

}  // namespace
}  // namespace mainstay::erlang
