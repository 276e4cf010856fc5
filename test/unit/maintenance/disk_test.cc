// A member's disk: what counts as data, the note beside them, what a wipe leaves.
#include "lib/maintenance/disk.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "lib/base/random.h"

namespace mainstay::maintenance {
namespace {

namespace fs = std::filesystem;

class DiskTest : public testing::Test {
 protected:
  DiskTest() : dir_(testing::TempDir() + "/disk-" + RandomHex(6)) { fs::create_directories(data()); }
  ~DiskTest() override { fs::remove_all(dir_); }
  std::string data() const { return dir_ + "/rabbit@h"; }
  std::string note() const { return dir_ + "/mainstay-disk"; }
  void Put(const std::string& name, const std::string& text = "x") {
    fs::create_directories(fs::path(name).parent_path());
    std::ofstream(name) << text;
  }
  const std::string dir_;
};

TEST_F(DiskTest, ANewDiskGetsAnIdAndKeepsIt) {
  Disk a(data(), note());
  ASSERT_TRUE(a.Open().ok());
  EXPECT_EQ(a.note().disk.size(), 16u);
  Disk b(data(), note());
  ASSERT_TRUE(b.Open().ok());
  EXPECT_EQ(b.note().disk, a.note().disk);
}

TEST_F(DiskTest, ADamagedNoteIsAnErrorNotANewDisk) {
  Put(note(), "{\"v\":1,\"disk\":");
  Disk d(data(), note());
  const absl::Status s = d.Open();
  EXPECT_EQ(s.code(), absl::StatusCode::kDataLoss) << s;
  EXPECT_NE(s.message().find(note()), absl::string_view::npos) << s;
}

TEST_F(DiskTest, WhatRabbitTakesForBlankIsBlank) {
  Disk d(data(), note());
  EXPECT_FALSE(*d.HasData());
  for (const char* f :
       {"cluster_nodes.config", "nodes_running_at_shutdown", "quorum/names.dets", "lost+found/x"})
    Put(data() + "/" + f);
  EXPECT_FALSE(*d.HasData());
  Put(data() + "/schema.DAT");
  EXPECT_TRUE(*d.HasData());
  fs::remove_all(data());
  EXPECT_FALSE(*d.HasData());
}

TEST_F(DiskTest, WhoRanWhenItStopped) {
  Disk d(data(), note());
  EXPECT_TRUE(d.AtShutdown()->empty());
  Put(data() + "/nodes_running_at_shutdown", "[rabbit@b,rabbit@a].\n");
  EXPECT_EQ(*d.AtShutdown(), (std::vector<std::string>{"rabbit@a", "rabbit@b"}));
  Put(data() + "/nodes_running_at_shutdown", "[rabbit@");
  EXPECT_FALSE(d.AtShutdown().ok());
}

TEST_F(DiskTest, AWipeTakesTheDataAndMakesAnotherDisk) {
  Disk d(data(), note());
  ASSERT_TRUE(d.Open().ok());
  Note n = d.note();
  n.begun = Begun::kJoin;
  ASSERT_TRUE(d.Write(n).ok());
  Put(data() + "/schema.DAT");
  Put(data() + "-feature_flags");
  ASSERT_TRUE(d.Wipe().ok());
  EXPECT_FALSE(*d.HasData());
  EXPECT_FALSE(fs::exists(data() + "-feature_flags"));
  EXPECT_NE(d.note().disk, n.disk);
  EXPECT_EQ(d.note().begun, Begun::kNo);
}

}  // namespace
}  // namespace mainstay::maintenance
