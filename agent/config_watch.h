// Notices that a file of the configuration was replaced, without a signal: Kubernetes swaps a symlink and
// tells nobody.
//
//   ConfigWatch watch(WatchedFiles(source, config));
//   ... every 10 s: if (watch.Look()) reload; then watch.Watch(WatchedFiles(source, new_config));
//
// A file that was replaced (rename, swapped symlink) is told at the next look; one that is written in place
// is told when two looks in a row saw it the same, so that half a file is not read. A file that is gone is no
// change: whoever replaces it may be between two steps. A change is told once, whatever the reload says of
// it.
//
// Costs one stat(2) a file and look. Thread rules: one thread. Errors: none; what cannot be read is told by
// the reload.
#ifndef MAINSTAY_AGENT_CONFIG_WATCH_H_
#define MAINSTAY_AGENT_CONFIG_WATCH_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "agent/config.h"

namespace mainstay::agent {

inline constexpr Duration kConfigLookEvery = std::chrono::seconds(10);

class ConfigWatch {
 public:
  explicit ConfigWatch(const std::vector<std::string>& files);
  // Other files from now on; as they are now they are known.
  void Watch(const std::vector<std::string>& files);
  // Has one of them changed since it was last told, or first watched?
  bool Look();

 private:
  struct Mark {
    uint64_t device = 0, inode = 0;  // inode 0: not there
    int64_t size = 0, modified = 0;
    friend bool operator==(const Mark&, const Mark&) = default;
    bool SameFile(const Mark& other) const { return device == other.device && inode == other.inode; }
  };
  struct Known {
    Mark told;
    Mark seen;  // at the last look
  };
  static Mark Now(const std::string& file);

  std::map<std::string, Known> files_;
};

// What a reload reads: the configuration's file and those of passwords that it names.
std::vector<std::string> WatchedFiles(const ConfigSource& source, const Config& config);

}  // namespace mainstay::agent

#endif  // MAINSTAY_AGENT_CONFIG_WATCH_H_
