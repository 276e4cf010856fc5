#include "agent/face_metrics.h"

#include <unistd.h>

#include <atomic>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <ctime>
#include <fstream>
#include <mutex>
#include <utility>

#include "agent/face_pages.h"

namespace mainstay::agent {
namespace {

// process_*: what every Prometheus client shows of itself.
void WriteProcessMetrics(metrics::Writer& w) {
  long pages = 0;
  long ignored = 0;
  std::ifstream("/proc/self/statm") >> ignored >> pages;
  w.Family("process_resident_memory_bytes", metrics::Type::kGauge, "Resident memory size in bytes.");
  w.Sample(static_cast<double>(pages) * static_cast<double>(sysconf(_SC_PAGESIZE)));
  struct timespec cpu = {};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &cpu);
  w.Family("process_cpu_seconds_total", metrics::Type::kCounter,
           "Total user and system CPU time spent in seconds.");
  w.Sample(static_cast<double>(cpu.tv_sec) + static_cast<double>(cpu.tv_nsec) / 1e9);
}

// Families whose source is not there are begun all the same: what a page may hold does not depend on it.
void WriteTlsMetrics(rpc::TlsFiles* tls, metrics::Writer& w) {
  const auto material = tls == nullptr ? nullptr : tls->Current();
  w.Family("mainstay_certificate_expiry_timestamp_seconds", metrics::Type::kGauge,
           "When the certificate in use ends, and the first of the authorities that it is judged by.");
  if (material != nullptr) {
    w.Sample({{"certificate", "member"}}, static_cast<double>(material->expires));
    w.Sample({{"certificate", "authority"}}, static_cast<double>(material->ca_expires));
  }
  w.Family("mainstay_certificate_refused", metrics::Type::kGauge,
           "1 while the certificate files as they are now cannot be used and older ones are in force.");
  if (tls != nullptr) w.Sample(tls->Problem().empty() ? 0 : 1);
}

// A disk that hangs may hold the collector longer than its deadline: then somebody else answers.
constexpr Duration kGrace = std::chrono::milliseconds(50);

}  // namespace

// Samples that bounds cut off, counted over all scrapes. Any thread.
class MetricsPage::Ledger {
 public:
  void Add(const metrics::Dropped& dropped) {
    const std::lock_guard<std::mutex> lock(mutex_);
    for (const auto& [family, samples] : dropped) counts_.Add({family}, static_cast<double>(samples));
  }
  void Write(metrics::Writer& w) const {
    const std::lock_guard<std::mutex> lock(mutex_);
    WriteDropped(counts_, w);
  }

 private:
  mutable std::mutex mutex_;
  metrics::CounterBy counts_{{"family"}};
};

// A scrape that waits for the database: answered by the scraper's thread or by the timer, whichever is first.
struct MetricsPage::Waiting {
  Waiting(boost::asio::io_context& loop, metrics::Writer w, http::Reply r, std::shared_ptr<Ledger> l,
          metrics::Bounds b, std::string p)
      : writer(std::move(w)),
        reply(std::move(r)),
        ledger(std::move(l)),
        bounds(b),
        prefix(std::move(p)),
        timer(loop) {}

  void Finish(const metrics::SnapshotPtr& snapshot, bool late) {
    if (answered.exchange(true)) return;
    const metrics::Snapshot none;
    const metrics::Snapshot& shown = snapshot == nullptr ? none : *snapshot;
    ledger->Add(metrics::WriteSnapshot(shown, prefix.c_str(), late, BootClock().Now(), bounds, writer));
    ledger->Write(writer);
    const metrics::Format format = writer.format();
    reply({.status = 200,
           .content_type = metrics::ContentType(format),
           .body = writer.Finish(),
           .compress = true});
  }

  std::atomic<bool> answered{false};
  metrics::Writer writer;
  const http::Reply reply;
  const std::shared_ptr<Ledger> ledger;
  const metrics::Bounds bounds;
  const std::string prefix;
  boost::asio::steady_timer timer;
};

void MetricsPage::WriteDropped(const metrics::CounterBy& counts, metrics::Writer& w) {
  counts.Write(w, "mainstay_metrics_dropped_samples_total",
               "Samples of the database that were left out because of metrics.max_samples or "
               "metrics.max_family_samples.");
}

MetricsPage::MetricsPage(Sources sources)
    : sources_(std::move(sources)), ledger_(std::make_shared<Ledger>()) {}

void MetricsPage::WriteOwn(const rpc::StatusView& view, MonoTime now, const http::Counters& http,
                           metrics::Writer& w) const {
  WriteViewMetrics(view, now, w);
  if (sources_.instruments != nullptr) sources_.instruments->Write(w);
  w.Family("mainstay_audit_lines_total", metrics::Type::kCounter, "Lines of the audit log.");
  if (sources_.log != nullptr) {
    w.Sample({{"outcome", "written"}}, static_cast<double>(sources_.log->written()));
    w.Sample({{"outcome", "dropped"}}, static_cast<double>(sources_.log->dropped()));
  }
  w.Family("mainstay_database_log_lines_total", metrics::Type::kCounter,
           "Lines of the database's own log: written to standard output, over the rate, or faster than they "
           "were read.");
  if (sources_.log != nullptr) {
    const audit::Log::DatabaseLines lines = sources_.log->database_lines();
    w.Sample({{"outcome", "written"}}, static_cast<double>(lines.written));
    w.Sample({{"outcome", "rate_limited"}}, static_cast<double>(lines.limited));
    w.Sample({{"outcome", "overflow"}}, static_cast<double>(lines.overflowed));
  }
  w.Family("mainstay_http_requests_total", metrics::Type::kCounter, "HTTP requests read.");
  w.Sample(static_cast<double>(http.requests));
  w.Family("mainstay_http_refused_connections_total", metrics::Type::kCounter,
           "HTTP connections refused: too many at a time.");
  w.Sample(static_cast<double>(http.refused_connections));
  w.Family("mainstay_http_evicted_connections_total", metrics::Type::kCounter,
           "HTTP connections that waited without a request and were closed for a newcomer.");
  w.Sample(static_cast<double>(http.evicted_connections));
  w.Family("mainstay_http_bad_requests_total", metrics::Type::kCounter,
           "HTTP requests that were not understood or too long.");
  w.Sample(static_cast<double>(http.bad_requests));
  w.Family("mainstay_http_timeouts_total", metrics::Type::kCounter,
           "HTTP connections that were closed or answered because of a deadline.");
  w.Sample(static_cast<double>(http.timeouts));
  WriteTlsMetrics(sources_.tls.get(), w);
  if (sources_.more) sources_.more(view, now, w);
  WriteProcessMetrics(w);
  const metrics::Scraper::Counters counters =
      sources_.scraper == nullptr ? metrics::Scraper::Counters() : sources_.scraper->counters();
  w.Family("mainstay_metrics_scrapes_total", metrics::Type::kCounter, "Scrapes of this page.");
  w.Sample(static_cast<double>(counters.scrapes));
  w.Family("mainstay_metrics_collections_total", metrics::Type::kCounter,
           "Collections of the database's metrics; scrapes at the same time share one.");
  w.Sample(static_cast<double>(counters.collections));
}

void MetricsPage::Answer(const http::Request& request, const rpc::StatusView& view, MonoTime now,
                         const http::Counters& http, const http::Reply& reply) const {
  const bool text = sources_.scraper != nullptr && sources_.scraper->text_only();
  metrics::Writer w(text ? metrics::Format::kText : metrics::Negotiate(request.accept));
  WriteOwn(view, now, http, w);
  if (sources_.scraper == nullptr) {
    const metrics::Format format = w.format();
    reply(
        {.status = 200, .content_type = metrics::ContentType(format), .body = w.Finish(), .compress = true});
    return;
  }
  metrics::Scraper* scraper = sources_.scraper;
  const MonoTime deadline = metrics::ScrapeDeadline(request.scrape_timeout, now, sources_.patience);
  auto waiting =
      std::make_shared<Waiting>(*sources_.loop, std::move(w), reply, ledger_,
                                sources_.bounds ? sources_.bounds() : metrics::Bounds(), scraper->prefix());
  // Seconds at most, of a clock that stands still in a suspend: so does the one who waits.
  waiting->timer.expires_after(
      std::chrono::duration_cast<boost::asio::steady_timer::duration>(deadline + kGrace - now));
  waiting->timer.async_wait([waiting, scraper](boost::system::error_code error) {
    if (!error && !waiting->answered) waiting->Finish(scraper->late(), true);
  });
  scraper->Scrape(deadline, [waiting, loop = sources_.loop](const metrics::SnapshotPtr& snapshot) {
    waiting->Finish(snapshot, false);
    boost::asio::post(*loop, [waiting] { waiting->timer.cancel(); });
  });
}

}  // namespace mainstay::agent
