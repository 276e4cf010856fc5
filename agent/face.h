// The faces of an agent: its HTTP and gRPC servers over one Port. The sidecar makes a Port, calls Start, and
// is done.
//
//   absl::StatusOr<std::shared_ptr<rpc::TlsFiles>> tls = OpenTls(config);  // null: none is configured
//   auto faces = Faces::Start(loop, config, &port, &instruments, &audit_log, *tls);
//   ... PeerClient's options take the same tls
//
// Routes: agent/face_routes.h, docs/ENDPOINTS.md. gRPC health: "" and mainstay.v1.Agent (the agent serves),
// readiness, startup, liveness, primary, replica.
// Thread rules: Start and the destructor on the loop's thread; destroy before the Port.
#ifndef MAINSTAY_AGENT_FACE_H_
#define MAINSTAY_AGENT_FACE_H_

#include <boost/asio/io_context.hpp>
#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "agent/config.h"
#include "lib/audit/audit.h"
#include "lib/base/time.h"
#include "lib/http/server.h"
#include "lib/metrics/metrics.h"
#include "lib/metrics/scraper.h"
#include "lib/rpc/port.h"
#include "lib/rpc/tls_files.h"

namespace mainstay::agent {

using rpc::AdminAnswer;
using rpc::AdminCommand;
using rpc::AdminVerb;
using rpc::Port;
using rpc::StatusView;

// What an engine shows besides, or otherwise. Called on the loop's thread.
struct FaceExtras {
  Duration scrape_patience{};  // for the database's own families; zero: the usual one
  // More families of /metrics, after our own.
  std::function<void(const StatusView&, MonoTime, metrics::Writer&)> families;
  // Pages of its own; true: it answers (once). Only those that read.
  std::function<bool(const http::Request&, const http::Reply&)> pages;
  size_t largest_answer = 0;  // bytes; 0: the server's usual bound
};

// The certificates of the section tls; null when there is none. NotFound, FailedPrecondition: say which file.
absl::StatusOr<std::shared_ptr<rpc::TlsFiles>> OpenTls(const Config& config);

class Faces {
 public:
  static absl::StatusOr<std::unique_ptr<Faces>> Start(boost::asio::io_context& loop, const Config& config,
                                                      Port* port,
                                                      const metrics::AgentInstruments* instruments,
                                                      audit::Log* log,
                                                      const std::shared_ptr<rpc::TlsFiles>& tls = nullptr,
                                                      metrics::Scraper* scraper = nullptr,
                                                      FaceExtras extras = {});
  virtual ~Faces() = default;
  virtual std::string grpc_address() const = 0;  // with the real ports
  virtual std::string http_address() const = 0;
  // False: /readyz answers 503 and the gRPC health service NOT_SERVING whatever the database does (draining).
  virtual void SetServing(bool serving) = 0;
  // A reload: Patroni's endpoints, who may change something, tags. An error (the password's file) leaves that
  // part as it was.
  virtual absl::Status Configure(const Config& config) = 0;
};

}  // namespace mainstay::agent

#endif  // MAINSTAY_AGENT_FACE_H_
