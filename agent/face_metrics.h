// The page /metrics: what the view says, what the agent counted, and (asked of a worker) what the database
// says of itself.
//
//   MetricsPage page({.instruments = &instruments, .log = &audit_log, .tls = tls});
//   page.Answer(request, view, now, server->counters(), reply);
//
// Thread rules: made, asked and destroyed on the loop's thread; `reply` may be called on another one.
#ifndef MAINSTAY_AGENT_FACE_METRICS_H_
#define MAINSTAY_AGENT_FACE_METRICS_H_

#include <memory>
#include <utility>

#include "lib/audit/audit.h"
#include "lib/base/time.h"
#include "lib/http/server.h"
#include "lib/metrics/metrics.h"
#include "lib/rpc/port.h"
#include "lib/rpc/tls_files.h"

namespace mainstay::agent {

class MetricsPage {
 public:
  struct Sources {
    const metrics::AgentInstruments* instruments = nullptr;  // null: none
    audit::Log* log = nullptr;                               // null: none
    std::shared_ptr<rpc::TlsFiles> tls;                      // null: none is configured
  };
  explicit MetricsPage(Sources sources) : sources_(std::move(sources)) {}

  // Answers once, at once or later.
  void Answer(const http::Request& request, const rpc::StatusView& view, MonoTime now,
              const http::Counters& http, const http::Reply& reply) const;

 private:
  const Sources sources_;
};

}  // namespace mainstay::agent

#endif  // MAINSTAY_AGENT_FACE_METRICS_H_
