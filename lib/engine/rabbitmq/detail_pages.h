// rabbitmq_prometheus' pages with a series for each queue, connection or channel, handed on under their own
// paths: /metrics/per-object, /metrics/detailed?family=...&vhost=..., /metrics/memory-breakdown.
//
//   DetailPages pages({.relay = {.port = 15692}});
//   if (DetailPages::Takes(request.path)) pages.Answer(request, now, reply);
//
// - Filters are checked before they are handed on: keys family, vhost and queue, at most 32, families
//   [a-z_]{1,64}, no control characters; anything else is 400.
// - Scrapers that ask for the same page at the same time share one answer; at most `pages` different ones are
//   fetched at a time, more get 503.
// - A page that cannot be had is answered with 200 and mainstay_rabbitmq_page_up 0, so that a maintenance
//   is no dead target; each page says it of itself (label `page`).
// - A page is bounded (max_body) and cut as Relay says; what is fetched is kept for a second.
//
// Thread rules: made, asked and destroyed on one thread; `reply` is called on another, once.
#ifndef MAINSTAY_LIB_ENGINE_RABBITMQ_DETAIL_PAGES_H_
#define MAINSTAY_LIB_ENGINE_RABBITMQ_DETAIL_PAGES_H_

#include <atomic>
#include <map>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "lib/base/time.h"
#include "lib/engine/rabbitmq/relay.h"
#include "lib/http/server.h"
#include "lib/metrics/scraper.h"

namespace mainstay::engine::rabbitmq {

// Path and query for the plugin; InvalidArgument says what is wrong with the request.
absl::StatusOr<std::string> DetailTarget(const http::Request& request);

class DetailPages {
 public:
  struct Options {
    RelayOptions relay;         // target and max_body are ours
    size_t max_body = 8 << 20;  // the HTTP server's max_answer_bytes must be more
    size_t pages = 4;
    Duration patience = Relay::kPatience;
  };
  explicit DetailPages(Options options) : options_(std::move(options)) {}

  static bool Takes(const std::string& path);
  // Replies once.
  void Answer(const http::Request& request, MonoTime now, const http::Reply& reply);

 private:
  struct Page {
    std::unique_ptr<metrics::Scraper> scraper;
    std::shared_ptr<std::atomic<int>> asked;  // who waits for it
    MonoTime used;
  };
  Page* Find(const std::string& target, MonoTime now);

  const Options options_;
  std::map<std::string, Page> pages_;
};

}  // namespace mainstay::engine::rabbitmq

#endif  // MAINSTAY_LIB_ENGINE_RABBITMQ_DETAIL_PAGES_H_
