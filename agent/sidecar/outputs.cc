#include "agent/sidecar/outputs.h"

#include <unistd.h>

#include <cstdlib>
#include <utility>

#include "agent/sidecar/assemble.h"
#include "lib/audit/pg_stderr.h"
#include "lib/audit/rabbit_log.h"
#include "lib/audit/redis_log.h"

namespace mainstay::agent {
namespace {

audit::Identity IdentityOf(const Config& config, const std::string& boot) {
  audit::Identity who;
  who.engine = ToString(config.engine);
  who.cluster = config.cluster;
  who.member = config.name;
  who.pod_uid = config.uid;
  who.boot = boot;
  who.kube_namespace = config.kubernetes.ns;
  if (const char* node = getenv("NODE_NAME"); node != nullptr) who.node = node;
  return who;
}

LogRelay::NewParser ParserOf(EngineKind engine) {
  if (engine == EngineKind::kRedis) return [] { return std::make_unique<audit::RedisLogParser>(); };
  if (engine == EngineKind::kRabbitmq) return [] { return std::make_unique<audit::RabbitLogParser>(); };
  return [] { return std::make_unique<audit::PgStderrParser>(); };
}

LogRelayOptions RelayOptions(const Config& config) {
  LogRelayOptions o;
  switch (config.database_log.level) {
    case LogLevel::kDebug:
      o.least = audit::LogWeight::kDebug;
      break;
    case LogLevel::kInfo:
      o.least = audit::LogWeight::kInfo;
      break;
    case LogLevel::kWarn:
      o.least = audit::LogWeight::kWarn;
      break;
    case LogLevel::kError:
      o.least = audit::LogWeight::kError;
      break;
  }
  o.rate = config.database_log.rate;
  o.burst = config.database_log.burst;
  return o;
}

}  // namespace

Outputs::Outputs(const Config& config, const std::string& boot) {
  const bool database_log = config.database_log.enabled && config.engine != EngineKind::kFake;
  if (!config.audit_enabled && !database_log) return;
  log_ = std::make_unique<audit::Log>(STDOUT_FILENO, IdentityOf(config, boot));
  if (config.audit_enabled) audit_ = log_.get();
  if (!database_log) return;
  relay_ = std::make_unique<LogRelay>(config.shim_socket, ParserOf(config.engine), log_.get());
  relay_->Configure(RelayOptions(config));
}

void Outputs::WatchRings(const Config& config, std::shared_ptr<const std::atomic<int64_t>> own_kills) {
  if (relay_ == nullptr || config.engine != EngineKind::kRedis) return;
  RedisWatchOptions watch;
  watch.login = RedisLogin(config);
  watch.own_kills = std::move(own_kills);
  rings_ = std::make_unique<RedisWatch>(std::move(watch), log_.get());
  rings_->Configure(RelayOptions(config));
}

void Outputs::Start() {
  if (relay_ != nullptr) relay_->Start();
  if (rings_ != nullptr) rings_->Start();
}

void Outputs::Configure(const Config& config) {
  if (relay_ != nullptr) relay_->Configure(RelayOptions(config));
  if (rings_ != nullptr) rings_->Configure(RelayOptions(config));
}

bool Outputs::Stop(Duration patience) {
  bool all = rings_ == nullptr || rings_->Stop(patience);
  all = (relay_ == nullptr || relay_->Stop(patience)) && all;
  if (log_ != nullptr) log_->Flush(BootClock().Now() + patience);
  return all;
}

}  // namespace mainstay::agent
