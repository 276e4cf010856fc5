// What pg_basebackup and pg_rewind print while they work (-P).
//
// Thread rules: pure functions; ProgressReader is a plain value.
#ifndef MAINSTAY_LIB_ENGINE_POSTGRES_PROGRESS_H_
#define MAINSTAY_LIB_ENGINE_POSTGRES_PROGRESS_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"

namespace mainstay::engine::postgres {

struct Progress {
  uint64_t done_kb = 0;
  uint64_t total_kb = 0;
  friend bool operator==(const Progress&, const Progress&) = default;
};
// " 1234/5678 kB (21%), 0/1 tablespace (/x/base)": nothing when it is another line.
std::optional<Progress> ParseProgress(absl::string_view line);
// "45 % of 1.2 GB"
std::string ToText(const Progress& p);

// Takes output in pieces, as it comes; lines end with \n or \r. Bounded: of a line without an end only the
// beginning counts.
class ProgressReader {
 public:
  // The latest progress in the text so far, when this piece completed one.
  std::optional<Progress> Add(absl::string_view piece);

 private:
  std::string line_;
};

}  // namespace mainstay::engine::postgres

#endif  // MAINSTAY_LIB_ENGINE_POSTGRES_PROGRESS_H_
