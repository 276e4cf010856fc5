// The page /metrics: what the view says, what the agent counted, and (asked of a Scraper) what the database
// says of itself.
//
//   MetricsPage page({.loop = &loop, .instruments = &instruments, .log = &audit_log, .scraper = &scraper});
//   page.Answer(request, view, now, server->counters(), reply);
//
// An answer never waits longer than kPatience for the database, nor than the scraper's own time-out (header
// X-Prometheus-Scrape-Timeout-Seconds): then it has the last values, with their age, and <engine>_up 0.
// Our own families are always there, and never cut.
//
// Thread rules: made, asked and destroyed on the loop's thread; `reply` may be called on the scraper's.
#ifndef MAINSTAY_AGENT_FACE_METRICS_H_
#define MAINSTAY_AGENT_FACE_METRICS_H_

#include <boost/asio/io_context.hpp>
#include <functional>
#include <memory>
#include <utility>

#include "lib/audit/audit.h"
#include "lib/base/time.h"
#include "lib/http/server.h"
#include "lib/metrics/metrics.h"
#include "lib/metrics/scraper.h"
#include "lib/rpc/port.h"
#include "lib/rpc/tls_files.h"

namespace mainstay::agent {

class MetricsPage {
 public:
  // Of a scrape for a database that does not answer: with what comes after it, less than a second.
  static constexpr Duration kPatience = std::chrono::milliseconds(850);

  struct Sources {
    boost::asio::io_context* loop = nullptr;                 // needed with a scraper
    const metrics::AgentInstruments* instruments = nullptr;  // null: none
    audit::Log* log = nullptr;                               // null: none
    std::shared_ptr<rpc::TlsFiles> tls;                      // null: none is configured
    metrics::Scraper* scraper = nullptr;                     // null: nothing of the database
    Duration patience = kPatience;                           // of a scrape, for the database
    std::function<metrics::Bounds()> bounds;  // of the database's families; empty: the usual ones
    // More families, after our own; may be empty.
    std::function<void(const rpc::StatusView&, MonoTime, metrics::Writer&)> more;
  };
  explicit MetricsPage(Sources sources);

  // Answers once, at once or later.
  void Answer(const http::Request& request, const rpc::StatusView& view, MonoTime now,
              const http::Counters& http, const http::Reply& reply) const;

  static void WriteDropped(const metrics::CounterBy& counts, metrics::Writer& w);

 private:
  struct Waiting;
  class Ledger;

  void WriteOwn(const rpc::StatusView& view, MonoTime now, const http::Counters& http,
                metrics::Writer& w) const;

  const Sources sources_;
  const std::shared_ptr<Ledger> ledger_;
};

}  // namespace mainstay::agent

#endif  // MAINSTAY_AGENT_FACE_METRICS_H_
