// Parts of metrics_families that stand in files of their own; of this room alone.
//
// Thread rules: plain values; texts of INFO must outlive the rows.
#ifndef MAINSTAY_LIB_ENGINE_REDIS_METRICS_PARTS_H_
#define MAINSTAY_LIB_ENGINE_REDIS_METRICS_PARTS_H_

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "lib/engine/redis/info.h"
#include "lib/engine/redis/metrics_families.h"

namespace mainstay::engine::redis {

// May stand in the name of a metric.
bool IsMetricName(absl::string_view text);

// Sections Commandstats and Latencystats: a row for each command that was called.
class CommandRows {
 public:
  explicit CommandRows(const InfoOptions& options) : limit_(options.commands) {}
  void Stat(const InfoLine& line);
  void Percentiles(const InfoLine& line);
  // The commands with the most calls; what each took, in microseconds.
  std::map<std::string, int64_t, std::less<>> Write(Families* out);

 private:
  struct Row {
    absl::string_view name, percentiles;
    int64_t calls = 0, usec = 0, rejected = -1, failed = -1;
  };
  void WriteOne(const Row& row, Families* out) const;

  const size_t limit_;
  std::vector<Row> rows_;
  std::map<absl::string_view, size_t> at_;
};

}  // namespace mainstay::engine::redis

#endif  // MAINSTAY_LIB_ENGINE_REDIS_METRICS_PARTS_H_
