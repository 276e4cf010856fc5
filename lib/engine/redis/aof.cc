#include "lib/engine/redis/aof.h"

#include <dirent.h>
#include <sys/stat.h>

#include <map>
#include <memory>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"

namespace mainstay::engine::redis {
namespace {

constexpr size_t kMaxFiles = 4096;

// Sizes by sequence number.
std::map<int64_t, uint64_t> Files(const std::string& data_dir) {
  std::map<int64_t, uint64_t> out;
  const std::string dir = absl::StrCat(data_dir, "/appendonlydir");
  const std::unique_ptr<DIR, int (*)(DIR*)> d(opendir(dir.c_str()), &closedir);
  while (d != nullptr && out.size() < kMaxFiles) {
    const dirent* entry = readdir(d.get());
    if (entry == nullptr) break;
    absl::string_view name(entry->d_name);
    int64_t seq = 0;
    struct stat st {};
    if (!absl::ConsumeSuffix(&name, ".incr.aof") ||
        !absl::SimpleAtoi(name.substr(name.rfind('.') + 1), &seq) || seq <= 0 ||
        stat(absl::StrCat(dir, "/", entry->d_name).c_str(), &st) != 0) {
      continue;
    }
    out[seq] = static_cast<uint64_t>(st.st_size);
  }
  return out;
}

}  // namespace

AofMark MarkAof(const std::string& data_dir) {
  const std::map<int64_t, uint64_t> files = Files(data_dir);
  if (files.empty()) return {};
  return {files.rbegin()->first, files.rbegin()->second};
}

uint64_t GrownSince(const AofMark& mark, const std::string& data_dir) {
  if (mark.seq == 0) return 0;
  uint64_t grown = 0;
  for (const auto& [seq, size] : Files(data_dir)) {
    if (seq > mark.seq) grown += size;
    if (seq == mark.seq && size > mark.size) grown += size - mark.size;
  }
  return grown;
}

}  // namespace mainstay::engine::redis
