// Puts the collector of the database's metrics together from a configuration.
//
//   DatabaseMetrics metrics(config);         // PostgreSQL or Redis; engine fake: nothing to scrape
//   Faces::Start(..., metrics.scraper());    // null then
//   metrics.Configure(config);               // after a reload; reads the file of own queries again
//   metrics.Stop(seconds(1));
//
// Thread rules: the owner's thread.
#ifndef MAINSTAY_AGENT_SIDECAR_METRICS_H_
#define MAINSTAY_AGENT_SIDECAR_METRICS_H_

#include <memory>

#include "agent/config.h"
#include "lib/metrics/scraper.h"

namespace mainstay::engine::postgres {
class PostgresMetrics;
}
namespace mainstay::engine::redis {
class RedisMetrics;
}

namespace mainstay::agent {

class DatabaseMetrics {
 public:
  explicit DatabaseMetrics(const Config& config);
  ~DatabaseMetrics();

  // What is wrong with the file of own queries (it is not used then) is logged, and shown on /metrics.
  void Configure(const Config& config);
  metrics::Scraper* scraper() const { return scraper_.get(); }
  // False: its thread was left behind.
  bool Stop(Duration patience) const { return scraper_ == nullptr || scraper_->Stop(patience); }

 private:
  std::shared_ptr<engine::postgres::PostgresMetrics> postgres_;  // one of them, or none
  std::shared_ptr<engine::redis::RedisMetrics> redis_;
  std::unique_ptr<metrics::Scraper> scraper_;
};

}  // namespace mainstay::agent

#endif  // MAINSTAY_AGENT_SIDECAR_METRICS_H_
