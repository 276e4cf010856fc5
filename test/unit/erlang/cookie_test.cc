// The cookie's file: modes, bounds, and that no error shows a part of it.
#include "lib/erlang/cookie.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>

#include "absl/strings/str_cat.h"

namespace mainstay::erlang {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

std::string File(const std::string& text, mode_t mode) {
  static int n = 0;
  const std::string path = absl::StrCat(::testing::TempDir(), "cookie-", getpid(), "-", ++n);
  std::ofstream(path) << text;
  EXPECT_EQ(chmod(path.c_str(), mode), 0);
  return path;
}

TEST(Cookie, OfItsOwnerAlone) {
  EXPECT_EQ(*ReadCookie(File("SECRET\n", 0400)), "SECRET");
  EXPECT_EQ(*ReadCookie(File("SECRET", 0600)), "SECRET");
  for (const mode_t mode : {0644, 0444, 0660, 0604, 0700}) {
    const absl::Status s = ReadCookie(File("SECRET", mode)).status();
    EXPECT_TRUE(absl::IsPermissionDenied(s)) << s;
    EXPECT_THAT(s.ToString(), Not(HasSubstr("SECRET")));
    EXPECT_THAT(s.ToString(), HasSubstr("0400"));
  }
  // A Secret's file for pods with an fsGroup: root's, its group reads.
  const auto secret = ReadCookie(File("SECRET", 0440));
  EXPECT_EQ(secret.ok(), geteuid() == 0);
}

TEST(Cookie, WhatIsNone) {
  EXPECT_TRUE(absl::IsNotFound(ReadCookie("/nonexistent/cookie").status()));
  EXPECT_TRUE(absl::IsInvalidArgument(ReadCookie(File("", 0400)).status()));
  EXPECT_TRUE(absl::IsInvalidArgument(ReadCookie(File(" \n", 0400)).status()));
  const absl::Status two = ReadCookie(File("SECRET WORDS\n", 0400)).status();
  EXPECT_TRUE(absl::IsInvalidArgument(two));
  EXPECT_THAT(two.ToString(), Not(HasSubstr("WORDS")));
  EXPECT_FALSE(ReadCookie(File(std::string(256, 'x'), 0400)).ok());
  EXPECT_TRUE(ReadCookie(File(std::string(255, 'x'), 0400)).ok());
  EXPECT_FALSE(ReadCookie(::testing::TempDir()).ok());
}

}  // namespace
}  // namespace mainstay::erlang
