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

#include <functional>
#include <memory>
#include <string>

#include "agent/sidecar/output_thread.h"
#include "lib/audit/audit.h"
#include "lib/audit/database_log.h"
#include "lib/base/time.h"

namespace mainstay::agent {

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
