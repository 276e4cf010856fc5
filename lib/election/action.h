// What the core wants done, as plain data, in the order in which it must happen. The driver executes them and
// reports back with events.
#ifndef MAINSTAY_LIB_ELECTION_ACTION_H_
#define MAINSTAY_LIB_ELECTION_ACTION_H_

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "lib/base/time.h"
#include "lib/election/event.h"
#include "lib/election/record.h"

namespace mainstay::election {

// What must survive a restart of the agent: kept beside the data (kFreeze and kRemember make it durable).
struct Memory {
  Epoch max_epoch = 0;    // highest epoch ever read, promised or asked for
  Epoch promised = 0;     // streams from nobody of a lower epoch (rules Q1, S7)
  Name promised_to;       // lost-record path only: the one candidate that `promised` was given to
  Epoch lineage = 0;      // see Position
  Epoch held = 0;         // epoch under which these data were last the holder's
  bool detached = false;  // froze or was promoted: streams from nobody until a record names another holder of
                          // an epoch >= promised
  bool rolled_back = false;  // the data lost their end (DbReport::rolled_back) and nothing was streamed since
  bool fenced = false;       // an administrator fenced this member
  Epoch record_epoch = 0;    // of the newest record content seen: epoch,
  int64_t record_change = 0;                     // change,
  Durability durability = Durability::kGuarded;  // mode in force
  std::string cluster_id;
  std::vector<Name> known;  // and members (plus whoever asked for a freeze since), sorted
  friend bool operator==(const Memory&, const Memory&) = default;
};
// One JSON object; engines store exactly this text. Decode gives nothing and says why in `problem` when it is
// damaged.
std::string EncodeMemory(const Memory& memory);
std::optional<Memory> DecodeMemory(const std::string& text, std::string* problem);

struct ReadLock {
  uint64_t id = 0;
};
struct CreateLock {
  uint64_t id = 0;
  Record record;
};
struct UpdateLock {
  uint64_t id = 0;
  Record record;
  std::string if_version;
};

// A request that cannot be sent (no connection, refused, no address) is answered at once:
// FreezeAnswered{frozen=false}, PromiseAnswered{promised=false}; EngineDone{ok=false}; StoreDone{kUnknown}.
// An Engine action that comes while another is running supersedes it: the driver cancels the running one and
// its late answer is ignored by id.

// Tell the shim to kill every database process at `until` unless extended. Answered by FenceArmed.
struct ArmFence {
  MonoTime until;
  Epoch epoch = 0;
};

struct Engine {
  uint64_t id = 0;
  EngineOp op = EngineOp::kStop;
  Epoch epoch = 0;
  Member leader;              // kFollow
  SyncNames sync;             // kPromote, kReopen, kSetSync
  std::vector<Member> peers;  // kPromote, kReopen, kSetSync: the members, for names and slots
  Memory memory;              // kFreeze, kRemember, kPromote, kReopen: made durable before anything else
};

struct SendFreeze {
  uint64_t ask = 0;
  Name to;
  std::string address;
  Epoch epoch = 0;
  Cause cause = Cause::kSuspected;
};
struct AnswerFreeze {
  Name to;
  FreezeAnswered answer;
};
struct SendPromise {
  uint64_t ask = 0;
  Name to;
  std::string address;
  Epoch epoch = 0;
};
struct AnswerPromise {
  Name to;
  PromiseAnswered answer;
};
// Send the own PeerReport now to one (or, empty, to every) member, with these flags.
struct Notify {
  Name to;
  bool lock_changed = false;
  bool take = false;
};

// The role that the outside shall see (labels, endpoints, probes).
enum class Role : uint8_t { kUnknown, kReplica, kPrimary, kFenced };
struct Publish {
  Role role = Role::kUnknown;
  Epoch epoch = 0;
};

// One decision: what happened, by which row of the table, on which facts. For log, audit, `why` and events.
struct Decision {
  const char* row = "";       // id of the row
  const char* sentence = "";  // the row's sentence
  std::string facts;  // "seen unchanged for 10.0s; frozen b@0/5000060 c@0/5000028; need 2 of 2 voters"
};

enum class AdminStatus : uint8_t { kDone, kAccepted, kRefused, kFailed };
struct AnswerAdmin {
  std::string id;
  AdminStatus status = AdminStatus::kDone;
  std::string message;
};

using Action = std::variant<ReadLock, CreateLock, UpdateLock, ArmFence, Engine, SendFreeze, AnswerFreeze,
                            SendPromise, AnswerPromise, Notify, Publish, Decision, AnswerAdmin>;

}  // namespace mainstay::election

#endif  // MAINSTAY_LIB_ELECTION_ACTION_H_
