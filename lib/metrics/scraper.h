// Runs a Collector for scrapes, on one thread that exists only while somebody scrapes.
//
//   Scraper scraper(std::make_shared<MyCollector>(options), {});
//   scraper.Scrape(deadline, [](SnapshotPtr s) { ...on the scraper's thread... });
//
// - Who asks while a collection runs gets its result: two scrapers cost one collection.
// - A collection ends by its deadline, if the collector keeps its word. Who cannot rely on that (a disk that
//   hangs) sets a timer of its own and takes last().
// - After `rest_after` without a scrape the collector is told to rest and the thread ends: nothing runs and
//   nothing is kept when nobody asks.
//
// Thread rules: Scrape and Stop on the thread that owns it; last, late and counters on any.
#ifndef MAINSTAY_LIB_METRICS_SCRAPER_H_
#define MAINSTAY_LIB_METRICS_SCRAPER_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <thread>

#include "absl/strings/string_view.h"
#include "lib/base/time.h"
#include "lib/metrics/collector.h"

namespace mainstay::metrics {

// When a collection that was asked for at `now` must have ended: a margin before the scraper's own time-out
// (the header X-Prometheus-Scrape-Timeout-Seconds: "10" or "0.5"; anything else counts as absent), and never
// later than `patience`.
MonoTime ScrapeDeadline(absl::string_view header, MonoTime now, Duration patience);

class Scraper {
 public:
  struct Options {
    Duration rest_after = std::chrono::minutes(3);
  };
  struct Counters {
    uint64_t scrapes = 0;
    uint64_t collections = 0;
  };
  using Done = std::function<void(SnapshotPtr)>;

  Scraper(std::shared_ptr<Collector> collector, Options options);
  ~Scraper();
  Scraper(const Scraper&) = delete;
  Scraper& operator=(const Scraper&) = delete;

  // `done` is called once, on the scraper's thread; or never, when Stop comes first.
  void Scrape(MonoTime deadline, Done done);
  SnapshotPtr last() const;  // null: none, or given back
  SnapshotPtr late() const;  // what the collector shows when it is late, else last()
  bool text_only() const;
  Counters counters() const;
  const char* prefix() const;
  // False: the collector did not return in time and its thread was left behind.
  bool Stop(Duration patience);

 private:
  struct Shared;  // outlives a thread that was left behind
  std::shared_ptr<Shared> shared_;
  std::thread thread_;
};

}  // namespace mainstay::metrics

#endif  // MAINSTAY_LIB_METRICS_SCRAPER_H_
