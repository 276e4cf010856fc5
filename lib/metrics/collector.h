// What a database tells of itself, as data that knows no engine: families whose sample lines are text
// already, so that a scrape copies bytes, values that could not be learned anew cost nothing, and both
// formats share them. PostgreSQL, Redis and RabbitMQ add a Collector and nothing else.
//
//   LabelText row;  row.Add("datname", "app");
//   FamilyList out;
//   out.Begin("pg_database_size_bytes", Type::kGauge, "Disk space used by the database").Add(row, "7713583");
//
// Units: those of the names. Thread rules: values; a Snapshot is immutable once it was handed out. A
// Collector is called on one thread (Scraper's).
#ifndef MAINSTAY_LIB_METRICS_COLLECTOR_H_
#define MAINSTAY_LIB_METRICS_COLLECTOR_H_

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "lib/base/time.h"
#include "lib/metrics/metrics.h"

namespace mainstay::metrics {

// The labels of a sample, escaped once for all families of a row: `a="1",b="x"`.
class LabelText {
 public:
  void Add(absl::string_view name, absl::string_view value);
  void Clear() { text_.clear(); }
  const std::string& text() const { return text_; }

 private:
  std::string text_;
};

struct Family {
  std::string name;
  std::string help;
  Type type = Type::kGauge;
  std::string lines;  // samples, one a line, each complete
  uint32_t samples = 0;

  // `value` as it shall stand there: a number, NaN, +Inf, -Inf. `suffix`: "_bucket" and the like.
  void Add(const LabelText& labels, absl::string_view value, absl::string_view suffix = "");
  void AddNumber(const LabelText& labels, double value, absl::string_view suffix = "");
};

// Families in the order in which they were begun.
class FamilyList {
 public:
  // The family of that name, begun when it is not there yet.
  Family& Begin(absl::string_view name, Type type, absl::string_view help);
  // One that is known to be new; quick also among hundreds.
  Family& Append(absl::string_view name, Type type, absl::string_view help);
  std::vector<Family> Take() { return std::move(families_); }
  const std::vector<Family>& families() const { return families_; }

 private:
  std::vector<Family> families_;
};
using FamiliesPtr = std::shared_ptr<const std::vector<Family>>;

// How one collector (a query, mostly) fared.
struct CollectorState {
  std::string name;
  std::string scope;  // database, "" : the server
  bool ok = false;    // the last time that it was tried
  Duration took{};
  MonoTime at;  // when its values were taken; the distant past: never
};

struct Snapshot {
  bool up = false;      // it answered in this collection
  std::string problem;  // why not
  MonoTime began;
  Duration took{};
  std::vector<FamiliesPtr> families;  // several may hold the same name: they are one family
  std::vector<CollectorState> collectors;
  // What the database's own exporter said: Prometheus' text, whole lines, of other families than those above.
  // Written as it is, and not counted by Bounds.
  std::shared_ptr<const std::string> text;
};
using SnapshotPtr = std::shared_ptr<const Snapshot>;

class Collector {
 public:
  virtual ~Collector() = default;
  // Everything that can be had by `deadline`; values that could not be renewed are the last ones. Never null.
  virtual SnapshotPtr Collect(MonoTime deadline) = 0;
  // Nobody asked for a while: gives connections and memory back.
  virtual void Rest() = 0;
  // "pg": names <prefix>_up, <prefix>_scrape_collector_success, ...
  virtual const char* prefix() const = 0;
  // Its snapshots have a text: the page is Prometheus' text, whatever the scraper would rather have.
  virtual bool text_only() const { return false; }
  // What is shown when a collection does not end in time; null: the last one, marked as such. Any thread.
  virtual SnapshotPtr Late() const { return nullptr; }
};

struct Bounds {
  uint32_t family = 1000;   // samples of one family of a database
  uint32_t total = 10'000;  // of all of them
};

// Samples that were not shown because of the bounds, by family.
using Dropped = std::vector<std::pair<std::string, uint64_t>>;

// Writes the families of a snapshot: <prefix>_up, what was collected, how each collector fared and how old
// its values are. `late`: the collection did not end in time, these are older values.
Dropped WriteSnapshot(const Snapshot& snapshot, const char* prefix, bool late, MonoTime now,
                      const Bounds& bounds, Writer& w);

}  // namespace mainstay::metrics

#endif  // MAINSTAY_LIB_METRICS_COLLECTOR_H_
