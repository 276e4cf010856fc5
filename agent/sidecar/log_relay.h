// The database's log on its way through the agent: bytes from the shim, parsed, counted, limited, secrets
// taken out, as JSON lines (mainstay.log/v1, docs/AUDIT.md) on standard output.
//
// One thread of its own at a lower priority, asleep while the database says nothing. It keeps no queue: when
// standard output is not read it waits, its connection to the shim fills up, and the shim drops and counts.
// So a flood or a stuck reader costs neither the loop nor the database anything, and memory stays as it is.
// What is missing is told by a line of class "dropped" as soon as something can be told.
//
// Counted in audit::Log::database_lines. Thread rules: Configure from any thread; Start and Stop once, from
// the loop's.
#ifndef MAINSTAY_AGENT_SIDECAR_LOG_RELAY_H_
#define MAINSTAY_AGENT_SIDECAR_LOG_RELAY_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "lib/audit/audit.h"
#include "lib/audit/database_log.h"
#include "lib/base/time.h"

namespace mainstay::agent {

// Lines a second, with a burst. What is over it is held back until a second later.
class LogLimit {
 public:
  void Set(int64_t rate, int64_t burst) {
    rate_ = rate;
    burst_ = burst;
  }
  bool Allow(MonoTime now);

 private:
  int64_t rate_ = 0, burst_ = 0;  // rate 0: no limit
  double tokens_ = -1;            // < 0: not begun
  MonoTime filled_;
  MonoTime closed_until_;
};

struct LogRelayOptions {
  audit::LogWeight least = audit::LogWeight::kInfo;
  int64_t rate = 1000;  // of classes log and slow_query; 0: no limit
  int64_t burst = 5000;
};

class LogRelay {
 public:
  using NewParser = std::function<std::unique_ptr<audit::LogParser>()>;
  LogRelay(std::string shim_socket, NewParser parser, audit::Log* out);
  ~LogRelay();  // Stop
  LogRelay(const LogRelay&) = delete;
  LogRelay& operator=(const LogRelay&) = delete;

  void Configure(const LogRelayOptions& options);
  void Start();
  // False: the thread did not end in time and was left behind.
  bool Stop(Duration patience);

 private:
  struct Shared;  // outlives a thread that was left behind
  std::shared_ptr<Shared> shared_;
};

}  // namespace mainstay::agent

#endif  // MAINSTAY_AGENT_SIDECAR_LOG_RELAY_H_
