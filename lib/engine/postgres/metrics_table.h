// What is collected of a PostgreSQL server: one table of collectors. Each column says the SQL expression, the
// name, type and help of what it becomes, and for which versions; the statement is put together from it, and
// docs/METRICS.md is printed from it.
//
// Names, labels and types are those of postgres_exporter (0.11, Debian's, and later ones where they were
// renamed: both spellings), so that its dashboards and alerts work unedited. What differs on purpose:
// Deviations().
//
// All statements run with search_path = pg_catalog, pg_temp (of the startup packet), read-only, and as a
// member of pg_monitor: nothing here needs more.
#ifndef MAINSTAY_LIB_ENGINE_POSTGRES_METRICS_TABLE_H_
#define MAINSTAY_LIB_ENGINE_POSTGRES_METRICS_TABLE_H_

#include <cstdint>
#include <string>
#include <vector>

namespace mainstay::engine::postgres {

enum class MetricUse : uint8_t {
  kLabel,
  kGauge,
  kCounter,
  kUntyped,
  kHidden,  // for the collector itself
};

inline constexpr int kFirstMajor = 13;
inline constexpr int kLastMajor = 99;

struct MetricColumn {
  const char* name = "";  // of the label, or the whole name of the family
  MetricUse use = MetricUse::kGauge;
  const char* expression = "";
  const char* help = "";
  int from = kFirstMajor;
  int until = kLastMajor;
};

enum class CollectorScope : uint8_t {
  kServer,     // once
  kDatabases,  // in each database that is collected from
};
enum class CollectorPace : uint8_t {
  kScrape,  // with each scrape
  kChange,  // when the configuration was read anew, the role changed, or another session was begun
  kSlow,    // walks the disk or much memory: at most once in metrics.slow_interval
};

struct MetricCollector {
  const char* name = "";   // "stat_database", as postgres_exporter calls it where it has one
  const char* about = "";  // one sentence
  CollectorScope scope = CollectorScope::kServer;
  CollectorPace pace = CollectorPace::kScrape;
  bool preset = true;               // collected unless told otherwise
  bool server_label = false;        // families have the label `server`, as Debian's exporter's
  const char* extension = "";       // needed, in the database collected from; its schema stands for {ext}
  const char* source = "";          // FROM ... of the statement
  const char* source_since17 = "";  // "" : the same
  const char* tail = "";            // WHERE, GROUP BY, ORDER BY
  bool limited = false;             // as many rows as a family may have samples
  std::vector<MetricColumn> columns;
};

// In the order in which they are asked.
const std::vector<MetricCollector>& MetricCollectors();
const MetricCollector* FindMetricCollector(const std::string& name);  // null: there is none

// The columns that a server of that major version has.
std::vector<const MetricColumn*> ColumnsFor(const MetricCollector& collector, int major);
// `schema`: of the extension, quoted. `limit`: of rows, when the collector is limited.
std::string StatementFor(const MetricCollector& collector, int major, const std::string& schema,
                         uint32_t limit);

// pg_settings: one family for each parameter that is a number or a truth.
struct SettingMetric {
  std::string name;  // "pg_settings_shared_buffers_bytes"
  std::string help;
  std::string value;  // text of a sample
};
// False: nothing that can be shown. `unit` as in pg_settings: "8kB", "ms", "".
bool ToSettingMetric(const std::string& name, const std::string& setting, const std::string& unit,
                     const std::string& type, SettingMetric* out);

// What the collection says of itself and of the disk: metrics.cc fills them.
enum class OwnMetric : uint8_t { kDuration, kError, kScrapes, kQueriesError, kDiskSize, kDiskAvailable };
struct OwnMetricText {
  const char* name;
  MetricUse use;
  const char* labels;  // for the page
  const char* help;
};
const OwnMetricText& TextOf(OwnMetric metric);

// Where our metrics differ from postgres_exporter's on purpose. test/integration/test_metrics.py reads the
// same list out of docs/METRICS.md: what is not on it must be equal.
struct Deviation {
  const char* family;  // a name, or a prefix ending in "*"
  const char* what;    // "absent", "labels", "type", "value"
  const char* why;
};
const std::vector<Deviation>& Deviations();

// The page docs/METRICS.md lists of this engine's families, in Markdown.
std::string MetricsPage();

}  // namespace mainstay::engine::postgres

#endif  // MAINSTAY_LIB_ENGINE_POSTGRES_METRICS_TABLE_H_
