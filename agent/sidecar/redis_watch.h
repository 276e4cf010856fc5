// Redis' rings on their way into the agent's output: slow log, ACL log, latency monitor and kills, each entry
// one line of mainstay.log/v1 (docs/AUDIT.md), and a line that says how many were missed.
//
// One thread of its own at a lower priority with a session of its own over the unix socket; asks every two
// seconds, one round trip when nothing happened, at most 256 entries of each ring a turn. A server that hangs
// has one of our requests in its queue; a reader of standard output that does not read makes this thread
// wait, and what the rings lose meanwhile is counted. Neither the loop nor the probe waits for any of it.
//
// Thread rules: Configure from any thread; Start and Stop once, from the loop's.
#ifndef MAINSTAY_AGENT_SIDECAR_REDIS_WATCH_H_
#define MAINSTAY_AGENT_SIDECAR_REDIS_WATCH_H_

#include <atomic>
#include <cstdint>
#include <memory>

#include "agent/sidecar/output_thread.h"
#include "lib/audit/audit.h"
#include "lib/engine/redis/metrics_session.h"

namespace mainstay::agent {

struct RedisWatchOptions {
  engine::redis::MetricsLogin login;
  Duration interval = std::chrono::seconds(2);
  Duration patience = std::chrono::milliseconds(500);  // of a turn; what is not answered waits for the next
  std::shared_ptr<const std::atomic<int64_t>> own_kills;  // calls of CLIENT KILL by the engine; may be null
};

class RedisWatch {
 public:
  RedisWatch(RedisWatchOptions options, audit::Log* out);
  ~RedisWatch();  // Stop
  RedisWatch(const RedisWatch&) = delete;
  RedisWatch& operator=(const RedisWatch&) = delete;

  void Configure(const LogRelayOptions& options);  // least weight and rate; refusals are never held back
  void Start();
  // False: the thread did not end in time and was left behind.
  bool Stop(Duration patience);

 private:
  struct Shared;  // outlives a thread that was left behind
  std::shared_ptr<Shared> shared_;
};

}  // namespace mainstay::agent

#endif  // MAINSTAY_AGENT_SIDECAR_REDIS_WATCH_H_
