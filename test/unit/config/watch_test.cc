// Which changes of files are told, and when.
#include "agent/config_watch.h"

#include <gtest/gtest.h>
#include <stdio.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "lib/base/file.h"

namespace mainstay::agent {
namespace {

class ConfigWatchTest : public ::testing::Test {
 protected:
  void SetUp() override {
    char dir[] = "/tmp/config_watch_test.XXXXXX";
    ASSERT_NE(mkdtemp(dir), nullptr);
    dir_ = dir;
    file_ = dir_ + "/mainstay.yaml";
    ASSERT_TRUE(AtomicWriteFile(file_, "a: 1\n").ok());
  }
  void TearDown() override { std::filesystem::remove_all(dir_); }
  std::string dir_;
  std::string file_;
};

TEST_F(ConfigWatchTest, NothingChanged) {
  ConfigWatch watch({file_});
  for (int i = 0; i < 3; ++i) EXPECT_FALSE(watch.Look());
}

TEST_F(ConfigWatchTest, AReplacedFileIsToldAtOnceAndOnce) {
  ConfigWatch watch({file_});
  ASSERT_TRUE(AtomicWriteFile(file_, "a: 1\n").ok());  // the same content is a reason to look, too
  EXPECT_TRUE(watch.Look());
  EXPECT_FALSE(watch.Look());
}

TEST_F(ConfigWatchTest, OneWrittenInPlaceIsToldWhenItRests) {
  ConfigWatch watch({file_});
  std::ofstream(file_, std::ios::app) << "b: ";
  EXPECT_FALSE(watch.Look());
  std::ofstream(file_, std::ios::app) << "2\n";
  EXPECT_FALSE(watch.Look());
  EXPECT_TRUE(watch.Look());
  EXPECT_FALSE(watch.Look());
}

TEST_F(ConfigWatchTest, OneThatIsGoneIsNoChangeUntilItIsBack) {
  ConfigWatch watch({file_, dir_ + "/password"});
  unlink(file_.c_str());
  EXPECT_FALSE(watch.Look());
  EXPECT_FALSE(watch.Look());
  ASSERT_TRUE(AtomicWriteFile(file_, "a: 3\n").ok());
  EXPECT_TRUE(watch.Look() || watch.Look());                   // the second, if it got the old one's inode
  ASSERT_TRUE(AtomicWriteFile(dir_ + "/password", "x").ok());  // was never there
  EXPECT_TRUE(watch.Look());
  EXPECT_FALSE(watch.Look());
}

// kubelet: mainstay.yaml -> ..data/mainstay.yaml; ..data -> ..1 is renamed over by ..data -> ..2.
TEST_F(ConfigWatchTest, AMountedConfigMapSwapsASymlink) {
  for (const char* d : {"/..1", "/..2"}) {
    ASSERT_TRUE(MakeDirs(dir_ + d, 0700).ok());
    ASSERT_TRUE(AtomicWriteFile(dir_ + d + "/mainstay.yaml", "a: 1\n").ok());
  }
  unlink(file_.c_str());
  ASSERT_EQ(symlink("..1", (dir_ + "/..data").c_str()), 0);
  ASSERT_EQ(symlink("..data/mainstay.yaml", file_.c_str()), 0);
  ConfigWatch watch({file_});
  EXPECT_FALSE(watch.Look());
  ASSERT_EQ(symlink("..2", (dir_ + "/..tmp").c_str()), 0);
  ASSERT_EQ(rename((dir_ + "/..tmp").c_str(), (dir_ + "/..data").c_str()), 0);
  EXPECT_TRUE(watch.Look());
  EXPECT_FALSE(watch.Look());
}

TEST_F(ConfigWatchTest, OtherFilesFromNowOn) {
  ConfigWatch watch({file_});
  ASSERT_TRUE(AtomicWriteFile(dir_ + "/password", "x").ok());
  ASSERT_TRUE(AtomicWriteFile(file_, "a: 4\n").ok());
  watch.Watch({file_, dir_ + "/password", ""});
  EXPECT_TRUE(watch.Look());  // a change of a file that was watched is not lost
  EXPECT_FALSE(watch.Look());
  watch.Watch({dir_ + "/password"});
  ASSERT_TRUE(AtomicWriteFile(file_, "a: 5\n").ok());
  EXPECT_FALSE(watch.Look());
}

TEST_F(ConfigWatchTest, WhatAReloadReads) {
  Config config;
  config.postgresql.users = {{.name = "a", .password_file = "/p/a"}, {.name = "b"}};
  EXPECT_EQ(WatchedFiles({.file = file_, .flags = {}}, config), (std::vector<std::string>{file_, "/p/a"}));
  EXPECT_TRUE(WatchedFiles({}, {}).empty());
  Config redis;
  redis.redis.users_file = dir_ + "/users";
  const std::vector<std::string> alone = {redis.redis.users_file};
  EXPECT_EQ(WatchedFiles({}, redis), alone) << "it is not there";
  ASSERT_TRUE(AtomicWriteFile(dir_ + "/linked", "user a on passwords=/p/a ~*\nuser b on >x\n").ok());
  ASSERT_EQ(symlink((dir_ + "/linked").c_str(), redis.redis.users_file.c_str()), 0);
  EXPECT_EQ(WatchedFiles({}, redis), (std::vector<std::string>{redis.redis.users_file, "/p/a"}));
}

}  // namespace
}  // namespace mainstay::agent
