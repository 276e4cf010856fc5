// Timelines: a leader's history file, and whether data that end at (timeline, position) are on its line.
//
// Thread rules: pure functions and plain values.
#ifndef MAINSTAY_LIB_ENGINE_POSTGRES_HISTORY_H_
#define MAINSTAY_LIB_ENGINE_POSTGRES_HISTORY_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace mainstay::engine::postgres {

// "Timeline `timeline` was left at `end`."
struct TimelineEnd {
  uint32_t timeline = 0;
  uint64_t end = 0;
  std::string reason;  // the server's words, at most kMaxReason bytes
  friend bool operator==(const TimelineEnd&, const TimelineEnd&) = default;
};
// A line of descent: `current` and the timelines before it, oldest first.
struct Lineage {
  uint32_t current = 0;
  std::vector<TimelineEnd> ancestors;
};

inline constexpr size_t kMaxReason = 120;
inline constexpr size_t kMaxHistoryBytes = 256 * 1024;

// The content of a file such as 00000003.history. `current` is the timeline that the file is of (1 has no
// file: text "").
absl::StatusOr<Lineage> ParseHistory(uint32_t current, absl::string_view text);

struct Ancestry {
  bool ancestor = false;  // the data are a prefix of the leader's: they can simply follow
  std::string why;        // when not: where they part, for people
  uint64_t beyond = 0;    // bytes of these data that the leader does not have; 0 also when that is not known
};
// Do data on `timeline` that end at `end` lie on the leader's line, whose own log ends at `leader_end`?
// A log that ends exactly where its timeline was left is a prefix. One that is longer than the leader's own,
// on the same timeline, is not: the leader lacks something that these data have.
Ancestry Compare(const Lineage& leader, uint64_t leader_end, uint32_t timeline, uint64_t end);

}  // namespace mainstay::engine::postgres

#endif  // MAINSTAY_LIB_ENGINE_POSTGRES_HISTORY_H_
