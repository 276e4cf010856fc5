// Everything that a member knows and intends: the value that Step turns into the next one. Readable by
// everyone (status, simulation, tests); changed only by lib/election.
#ifndef MAINSTAY_LIB_ELECTION_STATE_H_
#define MAINSTAY_LIB_ELECTION_STATE_H_

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "lib/base/time.h"
#include "lib/election/action.h"
#include "lib/election/event.h"
#include "lib/election/record.h"
#include "lib/election/settings.h"

namespace mainstay::election {

enum class Phase : uint8_t {
  kJoining,    // just started: the lock and the own database are not known yet
  kReplica,    // follows the holder, or waits for one
  kFreezing,   // candidate: collects frozen positions
  kAcquiring,  // candidate: its compare-and-swap is under way
  kProbation,  // created the missing record: holds it for L before it may act
  kOpening,    // holder: fence armed, the database is being opened
  kPrimary,    // holder: the database accepts writes
  kHandover,   // holder: planned switchover, the database is being stopped
  kStepdown,   // the database is being killed, the right to write is gone or given up
  kReleasing,  // the database is stopped, the lock is being given up
  kFenced,     // an administrator keeps the database stopped
};
inline constexpr int kPhases = 11;
const char* ToString(Phase phase);

enum class LockView : uint8_t { kUnread, kPresent, kAbsent, kDamaged };

// Why a lock write was made; decides what its success means.
enum class Purpose : uint8_t { kRenew, kAcquire, kRelease };

struct StoreRequest {
  uint64_t id = 0;  // 0: none
  StoreOp op = StoreOp::kRead;
  Purpose purpose = Purpose::kRenew;
  MonoTime sent_at;
  std::shared_ptr<const Record> record;
};

struct Peer {
  PeerReport report;
  MonoTime at;
  friend bool operator<(const Peer& p, const Name& n) { return p.report.name < n; }
};

// One attempt to take over.
struct Attempt {
  uint64_t ask = 0;
  Epoch epoch = 0;
  Cause cause = Cause::kSuspected;
  std::string version;  // S5: the version that the freeze is judged against
  MonoTime started;
  bool self_frozen = false;
  std::vector<FreezeAnswered> answers;
  size_t asked = 0;
  std::string verdict;  // for people: the last judgement
};

struct State {
  std::shared_ptr<const Settings> set;
  Phase phase = Phase::kJoining;
  MonoTime phase_since;
  Memory memory;  // as it should be
  Memory saved;   // as last known durable
  uint64_t next_id = 1;

  // ---- the lock ----
  LockView lock = LockView::kUnread;
  std::string version;                 // of what is there ("" when absent)
  std::shared_ptr<const Record> view;  // last record seen, kept when it goes missing
  MonoTime seen_at;                    // when this version (or absence) was first seen
  MonoTime read_at;                    // last successful read
  bool must_read = true;
  MonoTime next_read;
  std::string lock_problem;  // damaged: why
  bool foreign = false;      // the record is of another cluster: never to be touched
  StoreRequest store;
  std::string acked_version;    // of my last acknowledged write
  Epoch tried_epoch = 0;        // epoch of my acquisition whose outcome is unknown
  bool sync_uncertain = false;  // a write that changes the sync set was sent and not resolved
  int store_failures = 0;       // in a row
  int conflicts = 0;            // since the last acknowledged write

  // ---- the right to write ----
  bool lead = false;
  MonoTime permit_until;
  bool probation = false;  // made a missing record (R4) or found one that names it unexpectedly (R5)
  MonoTime probation_until = MonoTime::Never();
  MonoTime renewed_at;  // when the last acknowledged renewal was sent
  MonoTime next_renew;
  MonoTime fence_until;  // confirmed by the shim
  MonoTime fence_asked;
  Epoch open_epoch = 0;  // epoch under which the own database is open, 0 when it is not

  // ---- the own database ----
  DbReport db;
  bool db_known = false;
  Engine engine;            // the operation under way; id 0: none
  MonoTime engine_done_at;  // probes that began before are stale
  Member following;         // what the last Follow was told
  Epoch following_epoch = 0;
  bool frozen = false;  // the last freeze holds: `frozen_at` is the end
  Position frozen_at;
  MonoTime frozen_since;
  Position stopped_at;  // where the log ended at the last clean stop
  bool stopped_complete = false;
  SyncNames applied;        // what the database is set to
  std::string applied_key;  // names as the database knows them
  uint64_t settled_at = 0;  // the primary's position when `applied` had taken effect everywhere
  MonoTime engine_retry;    // no operation before (back-off)
  int engine_failures = 0;
  bool open_failed = false;  // the last Promote, Reopen or Found failed
  Epoch tried_open = 0;      // epoch under which an opening was last begun
  bool reopen = false;       // open without a new branch: the data are this reign's own
  int reopen_tries = 0;      // restarts in place since `reopen_since`
  MonoTime reopen_since;

  // ---- others ----
  std::vector<Peer> peers;  // sorted by name
  struct StandbyHealth {
    Name name;
    MonoTime bad_since = MonoTime::Never();
    uint64_t flushed = 0;
    uint64_t reached = UINT64_MAX;  // it has no more than this of the reign; unknown while it streams
    bool streaming = false;
  };
  std::vector<StandbyHealth> standbys;  // sorted by name; those that were seen since the opening
  // The database's own position at the first report since the opening: who was not seen streaming since has
  // no more of the reign. UINT64_MAX: nobody has looked yet.
  uint64_t first_look = UINT64_MAX;

  // ---- taking over ----
  Attempt attempt;
  MonoTime next_attempt;  // back-off
  bool take_hint = false;
  // Who was let go first though it has no more than this member, and how often while the lock stayed the
  // same.
  struct Yielded {
    Name to;
    std::string version;
    int times = 0;
  };
  Yielded yielded;
  std::string nobody_told;  // version of the record for which "nobody can lead" was told
  int attempts = 0;
  MonoTime forced_until;  // an administrator's failover is wanted until then
  bool forced_loss = false;
  std::vector<FreezeAsked> freeze_waiters;

  // ---- failsafe ----
  MonoTime promised_until;  // my promise not to take over
  uint64_t promise_ask = 0;
  MonoTime promise_sent;
  size_t promise_needed = 0;
  std::vector<Name> promise_from;

  // ---- people ----
  std::optional<AdminAsked> admin;  // being worked on
  MonoTime admin_deadline;
  std::optional<Durability> wish;  // set by an administrator at run time
  bool shutdown = false;
  int handover_step = 0;         // 0 checkpoint, 1 stopping
  bool give_up = false;          // Stepdown ends in Releasing (we still hold the lock), not in Replica
  const char* last_reason = "";  // row id, for history
};

}  // namespace mainstay::election

#endif  // MAINSTAY_LIB_ELECTION_STATE_H_
