// What is shown of a Redis: which field of INFO becomes which family, and the families that are made of more
// than one field. docs/REDIS_METRICS.md is printed from it.
//
// Names, labels and types are those of redis_exporter (1.45, Debian's, and what 1.88 added to them), so that
// its dashboards and alerts work unedited. What differs on purpose: RedisDeviations().
//
// Thread rules: constants and pure functions.
#ifndef MAINSTAY_LIB_ENGINE_REDIS_METRICS_TABLE_H_
#define MAINSTAY_LIB_ENGINE_REDIS_METRICS_TABLE_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "lib/metrics/metrics.h"

namespace mainstay::engine::redis {

// A field of INFO that is a number, or "ok" (1) and "err", "fail" (0).
struct InfoMetric {
  absl::string_view key;
  absl::string_view name;
  metrics::Type type;
  bool added = false;  // redis_exporter leaves it out
};
const InfoMetric* FindInfoMetric(absl::string_view key);  // null: there is none
// Its place in the table.
inline constexpr size_t kMaxInfoMetrics = 256;
size_t IndexOf(const InfoMetric& metric);

// Families with labels, or of something else than one field of INFO.
enum class FamilyId : uint8_t {
  kInstanceInfo,
  kSlaveInfo,
  kStartTime,
  kForkSeconds,
  kIoThreadSeconds,
  kSlaveOffset,
  kSlaveLag,
  kMasterLinkUp,
  kMasterLastIo,
  kMasterSync,
  kSlaveReplOffset,
  kDbKeys,
  kDbExpiring,
  kDbTtl,
  kCommands,
  kCommandSeconds,
  kCommandRejected,
  kCommandFailed,
  kPercentiles,
  kHistogram,
  kErrors,
  kSpikeLast,
  kSpikeSeconds,
  kSlowlogLength,
  kSlowlogLastId,
  kSlowlogSeconds,
  kConfigIoThreads,
  kConfigMaxclients,
  kConfigMaxmemory,
  kConfigBacklog,
  kConfigLimitBytes,
  kConfigLimitSeconds,
  kScrapes,
  kScrapeSeconds,
  kConnectSeconds,
  kScrapeError,
  // Not redis_exporter's:
  kReadOffset,
  kLinkDownSeconds,
  kSyncTotal,
  kSyncRead,
  kSyncLeft,
  kFailoverState,
  kSecondReplid,
  kSaveAge,
  kAnswer,
  kDropped,
  kCount,
};
struct FamilyText {
  const char* name;
  metrics::Type type;
  const char* labels;  // for the page
  const char* help;
  bool added = false;
};
const FamilyText& TextOf(FamilyId id);

// Where our metrics differ from redis_exporter's on purpose. test/integration/test_redis_metrics.py reads the
// same list out of docs/REDIS_METRICS.md: what is not on it must be equal.
struct Deviation {
  const char* family;  // a name, or a prefix ending in "*"
  const char* what;    // "absent", "labels", "type", "value"
  const char* why;
};
const std::vector<Deviation>& RedisDeviations();

// The lists of docs/REDIS_METRICS.md, in Markdown.
std::string RedisMetricsPage();

}  // namespace mainstay::engine::redis

#endif  // MAINSTAY_LIB_ENGINE_REDIS_METRICS_TABLE_H_
