// Redis' metrics: what INFO, LATENCY, SLOWLOG and a few parameters tell, over a session of its own with the
// agent's least-rights user. The session that probes and acts is never used.
//
//   auto collector = std::make_shared<RedisMetrics>(login);
//   collector->Configure(settings);
//   metrics::Scraper scraper(collector, {});
//
// What makes a scrape cheap: one round trip; the session is kept; parameters are asked for again only when
// the server was restarted, INFO shows that they changed, or after slow_interval (CONFIG GET * would cost the
// server more than INFO ALL). What keeps it from hanging: every wait ends by the deadline; an answer that
// comes later is taken by the next scrape, the last values are shown meanwhile with their age.
//
// Commands that the user needs: INFO, LATENCY, SLOWLOG, CONFIG|GET, CLIENT|SETNAME. What is refused is left
// out and told by redis_scrape_collector_success.
//
// Thread rules: Collect and Rest on one thread; Configure from any.
#ifndef MAINSTAY_LIB_ENGINE_REDIS_METRICS_H_
#define MAINSTAY_LIB_ENGINE_REDIS_METRICS_H_

#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "lib/engine/redis/metrics_families.h"
#include "lib/engine/redis/metrics_session.h"
#include "lib/metrics/collector.h"

namespace mainstay::engine::redis {

// Can be changed while it runs.
struct RedisMetricsSettings {
  Duration slow_interval = std::chrono::minutes(2);
  bool histograms = true;  // LATENCY HISTOGRAM: redis_commands_latencies_usec
  size_t commands = 200;   // shown of each family that has a sample for each command
};

class RedisMetrics : public metrics::Collector {
 public:
  explicit RedisMetrics(MetricsLogin login);

  void Configure(const RedisMetricsSettings& settings);

  metrics::SnapshotPtr Collect(MonoTime deadline) override;
  void Rest() override;
  const char* prefix() const override { return "redis"; }

 private:
  // What is asked for together and fares by itself.
  enum Part : uint8_t { kInfo, kLatency, kHistograms, kSlowlog, kConfig, kParts };
  struct PartState {
    metrics::FamiliesPtr families;
    MonoTime at;
    bool ok = false;
    bool tried = false;
  };

  void TakeSettings();
  std::vector<MetricsSession::Words> Commands(MonoTime now);
  absl::StatusOr<std::vector<Reply>> RoundTrip(MonoTime now, MonoTime deadline);
  absl::Status Ask(MonoTime deadline);
  absl::Status Answered(const std::vector<Reply>& replies);
  void TakeConfig(const std::vector<Reply>& replies, size_t from);
  void Keep(Part part, bool ok, Families* families);
  void Forget(MonoTime now);
  metrics::FamiliesPtr Own(const absl::Status& status, Duration took);

  std::mutex mutex_;
  std::optional<RedisMetricsSettings> next_;  // under mutex_

  RedisMetricsSettings settings_;
  MetricsSession session_;
  std::vector<Part> asked_;  // one for each answer that is under way
  PartState parts_[kParts];
  std::map<std::string, uint64_t> dropped_;
  std::string config_run_id_;   // of INFO when the parameters were last compared
  int64_t seen_[2] = {-1, -1};  // maxclients and maxmemory of INFO then
  int64_t databases_ = 0;
  bool config_changed_ = true;
  bool loading_ = false;
  uint64_t scrapes_ = 0;
  MonoTime asked_at_;
  MonoTime config_asked_at_;
  MonoTime up_at_;
};

}  // namespace mainstay::engine::redis

#endif  // MAINSTAY_LIB_ENGINE_REDIS_METRICS_H_
