#include "agent/face.h"

#include <atomic>
#include <boost/asio/post.hpp>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "agent/face_change.h"
#include "agent/face_metrics.h"
#include "agent/face_pages.h"
#include "agent/face_routes.h"
#include "agent/patroni.h"
#include "lib/base/file.h"
#include "lib/base/log.h"
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

// HTTP: nobody with a right to it.
void Deny(const rpc::CallRecord& call, audit::Event* e) {
  e->stage = audit::Stage::kFailed;
  e->level = "warn";
  e->action = "http.denied";
  e->outcome = audit::Outcome::kFailure;
  e->reason = "no-right";
  e->request->params.clear();
  e->msg = "a request that would change something was refused";
  e->error = audit::Problem{"DENIED", call.refused};
}

void TellEnd(const rpc::CallRecord& call, audit::Event* e) {
  const auto status = call.answer.status;
  const bool bad = !call.refused.empty() || status == election::AdminStatus::kRefused ||
                   status == election::AdminStatus::kFailed;
  e->stage = bad ? audit::Stage::kFailed : audit::Stage::kCompleted;
  e->outcome = bad                                      ? audit::Outcome::kFailure
               : status == election::AdminStatus::kDone ? audit::Outcome::kSuccess
                                                        : audit::Outcome::kUnknown;
  if (bad) e->level = "warn";
  e->took = call.took;
  if (!call.refused.empty()) {
    e->msg = absl::StrCat(e->action, " was not understood");
    e->error = audit::Problem{"INVALID", call.refused};
    return;
  }
  const char* how = status == election::AdminStatus::kAccepted ? "accepted" : bad ? "not done" : "done";
  e->msg = absl::StrCat(e->action, " was ", how);
  if (!call.answer.message.empty()) absl::StrAppend(&e->msg, ": ", call.answer.message);
  if (bad) e->error = audit::Problem{rpc::ToString(status), call.answer.message};
}

audit::Event ToEvent(const rpc::CallRecord& call) {
  audit::Event e;
  e.id = call.audit_id;
  e.action = rpc::ToString(call.command.verb);
  e.actor.type = "admin";
  e.actor.name = call.command.actor;
  e.actor.ip = Ip(call.command.peer);
  e.actor.authn = !call.authn.empty() ? call.authn : call.command.actor == "local" ? "local" : "mtls";
  e.reason = call.command.reason.empty() ? "admin-request" : call.command.reason;
  e.request =
      audit::Request{.rpc = call.method, .id = call.command.id, .params = {{"target", call.command.target}}};
  if (call.command.verb == AdminVerb::kFailover) {
    e.request->params.emplace_back("accept_loss", call.command.accept_loss ? "true" : "false");
  }
  if (call.command.verb == AdminVerb::kSetDurability) {
    e.request->params.emplace_back("durability", election::ToString(call.command.durability));
  }
  if (call.authn == "none") {
    Deny(call, &e);
  } else if (call.read) {
    e.action = "read";
    e.outcome = audit::Outcome::kSuccess;
    e.reason.clear();
    e.request->params.clear();
    e.msg = absl::StrCat(call.method, " was answered");
  } else if (call.started) {
    e.stage = audit::Stage::kStarted;
    e.msg = absl::StrCat("an administrator asked for ", e.action);
  } else {
    TellEnd(call, &e);
  }
  return e;
}

// Where schedules are kept: beside the data, like the agent's other memory.
std::string ScheduleFile(const Config& config) {
  std::string dir = config.state_dir;
  if (config.engine == EngineKind::kRabbitmq) return "";  // there is no switchover to be scheduled
  if (dir.empty() && !config.redis.data_dir.empty()) dir = DirName(config.redis.data_dir);
  if (dir.empty() && !config.postgresql.data_dir.empty()) dir = DirName(config.postgresql.data_dir);
  return dir.empty() ? "" : absl::StrCat(dir, "/mainstay-schedule.json");
}

class FacesImpl : public Faces {
 public:
  FacesImpl(boost::asio::io_context& loop, const Config& config, Port* port,
            const metrics::AgentInstruments* instruments, audit::Log* log,
            const std::shared_ptr<rpc::TlsFiles>& tls, metrics::Scraper* scraper, FaceExtras extras)
      : loop_(loop),
        config_(config),
        extras_(std::move(extras)),
        port_(port),
        log_(log),
        tls_(tls),
        metrics_(
            {.loop = &loop,
             .instruments = instruments,
             .log = log,
             .tls = tls,
             .scraper = scraper,
             .patience = extras_.scrape_patience > Duration::zero() ? extras_.scrape_patience
                                                                    : MetricsPage::kPatience,
             .bounds =
                 [this] {
                   return metrics::Bounds{config_.metrics.max_family_samples, config_.metrics.max_samples};
                 },
             .more =
                 [this](const StatusView& view, MonoTime now, metrics::Writer& w) {
                   if (config_.http.patroni_metrics) patroni::WriteMetrics(FactsOf(view, now), w);
                   if (extras_.families) extras_.families(view, now, w);
                 }}),
        changes_({.loop = &loop,
                  .port = port,
                  .audit = AuditSink(),
                  .tls = tls,
                  .schedule_file = ScheduleFile(config),
                  .options = &patroni_}) {}

  ~FacesImpl() override {
    if (subscription_ != 0) port_->Unsubscribe(subscription_);
  }

  absl::Status Listen() {
    if (absl::Status status = changes_.Configure(config_); !status.ok()) return status;
    http::Server::Options http_options;
    http_options.address = config_.listen_http;
    if (extras_.largest_answer > 0)
      http_options.max_answer_bytes = http_options.max_pending_bytes = extras_.largest_answer;
    if (config_.http.tls && tls_ != nullptr) http_options.tls = [tls = tls_] { return ToTexts(*tls); };
    auto http = http::Server::Start(
        loop_, std::move(http_options),
        [this](const http::Request& request, const http::Reply& reply) { Answer(request, reply); });
    if (!http.ok()) return http.status();
    http_ = *std::move(http);
    patroni_ = patroni::ToOptions(config_, http_->address());
    changes_.Load();
    rpc::Server::Options options;
    options.address = config_.listen_grpc;
    options.admin_address = config_.listen_admin;
    options.tls = tls_;
    options.cluster = config_.cluster;
    options.member = config_.name;
    options.port = port_;
    options.stalled_after = kStalledAfter;
    options.audit = AuditSink();
    options.audit_reads = [reads = audit_reads_] { return reads->load(); };
    auto grpc = rpc::Server::Start(std::move(options));
    if (!grpc.ok()) return grpc.status();
    grpc_ = *std::move(grpc);
    grpc_->SetServing(true);
    TellHealth();
    subscription_ = port_->Subscribe([this, &loop = loop_, alive = std::weak_ptr<bool>(alive_)] {
      boost::asio::post(loop, [this, alive] {
        if (!alive.expired()) TellHealth();
      });
    });
    return absl::OkStatus();
  }

  std::string grpc_address() const override { return grpc_->address(); }
  std::string http_address() const override { return http_->address(); }
  void SetServing(bool serving) override {
    serving_ = serving;
    grpc_->SetServing(serving);
    TellHealth();
  }
  absl::Status Configure(const Config& config) override {
    audit_reads_->store(config.audit_reads);
    config_ = config;
    patroni_ = patroni::ToOptions(config_, http_->address());
    return changes_.Configure(config_);
  }

 private:
  std::function<void(const rpc::CallRecord&)> AuditSink() const {
    if (log_ == nullptr) return nullptr;
    return [log = log_](const rpc::CallRecord& call) { log->Write(ToEvent(call)); };
  }

  static http::TlsTexts ToTexts(rpc::TlsFiles& tls) {
    const auto now = tls.Current();
    return {now->ca, now->cert, now->key, tls.options().peer_name, now->generation};
  }

  patroni::Facts FactsOf(const StatusView& view, MonoTime now) const {
    return {view, patroni_, changes_.schedules(), now, UnixMillis()};
  }

  // The gRPC health service: what the HTTP probes say, told when it changes (its Watch depends on that).
  void TellHealth() {
    const auto view = port_->Snapshot();
    const patroni::Facts f = FactsOf(*view, BootClock().Now());
    grpc_->SetHealth("readiness", serving_ && AllOk(ReadyChecks(*view, serving_)));
    grpc_->SetHealth("startup", AllOk(StartChecks(*view)));
    grpc_->SetHealth("liveness", view->shim_connected && (view->broker == nullptr || view->broker->live));
    grpc_->SetHealth("primary", serving_ && patroni::IsPrimary(f));
    grpc_->SetHealth("replica", serving_ && patroni::IsReplica(f));
  }

  void Answer(const http::Request& request, http::Reply reply) {
    if (http::IsSafe(request.method) && extras_.pages && extras_.pages(request, reply)) return;
    std::string check;
    const Route* route = FindRoute(request.path, config_.http.patroni, &check);
    if (route == nullptr && request.path == "/") {
      return reply(Landing(*port_->Snapshot()));
    }
    if (route == nullptr) {
      return reply(
          {.status = 404, .body = "not found; try /livez /readyz /startupz /metrics /status /decisions\n"});
    }
    if (!Takes(*route, request.method)) {
      return reply({.status = 405,
                    .body = absl::StrCat("only ", AllowHeader(*route), "\n"),
                    .headers = {{"Allow", AllowHeader(*route)}}});
    }
    if (!http::IsSafe(request.method)) {
      http::Request plain = request;
      plain.path = route->path;  // without a slash at the end
      return changes_.Answer(plain, std::move(reply));
    }
    if (request.method == http::Method::kOptions) {  // HAProxy's checks: the code is all that they look at
      reply = [reply = std::move(reply), allow = AllowHeader(*route)](http::Response response) {
        response.body.clear();
        response.headers.emplace_back("Allow", allow);
        reply(std::move(response));
      };
    }
    if (route->page == Page::kMetrics)
      return metrics_.Answer(request, *port_->Snapshot(), BootClock().Now(), http_->counters(), reply);
    reply(Answer(*route, request, check));
  }

  http::Response Answer(const Route& route, const http::Request& request, const std::string& check) const {
    const auto view = port_->Snapshot();
    const MonoTime now = BootClock().Now();
    switch (route.page) {
      case Page::kLive:
      case Page::kPatroniLiveness:
        return ProbeAnswer(request, "livez", check,
                           LiveChecks(*view, port_->LoopTurnedAt(), now, kStalledAfter));
      case Page::kReady:
        return ProbeAnswer(request, "readyz", check, ReadyChecks(*view, serving_));
      case Page::kStart:
        return ProbeAnswer(request, "startupz", check, StartChecks(*view));
      case Page::kStatus:
        return Status(request, *view, now, false);
      case Page::kDecisions:
        return Status(request, *view, now, true);
      case Page::kMetrics:
        return {.status = 500};  // answered above
      default:
        return Patroni(route, request, FactsOf(*view, now));
    }
  }

  static http::Response Patroni(const Route& route, const http::Request& request, const patroni::Facts& f) {
    const auto json = [](int status, std::string body) {
      return http::Response{
          .status = status, .content_type = "application/json", .body = std::move(body), .compress = true};
    };
    const auto or_502 = [&json](std::optional<std::string> body, const char* why) {
      return body ? json(200, *std::move(body)) : http::Response{.status = 502, .body = why};
    };
    switch (route.page) {
      case Page::kPatroniHealth: {
        const bool browser = absl::StrContains(request.accept, "text/html");
        if (browser && std::string(route.path) == "/") return Landing(f.view);
        return json(patroni::HealthCode(route.path, request, f).value_or(503), patroni::StatusDocument(f));
      }
      case Page::kPatroniReadiness: {
        const std::string why = patroni::NotReady(request, f);
        return {.status = why.empty() ? 200 : 503, .body = absl::StrCat(why.empty() ? "ready" : why, "\n")};
      }
      case Page::kPatroniStatus:
        return json(200, patroni::StatusDocument(f));
      case Page::kPatroniCluster:
        return json(200, patroni::ClusterDocument(f));
      case Page::kPatroniHistory:
        return json(200, patroni::HistoryDocument(f));
      case Page::kPatroniFailsafe:
        return or_502(patroni::FailsafeDocument(f), "failsafe is off, or the record is not known yet\n");
      case Page::kPatroniConfig: {
        http::Response out = or_502(patroni::ConfigDocument(f), "the cluster's record is not known yet\n");
        if (out.status == 200) out.headers = {{"ETag", patroni::ConfigTag(f)}};
        return out;
      }
      default:
        return {.status = 500};  // answered elsewhere
    }
  }

  static http::Response Landing(const StatusView& view) {
    return {.status = 200, .content_type = "text/html; charset=utf-8", .body = LandingPage(view)};
  }

  static http::Response Status(const http::Request& request, const StatusView& view, MonoTime now,
                               bool decisions) {
    v1::Status status;
    rpc::ToProto(view, now, UnixMillis(), decisions, &status);
    const bool pretty = request.Param("pretty").has_value();
    const auto json = [pretty](const auto& message) {
      return http::Response{.status = 200,
                            .content_type = "application/json",
                            .body = rpc::MessageToJson(message, pretty) + "\n",
                            .compress = true};
    };
    if (!decisions) return json(status);
    v1::WhyReply why;
    why.set_member(status.member());
    why.mutable_decisions()->Swap(status.mutable_decisions());
    return json(why);
  }

  boost::asio::io_context& loop_;
  Config config_;
  const FaceExtras extras_;
  Port* const port_;
  audit::Log* const log_;
  const std::shared_ptr<rpc::TlsFiles> tls_;
  const MetricsPage metrics_;
  patroni::Options patroni_;
  HttpChanges changes_;
  bool serving_ = true;
  const std::shared_ptr<std::atomic<bool>> audit_reads_ =
      std::make_shared<std::atomic<bool>>(config_.audit_reads);
  uint64_t subscription_ = 0;
  std::unique_ptr<http::Server> http_;
  std::unique_ptr<rpc::Server> grpc_;
  const std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
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
                                                    audit::Log* log,
                                                    const std::shared_ptr<rpc::TlsFiles>& tls,
                                                    metrics::Scraper* scraper, FaceExtras extras) {
  auto faces =
      std::make_unique<FacesImpl>(loop, config, port, instruments, log, tls, scraper, std::move(extras));
  if (absl::Status status = faces->Listen(); !status.ok()) return status;
  return std::unique_ptr<Faces>(std::move(faces));
}

}  // namespace mainstay::agent
