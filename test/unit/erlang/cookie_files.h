// Files with cookies, gone when the test program ends.
#ifndef MAINSTAY_TEST_UNIT_ERLANG_COOKIE_FILES_H_
#define MAINSTAY_TEST_UNIT_ERLANG_COOKIE_FILES_H_

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "absl/strings/str_cat.h"

namespace mainstay::erlang {

inline std::string CookieFile(const std::string& text, mode_t mode = 0400) {
  struct Folder {
    const std::string path = absl::StrCat(::testing::TempDir(), "mainstay-cookies-", getpid(), "/");
    Folder() { std::filesystem::create_directory(path); }
    ~Folder() { std::filesystem::remove_all(path); }
  };
  static const Folder folder;
  static int n = 0;
  const std::string path = absl::StrCat(folder.path, ++n);
  std::ofstream(path) << text;
  EXPECT_EQ(chmod(path.c_str(), mode), 0);
  return path;
}

}  // namespace mainstay::erlang

#endif  // MAINSTAY_TEST_UNIT_ERLANG_COOKIE_FILES_H_
