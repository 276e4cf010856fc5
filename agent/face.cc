#include "agent/face.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "agent/face_metrics.h"
#include "agent/face_pages.h"
#include "lib/base/wall_clock.h"
#include "lib/http/server.h"
#include "lib/rpc/convert.h"
#include "lib/rpc/json.h"
#include "lib/rpc/server.h"

namespace mainstay::agent {
namespace {

// The loop turns at least every heartbeat; the shim's own deadline catches a stall much sooner than the
// kubelet's probe.
constexpr Duration kStalledAfter = std::chrono::seconds(10);

// "ipv4:127.0.0.1:4711" -> "127.0.0.1", "unix:" -> "".
std::string Ip(const std::string& peer) {
  const size_t begin = peer.find(':');
  const size_t end = peer.rfind(':');
  if (!absl::StartsWith(peer, "ip") || begin == end) return "";
  return peer.substr(begin + 1, end - begin - 1);
}

audit::Event ToEvent(const rpc::CallRecord& call) {
  const bool bad = !call.refused.empty() || call.answer.status == election::AdminStatus::kRefused ||
                   call.answer.status == election::AdminStatus::kFailed;
  audit::Event e;
  e.action = rpc::ToString(call.command.verb);
  e.actor.type = "admin";
  e.actor.name = call.command.actor;
  e.actor.ip = Ip(call.command.peer);
  e.actor.authn = call.command.actor == "local" ? "local" : "mtls";
  e.reason = call.command.reason.empty() ? "admin-request" : call.command.reason;
  e.request =
      audit::Request{.rpc = call.method, .id = call.command.id, .params = {{"target", call.command.target}}};
  if (call.command.verb == AdminVerb::kFailover) {
    e.request->params.emplace_back("accept_loss", call.command.accept_loss ? "true" : "false");
  }
  if (call.command.verb == AdminVerb::kSetDurability) {
    e.request->params.emplace_back("durability", election::ToString(call.command.durability));
  }
  if (call.started) {
    e.stage = audit::Stage::kStarted;
    e.msg = absl::StrCat("an administrator asked for ", e.action);
    return e;
  }
  e.stage = bad ? audit::Stage::kFailed : audit::Stage::kCompleted;
  e.outcome = bad                                                  ? audit::Outcome::kFailure
              : call.answer.status == election::AdminStatus::kDone ? audit::Outcome::kSuccess
                                                                   : audit::Outcome::kUnknown;
  if (bad) e.level = "warn";
  e.took = call.took;
  if (!call.refused.empty()) {
    e.msg = absl::StrCat(e.action, " was not understood");
    e.error = audit::Problem{"INVALID", call.refused};
  } else {
    e.msg = absl::StrCat(e.action, " was ",
                         call.answer.status == election::AdminStatus::kAccepted ? "accepted"
                         : bad                                                  ? "not done"
                                                                                : "done");
    if (!call.answer.message.empty()) absl::StrAppend(&e.msg, ": ", call.answer.message);
    if (bad) e.error = audit::Problem{rpc::ToString(call.answer.status), call.answer.message};
  }
  return e;
}

class FacesImpl : public Faces {
 public:
  FacesImpl(Port* port, const metrics::AgentInstruments* instruments, audit::Log* log,
            std::shared_ptr<rpc::TlsFiles> tls)
      : port_(port),
        log_(log),
        tls_(std::move(tls)),
        metrics_({.instruments = instruments, .log = log, .tls = tls_}) {}

  absl::Status Listen(boost::asio::io_context& loop, const Config& config) {
    auto http = http::Server::Start(
        loop, {.address = config.listen_http},
        [this](const http::Request& request, const http::Reply& reply) { Answer(request, reply); });
    if (!http.ok()) return http.status();
    http_ = *std::move(http);
    rpc::Server::Options options;
    options.address = config.listen_grpc;
    options.admin_address = config.listen_admin;
    options.tls = tls_;
    options.cluster = config.cluster;
    options.member = config.name;
    options.port = port_;
    if (log_ != nullptr) {
      options.audit = [log = log_](const rpc::CallRecord& call) { log->Write(ToEvent(call)); };
    }
    auto grpc = rpc::Server::Start(std::move(options));
    if (!grpc.ok()) return grpc.status();
    grpc_ = *std::move(grpc);
    grpc_->SetServing(true);
    return absl::OkStatus();
  }

  std::string grpc_address() const override { return grpc_->address(); }
  std::string http_address() const override { return http_->address(); }
  void SetServing(bool serving) override {
    serving_ = serving;
    grpc_->SetServing(serving);
  }

 private:
  void Answer(const http::Request& request, const http::Reply& reply) const {
    if (request.path == "/metrics") {
      metrics_.Answer(request, *port_->Snapshot(), BootClock().Now(), http_->counters(), reply);
      return;
    }
    reply(Page(request));
  }

  http::Response Page(const http::Request& request) const {
    const auto view = port_->Snapshot();
    const MonoTime now = BootClock().Now();
    const std::string& path = request.path;
    if (path == "/livez") {
      return Probe(request, "livez", LiveChecks(*view, port_->LoopTurnedAt(), now, kStalledAfter));
    }
    if (path == "/readyz") return Probe(request, "readyz", ReadyChecks(*view, serving_));
    if (path == "/startupz") return Probe(request, "startupz", StartChecks(*view));
    if (path == "/status") return Status(request, *view, now, false);
    if (path == "/decisions") return Status(request, *view, now, true);
    if (path == "/")
      return {.status = 200, .content_type = "text/html; charset=utf-8", .body = LandingPage(*view)};
    return {.status = 404, .body = "not found; try /livez /readyz /startupz /metrics /status /decisions\n"};
  }

  static http::Response Probe(const http::Request& request, const std::string& page,
                              const std::vector<Check>& checks) {
    http::Response out;
    out.status = AllOk(checks) ? 200 : 503;
    out.body = ProbeBody(page, checks, request.Param("verbose").has_value());
    return out;
  }

  static http::Response Status(const http::Request& request, const StatusView& view, MonoTime now,
                               bool decisions) {
    v1::Status status;
    rpc::ToProto(view, now, UnixMillis(), decisions, &status);
    const bool pretty = request.Param("pretty").has_value();
    if (!decisions) {
      return {.status = 200,
              .content_type = "application/json",
              .body = rpc::MessageToJson(status, pretty) + "\n"};
    }
    v1::WhyReply why;
    why.set_member(status.member());
    why.mutable_decisions()->Swap(status.mutable_decisions());
    return {
        .status = 200, .content_type = "application/json", .body = rpc::MessageToJson(why, pretty) + "\n"};
  }

  Port* const port_;
  audit::Log* const log_;
  const std::shared_ptr<rpc::TlsFiles> tls_;
  const MetricsPage metrics_;
  bool serving_ = true;
  std::unique_ptr<http::Server> http_;
  std::unique_ptr<rpc::Server> grpc_;
};

}  // namespace

absl::StatusOr<std::shared_ptr<rpc::TlsFiles>> OpenTls(const Config& config) {
  if (!config.tls.enabled()) return std::shared_ptr<rpc::TlsFiles>();
  return rpc::TlsFiles::Open({.ca = config.tls.ca,
                              .cert = config.tls.cert,
                              .key = config.tls.key,
                              .peer_name = config.tls.peer_name});
}

absl::StatusOr<std::unique_ptr<Faces>> Faces::Start(boost::asio::io_context& loop, const Config& config,
                                                    Port* port, const metrics::AgentInstruments* instruments,
                                                    audit::Log* log, std::shared_ptr<rpc::TlsFiles> tls) {
  auto faces = std::make_unique<FacesImpl>(port, instruments, log, std::move(tls));
  if (absl::Status status = faces->Listen(loop, config); !status.ok()) return status;
  return std::unique_ptr<Faces>(std::move(faces));
}

}  // namespace mainstay::agent
