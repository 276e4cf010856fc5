// Files that must survive: kill -9 at random moments, a full disk, foreign locks.
#include "lib/base/file.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <random>
#include <thread>

#include "lib/base/mounted_file.h"
#include "lib/base/random.h"

namespace mainstay {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;

constexpr size_t kMax = 1 << 20;

class FileTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = ::testing::TempDir() + "mainstay_file_XXXXXX";
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    dir_ = pattern;
  }
  void TearDown() override {
    if (mounted_) umount2(dir_.c_str(), MNT_DETACH);
    std::filesystem::remove_all(dir_);
  }
  std::string Path(const std::string& name) const { return dir_ + "/" + name; }
  std::vector<std::string> List() const {
    std::vector<std::string> out;
    for (const auto& e : std::filesystem::directory_iterator(dir_)) out.push_back(e.path().filename());
    return out;
  }
  std::string dir_;
  bool mounted_ = false;
};

TEST_F(FileTest, WriteAndRead) {
  bool replaced = false;
  ASSERT_TRUE(AtomicWriteFile(Path("f"), "one", {0640, &replaced}).ok());
  EXPECT_TRUE(replaced);
  ASSERT_TRUE(AtomicWriteFile(Path("f"), "two").ok());
  EXPECT_EQ(*ReadFile(Path("f"), kMax), "two");
  struct stat st {};
  ASSERT_EQ(stat(Path("f").c_str(), &st), 0);
  EXPECT_EQ(st.st_mode & 0777, 0600u);
  EXPECT_EQ(List().size(), 1u);
}

TEST_F(FileTest, ReadIsBounded) {
  ASSERT_TRUE(AtomicWriteFile(Path("f"), std::string(1000, 'x')).ok());
  EXPECT_TRUE(ReadFile(Path("f"), 1000).ok());
  const auto r = ReadFile(Path("f"), 999);
  EXPECT_EQ(r.status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(r.status().message()), HasSubstr(Path("f") + ": longer than 999 bytes"));
  EXPECT_TRUE(ReadFile("/proc/self/status", kMax).ok()) << "its size is said to be 0";
  EXPECT_EQ(ReadFile("/dev/zero", 100).status().code(), absl::StatusCode::kFailedPrecondition);
}

TEST_F(FileTest, ErrorsNamePathAndRemedy) {
  const auto missing = ReadFile(Path("none"), kMax).status();
  EXPECT_EQ(missing.code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(missing.message()),
              HasSubstr(Path("none") + ": No such file or directory; create it"));
  EXPECT_EQ(ReadFile(dir_, kMax).status().code(), absl::StatusCode::kFailedPrecondition);
  ASSERT_EQ(symlink("/etc/hostname", Path("link").c_str()), 0);
  EXPECT_EQ(ReadFile(Path("link"), kMax).status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_TRUE(ReadMountedFile(Path("link"), kMax).ok()) << "files of mounted volumes are links";
  ASSERT_EQ(mkfifo(Path("fifo").c_str(), 0600), 0);
  EXPECT_EQ(ReadFile(Path("fifo"), kMax).status().code(), absl::StatusCode::kFailedPrecondition)
      << "and does not hang";
  EXPECT_EQ(AtomicWriteFile(Path("no/f"), "x").code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(AtomicWriteFile(dir_, "x").code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_FALSE(std::filesystem::exists(dir_ + "/../.x"));
}

TEST_F(FileTest, MakeDirs) {
  EXPECT_TRUE(MakeDirs(Path("a/b//c/"), 0700).ok());
  EXPECT_TRUE(MakeDirs(Path("a/b/c"), 0700).ok());
  EXPECT_TRUE(std::filesystem::is_directory(Path("a/b/c")));
  ASSERT_TRUE(AtomicWriteFile(Path("f"), "x").ok());
  EXPECT_EQ(MakeDirs(Path("f/d"), 0700).code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(DirName("/a/b"), "/a");
  EXPECT_EQ(DirName("/b"), "/");
  EXPECT_EQ(DirName("b"), ".");
}

// The whole function under a limit on file size: the write fails as it does on a full disk.
TEST_F(FileTest, SizeLimitKeepsOldContent) {
  ASSERT_TRUE(AtomicWriteFile(Path("f"), "old").ok());
  const pid_t child = fork();
  if (child == 0) {
    signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{1000, 1000};
    setrlimit(RLIMIT_FSIZE, &limit);
    bool replaced = true;
    const absl::Status s = AtomicWriteFile(Path("f"), std::string(5000, 'n'), {0600, &replaced});
    _exit(s.code() == absl::StatusCode::kResourceExhausted && !replaced ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  EXPECT_EQ(*ReadFile(Path("f"), kMax), "old");
  EXPECT_EQ(List().size(), 1u) << "no temporary file is left";
}

TEST_F(FileTest, FullDiskKeepsOldContent) {
  if (mount("tmpfs", dir_.c_str(), "tmpfs", 0, "size=64k,nr_inodes=16") != 0) {
    GTEST_SKIP() << "SKIPPED LOUDLY: no right to mount a tmpfs here, a really full disk was not tried: "
                 << strerror(errno);
  }
  mounted_ = true;
  ASSERT_TRUE(AtomicWriteFile(Path("f"), "old").ok());
  bool replaced = true;
  const absl::Status s = AtomicWriteFile(Path("f"), std::string(100'000, 'n'), {0600, &replaced});
  EXPECT_EQ(s.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(s.message()), HasSubstr("the disk is full"));
  EXPECT_FALSE(replaced);
  EXPECT_EQ(*ReadFile(Path("f"), kMax), "old");
  EXPECT_EQ(List().size(), 1u);
  for (int i = 0; i < 20; ++i)
    close(open(Path("inode" + std::to_string(i)).c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
  EXPECT_EQ(AtomicWriteFile(Path("f"), "n").code(), absl::StatusCode::kResourceExhausted) << "out of inodes";
  EXPECT_EQ(*ReadFile(Path("f"), kMax), "old");
}

// A child replaces the file over and over and is killed: the file is always one whole content.
TEST_F(FileTest, KilledWritersLeaveOldOrNew) {
  std::mt19937 rng(static_cast<unsigned>(RandomUint64()));
  ASSERT_TRUE(AtomicWriteFile(Path("f"), std::string(10'000, 'a')).ok());
  size_t most = 0;
  for (int round = 0; round < 150; ++round) {
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      for (int i = 0;; ++i) {
        if (!AtomicWriteFile(Path("f"), std::string(10'000 + i % 7, static_cast<char>('a' + i % 26))).ok())
          _exit(1);
      }
    }
    usleep(static_cast<useconds_t>(rng() % 5000));
    kill(child, SIGKILL);
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFSIGNALED(status)) << "the writer failed by itself";
    const auto text = ReadFile(Path("f"), kMax);
    ASSERT_TRUE(text.ok()) << text.status();
    ASSERT_GE(text->size(), 10'000u);
    ASSERT_EQ(text->find_first_not_of((*text)[0]), std::string::npos) << "torn";
    most = std::max(most, List().size());
  }
  EXPECT_LE(most, 2u) << "left-overs pile up";
  ASSERT_TRUE(AtomicWriteFile(Path("f"), "last").ok());
  EXPECT_EQ(List().size(), 1u);
}

TEST_F(FileTest, WritersOfOnePathDoNotDisturbEachOther) {
  std::atomic<int> failures{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 100; ++i)
        failures += !AtomicWriteFile(Path("f"), std::string(5000, static_cast<char>('a' + t))).ok();
    });
  }
  for (std::thread& t : threads) t.join();
  EXPECT_EQ(failures, 0);
  const auto text = ReadFile(Path("f"), kMax);
  ASSERT_TRUE(text.ok());
  EXPECT_EQ(*text, std::string(5000, (*text)[0]));
}

TEST_F(FileTest, LockExcludesAndHasADeadline) {
  auto first = FileLock::Acquire(Path("lock"), MonoTime());
  ASSERT_TRUE(first.ok()) << first.status();
  const MonoTime begin = BootClock().Now();
  const auto second = FileLock::Acquire(Path("lock"), begin + 200ms);
  const Duration took = BootClock().Now() - begin;
  EXPECT_EQ(second.status().code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_THAT(std::string(second.status().message()), HasSubstr("held by another process"));
  EXPECT_GE(took, 180ms);
  EXPECT_LE(took, 600ms);
  { const FileLock gone = *std::move(first); }
  EXPECT_TRUE(FileLock::Acquire(Path("lock"), BootClock().Now() + 1s).ok());
}

TEST_F(FileTest, ADeletedLockFileDoesNotLetTwoIn) {
  auto first = FileLock::Acquire(Path("lock"), BootClock().Now() + 1s);
  ASSERT_TRUE(first.ok());
  std::atomic<bool> got{false};
  std::thread waiter([&] { got = FileLock::Acquire(Path("lock"), BootClock().Now() + 5s).ok(); });
  std::this_thread::sleep_for(50ms);
  unlink(Path("lock").c_str());
  { const FileLock gone = *std::move(first); }
  waiter.join();
  EXPECT_TRUE(got) << "must move to the new file, not stay on the deleted one";
  EXPECT_TRUE(std::filesystem::exists(Path("lock")));
}

TEST_F(FileTest, TheLockOfADeadProcessIsFree) {
  int fds[2];
  ASSERT_EQ(pipe(fds), 0);
  const pid_t child = fork();
  if (child == 0) {
    const auto lock = FileLock::Acquire(Path("lock"), BootClock().Now() + 1s);
    if (write(fds[1], lock.ok() ? "y" : "n", 1) != 1) _exit(1);
    pause();
  }
  char c = 0;
  ASSERT_EQ(read(fds[0], &c, 1), 1);
  EXPECT_EQ(c, 'y');
  EXPECT_FALSE(FileLock::Acquire(Path("lock"), BootClock().Now() + 50ms).ok());
  kill(child, SIGKILL);
  waitpid(child, nullptr, 0);
  EXPECT_TRUE(FileLock::Acquire(Path("lock"), BootClock().Now() + 1s).ok());
  close(fds[0]);
  close(fds[1]);
}

}  // namespace
}  // namespace mainstay
