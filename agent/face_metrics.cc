#include "agent/face_metrics.h"

#include <unistd.h>

#include <ctime>
#include <fstream>
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

void WriteTlsMetrics(rpc::TlsFiles& tls, metrics::Writer& w) {
  const auto material = tls.Current();
  w.Family("mainstay_certificate_expiry_timestamp_seconds", metrics::Type::kGauge,
           "When the certificate in use ends, and the first of the authorities that it is judged by.");
  w.Sample({{"certificate", "member"}}, static_cast<double>(material->expires));
  w.Sample({{"certificate", "authority"}}, static_cast<double>(material->ca_expires));
  w.Family("mainstay_certificate_refused", metrics::Type::kGauge,
           "1 while the certificate files as they are now cannot be used and older ones are in force.");
  w.Sample(tls.Problem().empty() ? 0 : 1);
}

}  // namespace

void MetricsPage::Answer(const http::Request& request, const rpc::StatusView& view, MonoTime now,
                         const http::Counters& http, const http::Reply& reply) const {
  const metrics::Format format = metrics::Negotiate(request.accept);
  metrics::Writer w(format);
  WriteViewMetrics(view, now, w);
  if (sources_.instruments != nullptr) sources_.instruments->Write(w);
  if (sources_.log != nullptr) {
    w.Family("mainstay_audit_lines_total", metrics::Type::kCounter, "Lines of the audit log.");
    w.Sample({{"outcome", "written"}}, static_cast<double>(sources_.log->written()));
    w.Sample({{"outcome", "dropped"}}, static_cast<double>(sources_.log->dropped()));
  }
  w.Family("mainstay_http_requests_total", metrics::Type::kCounter, "HTTP requests read.");
  w.Sample(static_cast<double>(http.requests));
  w.Family("mainstay_http_refused_connections_total", metrics::Type::kCounter,
           "HTTP connections refused: too many at a time.");
  w.Sample(static_cast<double>(http.refused_connections));
  if (sources_.tls != nullptr) WriteTlsMetrics(*sources_.tls, w);
  WriteProcessMetrics(w);
  reply({.status = 200, .content_type = metrics::ContentType(format), .body = w.Finish()});
}

}  // namespace mainstay::agent
