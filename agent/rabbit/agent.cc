#include "agent/rabbit/agent.h"

#include <unistd.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>
#include <csignal>
#include <memory>
#include <string>
#include <utility>

#include "agent/config_watch.h"
#include "agent/face.h"
#include "agent/rabbit/alone.h"
#include "agent/rabbit/clustered.h"
#include "agent/rabbit/event_watch.h"
#include "agent/rabbit/node.h"
#include "agent/rabbit/port.h"
#include "agent/rabbit/view.h"
#include "agent/sidecar/assemble.h"
#include "agent/sidecar/fence_keeper.h"
#include "agent/sidecar/outputs.h"
#include "agent/sidecar/process.h"
#include "agent/sidecar/start_memory.h"
#include "lib/base/log.h"
#include "lib/base/random.h"
#include "lib/base/result.h"
#include "lib/engine/rabbitmq/detail_pages.h"
#include "lib/engine/rabbitmq/relay.h"

#ifndef MAINSTAY_VERSION
#define MAINSTAY_VERSION "0"
#endif

namespace mainstay::agent {
namespace {

namespace rabbitmq = engine::rabbitmq;
using std::chrono::milliseconds;
using std::chrono::seconds;

// As the sidecar's (sidecar.cc).
constexpr Duration kGiveBackAfter = seconds(10);
constexpr Duration kGiveBackEvery = std::chrono::minutes(10);
constexpr Duration kShowEvery = seconds(10);  // ages of what did not change
constexpr size_t kLargestPage = 10 << 20;     // of the plugin's pages of queues, with ours

rabbitmq::RelayOptions RelayOf(const Config& config) {
  rabbitmq::RelayOptions o;
  o.port = config.rabbitmq.prometheus_port;
  return o;
}

EventWatchOptions EventsOf(const Config& config) {
  const RabbitmqConfig& c = config.rabbitmq;
  EventWatchOptions o;
  o.endpoint = EndpointOf(c);
  o.endpoint.vhost = c.audit_vhost;
  o.endpoint.name = "mainstay-audit@" + c.node;
  o.endpoint.frame_max = 131072;  // RabbitMQ's own: an event is all headers
  o.login = LoginOf(c);
  o.queue.name = "_mainstay.audit";
  return o;
}

void WriteEventMetrics(const EventWatch::Counts& counts, metrics::Writer& w) {
  w.Family("mainstay_rabbitmq_audit_up", metrics::Type::kGauge,
           "1 while this agent reads the broker's events, or waits for its turn.");
  w.Sample(counts.connected ? 1 : 0);
  w.Family("mainstay_rabbitmq_audit_events_total", metrics::Type::kCounter,
           "Events of the broker that this agent told.");
  for (const auto& [event, n] : counts.events) w.Sample({{"event", event}}, static_cast<double>(n));
}

// All of it. Members are destroyed from the last to the first: what calls others goes before them.
class RabbitAgent {
 public:
  explicit RabbitAgent(const SidecarOptions& options)
      : options_(options),
        config_(options.config),
        config_watch_(WatchedFiles(options.source, options.config)),
        loop_(io_),
        signals_(io_),
        nonce_(RandomHex(4)) {}

  absl::Status Build();
  absl::Status BuildMaintenance(const std::shared_ptr<rpc::TlsFiles>& tls);
  int Run();

 private:
  FaceExtras Extras();
  void AwaitSignal();
  void OnSignal(int signal);
  void Changed();
  void Show();
  void Submit(const rpc::AdminCommand& command, std::function<void(rpc::AdminAnswer)> done);
  std::string Reload();
  void LookAtConfigAt(MonoTime when);
  void GiveBackAt(MonoTime when);
  int Finish();

  const SidecarOptions options_;
  Config config_;
  ConfigWatch config_watch_;
  boost::asio::io_context io_{1};
  AsioLoop loop_;
  boost::asio::signal_set signals_;
  const std::string nonce_;
  std::unique_ptr<Outputs> outputs_;
  std::unique_ptr<Journal> journal_;
  std::unique_ptr<FenceKeeper> shim_;
  std::unique_ptr<Node> node_;
  std::unique_ptr<Maintenance> maintenance_;
  std::unique_ptr<RabbitPort> port_;
  std::unique_ptr<EventWatch> events_;  // null: none are told
  std::unique_ptr<metrics::Scraper> scraper_;
  std::unique_ptr<rabbitmq::DetailPages> pages_;
  std::unique_ptr<Faces> faces_;
  std::string shown_key_;
  MonoTime shown_at_, started_at_;
  bool ending_ = false;
  int code_ = kExitStopped;
};

// Without other members there is nothing to agree on, and no lock is needed.
absl::Status RabbitAgent::BuildMaintenance(const std::shared_ptr<rpc::TlsFiles>& tls) {
  if (config_.members.empty()) {
    maintenance_ = std::make_unique<AloneMaintenance>(&loop_);
    return absl::OkStatus();
  }
  ClusteredMaintenance::Parts parts;
  parts.loop = &loop_;
  parts.audit = outputs_->audit();
  MAINSTAY_ASSIGN_OR_RETURN(parts.stores, BuildMaintenanceStores(config_));
  parts.peers = std::make_unique<PeerFacts>(config_.cluster, config_.name, ConfiguredPeers(config_), tls);
  maintenance_ = std::make_unique<ClusteredMaintenance>(config_, std::move(parts));
  return absl::OkStatus();
}

absl::Status RabbitAgent::Build() {
  for (const int signal : {SIGTERM, SIGINT, SIGHUP}) signals_.add(signal);
  AwaitSignal();
  started_at_ = loop_.Now();
  outputs_ = std::make_unique<Outputs>(config_, nonce_);
  journal_ = std::make_unique<Journal>(outputs_->audit(), nullptr, "none");
  shim_ = std::make_unique<FenceKeeper>(io_, &loop_, config_.shim_socket);
  Node::Parts parts;
  parts.loop = &loop_;
  parts.audit = outputs_->audit();
  parts.journal = journal_.get();
  parts.changed = [this] { Changed(); };
  parts.ending = [this] { maintenance_->OnEnding([this] { shim_->Shutdown(); }); };
  node_ = std::make_unique<Node>(config_, parts);
  MAINSTAY_ASSIGN_OR_RETURN(const std::shared_ptr<rpc::TlsFiles> tls, OpenTls(config_));
  MAINSTAY_RETURN_IF_ERROR(BuildMaintenance(tls));
  port_ = std::make_unique<RabbitPort>(
      &loop_, [this] { return loop_.turned_at(); },
      [this](const rpc::AdminCommand& command, std::function<void(rpc::AdminAnswer)> done) {
        Submit(command, std::move(done));
      },
      [this] { return maintenance_->Facts(); });
  if (config_.rabbitmq.audit_events && outputs_->database_log() != nullptr)
    events_ = std::make_unique<EventWatch>(EventsOf(config_), outputs_->database_log());
  scraper_ = std::make_unique<metrics::Scraper>(std::make_shared<rabbitmq::Relay>(RelayOf(config_)),
                                                metrics::Scraper::Options());
  pages_ = std::make_unique<rabbitmq::DetailPages>(rabbitmq::DetailPages::Options{.relay = RelayOf(config_)});
  MAINSTAY_ASSIGN_OR_RETURN(faces_, Faces::Start(io_, config_, port_.get(), nullptr, outputs_->audit(), tls,
                                                 scraper_.get(), Extras()));
  return absl::OkStatus();
}

FaceExtras RabbitAgent::Extras() {
  FaceExtras extras;
  extras.scrape_patience = rabbitmq::Relay::kPatience;
  extras.largest_answer = kLargestPage;
  extras.families = [this](const rpc::StatusView&, MonoTime, metrics::Writer& w) {
    node_->WriteMetrics(w);
    WriteEventMetrics(events_ == nullptr ? EventWatch::Counts() : events_->counts(), w);
    maintenance_->WriteMetrics(w);
  };
  extras.pages = [this](const http::Request& request, const http::Reply& reply) {
    if (!rabbitmq::DetailPages::Takes(request.path)) return false;
    pages_->Answer(request, loop_.Now(), reply);
    return true;
  };
  return extras;
}

int RabbitAgent::Run() {
  journal_->Life("agent.start", audit::Stage::kCompleted,
                 "agent of " + config_.name + " in cluster " + config_.cluster + ": gRPC " +
                     faces_->grpc_address() + ", HTTP " + faces_->http_address() + ", broker " +
                     config_.rabbitmq.node);
  outputs_->Start();
  if (events_ != nullptr) events_->Start();
  maintenance_->Begin(node_.get());
  node_->Begin();
  shim_->Start(node_.get(), [](uint64_t) {});
  faces_->SetServing(true);
  GiveBackAt(loop_.Now() + kGiveBackAfter);
  LookAtConfigAt(loop_.Now() + kConfigLookEvery);
  io_.run();
  return Finish();
}

void RabbitAgent::GiveBackAt(MonoTime when) {
  loop_.At(when, [this] {
    GiveBackStartMemory();
    GiveBackAt(loop_.Now() + kGiveBackEvery);
  });
}

// ---- what is shown ----

void RabbitAgent::Changed() {
  maintenance_->OnNode(*node_->View());
  const std::string key = ViewKey(*node_->View()) + maintenance_->ShownKey();
  if (key == shown_key_ && loop_.Now() - shown_at_ < kShowEvery) return;
  shown_key_ = key;
  Show();
}

void RabbitAgent::Show() {
  const std::shared_ptr<const NodeView> node = node_->View();
  rpc::StatusView view;
  view.cluster = config_.cluster;
  view.member = config_.name;
  view.identity = config_.name + "_" + (config_.uid.empty() ? "local" : config_.uid) + "_" + nonce_;
  view.engine = ToString(config_.engine);
  view.agent_version = MAINSTAY_VERSION;
  view.phase = ToString(node->judgement.state);
  view.database = ShowDatabase(*node);
  view.broker = std::make_shared<const rpc::BrokerView>(ShowBroker(*node, config_.rabbitmq.node));
  view.shim_connected = node->shim_connected;
  view.warnings = node->judgement.notes;
  view.started_at = started_at_;
  rpc::MemberView self;
  self.name = config_.name;
  self.state = view.database.state;
  self.heard_at = loop_.Now();
  self.peer_address = config_.settings.self.peer_address;
  self.db_address = config_.settings.self.db_address;
  self.detail = node->judgement.sentence;
  self.in_record = true;
  view.members.push_back(std::move(self));
  for (const ExpectedMember& m : config_.members) {
    rpc::MemberView other;
    other.name = m.name;
    other.peer_address = m.peer;
    other.in_record = true;
    view.members.push_back(std::move(other));
  }
  maintenance_->FillStatus(&view);
  shown_at_ = loop_.Now();
  port_->Put(std::move(view));
}

// ---- people ----

void RabbitAgent::Submit(const rpc::AdminCommand& command, std::function<void(rpc::AdminAnswer)> done) {
  if (command.verb != rpc::AdminVerb::kReload) return maintenance_->Submit(command, std::move(done));
  const std::string problem = Reload();
  done({problem.empty() ? election::AdminStatus::kDone : election::AdminStatus::kFailed,
        problem.empty() ? "the configuration is in force" : problem});
}

std::string RabbitAgent::Reload() {
  LoadedConfig next = LoadConfig(options_.source, options_.environment);
  if (!next.ok()) {
    journal_->Configured(next.Problems(), false);
    return next.Problems();
  }
  const ConfigChange change = Compare(config_, next.config);
  config_ = ApplyReload(config_, next.config);
  SetLog(config_);
  if (const absl::Status status = faces_->Configure(config_); !status.ok()) {
    Log(mainstay::LogLevel::kError, "agent", "the HTTP port keeps its former rights", {{"error", status}});
  }
  config_watch_.Watch(WatchedFiles(options_.source, config_));
  outputs_->Configure(config_);
  node_->Configure(config_);
  journal_->Configured(change.ToString(), true);
  return "";
}

void RabbitAgent::LookAtConfigAt(MonoTime when) {
  loop_.At(when, [this] {
    if (config_watch_.Look()) Reload();
    LookAtConfigAt(loop_.Now() + kConfigLookEvery);
  });
}

// ---- signals and the end ----

void RabbitAgent::AwaitSignal() {
  signals_.async_wait([this](boost::system::error_code error, int signal) {
    if (error) return;
    AwaitSignal();
    OnSignal(signal);
  });
}

void RabbitAgent::OnSignal(int signal) {
  if (signal == SIGHUP) {
    Reload();
    return;
  }
  if (ending_) code_ = kExitForced;
  if (!ending_) {
    journal_->Life("agent.stop", audit::Stage::kStarted, "told to end; the broker goes on");
    if (faces_ != nullptr) faces_->SetServing(false);
  }
  ending_ = true;
  io_.stop();
}

int RabbitAgent::Finish() {
  faces_.reset();  // no more calls from outside
  bool all = maintenance_->End(seconds(1));
  all = node_->End(seconds(1)) && all;
  all = shim_->Stop(seconds(1)) && all;
  all = scraper_->Stop(seconds(1)) && all;
  all = (events_ == nullptr || events_->Stop(seconds(1))) && all;
  journal_->Life("agent.stop", code_ == kExitStopped ? audit::Stage::kCompleted : audit::Stage::kFailed,
                 "the agent ends");
  journal_->Close("the agent ended first");
  all = outputs_->Stop(seconds(1)) && all;
  if (!all) _exit(code_);  // a thread that hangs still uses what would be destroyed now
  return code_;
}

}  // namespace

int RunRabbitAgent(const SidecarOptions& options) {
  Harden();
  SetLog(options.config);
  RabbitAgent agent(options);
  const absl::Status built = agent.Build();
  if (!built.ok()) {
    Log(mainstay::LogLevel::kError, "agent", "cannot start", {{"error", built}});
    return kExitCannotStart;
  }
  return agent.Run();
}

}  // namespace mainstay::agent
