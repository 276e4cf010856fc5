// Queries of one's own for /metrics: what a file of them says (agent/config_queries reads it), checked.
//
// A query is run as `SELECT * FROM (<query>) q LIMIT <n>` in a read-only transaction of its own that is
// rolled back, with search_path = pg_catalog, pg_temp, as a member of pg_monitor: so it must name schemas
// (public.t), cannot write, and what it changes in the session does not last.
//
// Thread rules: plain values. Errors: InvalidArgument says the query, the value and the remedy.
#ifndef MAINSTAY_LIB_ENGINE_POSTGRES_METRICS_QUERIES_H_
#define MAINSTAY_LIB_ENGINE_POSTGRES_METRICS_QUERIES_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "lib/base/time.h"

namespace mainstay::engine::postgres {

enum class QueryUse : uint8_t { kDiscard, kLabel, kCounter, kGauge, kMapped, kDuration, kHistogram };
std::optional<QueryUse> ParseQueryUse(const std::string& text);  // "GAUGE", in any case

struct QueryColumn {
  std::string column;
  QueryUse use = QueryUse::kDiscard;
  std::string name;  // of the label, or the whole name of the family
  std::string help;
  std::map<std::string, double> mapping;  // of kMapped
};

// ">=13.0.0 <16 || >=17": as CloudNativePG and postgres_exporter write it.
struct VersionBound {
  char op = '=';   // = ! < > l (<=) g (>=)
  int number = 0;  // 15.4 -> 150004
};
using VersionRange = std::vector<std::vector<VersionBound>>;  // any of: all of; empty: every version
absl::Status ParseVersionRange(const std::string& text, VersionRange* out);
bool Includes(const VersionRange& range, int server_version);

struct UserQuery {
  std::string name;
  std::string sql;
  std::string predicate;  // "" : none; else the query runs when it returns one true
  bool primary_only = false;
  VersionRange versions;
  std::vector<std::string> databases;  // names, * for any characters; empty: the maintenance database
  Duration cache{};                    // not asked again before
  std::vector<QueryColumn> columns;
};

inline constexpr size_t kMaxQueries = 64;
inline constexpr size_t kMaxQueryColumns = 64;
inline constexpr size_t kMaxQueryBytes = 16 * 1024;

bool IsMetricName(const std::string& s);
bool IsLabelName(const std::string& s);  // not beginning with "__"
bool MatchesGlob(const std::string& pattern, const std::string& name);

// What cannot be checked where it is read: names of families that are taken, two of one name, no values.
absl::Status CheckQueries(const std::vector<UserQuery>& queries);

// "1h2m3.5s", "250ms" (Go's durations) -> milliseconds.
std::optional<double> ParseGoDuration(const std::string& text);
// "{1,2.5,NULL}" -> its numbers; absent when it is no array of numbers.
std::optional<std::vector<double>> ParseNumbers(const std::string& text);

}  // namespace mainstay::engine::postgres

#endif  // MAINSTAY_LIB_ENGINE_POSTGRES_METRICS_QUERIES_H_
