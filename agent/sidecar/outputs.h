// What an agent prints on standard output (docs/AUDIT.md): the audit log, the database's log and, of Redis,
// what its rings remember.
//
//   Outputs out(config, boot);       // before anything that tells something
//   out.WatchRings(config, kills);   // Redis: when its engine is there
//   out.Start();                     // threads
//   bool all = out.Stop(seconds(1)); // and waits until everything is written
//
// Thread rules: the loop's; what audit() gives takes lines from any thread.
#ifndef MAINSTAY_AGENT_SIDECAR_OUTPUTS_H_
#define MAINSTAY_AGENT_SIDECAR_OUTPUTS_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>

#include "agent/config.h"
#include "agent/sidecar/log_relay.h"
#include "agent/sidecar/redis_watch.h"
#include "lib/audit/audit.h"

namespace mainstay::agent {

class Outputs {
 public:
  // `boot`: identity of this run of the agent.
  Outputs(const Config& config, const std::string& boot);

  audit::Log* audit() const { return audit_; }  // null: switched off
  // Where lines beside the relayed log go; null: the database's log is switched off.
  audit::Log* database_log() const { return relay_ == nullptr ? nullptr : log_.get(); }
  // `own_kills`: calls of CLIENT KILL by the engine.
  void WatchRings(const Config& config, std::shared_ptr<const std::atomic<int64_t>> own_kills);
  void Start();
  void Configure(const Config& config);
  // False: a thread did not end in time and was left behind.
  bool Stop(Duration patience);

 private:
  std::unique_ptr<audit::Log> log_;  // null: nothing is printed
  audit::Log* audit_ = nullptr;
  std::unique_ptr<LogRelay> relay_;    // null: the database's log is not passed on
  std::unique_ptr<RedisWatch> rings_;  // null: another engine, or not passed on
};

}  // namespace mainstay::agent

#endif  // MAINSTAY_AGENT_SIDECAR_OUTPUTS_H_
