// The file store among processes: many writers, writers killed at any moment, a writer stopped while it holds
// the lock.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/inotify.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <random>

#include "lib/base/file.h"
#include "lib/base/random.h"
#include "lib/lease/file_store.h"
#include "test/conformance/store_env.h"

namespace mainstay::lease {
namespace {

using namespace std::chrono_literals;

std::string ReadAll(int fd) {
  std::string out;
  char buffer[4096];
  for (ssize_t n; (n = read(fd, buffer, sizeof buffer)) > 0;) out.append(buffer, static_cast<size_t>(n));
  close(fd);
  return out;
}

TEST(FileStoreProcesses, ManyWritersLoseNothing) {
  const TempDir dir;
  std::vector<pid_t> pids;
  std::vector<int> fds;
  for (int p = 0; p < 5; ++p) {
    fds.push_back(-1);
    pids.push_back(StartWriterProcess(dir.path(), "p" + std::to_string(p), 60, &fds.back()));
  }
  std::vector<Appended> told;
  for (size_t p = 0; p < pids.size(); ++p) {
    told.push_back(ParseReport(ReadAll(fds[p])));
    int status = 0;
    ASSERT_EQ(waitpid(pids[p], &status, 0), pids[p]);
    ASSERT_EQ(status, 0);
    EXPECT_EQ(told.back().ok.size(), 60u);
    EXPECT_TRUE(told.back().unknown.empty());
  }
  const StoreAnswer final = (*FileStore::Open(dir.path()))->Read(In(5s));
  EXPECT_EQ(CheckLog(final.document.state, told), "");
}

// Two writers at a time, both killed after a random while; after each kill the file is whole, holds
// everything that was acknowledged and nothing that was refused, and can be written at once.
TEST(FileStoreProcesses, KilledWritersLeaveOldOrNew) {
  const TempDir dir;
  std::mt19937 rng(static_cast<unsigned>(RandomUint64()));
  auto store = *FileStore::Open(dir.path());
  ASSERT_EQ(store->Create({"", "0", ""}, In(5s)).outcome, StoreOutcome::kOk);
  int acknowledged = 0, mid_write = 0;
  for (int round = 0; round < 150; ++round) {
    int fds[2];
    pid_t pids[2];
    for (int p = 0; p < 2; ++p)
      pids[p] = StartWriterProcess(dir.path(), "r" + std::to_string(round) + "w" + std::to_string(p), 100'000,
                                   &fds[p]);
    // Once both have been told of a write, they die within the next few.
    for (int fd : fds) {
      pollfd ready{fd, POLLIN, 0};
      ASSERT_EQ(poll(&ready, 1, 10'000), 1);
    }
    usleep(static_cast<useconds_t>(rng() % 6'000));
    for (pid_t pid : pids) kill(pid, SIGKILL);
    for (pid_t pid : pids) ASSERT_EQ(waitpid(pid, nullptr, 0), pid);
    mid_write += std::filesystem::exists(dir.path() + "/lock.tmp/lock.json");
    const StoreAnswer now = store->Read(In(5s));
    ASSERT_EQ(now.outcome, StoreOutcome::kOk) << now.detail;
    std::string log = now.document.state;
    for (int p = 0; p < 2; ++p) {
      const Appended a = ParseReport(ReadAll(fds[p]));
      acknowledged += static_cast<int>(a.ok.size());
      for (const std::string& t : a.ok)
        ASSERT_NE((" " + log).find(" " + t + " "), std::string::npos) << "lost " << t;
      for (const std::string& t : a.refused)
        ASSERT_EQ((" " + log).find(" " + t + " "), std::string::npos) << "lie " << t;
    }
    ASSERT_EQ(store->Update({"", std::to_string(round), ""}, now.version, In(1s)).outcome, StoreOutcome::kOk)
        << "the dead hold the lock";
    ASSERT_FALSE(std::filesystem::exists(dir.path() + "/lock.tmp/lock.json")) << "left-overs are removed";
  }
  EXPECT_GT(acknowledged, 200) << "the writers were killed before they did anything";
  printf("[          ] 150 rounds: %d writes acknowledged, %d kills in the middle of a write\n", acknowledged,
         mid_write);
}

// Every member watches the directory all the time: what wakes them for nothing costs all of them.
TEST(FileStoreProcesses, AWriteIsOneEventForThoseWhoWatch) {
  const TempDir dir;
  auto store = *FileStore::Open(dir.path());
  const StoreAnswer first = store->Create({"l", "1", "s"}, In(5s));
  const UniqueFd watch(inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
  ASSERT_GE(inotify_add_watch(watch.get(), dir.path().c_str(),
                              IN_MOVED_TO | IN_CLOSE_WRITE | IN_CREATE | IN_MODIFY | IN_DELETE),
            0);
  ASSERT_EQ(store->Update({"l", "2", "s"}, first.version, In(5s)).outcome, StoreOutcome::kOk);
  alignas(inotify_event) char buffer[4096];
  const ssize_t n = read(watch.get(), buffer, sizeof buffer);
  ASSERT_GT(n, 0);
  const auto* event = reinterpret_cast<const inotify_event*>(buffer);
  EXPECT_STREQ(event->name, "lock.json");
  EXPECT_EQ(static_cast<size_t>(n), sizeof(inotify_event) + event->len) << "more than one event";
}

TEST(FileStoreProcesses, AStoppedLockHolderCostsOnlyTheDeadline) {
  const TempDir dir;
  auto store = *FileStore::Open(dir.path());
  const StoreAnswer first = store->Create({"l", "1", "s"}, In(5s));
  ASSERT_EQ(first.outcome, StoreOutcome::kOk);
  int fds[2];
  ASSERT_EQ(pipe2(fds, O_CLOEXEC), 0);
  const std::string& path = dir.path();
  const pid_t child = fork();
  if (child == 0) {
    const auto lock = FileLock::AcquireDir(path, BootClock().Now() + 5s);
    if (write(fds[1], lock.ok() ? "y" : "n", 1) != 1) _exit(1);
    for (;;) pause();
  }
  char c = 0;
  ASSERT_EQ(read(fds[0], &c, 1), 1);
  ASSERT_EQ(c, 'y');
  kill(child, SIGSTOP);
  for (const bool create : {false, true}) {
    const MonoTime begin = BootClock().Now();
    const StoreAnswer a = create ? store->Create({"l", "2", "s"}, begin + 300ms)
                                 : store->Update({"l", "2", "s"}, first.version, begin + 300ms);
    const Duration took = BootClock().Now() - begin;
    EXPECT_EQ(a.outcome, StoreOutcome::kUnknown);
    EXPECT_NE(a.detail.find(dir.path()), std::string::npos) << a.detail;
    EXPECT_GE(took, 250ms);
    EXPECT_LE(took, 600ms);
  }
  EXPECT_EQ(store->Read(In(1s)).version, first.version) << "reading waits for nobody";
  kill(child, SIGKILL);
  waitpid(child, nullptr, 0);
  close(fds[0]);
  close(fds[1]);
  EXPECT_EQ(store->Update({"l", "2", "s"}, first.version, In(1s)).outcome, StoreOutcome::kOk);
}

TEST(FileStoreProcesses, SpeedOfUpdate) {
  const TempDir dir;
  auto store = *FileStore::Open(dir.path());
  const Document d{std::string(200, 'l'), "1", std::string(2000, 's')};
  std::string version = store->Create(d, In(5s)).version;
  std::vector<double> update_us, read_us;
  for (int i = 0; i < 500; ++i) {
    MonoTime begin = BootClock().Now();
    const StoreAnswer a = store->Update(d, version, In(5s));
    update_us.push_back(static_cast<double>((BootClock().Now() - begin).count()) / 1e3);
    ASSERT_EQ(a.outcome, StoreOutcome::kOk) << a.detail;
    version = a.version;
    begin = BootClock().Now();
    ASSERT_EQ(store->Read(In(5s)).version, version);
    read_us.push_back(static_cast<double>((BootClock().Now() - begin).count()) / 1e3);
  }
  std::sort(update_us.begin(), update_us.end());
  std::sort(read_us.begin(), read_us.end());
  printf("[          ] Update p50 %.0f us p99 %.0f us; Read p50 %.0f us p99 %.0f us\n", update_us[250],
         update_us[495], read_us[250], read_us[495]);
}

}  // namespace
}  // namespace mainstay::lease
