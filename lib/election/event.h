// What can happen to a member, as plain data. The driver (or a simulation) turns the world into these and
// feeds them to Step. Every time in an event is of the member's own clock.
#ifndef MAINSTAY_LIB_ELECTION_EVENT_H_
#define MAINSTAY_LIB_ELECTION_EVENT_H_

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "lib/base/time.h"
#include "lib/election/record.h"

namespace mainstay::election {

// Time passed. The driver sends one at the time that the last Step asked for (Result::wake).
struct Tick {};

// ---- the lock ----
enum class StoreOp : uint8_t { kRead, kCreate, kUpdate };
enum class StoreOutcome : uint8_t {
  kOk,
  kConflict,    // the version was not the expected one, or (create) the object exists
  kNotFound,    // there is no object
  kUnknown,     // time-out, 429, 5xx, connection lost: it may or may not have happened. Never success, never
                // loss.
  kUnreadable,  // (read) there is an object under `version` that is damaged or was edited: `problem` says
                // what
};
struct StoreDone {
  uint64_t id = 0;  // of the request; an answer to an older request is ignored
  StoreOp op = StoreOp::kRead;
  StoreOutcome outcome = StoreOutcome::kUnknown;
  std::string version;           // of what was read or written (kOk, kUnreadable)
  std::optional<Record> record;  // what was read (kRead, kOk)
  std::string problem;           // for people
};
// A watch delivered the object unasked (or its deletion: no record and version ""). A hint: never a
// permission.
struct RecordSeen {
  std::string version;
  std::optional<Record> record;
  std::string problem;  // set when there is an object that is unreadable
};

// ---- the own database ----
enum class DbState : uint8_t {
  kUnknown,   // not asked yet, or the shim does not answer
  kStopped,   // no process (asked for, or never started)
  kStarting,  // processes, but no connections yet (recovery)
  kRunning,
  kDead,  // exited unasked, all processes reaped: positive evidence of the shim
};
enum class Verdict : uint8_t {
  kOk,
  kSaturated,  // slow or out of connections, but it still writes: never a reason to stop
  kHung,       // no proof of writing for too long although it runs
  kUnknown,
};
struct Standby {  // as the primary's database sees it
  Name name;
  bool streaming = false;
  uint64_t flushed = 0;
};
// What synchronous replication in the database is set to. k = 0: acknowledge alone.
struct SyncNames {
  std::vector<Name> names;  // sorted member names
  int32_t k = 0;
  friend bool operator==(const SyncNames&, const SyncNames&) = default;
};
struct DbReport {
  MonoTime at;  // when the probe began
  DbState state = DbState::kUnknown;
  bool writable = false;  // accepts writes (is a primary)
  Verdict verdict = Verdict::kUnknown;
  bool empty = false;  // the data directory holds no cluster
  // The cluster here was founded by this member and has never been opened for writes: nothing was
  // acknowledged in it, so it may be thrown away when the record is of another cluster.
  bool unopened = false;
  // The data are what an earlier process of the database had saved, or there is no process that holds them:
  // the end of what it had, and had acknowledged, may be missing. Stays until the member has followed
  // somebody or was promoted by what it has now. (Engines whose data live in the process;
  // Settings::volatile_data.)
  bool rolled_back = false;
  // Whose history the data are of, kept by the engine with the data: it goes before Memory::lineage, which is
  // written before a promotion that may come to nothing and after a link that may have brought writes. 1: of
  // a reign that cannot be told (the part of the last one is gone). 0: the engine does not keep it, or the
  // server is writable. (Engines whose data live in the process.)
  Epoch reign = 0;
  std::string system_id;  // of the data, "" when empty or unknown
  std::string data_nonce;
  uint64_t offset = 0;  // primary: flushed; standby: received and flushed
  uint32_t timeline = 0;
  // Standby: whom it is seen streaming from, under which epoch, and when traffic was last seen.
  Name streaming_from;
  Epoch streaming_epoch = 0;
  MonoTime stream_at;
  // Primary:
  std::vector<Standby> standbys;
};

// ---- operations of the engine, one at a time, in order ----
enum class EngineOp : uint8_t {
  kFound,   // create a new cluster in the empty data directory, started as a standby-less primary that is NOT
            // yet reachable (stopped)
  kFollow,  // be a standby of `leader` under `epoch`: start, repoint, rewind or clone as needed
  kFreeze,  // stop receiving, read the position, remember the promise durably
  kPromote,  // standby -> primary with `sync`
  kReopen,   // stopped or crashed former primary -> primary again, same timeline, with `sync`
  kSetSync,  // change synchronous replication; done when every walsender has reread it and dropped ones are
             // gone (S4)
  kStop,  // writes end in good order within a deadline, else by a kill; done when nothing can be acknowledged
          // any more. A process that can become a standby of nobody without ending goes on as one.
  kKill,  // nothing can be acknowledged any more, at once: SIGKILL of everything, or the same by a surer and
          // milder way
  kCheckpoint,
  kRemember,  // make `memory` durable
};
struct EngineDone {
  uint64_t id = 0;
  EngineOp op = EngineOp::kStop;
  bool ok = false;
  std::string detail;  // for people
  // kFreeze, kStop: where the log ends; kFreeze 0: the promise is durable, but there is nothing that could be
  // used (a rewind or a clone was interrupted). kSetSync, kPromote, kReopen: primary's position when the new
  // names were in effect everywhere.
  uint64_t offset = 0;
  uint32_t timeline = 0;
  Epoch reign = 0;        // kFreeze: DbReport::reign of these data
  bool complete = false;  // kStop: clean shutdown, `offset` is the end of the log
  std::string system_id;  // kFound
};
// The shim confirmed that it will kill at `until` unless extended.
struct FenceArmed {
  MonoTime until;
  Epoch epoch = 0;
};

// ---- other members ----
// Sent by every member to every other, every heartbeat interval and on each change.
struct PeerReport {
  Name name;
  Member self;             // what the record shall say of it
  Epoch record_epoch = 0;  // of the newest record it read
  Epoch promised = 0;      // its freeze promise
  bool leads = false;      // believes that it leads and its permission runs
  bool db_running = false;
  bool empty = false;  // has no data
  std::string system_id;
  Position position;
  bool can_vote = false;      // streams from the holder of record_epoch, not no_failover
  Duration record_age{};      // since it saw the record change
  Duration stream_age{};      // since it saw replication traffic (max when never)
  bool lock_changed = false;  // "read the lock now": sent when the sender changed it
  bool take = false;          // "you are the best: take over"
};
// Why a member wants to take over; a frozen member judges only kSuspected (does it see the primary alive
// itself?).
enum class Cause : uint8_t {
  kReleased,   // the holder gave the lock up
  kExpired,    // the record was unchanged for L
  kSuspected,  // lock and stream silent for S: quorum takeover
  kFrozen,     // an earlier freeze was not followed by a takeover
  kLost,       // the record is missing, damaged or older than what was seen: needs every known member
  kForced,     // an administrator's failover
};
struct FreezeAsked {
  uint64_t ask = 0;  // echoed
  Name from;
  Epoch epoch = 0;  // the next epoch
  Cause cause = Cause::kSuspected;
};
struct FreezeAnswered {
  uint64_t ask = 0;
  Name from;
  Epoch epoch = 0;
  bool frozen = false;
  std::string refusal;
  Epoch promised = 0;
  Position position;
  std::vector<Name> known;  // every member it has ever known (lost-record path)
  bool whole = false;       // its data lost no end since they were streamed (Memory::rolled_back)
};
// Failsafe: "do not take over for the lease duration": asked by a holder that cannot reach the lock.
struct PromiseAsked {
  uint64_t ask = 0;
  Name from;
  Epoch epoch = 0;
};
struct PromiseAnswered {
  uint64_t ask = 0;
  Name from;
  Epoch epoch = 0;
  bool promised = false;
};

// ---- people ----
enum class AdminKind : uint8_t {
  kSwitchover,
  kFailover,
  kPause,
  kResume,
  kFence,
  kUnfence,
  kSetDurability,
  kForget
};
struct AdminAsked {
  std::string id;  // idempotency id
  AdminKind kind = AdminKind::kPause;
  Name target;
  bool force = false;  // kFailover: accept the loss of acknowledged writes
  Durability durability = Durability::kGuarded;
};
// Own settings changed (reload).
struct TagsChanged {
  int32_t priority = 100;
  bool no_failover = false;
};
// The process shall end: hand over if primary.
struct ShutdownAsked {
  bool withdrawn = false;  // the container that was told to end was only restarted
};

using Event =
    std::variant<Tick, StoreDone, RecordSeen, DbReport, EngineDone, FenceArmed, PeerReport, FreezeAsked,
                 FreezeAnswered, PromiseAsked, PromiseAnswered, AdminAsked, TagsChanged, ShutdownAsked>;

}  // namespace mainstay::election

#endif  // MAINSTAY_LIB_ELECTION_EVENT_H_
