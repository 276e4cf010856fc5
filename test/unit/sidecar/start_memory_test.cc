// Pages of code are given back while other threads run that code.
#include "agent/sidecar/start_memory.h"

#include <gtest/gtest.h>

#include <atomic>
#include <cstdio>
#include <string>
#include <thread>

namespace mainstay::agent {
namespace {

// Resident pages of files, in bytes.
long ResidentFiles() {
  long kib = -1;
  if (FILE* f = std::fopen("/proc/self/status", "r")) {
    char line[256];
    while (std::fgets(line, sizeof line, f) != nullptr) {
      if (std::sscanf(line, "RssFile: %ld kB", &kib) == 1) break;
    }
    std::fclose(f);
  }
  return kib * 1024;
}

TEST(StartMemory, IsGivenBackWhileOthersRun) {
  std::atomic<bool> stop{false};
  std::atomic<long> turns{0};
  std::thread other([&] {
    while (!stop) turns += static_cast<long>(std::to_string(turns.load()).size());
  });
  const long before = ResidentFiles();
  const size_t given = GiveBackStartMemory();
  const long after = ResidentFiles();
  EXPECT_GT(given, 0u);
  EXPECT_LT(after, before) << "nothing was unmapped";
  const long seen = turns;
  for (int i = 0; i < 200; ++i) GiveBackStartMemory();
  while (turns == seen) std::this_thread::yield();
  stop = true;
  other.join();
}

}  // namespace
}  // namespace mainstay::agent
