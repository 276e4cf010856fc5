// What an agent offers to the outside, as plain data: the seam between the faces (HTTP, gRPC) and the
// sidecar's loop. Nothing here knows gRPC or protobuf. The driver (agent/sidecar) implements Port; lib/rpc
// and agent/faces call it.
//
// Thread rules: every method of Port may be called from any thread and returns at once. Answers may come on
// any thread, each exactly once. A StatusView is immutable once published.
#ifndef MAINSTAY_LIB_RPC_PORT_H_
#define MAINSTAY_LIB_RPC_PORT_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "lib/base/time.h"
#include "lib/election/action.h"
#include "lib/election/event.h"
#include "lib/election/record.h"

namespace mainstay::rpc {

enum class LockHealth : uint8_t { kUnknown, kOk, kUnreachable, kMissing, kUnreadable };

// One line of the cluster's table, as this member knows it.
struct MemberView {
  election::Name name;
  election::Role role = election::Role::kUnknown;
  election::DbState state = election::DbState::kUnknown;
  uint32_t timeline = 0;
  uint64_t offset = 0;
  std::optional<uint64_t> lag_bytes;  // behind the leader, when known
  bool voter = false;                 // in the sync set of the record
  bool sync = false;                  // the primary's database waits for it now
  int32_t priority = 100;
  bool no_failover = false;
  MonoTime heard_at;  // own clock; the distant past: never
  std::string peer_address;
  std::string db_address;
  bool in_record = false;
  std::string detail;  // "cloning from a: 45 %"
};

// A decision of the core, kept in a ring (bounded by the driver: at most kMaxDecisions).
struct DecisionView {
  std::string row;
  std::string sentence;
  std::string facts;
  election::Epoch epoch = 0;
  int64_t unix_ms = 0;  // wall clock, for people
};
inline constexpr size_t kMaxDecisions = 256;

struct LockView {
  std::string where;  // Store::Describe()
  LockHealth health = LockHealth::kUnknown;
  std::string problem;
  std::string version;
  MonoTime record_changed_at;  // own clock; the distant past: never seen
  MonoTime permitted_until;    // leader only; the distant past otherwise
  int64_t renewal = 0;
};

// A standby as the primary's database sees it.
struct ReplicaView {
  election::Name name;
  std::string state;  // "streaming"
  uint64_t flushed = 0;
  uint64_t replayed = 0;
  bool sync = false;
};

// A line of log that the database left for the next one (PostgreSQL's timelines).
struct FormerTimeline {
  uint32_t timeline = 0;
  uint64_t end = 0;
  std::string reason;              // in the database's words
  election::Epoch next_epoch = 0;  // of the promotion that began the next one; 0: not known here
};
using FormerTimelines = std::shared_ptr<const std::vector<FormerTimeline>>;  // oldest first; null: none known

// Acknowledged writes that a failover left behind, as far as one member can tell. What is not known stays
// empty.
struct LossView {
  // "takeover": told by the successor when it was opened, from what it last heard of the primary before.
  // "rejoin": told by the member that lost them, when it joined its successor.
  std::string found;
  int64_t unix_ms = 0;              // when it was found
  election::Epoch epoch = 0;        // of the reign whose end is lost; 0: not known
  election::Name from;              // who led then; "" : not known
  election::Name leader;            // whose data the cluster goes on with
  std::optional<uint64_t> bytes;    // of log
  bool at_least = false;            // there may have been more than `bytes`
  int64_t since_ms = 0;             // made after this: what was written until then is kept; 0: not known
  int64_t until_ms = 0;             // and before this; 0: not known
  std::optional<uint64_t> changes;  // keys or rows written or deleted, at most so many
  std::optional<int64_t> keys_here, keys_there;  // that the lost data had, and the leader's
};
inline constexpr size_t kMaxLosses = 16;

struct LossesView {
  uint64_t takeovers = 0, rejoins = 0;  // since the agent started
  uint64_t bytes_unknown = 0;           // of them, those whose bytes are not known
  std::vector<LossView> newest;         // oldest first, at most kMaxLosses
};

struct DatabaseView {
  election::DbState state = election::DbState::kUnknown;
  bool writable = false;
  election::Verdict verdict = election::Verdict::kUnknown;
  bool empty = false;
  std::string system_id;
  std::string version;
  uint64_t offset = 0;
  uint64_t replay_offset = 0;
  uint64_t lost_bytes = 0;  // log that was written here and thrown away for a rejoin, since the agent started
  uint32_t timeline = 0;
  election::Name streaming_from;
  std::string activity;
  std::vector<std::string> pending_restart;
  int64_t start_unix_ms = 0;
  int64_t replayed_unix_ms = 0;  // standby: when the last transaction that it replayed was committed; 0: none
  bool replay_paused = false;
  FormerTimelines former_timelines;
  std::vector<ReplicaView> replicas;  // primary: who streams from it
  MonoTime probed_at;
};

struct DurabilityView {
  election::Durability wished = election::Durability::kGuarded;
  election::Durability in_force = election::Durability::kGuarded;
  int32_t sync_count = 1;
  std::vector<election::Name> voters;  // of the record
  int32_t freeze = 0;
  election::SyncNames sync;  // what the database waits for now
};

// Of RabbitMQ, which has no primary: what its node is at (docs/RABBITMQ.md).
struct BrokerView {
  std::string node;   // "rabbit@a"
  std::string state;  // "running", "blocked", ...
  std::string sentence;
  std::vector<std::string> notes;
  bool live = false, ready = false, started = false;
  std::string live_why, ready_why, started_why;  // a line each, also when it is so
  std::string cluster_id;                        // "" : not known
  std::vector<std::string> members, running;     // nodes of its cluster, as it sees them
  std::vector<std::string> work;                 // what is done to the cluster, a sentence each
};

struct StatusView {
  uint64_t serial = 0;  // rises with each publication
  std::string cluster;
  election::Name member;
  std::string identity;
  std::string engine;  // "postgresql", "fake"
  std::string agent_version;
  election::Role role = election::Role::kUnknown;
  std::string phase;  // election::ToString(Phase)
  election::Epoch epoch = 0;
  election::Name leader;  // "" when nobody is known to lead
  LockView lock;
  DatabaseView database;
  DurabilityView durability;
  std::vector<MemberView> members;  // sorted by name, self included
  bool paused = false;
  bool fenced = false;
  bool shim_connected = false;
  std::optional<election::Pending> pending;
  std::vector<election::HistoryEntry> history;
  LossesView losses;
  std::shared_ptr<const BrokerView> broker;  // null: another engine
  std::vector<DecisionView> decisions;       // newest last
  std::vector<std::string> warnings;         // sentences that say what to do
  MonoTime started_at;                       // of the agent
};

// ---- people's requests ----
enum class AdminVerb : uint8_t {
  kSwitchover,
  kFailover,
  kPause,
  kResume,
  kFence,
  kUnfence,
  kSetDurability,
  kForget,  // to the core (election::AdminAsked)
  kRestart,
  kReload,
  kReinit,  // to the engine of this member
};
const char* ToString(AdminVerb verb);           // "switchover"
const char* ToString(election::AdminStatus s);  // "done"

struct AdminCommand {
  std::string id;  // idempotency id: the same id again gets the same answer and the thing is done once
  AdminVerb verb = AdminVerb::kPause;
  election::Name target;
  bool accept_loss = false;                                          // kFailover
  election::Durability durability = election::Durability::kGuarded;  // kSetDurability
  MonoTime deadline;  // of the caller, own clock: not yet begun by then -> do not begin
  std::string actor;  // who, for the audit log: "local", later the certificate's name
  std::string peer;   // from where: "ipv4:127.0.0.1:4711", "unix:"
  std::string reason;
};
struct AdminAnswer {
  election::AdminStatus status = election::AdminStatus::kFailed;
  std::string message;  // says what to do next unless done
};

class Port {
 public:
  virtual ~Port() = default;

  // The newest published view; never null. The same pointer until something changed.
  virtual std::shared_ptr<const StatusView> Snapshot() const = 0;
  // When the loop last turned (BootClock): liveness of the agent itself depends on nothing else.
  virtual MonoTime LoopTurnedAt() const = 0;
  // Calls `changed` (any thread, must be quick, must not call back into Port) after each publication until
  // unsubscribed. After Unsubscribe returned, `changed` is not running and never runs again.
  virtual uint64_t Subscribe(std::function<void()> changed) = 0;
  virtual void Unsubscribe(uint64_t subscription) = 0;

  virtual void Submit(AdminCommand command, std::function<void(AdminAnswer)> done) = 0;

  // Peers. `done` may be called late or (shutting down) with an empty answer: the caller's deadline bounds
  // the wait. Report: gives the sender's report to the core and answers election::Describe().
  virtual void OnReport(election::PeerReport report, std::function<void(election::PeerReport)> done) = 0;
  virtual void OnFreeze(election::FreezeAsked asked, std::function<void(election::FreezeAnswered)> done) = 0;
  virtual void OnPromise(election::PromiseAsked asked,
                         std::function<void(election::PromiseAnswered)> done) = 0;
  // RabbitMQ's alone; of others kUnimplemented. kUnavailable: nothing fresh is known. Answered at once.
  virtual absl::StatusOr<std::string> BrokerFacts();
};

}  // namespace mainstay::rpc

#endif  // MAINSTAY_LIB_RPC_PORT_H_
