// What a database engine can do for the agent: one interface for PostgreSQL, Redis and RabbitMQ; `fake` for
// tests.
//
// Thread rules: every method is called on the engine worker thread only, one at a time, and may block until
// its deadline (BootClock). Cancel() may be called from any thread and makes a running operation return soon
// with kCancelled. Errors: absl::Status with a message that names the thing, the value and the remedy.
// DeadlineExceeded = unknown.
#ifndef MAINSTAY_LIB_ENGINE_ENGINE_H_
#define MAINSTAY_LIB_ENGINE_ENGINE_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "lib/base/time.h"
#include "lib/election/action.h"
#include "lib/election/event.h"

namespace mainstay::engine {

struct LogEnd {  // where the log ends, and how sure that is
  uint64_t offset = 0;
  uint32_t timeline = 0;
  bool complete = false;      // clean shutdown: nothing can follow
  election::Epoch reign = 0;  // whose history that is (election::DbReport::reign)
};

// A line of log that was left for the next one (PostgreSQL's timelines).
struct FormerTimeline {
  uint32_t timeline = 0;
  uint64_t end = 0;    // where it was left
  std::string reason;  // in the database's words
};
inline constexpr size_t kMaxFormerTimelines = 64;
using FormerTimelines = std::shared_ptr<const std::vector<FormerTimeline>>;  // oldest first; null: none known

// Writes that were made here and are not in the history that the cluster goes on with: thrown away when this
// member rejoined. What is not known stays empty; nothing is guessed.
struct Loss {
  uint64_t number = 0;              // 1, 2, ... since the agent started
  int64_t found_ms = 0;             // when it was found (Unix time, as all of these)
  election::Epoch epoch = 0;        // of the reign whose end is lost; 0: not known
  election::Name leader;            // whose data the cluster goes on with
  std::optional<uint64_t> bytes;    // of log
  bool at_least = false;            // there may have been more than `bytes`
  int64_t since_ms = 0;             // made after this: all that was written until then is kept; 0: not known
  int64_t until_ms = 0;             // and before this; 0: not known
  std::optional<uint64_t> changes;  // keys or rows written or deleted, at most so many
  std::optional<int64_t> keys_here, keys_there;  // that this member's data had then, and the leader's
};

// For people and metrics: facts of the last probe that the core does not need.
struct Details {
  std::string version;                       // "15.20"
  std::vector<std::string> pending_restart;  // parameters that wait for a restart
  std::string activity;                      // "cloning from a: 45 % of 1.2 GB", "" when nothing runs
  uint64_t replay_offset = 0;
  uint64_t lost_bytes = 0;       // of all losses, as far as known
  uint64_t lost = 0;             // losses since the agent started
  std::vector<Loss> losses;      // the newest of them, oldest first
  int64_t start_unix_ms = 0;     // when the database process started
  int64_t replayed_unix_ms = 0;  // standby: commit of the last transaction that was replayed; 0: none
  bool replay_paused = false;
  struct Replica {
    election::Name name;
    std::string state;
    uint64_t sent = 0, flushed = 0, replayed = 0;
    bool sync = false;
  };
  std::vector<Replica> replicas;
  FormerTimelines former_timelines;  // the newest kMaxFormerTimelines
};

class Engine {
 public:
  virtual ~Engine() = default;

  // Facts. Bounded by `deadline`; never fails: what could not be learned is kUnknown.
  virtual election::DbReport Probe(MonoTime deadline) = 0;
  virtual Details LastDetails() = 0;  // of the last Probe; any thread

  // The durable memory of the election (in the data directory's parent, so that a re-clone keeps it).
  virtual absl::StatusOr<election::Memory> LoadMemory() = 0;
  virtual absl::Status SaveMemory(const election::Memory& memory) = 0;  // fsynced file and directory

  // Operations; see election::EngineOp for what each means.
  virtual absl::StatusOr<std::string> Found(MonoTime deadline) = 0;  // returns the system identifier
  virtual absl::Status Follow(const election::Member& leader, election::Epoch epoch,
                              const std::string& cluster_id, MonoTime deadline) = 0;
  virtual absl::StatusOr<LogEnd> Freeze(const election::Memory& memory, MonoTime deadline) = 0;
  virtual absl::StatusOr<LogEnd> Promote(const election::Engine& op, MonoTime deadline) = 0;
  virtual absl::StatusOr<LogEnd> Reopen(const election::Engine& op, MonoTime deadline) = 0;
  virtual absl::StatusOr<LogEnd> SetSync(const election::Engine& op, MonoTime deadline) = 0;
  virtual absl::StatusOr<LogEnd> Stop(MonoTime deadline) = 0;
  virtual absl::Status Kill(MonoTime deadline) = 0;
  virtual absl::Status Checkpoint(MonoTime deadline) = 0;

  // Of administrators; never needed by the election.
  virtual absl::Status Reload(MonoTime deadline) = 0;   // parameters from the configuration
  virtual absl::Status Restart(MonoTime deadline) = 0;  // in place, same role (a primary keeps its lease)
  virtual absl::Status Reinit(
      MonoTime deadline) = 0;  // throw the data away and clone at the next Follow (replicas only)

  // Who the members are, whenever that changed: for engines whose databases know each other by address only.
  // Any thread; takes no time.
  virtual void Members(const std::vector<election::Member>& members) { static_cast<void>(members); }

  virtual void Cancel() = 0;
};

}  // namespace mainstay::engine

#endif  // MAINSTAY_LIB_ENGINE_ENGINE_H_
