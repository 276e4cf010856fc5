// RabbitMQ's own metrics (its plugin rabbitmq_prometheus), fetched at each scrape and handed on as they are:
// names, labels, order, HELP and TYPE, byte for byte.
//
//   auto relay = std::make_shared<Relay>(RelayOptions{.port = 15692});
//   metrics::Scraper scraper(relay, {});          // shares one answer among scrapers, on a thread of its own
//   MetricsPage page({.scraper = &scraper, .patience = Relay::kPatience, .more = own families});
//
// The plugin cannot answer while its node boots, is paused or drained, hangs or is dead. Then the page has no
// family of its, rabbitmq_up and mainstay_rabbitmq_plugin_up are 0, mainstay_rabbitmq_plugin_answer says why,
// and everything of Mainstay's own is as always.
//
// Bounds: RelayOptions::max_body; more is cut after the last whole line, told by mainstay_rabbitmq_relay_cut
// 1 and a comment at the end. A fetch ends by its deadline.
//
// Thread rules: Collect and Rest on one thread; Late on any.
#ifndef MAINSTAY_LIB_ENGINE_RABBITMQ_RELAY_H_
#define MAINSTAY_LIB_ENGINE_RABBITMQ_RELAY_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "lib/base/time.h"
#include "lib/http/client.h"
#include "lib/metrics/collector.h"

namespace mainstay::engine::rabbitmq {

struct RelayOptions {
  std::string address = "127.0.0.1";
  uint16_t port = 15692;
  std::string target = "/metrics";
  size_t max_body = 3 << 20;  // /metrics has some 100 kB, however many queues there are
  // For prometheus.authentication.enabled (RabbitMQ 4.3): the header Authorization, asked for at each fetch.
  std::function<absl::StatusOr<std::string>()> authorization;
};

// Why there is nothing of the plugin's.
enum class PluginAnswer : uint8_t { kOk, kUnreachable, kSilent, kRefused, kUnreadable };
const char* ToString(PluginAnswer answer);  // "unreachable"

struct Fetched {
  PluginAnswer answer = PluginAnswer::kOk;
  std::string problem;  // when it is not kOk
  std::string text;     // whole lines
  bool cut = false;
};
// What an answer is worth. Pure, but for the moves.
Fetched JudgeFetched(absl::StatusOr<http::GetAnswer> answer, size_t max_body);

class Relay : public metrics::Collector {
 public:
  // The plugin takes seconds with many queues. Less than the HTTP server's own patience of 10 s.
  static constexpr Duration kPatience = std::chrono::seconds(9);

  explicit Relay(RelayOptions options) : options_(std::move(options)) {}

  metrics::SnapshotPtr Collect(MonoTime deadline) override;
  void Rest() override {}
  const char* prefix() const override { return "rabbitmq"; }
  bool text_only() const override { return true; }
  metrics::SnapshotPtr Late() const override;

  // The same without the families of the relay: for pages that are somebody else's.
  Fetched Fetch(MonoTime deadline) const;

 private:
  static metrics::SnapshotPtr Show(Fetched fetched, MonoTime began, MonoTime last_ok);

  const RelayOptions options_;
  MonoTime last_ok_;
};

}  // namespace mainstay::engine::rabbitmq

#endif  // MAINSTAY_LIB_ENGINE_RABBITMQ_RELAY_H_
