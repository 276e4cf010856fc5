// The file store on a broken world: full disk, failing and hanging fsync, foreign and damaged files, missing
// directory.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <thread>

#include "lib/base/file.h"
#include "lib/lease/file_store.h"
#include "test/conformance/store_env.h"

namespace mainstay::lease {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;

const Document kOld{"leader", "1", "old"};
const Document kNew{"leader", "2", "new"};

class FileStoreDamage : public ::testing::Test {
 protected:
  void SetUp() override {
    store_ = *FileStore::Open(dir_.path());
    version_ = store_->Create(kOld, In(5s)).version;
    ASSERT_NE(version_, "");
  }
  std::string File() const { return dir_.path() + "/lock.json"; }
  void Write(const std::string& text) const { std::ofstream(File(), std::ios::trunc) << text; }
  TempDir dir_;
  std::unique_ptr<FileStore> store_;
  std::string version_;
};

TEST_F(FileStoreDamage, FullDiskKeepsTheOldContent) {
  const TempDir mount_dir;
  if (mount("tmpfs", mount_dir.path().c_str(), "tmpfs", 0, "size=16k") != 0) {
    GTEST_SKIP() << "SKIPPED LOUDLY: no right to mount a tmpfs here, a really full disk was not tried: "
                 << strerror(errno);
  }
  {
    auto store = *FileStore::Open(mount_dir.path());
    const std::string v1 = store->Create(kOld, In(5s)).version;
    const StoreAnswer a = store->Update({"l", "2", std::string(100'000, 'x')}, v1, In(5s));
    EXPECT_EQ(a.outcome, StoreOutcome::kUnknown);
    EXPECT_THAT(a.detail, HasSubstr("the disk is full"));
    EXPECT_EQ(store->Read(In(5s)).version, v1);
    EXPECT_EQ(store->Read(In(5s)).document, kOld);
    const UniqueFd hog(open((mount_dir.path() + "/hog").c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
    const std::string block(4096, 'h');
    while (write(hog.get(), block.data(), block.size()) > 0) {
    }
    EXPECT_EQ(store->Update(kNew, v1, In(5s)).outcome, StoreOutcome::kUnknown);
    EXPECT_EQ(store->Read(In(5s)).document, kOld);
    unlink((mount_dir.path() + "/lock.json").c_str());
    unlink((mount_dir.path() + "/hog").c_str());
    EXPECT_EQ(ftruncate(hog.get(), 0), 0);
    EXPECT_EQ(store->Create(kNew, In(5s)).outcome, StoreOutcome::kOk)
        << "works again as soon as there is space";
  }
  umount2(mount_dir.path().c_str(), MNT_DETACH);
}

std::string g_delete;  // deleted during the fsync of the new content
int DeletingFsync(int fd) {
  unlink(g_delete.c_str());
  return fsync(fd);
}

TEST_F(FileStoreDamage, ADeletionInTheMiddleOfAnUpdateIsNotUndone) {
  FileStoreOptions options;
  options.fsync_for_test = &DeletingFsync;
  auto store = *FileStore::Open(dir_.path(), options);
  g_delete = File();
  EXPECT_EQ(store->Update(kNew, version_, In(5s)).outcome, StoreOutcome::kNotFound);
  EXPECT_EQ(store->Read(In(5s)).outcome, StoreOutcome::kNotFound);
  EXPECT_FALSE(std::filesystem::exists(File() + ".tmp"));
}

std::atomic<int> g_fail_at{0};  // which fsync of a write fails: 1 the file's, 2 the directory's
std::atomic<int> g_calls{0};
std::atomic<int> g_hang_ms{0};
int BadFsync(int fd) {
  if (++g_calls == g_fail_at) {
    errno = EIO;
    return -1;
  }
  if (g_hang_ms > 0) std::this_thread::sleep_for(std::chrono::milliseconds(g_hang_ms));
  return fsync(fd);
}

TEST_F(FileStoreDamage, AFailedFsyncOfTheFileChangesNothing) {
  FileStoreOptions options;
  options.fsync_for_test = &BadFsync;
  auto store = *FileStore::Open(dir_.path(), options);
  g_calls = 0;
  g_fail_at = 1;
  const StoreAnswer a = store->Update(kNew, version_, In(5s));
  EXPECT_EQ(a.outcome, StoreOutcome::kUnknown);
  EXPECT_THAT(a.detail, HasSubstr("nothing was changed"));
  EXPECT_EQ(store->Read(In(5s)).version, version_);
  EXPECT_FALSE(std::filesystem::exists(File() + ".tmp"));
}

TEST_F(FileStoreDamage, AFailedFsyncOfTheDirectoryIsUnknown) {
  FileStoreOptions options;
  options.fsync_for_test = &BadFsync;
  auto store = *FileStore::Open(dir_.path(), options);
  g_calls = 0;
  g_fail_at = 2;
  const StoreAnswer a = store->Update(kNew, version_, In(5s));
  EXPECT_EQ(a.outcome, StoreOutcome::kUnknown) << "it is there, but may be gone after a power cut";
  EXPECT_THAT(a.detail, HasSubstr("may be lost in a power cut"));
  EXPECT_EQ(store->Read(In(5s)).document, kNew);
}

TEST_F(FileStoreDamage, AHangingDiskCostsOnlyTheDeadline) {
  FileStoreOptions options;
  options.fsync_for_test = &BadFsync;
  auto store = *FileStore::Open(dir_.path(), options);
  g_fail_at = 0;
  g_hang_ms = 700;
  MonoTime begin = BootClock().Now();
  const StoreAnswer a = store->Update(kNew, version_, In(100ms));
  EXPECT_EQ(a.outcome, StoreOutcome::kUnknown);
  EXPECT_THAT(a.detail, HasSubstr("no answer from the disk"));
  EXPECT_LT(BootClock().Now() - begin, 300ms);
  begin = BootClock().Now();
  EXPECT_EQ(store->Read(In(100ms)).outcome, StoreOutcome::kUnknown) << "behind the one that hangs";
  EXPECT_LT(BootClock().Now() - begin, 300ms);
  g_hang_ms = 0;
  const StoreAnswer after = store->Read(In(5s));
  EXPECT_EQ(after.outcome, StoreOutcome::kOk);
  EXPECT_EQ(after.version, version_) << "what passed its deadline before the rename was given up";
}

TEST_F(FileStoreDamage, AnEditGetsAnotherVersion) {
  std::string text = *ReadFile(File(), 1 << 20);
  text.replace(text.find("old"), 3, "odd");
  Write(text);
  const StoreAnswer read = store_->Read(In(5s));
  EXPECT_EQ(read.outcome, StoreOutcome::kOk);
  EXPECT_EQ(read.document.state, "odd");
  EXPECT_NE(read.version, version_);
  EXPECT_EQ(store_->Update(kNew, version_, In(5s)).outcome, StoreOutcome::kConflict)
      << "the holder does not write over an edit unseen";
  EXPECT_EQ(store_->Update(kNew, read.version, In(5s)).outcome, StoreOutcome::kOk);
}

TEST_F(FileStoreDamage, ADamagedFileIsUnreadableAndCanBeReplaced) {
  const std::string good = *ReadFile(File(), 1 << 20);
  std::vector<std::string> bad = {"",
                                  "garbage",
                                  "{}",
                                  "[]",
                                  good.substr(0, good.size() / 2),
                                  std::string(1000, '['),
                                  std::string(8 << 20, ' '),
                                  "{\"format\":\"other\"}"};
  for (const std::string& text : bad) {
    Write(text);
    const StoreAnswer read = store_->Read(In(5s));
    EXPECT_EQ(read.outcome, StoreOutcome::kUnreadable) << text.substr(0, 40);
    EXPECT_THAT(read.detail, HasSubstr(File() + " is damaged"));
    EXPECT_EQ(store_->Read(In(5s)).version, read.version) << "stable while nobody writes";
    EXPECT_EQ(store_->Create(kNew, In(5s)).outcome, StoreOutcome::kConflict);
    EXPECT_EQ(store_->Update(kNew, version_, In(5s)).outcome, StoreOutcome::kConflict);
    const StoreAnswer repaired = store_->Update(kNew, read.version, In(5s));
    EXPECT_EQ(repaired.outcome, StoreOutcome::kOk) << repaired.detail;
    EXPECT_EQ(store_->Read(In(5s)).document, kNew);
  }
}

TEST_F(FileStoreDamage, ForeignThingsInThePlaceOfTheFile) {
  const std::string target = dir_.path() + "/precious";
  std::ofstream(target) << "precious";
  unlink(File().c_str());
  ASSERT_EQ(symlink(target.c_str(), File().c_str()), 0);
  StoreAnswer a = store_->Read(In(5s));
  EXPECT_EQ(a.outcome, StoreOutcome::kUnknown);
  EXPECT_THAT(a.detail, HasSubstr("symbolic link"));
  EXPECT_EQ(store_->Create(kNew, In(5s)).outcome, StoreOutcome::kUnknown);
  EXPECT_EQ(store_->Update(kNew, version_, In(5s)).outcome, StoreOutcome::kUnknown);
  unlink(File().c_str());
  ASSERT_EQ(mkdir(File().c_str(), 0700), 0);
  EXPECT_EQ(store_->Read(In(5s)).outcome, StoreOutcome::kUnknown);
  EXPECT_EQ(store_->Create(kNew, In(5s)).outcome, StoreOutcome::kUnknown);
  rmdir(File().c_str());
  ASSERT_EQ(mkfifo(File().c_str(), 0600), 0);
  EXPECT_EQ(store_->Read(In(1s)).outcome, StoreOutcome::kUnknown) << "and it does not hang";
  unlink(File().c_str());
  // A left-over that is a link must not be written through.
  ASSERT_EQ(symlink(target.c_str(), (File() + ".tmp").c_str()), 0);
  EXPECT_EQ(store_->Create(kNew, In(5s)).outcome, StoreOutcome::kOk);
  EXPECT_EQ(*ReadFile(target, 100), "precious");
}

TEST_F(FileStoreDamage, ADeletedDirectoryIsUnknownNotAbsent) {
  std::filesystem::remove_all(dir_.path());
  const StoreAnswer a = store_->Read(In(5s));
  EXPECT_EQ(a.outcome, StoreOutcome::kUnknown) << "an unmounted volume is not a deleted lock";
  EXPECT_THAT(a.detail, HasSubstr("create it or correct the path"));
  EXPECT_EQ(store_->Create(kNew, In(100ms)).outcome, StoreOutcome::kUnknown);
  EXPECT_EQ(store_->Update(kNew, version_, In(100ms)).outcome, StoreOutcome::kUnknown);
  const MonoTime begin = BootClock().Now();
  EXPECT_FALSE(store_->WaitChange(version_, In(250ms)));
  EXPECT_GE(BootClock().Now() - begin, 250ms) << "no busy loop";
  std::thread maker([&] {
    std::this_thread::sleep_for(100ms);
    std::filesystem::create_directory(dir_.path());
  });
  EXPECT_TRUE(store_->WaitChange(version_, In(5s)));
  maker.join();
  EXPECT_EQ(store_->Read(In(5s)).outcome, StoreOutcome::kNotFound);
}

TEST_F(FileStoreDamage, MissingRightsAreUnknownAndNamed) {
  if (geteuid() == 0) {
    // Root may do everything; what an immutable directory says is as good.
    if (mount("tmpfs", dir_.path().c_str(), "tmpfs", MS_RDONLY, "size=16k") != 0) {
      GTEST_SKIP() << "SKIPPED LOUDLY: root without the right to mount cannot try missing rights";
    }
    const StoreAnswer a = store_->Create(kNew, In(5s));
    umount2(dir_.path().c_str(), MNT_DETACH);
    EXPECT_EQ(a.outcome, StoreOutcome::kUnknown);
    EXPECT_THAT(a.detail, HasSubstr("read-only"));
    return;
  }
  ASSERT_EQ(chmod(dir_.path().c_str(), 0500), 0);
  const StoreAnswer a = store_->Update(kNew, version_, In(5s));
  chmod(dir_.path().c_str(), 0700);
  EXPECT_EQ(a.outcome, StoreOutcome::kUnknown);
  EXPECT_THAT(a.detail, HasSubstr("give this user access"));
  EXPECT_EQ(store_->Read(In(5s)).document, kOld);
}

TEST_F(FileStoreDamage, TooMuchIsRefusedBeforeItIsWritten) {
  const StoreAnswer a =
      store_->Update({"", "", std::string(election::kMaxDocumentBytes + 1, 'x')}, version_, In(5s));
  EXPECT_EQ(a.outcome, StoreOutcome::kUnknown);
  EXPECT_THAT(a.detail, HasSubstr("bytes, more than"));
  EXPECT_EQ(store_->Read(In(5s)).version, version_);
}

TEST_F(FileStoreDamage, WithoutInotifyItPolls) {
  FileStoreOptions options;
  options.poll_only = true;
  auto store = *FileStore::Open(dir_.path(), options);
  std::thread writer([&] {
    std::this_thread::sleep_for(150ms);
    store_->Update(kNew, version_, In(5s));
  });
  const MonoTime begin = BootClock().Now();
  EXPECT_TRUE(store->WaitChange(version_, In(5s)));
  EXPECT_LT(BootClock().Now() - begin, 1s);
  writer.join();
}

}  // namespace
}  // namespace mainstay::lease
