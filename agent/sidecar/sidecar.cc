#include "agent/sidecar/sidecar.h"

#include <unistd.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>
#include <csignal>
#include <cstdio>
#include <memory>
#include <string>
#include <thread>
#include <utility>

#include "agent/config_watch.h"
#include "agent/face.h"
#include "agent/sidecar/assemble.h"
#include "agent/sidecar/driver.h"
#include "agent/sidecar/fence_keeper.h"
#include "agent/sidecar/incarnation.h"
#include "agent/sidecar/loop.h"
#include "agent/sidecar/metrics.h"
#include "agent/sidecar/outputs.h"
#include "agent/sidecar/port.h"
#include "agent/sidecar/process.h"
#include "agent/sidecar/role_publisher.h"
#include "agent/sidecar/sentinel_port.h"
#include "agent/sidecar/start_memory.h"
#include "agent/sidecar/store_runner.h"
#include "agent/sidecar/worker.h"
#include "lib/base/log.h"
#include "lib/base/random.h"
#include "lib/base/result.h"
#include "lib/kube/client.h"
#include "lib/lease/file_store.h"

namespace mainstay::agent {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

// Again and again: founding, cloning and failovers run code, too, that is not needed afterwards.
constexpr Duration kGiveBackAfter = seconds(10);
constexpr Duration kGiveBackEvery = std::chrono::minutes(10);

// All of an agent. Members are destroyed from the last to the first: what calls others goes before them.
class Sidecar {
 public:
  explicit Sidecar(const SidecarOptions& options)
      : options_(options),
        config_(options.config),
        config_watch_(WatchedFiles(options.source, options.config)),
        loop_(io_),
        signals_(io_),
        nonce_(RandomHex(4)),
        incarnation_(options.config.shim_socket, nonce_) {}

  absl::Status Build();
  int Run();

 private:
  absl::StatusOr<election::Memory> LoadMemory();
  void BeginIncarnation();
  absl::Status BuildLock();
  void GiveBackAt(MonoTime when);
  void LookAtConfigAt(MonoTime when);
  void AwaitSignal();
  void OnSignal(int signal);
  void AwaitHandover(MonoTime until);
  void End(int code);
  std::string Reload();
  void ReloadAs(const std::string& what, const std::string& actor);
  int Finish();

  const SidecarOptions options_;
  Config config_;
  ConfigWatch config_watch_;
  boost::asio::io_context io_{1};
  AsioLoop loop_;
  boost::asio::signal_set signals_;
  const std::string nonce_;
  metrics::AgentInstruments instruments_;
  std::unique_ptr<kube::Client> kube_;  // null: another lock
  std::unique_ptr<RolePublisher> publisher_;
  LabelPublisher* labels_ = nullptr;  // publisher_, when it is one
  Incarnation incarnation_;
  std::unique_ptr<Outputs> outputs_;
  std::unique_ptr<lease::Store> store_;
  BuiltEngine engine_;
  std::unique_ptr<ThreadWorker> store_worker_;
  std::unique_ptr<ThreadWorker> engine_worker_;
  std::unique_ptr<FenceKeeper> fence_;
  std::unique_ptr<RpcPeerLink> peers_;
  std::unique_ptr<Driver> driver_;
  std::unique_ptr<AgentPort> port_;
  std::unique_ptr<DatabaseMetrics> metrics_;
  std::unique_ptr<Faces> faces_;
  std::unique_ptr<SentinelPort> sentinel_;  // null: none
  std::unique_ptr<StoreWatcher> watcher_;
  bool ending_ = false;
  bool was_leading_ = false;
  int reloads_ = 0;
  int code_ = kExitStopped;
};

// The data's volume may come up after us (another container makes it): patient, but not silent, and SIGTERM
// ends it.
absl::StatusOr<election::Memory> Sidecar::LoadMemory() {
  LogLimiter limiter(seconds(10));
  for (;;) {
    absl::StatusOr<election::Memory> memory = engine_.engine->LoadMemory();
    const absl::StatusCode code = memory.status().code();
    if (code != absl::StatusCode::kUnavailable && code != absl::StatusCode::kDeadlineExceeded) return memory;
    if (uint64_t held = 0; limiter.Allow(BootClock().Now(), &held)) {
      Log(mainstay::LogLevel::kWarn, "agent", "waiting for the database's volume",
          {{"error", memory.status()}});
    }
    io_.run_for(milliseconds(250));
    io_.restart();
    if (ending_) return absl::CancelledError("told to end");
  }
}

void Sidecar::BeginIncarnation() {
  if (config_.engine == EngineKind::kFake) return;
  shim::Client client(config_.shim_socket);
  const absl::StatusOr<shim::State> state = client.GetState(loop_.Now() + seconds(1));
  if (state.ok()) return incarnation_.Begin(state->nonce);
  Log(mainstay::LogLevel::kInfo, "agent", "the shim does not answer yet: a new incarnation",
      {{"error", state.status()}});
}

absl::Status Sidecar::BuildLock() {
  if (config_.lock == LockKind::kFile) {
    publisher_ = std::make_unique<NoRolePublisher>();
    absl::StatusOr<std::unique_ptr<lease::FileStore>> store = lease::FileStore::Open(config_.lock_path);
    if (!store.ok()) return store.status();
    store_ = *std::move(store);
    return absl::OkStatus();
  }
  MAINSTAY_ASSIGN_OR_RETURN(kube_, BuildKubeClient(config_));
  MAINSTAY_ASSIGN_OR_RETURN(store_, BuildKubeStore(config_, kube_.get()));
  auto labels = BuildLabelPublisher(config_, kube_.get());
  labels_ = labels.get();
  publisher_ = std::move(labels);
  return absl::OkStatus();
}

absl::Status Sidecar::Build() {
  signals_.add(SIGTERM);
  signals_.add(SIGINT);
  signals_.add(SIGHUP);
  AwaitSignal();
  outputs_ = std::make_unique<Outputs>(config_, nonce_);
  MAINSTAY_RETURN_IF_ERROR(BuildLock());
  absl::StatusOr<BuiltEngine> engine = BuildEngine(config_, outputs_->audit());
  if (!engine.ok()) return engine.status();
  engine_ = *std::move(engine);
  outputs_->WatchRings(config_, engine_.own_kills);
  absl::StatusOr<election::Memory> memory = LoadMemory();
  if (!memory.ok()) return memory.status();
  store_worker_ = std::make_unique<ThreadWorker>("store", 4);
  engine_worker_ = std::make_unique<ThreadWorker>("engine", 2);
  fence_ = std::make_unique<FenceKeeper>(io_, &loop_, config_.shim_socket);
  MAINSTAY_ASSIGN_OR_RETURN(const std::shared_ptr<rpc::TlsFiles> tls, OpenTls(config_));
  peers_ = std::make_unique<RpcPeerLink>(&loop_, config_.cluster, tls);
  BeginIncarnation();
  DriverParts parts;
  parts.loop = &loop_;
  parts.store_worker = store_worker_.get();
  parts.store = store_.get();
  parts.engine_worker = engine_worker_.get();
  parts.engine = engine_.engine.get();
  parts.fence = fence_.get();
  parts.peers = peers_.get();
  parts.publisher = publisher_.get();
  parts.instruments = &instruments_;
  parts.audit = outputs_->audit();
  driver_ =
      std::make_unique<Driver>(BuildDriverOptions(config_, incarnation_.id()), parts, *std::move(memory));
  driver_->SetReload([this] { return Reload(); });
  port_ = std::make_unique<AgentPort>(&loop_, driver_.get(), [this] { return loop_.turned_at(); });
  metrics_ = std::make_unique<DatabaseMetrics>(config_);
  absl::StatusOr<std::unique_ptr<Faces>> faces =
      Faces::Start(io_, config_, port_.get(), &instruments_, outputs_->audit(), tls, metrics_->scraper());
  if (!faces.ok()) return faces.status();
  faces_ = *std::move(faces);
  MAINSTAY_ASSIGN_OR_RETURN(sentinel_, SentinelPort::Start(io_, &loop_, config_, port_.get()));
  return absl::OkStatus();
}

int Sidecar::Run() {
  driver_->journal().Life("agent.start", audit::Stage::kCompleted,
                          "agent of " + config_.name + " in cluster " + config_.cluster + ": gRPC " +
                              faces_->grpc_address() + ", HTTP " + faces_->http_address() + ", lock " +
                              store_->Describe());
  outputs_->Start();
  driver_->Start();
  fence_->Start(driver_.get(), [this](uint64_t nonce) { incarnation_.Connected(nonce); });
  const Duration timeout = std::max<Duration>(milliseconds(500), config_.settings.renew);
  watcher_ = std::make_unique<StoreWatcher>(
      &loop_, store_.get(), timeout, [this](election::RecordSeen seen) { driver_->Handle(std::move(seen)); });
  faces_->SetServing(true);
  GiveBackAt(loop_.Now() + kGiveBackAfter);
  LookAtConfigAt(loop_.Now() + kConfigLookEvery);
  io_.run();
  return Finish();
}

void Sidecar::GiveBackAt(MonoTime when) {
  loop_.At(when, [this] {
    GiveBackStartMemory();
    GiveBackAt(loop_.Now() + kGiveBackEvery);
  });
}

// Kubernetes swaps the files of a ConfigMap or Secret and signals nobody.
void Sidecar::LookAtConfigAt(MonoTime when) {
  loop_.At(when, [this] {
    if (config_watch_.Look()) ReloadAs("file", "the file");
    LookAtConfigAt(loop_.Now() + kConfigLookEvery);
  });
}

// ---- signals ----

void Sidecar::AwaitSignal() {
  signals_.async_wait([this](boost::system::error_code error, int signal) {
    if (error) return;
    AwaitSignal();
    OnSignal(signal);
  });
}

void Sidecar::OnSignal(int signal) {
  if (driver_ == nullptr || faces_ == nullptr) {  // not begun yet
    ending_ = signal != SIGHUP;
    return;
  }
  if (signal == SIGHUP) {
    ReloadAs("sighup", "SIGHUP");
    return;
  }
  if (ending_) {
    End(kExitForced);
    return;
  }
  ending_ = true;
  was_leading_ = driver_->state().lead;
  driver_->journal().Life(
      "agent.stop", audit::Stage::kStarted,
      was_leading_ ? "told to end: hand over first" : "told to end; the database goes on");
  faces_->SetServing(false);
  driver_->Leave();
  const Duration stop =
      config_.engine == EngineKind::kRedis ? config_.redis.stop_timeout : config_.postgresql.stop_timeout;
  AwaitHandover(loop_.Now() + config_.settings.handover + stop + seconds(2));
}

void Sidecar::AwaitHandover(MonoTime until) {
  if (driver_->HandedOver()) {
    // The others are being told that the lock is free: let that leave.
    loop_.At(loop_.Now() + milliseconds(was_leading_ ? 200 : 0), [this] { End(kExitStopped); });
  } else if (loop_.Now() >= until) {
    Log(mainstay::LogLevel::kError, "agent",
        "the handover was not finished in time: ending all the same, the shim's deadline stops the database");
    End(kExitHandoverLate);
  } else {
    loop_.At(loop_.Now() + milliseconds(20), [this, until] { AwaitHandover(until); });
  }
}

void Sidecar::End(int code) {
  code_ = code;
  io_.stop();
}

// ---- reload ----

std::string Sidecar::Reload() {
  LoadedConfig next = LoadConfig(options_.source, options_.environment);
  if (!next.ok()) {
    driver_->journal().Configured(next.Problems(), false);
    return next.Problems();
  }
  const ConfigChange change = Compare(config_, next.config);
  const Config config = ApplyReload(config_, next.config);
  if (const absl::Status status = engine_.configure(config); !status.ok()) {
    driver_->journal().Configured(std::string(status.message()), false);
    return std::string(status.message());
  }
  const Config before = std::exchange(config_, config);
  SetLog(config_);
  if (const absl::Status status = faces_->Configure(config_); !status.ok()) {
    Log(mainstay::LogLevel::kError, "agent", "the HTTP port keeps its former rights", {{"error", status}});
  }
  config_watch_.Watch(WatchedFiles(options_.source, config_));
  metrics_->Configure(config_);
  outputs_->Configure(config_);
  driver_->engine_runner().SetProbe(config_.probe_interval, config_.probe_timeout, config_.hung_after);
  election::TagsChanged tags;
  tags.priority = config_.settings.self.priority;
  tags.no_failover = config_.settings.self.no_failover;
  driver_->Handle(tags);
  driver_->SetConfigured(ConfiguredPeers(config_));
  if (before.settings.durability != config_.settings.durability && driver_->state().lead) {
    election::AdminAsked asked;
    asked.id = "reload-" + nonce_ + "-" + std::to_string(reloads_);
    asked.kind = election::AdminKind::kSetDurability;
    asked.durability = config_.settings.durability;
    driver_->Handle(asked);
  }
  ++reloads_;
  driver_->journal().Configured(change.ToString(), true);
  return "";
}

void Sidecar::ReloadAs(const std::string& what, const std::string& actor) {
  rpc::AdminCommand command;
  command.id =
      what + "-" + nonce_ + "-" + std::to_string(++reloads_);  // also when the one before was refused
  command.verb = rpc::AdminVerb::kReload;
  command.deadline = loop_.Now() + seconds(30);
  command.actor = actor;
  driver_->Submit(command, [](const rpc::AdminAnswer&) {});
}

// ---- the end ----

int Sidecar::Finish() {
  sentinel_.reset();
  faces_.reset();  // no more calls from outside
  driver_->Stop();
  bool all = watcher_->Stop(seconds(1));
  all = metrics_->Stop(seconds(1)) && all;
  all = fence_->Stop(seconds(1)) && all;
  all = store_worker_->Stop(seconds(1)) && all;
  all = engine_worker_->Stop(seconds(2)) && all;
  if (labels_ != nullptr) labels_->Stop(seconds(1));
  driver_->journal().Life("agent.stop",
                          code_ == kExitStopped ? audit::Stage::kCompleted : audit::Stage::kFailed,
                          "the agent ends");
  driver_->journal().Close("the agent ended first");
  all = outputs_->Stop(seconds(1)) && all;
  if (!all) _exit(code_);  // a thread that hangs still uses what would be destroyed now
  return code_;
}

}  // namespace

int RunSidecar(const SidecarOptions& options) {
  Harden();
  SetLog(options.config);
  Sidecar sidecar(options);
  const absl::Status built = sidecar.Build();
  if (built.code() == absl::StatusCode::kCancelled) return kExitStopped;
  if (!built.ok()) {
    Log(mainstay::LogLevel::kError, "agent", "cannot start", {{"error", built}});
    return kExitCannotStart;
  }
  return sidecar.Run();
}

}  // namespace mainstay::agent
