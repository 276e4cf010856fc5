#include "test/conformance/store_env.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <sstream>
#include <thread>

#include "lib/lease/file_store.h"

namespace mainstay::lease {
namespace {

using namespace std::chrono_literals;

std::string Describe(const char* what, const std::string& token) {
  return std::string(what) + " " + token + "; ";
}

}  // namespace

TempDir::TempDir() {
  path_ = ::testing::TempDir() + "mainstay_store_XXXXXX";
  if (mkdtemp(path_.data()) == nullptr) abort();
}
TempDir::~TempDir() { std::filesystem::remove_all(path_); }

Faults AllFaults() {
  Faults f;
  f.unknown_before = 0.1;
  f.unknown_after = 0.1;
  f.unknown_late = 0.1;
  f.conflict = 0.1;
  f.stale_read = 0.1;
  f.delay = 0.3;
  f.delay_max = 1ms;
  f.late_max = 3ms;
  return f;
}

Appended AppendTokens(Store* store, const std::string& writer, int count, MonoTime deadline) {
  Appended out;
  for (int n = 0; static_cast<int>(out.ok.size()) < count && BootClock().Now() < deadline;) {
    const StoreAnswer seen = store->Read(In(5s));
    if (seen.outcome != StoreOutcome::kOk && seen.outcome != StoreOutcome::kNotFound) continue;
    const std::string token = writer + "." + std::to_string(n++);
    Document next = seen.document;
    next.leader = writer;
    next.renewal = std::to_string(n);
    next.state += token + " ";
    std::this_thread::sleep_for(
        20us);  // lets the others in between: without it a fast store sees no conflict at all
    const StoreAnswer done = seen.outcome == StoreOutcome::kNotFound
                                 ? store->Create(next, In(5s))
                                 : store->Update(next, seen.version, In(5s));
    switch (done.outcome) {
      case StoreOutcome::kOk:
        out.ok.push_back(token);
        break;
      case StoreOutcome::kConflict:
      case StoreOutcome::kNotFound:
        out.refused.push_back(token);
        break;
      case StoreOutcome::kUnknown:
      case StoreOutcome::kUnreadable:
        out.unknown.push_back(token);
        break;
    }
  }
  return out;
}

std::string CheckLog(const std::string& log, const std::vector<Appended>& writers) {
  std::map<std::string, int> times;
  std::istringstream words(log);
  for (std::string w; words >> w;) ++times[w];
  std::string wrong;
  size_t known = 0;
  for (const Appended& a : writers) {
    for (const std::string& t : a.ok) {
      if (times[t] != 1) wrong += Describe(times[t] == 0 ? "lost although acknowledged:" : "doubled:", t);
    }
    for (const std::string& t : a.refused) {
      if (times[t] != 0) wrong += Describe("written although refused:", t);
    }
    for (const std::string& t : a.unknown) {
      if (times[t] > 1) wrong += Describe("doubled:", t);
    }
    known += a.ok.size() + a.refused.size() + a.unknown.size();
  }
  if (times.size() != known)
    wrong += "tokens of nobody: " + std::to_string(times.size()) + " against " + std::to_string(known);
  return wrong;
}

pid_t StartWriterProcess(const std::string& dir, const std::string& writer, int count, int* out_fd) {
  int fds[2];
  if (pipe2(fds, O_CLOEXEC) != 0) return -1;
  const std::string count_text = std::to_string(count);
  const pid_t pid = fork();
  if (pid == 0) {
    dup2(fds[1], 1);
    execl("/proc/self/exe", "writer", "--store-writer", dir.c_str(), writer.c_str(), count_text.c_str(),
          nullptr);
    _exit(127);
  }
  close(fds[1]);
  *out_fd = fds[0];
  return pid;
}

// Reports each answer as soon as it has it, so that what a killed writer was told is known.
int WriterMain(int argc, char** argv) {
  if (argc != 5) return 2;
  const auto store = FileStore::Open(argv[2]);
  if (!store.ok()) return 3;
  for (int n = 0; n < atoi(argv[4]); ++n) {
    const std::string writer = std::string(argv[3]) + "-" + std::to_string(n);
    const Appended a = AppendTokens(store->get(), writer, 1, In(60s));
    std::string report;
    for (const std::string& t : a.ok) report += "ok " + t + "\n";
    for (const std::string& t : a.refused) report += "refused " + t + "\n";
    for (const std::string& t : a.unknown) report += "unknown " + t + "\n";
    if (write(1, report.data(), report.size()) < 0) return 4;
  }
  return 0;
}

Appended ParseReport(const std::string& text) {
  Appended out;
  std::istringstream lines(text);
  for (std::string what, token; lines >> what >> token;) {
    (what == "ok" ? out.ok : what == "refused" ? out.refused : out.unknown).push_back(token);
  }
  return out;
}

}  // namespace mainstay::lease
