#include "lib/engine/redis/aof.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>

namespace mainstay::engine::redis {
namespace {

class Aof : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = testing::TempDir() + "/aofXXXXXX";
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    dir_ = name;
  }
  void TearDown() override { std::filesystem::remove_all(dir_); }
  void Write(const std::string& name, size_t bytes) {
    std::filesystem::create_directories(dir_ + "/appendonlydir");
    std::ofstream(dir_ + "/appendonlydir/" + name) << std::string(bytes, 'x');
  }
  void Forget(const std::string& name) { std::filesystem::remove(dir_ + "/appendonlydir/" + name); }

  std::string dir_;
};

TEST_F(Aof, NothingWithoutFiles) {
  EXPECT_EQ(MarkAof(dir_), AofMark{});
  EXPECT_EQ(GrownSince(AofMark{2, 10}, dir_), 0u);
  EXPECT_EQ(MarkAof(dir_ + "/none"), AofMark{});
}

TEST_F(Aof, TheNewestFileIsTheOneThatIsAppendedTo) {
  Write("appendonly.aof.1.base.rdb", 500);
  Write("appendonly.aof.9.incr.aof", 70);
  Write("appendonly.aof.10.incr.aof", 30);
  Write("appendonly.aof.manifest", 200);
  Write("x.incr.aof", 7);
  Write("appendonly.aof.-3.incr.aof", 7);
  EXPECT_EQ(MarkAof(dir_), (AofMark{10, 30}));
}

TEST_F(Aof, GrowsByWhatWasAppended) {
  Write("appendonly.aof.1.incr.aof", 100);
  const AofMark mark = MarkAof(dir_);
  EXPECT_EQ(GrownSince(mark, dir_), 0u);
  Write("appendonly.aof.1.incr.aof", 140);
  EXPECT_EQ(GrownSince(mark, dir_), 40u);
  // A rewrite: further commands go to a file of their own, and the old one goes when it is done.
  Write("appendonly.aof.2.incr.aof", 5);
  EXPECT_EQ(GrownSince(mark, dir_), 45u);
  Forget("appendonly.aof.1.incr.aof");
  EXPECT_EQ(GrownSince(mark, dir_), 5u);
}

TEST_F(Aof, CutOffAtTheEndIsNoGrowth) {
  Write("appendonly.aof.1.incr.aof", 100);
  const AofMark mark = MarkAof(dir_);
  Write("appendonly.aof.1.incr.aof", 90);
  EXPECT_EQ(GrownSince(mark, dir_), 0u);
}

TEST_F(Aof, NoMarkNoGrowth) {
  Write("appendonly.aof.1.incr.aof", 100);
  EXPECT_EQ(GrownSince(AofMark{}, dir_), 0u);
}

}  // namespace
}  // namespace mainstay::engine::redis
