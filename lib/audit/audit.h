// The audit log: who did what to this database, one JSON object a line (schema mainstay.audit/v1,
// docs/AUDIT.md), one write(2) a line, at most 8 KiB, UTF-8, nothing from outside unescaped, secrets taken
// out.
//
//   audit::Log log(STDOUT_FILENO, {.engine = "postgresql", .cluster = "pg", .member = "pg-0", .boot =
//   nonce}); Event e{.stage = Stage::kStarted, .action = "role.promote", .msg = "..."}; e.id = log.Write(e);
//   // before acting e.stage = Stage::kCompleted;  // afterwards, with the same id log.Write(e);
//
// Write never blocks: what the pipe does not take at once waits in a queue of at most kMaxQueueBytes for a
// writer thread (started only then); what does not fit is counted, and the next line that fits says how many
// are missing. `seq` counts them all, so a gap shows. Thread rules: any thread.
#ifndef MAINSTAY_LIB_AUDIT_AUDIT_H_
#define MAINSTAY_LIB_AUDIT_AUDIT_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "lib/base/time.h"
#include "lib/election/record.h"

namespace mainstay::audit {

inline constexpr size_t kMaxLineBytes = 8192;
inline constexpr size_t kMaxQueueBytes = 1 << 20;

enum class Stage : uint8_t { kStarted, kCompleted, kFailed };
enum class Outcome : uint8_t { kUnknown, kSuccess, kFailure };

struct Actor {
  std::string type = "agent";  // admin | coordinator | agent | system
  std::string name;            // certificate's name; "" when not known
  std::string ip;
  std::string authn;  // mtls | token | local
  std::string agent;  // program, as it says
};
// Role and position before or after, as far as known.
struct Standing {
  std::string role;
  election::Epoch epoch = 0;
  uint32_t timeline = 0;
  uint64_t offset = 0;  // printed as an LSN ("0/5000060")
};
struct LeaseFacts {
  std::string lock;
  std::string holder;
  std::string resource_version;
  std::optional<int64_t> deadline_ms;  // until the holder's deadline
};
struct Request {
  std::string rpc;
  std::string id;
  std::vector<std::pair<std::string, std::string>> params;  // in order; values are text
};
struct Problem {
  std::string code;
  std::string message;
};

// Writes that a failover left behind. What is not known stays empty and is named under `unknown`.
struct LossFacts {
  std::string found;  // takeover | rejoin
  election::Epoch epoch = 0;
  std::string from, leader;
  std::optional<uint64_t> bytes;
  bool at_least = false;
  int64_t since_ms = 0, until_ms = 0;  // Unix time; 0: not known
  std::optional<uint64_t> changes;
  std::optional<int64_t> keys_here, keys_there;
};

struct Event {
  // Of both lines of a pair: what Write returned for the started one. "" : a new one.
  std::string id;
  Stage stage = Stage::kCompleted;
  std::string level = "info";  // info | warn | error
  std::string action;          // "role.promote", "switchover", "fence.kill", ...
  Outcome outcome = Outcome::kUnknown;
  std::string reason;  // "lease-lost", row id of the decision, ...
  std::string msg;     // a sentence
  Actor actor;
  std::optional<Request> request;
  std::optional<Standing> before;
  std::optional<Standing> after;
  std::optional<LeaseFacts> lease;
  std::optional<Duration> took;
  std::optional<Problem> error;
  std::optional<LossFacts> loss;
  std::optional<uint64_t> dropped;  // lines that are missing before this one
};

// Whose log it is; the same in every line.
struct Identity {
  std::string engine;
  std::string cluster;
  std::string member;  // printed as object.pod
  std::string pod_uid;
  std::string kube_namespace;
  std::string node;
  std::string boot;  // identity of this run of the agent
};

// The line, with its '\n'. Long texts are shortened (ending in "...") until the line fits. Pure: for tests
// and Log.
std::string Format(const Event& event, const Identity& who, uint64_t seq, int64_t unix_us,
                   const std::string& uuid);
class Log {
 public:
  Log(int fd, Identity who);  // does not own fd
  ~Log();                     // Flush(1s)
  Log(const Log&) = delete;
  Log& operator=(const Log&) = delete;

  // Returns the line's id.
  std::string Write(const Event& event);

  // A line of another stream on the same output (the database's log), with numbers of its own. False: not
  // now, the reader does not keep up or audit lines wait: WaitRoom, and offer it again. `format` gets the
  // identity, the line's number and the time (Unix microseconds).
  bool Offer(const std::function<std::string(const Identity&, uint64_t, int64_t)>& format);
  void WaitRoom(Duration most);
  // Counters of that stream: written ones count by themselves. Any thread.
  struct DatabaseLines {
    uint64_t written = 0;
    uint64_t limited = 0;     // over the rate
    uint64_t overflowed = 0;  // line breaks in what the shim dropped
  };
  void CountMissing(uint64_t limited, uint64_t overflowed);
  DatabaseLines database_lines() const;

  // Waits until everything is written, at most until `deadline`. False: not all.
  bool Flush(MonoTime deadline);
  uint64_t written() const;
  uint64_t dropped() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace mainstay::audit

#endif  // MAINSTAY_LIB_AUDIT_AUDIT_H_
