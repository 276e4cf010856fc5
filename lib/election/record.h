// The record: the one object per cluster that holds the lock and the cluster's state, so that every decision
// is one compare-and-swap (docs/ARCHITECTURE.md). Written only by its holder, or by a candidate that becomes
// it.
//
// A record is encoded into three strings (Document) that every store keeps together under one version:
//   leader   client-go's LeaderElectionRecord as JSON with whole seconds (annotation
//   control-plane.alpha.kubernetes.io/leader) renewal  a counter, so that two renewals inside one second
//   differ (annotation mainstay.io/renewal) state    everything else as JSON (data.state), with a check over
//   all of it and the holder: an edit by hand is seen
//
// Thread rules: plain values.
#ifndef MAINSTAY_LIB_ELECTION_RECORD_H_
#define MAINSTAY_LIB_ELECTION_RECORD_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "lib/base/time.h"

namespace mainstay::election {

// Fencing token: rises with each acquisition of the lock, never falls, also after the object was deleted. 0
// is "none".
using Epoch = int64_t;
// A member's stable name (its pod's name): [a-z0-9-]{1,40}.
using Name = std::string;

// How many copies an acknowledged write has. The mode in the record is the one in force, not the one wished
// for.
enum class Durability : uint8_t {
  kAsync,    // the primary acknowledges alone; a failover may lose the last moments
  kGuarded,  // standbys acknowledge; when none is left, writes go on after the record says so
  kStrict,   // standbys acknowledge; when none is left, writes wait
};

// A position in the replicated log. Positions are comparable only inside one lineage.
struct Position {
  // Epoch of the holder that this member last followed (was seen streaming from) or was. Rule S6.
  Epoch lineage = 0;
  // Engine's own offset: PostgreSQL flushed LSN, Redis replication offset.
  uint64_t offset = 0;
  // Engine's own branch number, for people: PostgreSQL timeline. Never compared.
  uint32_t timeline = 0;
  friend bool operator==(const Position&, const Position&) = default;
};

// A member as the record knows it. Only members named in the record may take over.
struct Member {
  Name name;
  std::string incarnation;   // identity of the agent process that last reported: "<pod>_<uid>_<nonce>"
  std::string data_nonce;    // identity of the data directory; part of the standby's name in the database
  std::string peer_address;  // gRPC address of its agent, host:port or unix:path
  std::string db_address;    // where its database can be reached by the other databases, host:port
  int32_t priority = 100;    // higher is preferred when positions are equal
  bool no_failover = false;  // never a candidate, never a voter
  friend bool operator==(const Member&, const Member&) = default;
};

// A request of an administrator that more than one member must know of.
struct Pending {
  std::string id;  // idempotency id of the request
  Name target;     // who shall lead next; empty: the best
  friend bool operator==(const Pending&, const Pending&) = default;
};

// What the holder leaves behind when it gives up the lock in good order.
struct Release {
  bool released = false;
  // True when the database was stopped cleanly and `final` is the end of its log: whoever has it all is
  // complete.
  bool complete = false;
  Position final;
  Name from;  // who released
  friend bool operator==(const Release&, const Release&) = default;
};

// One change of primary, newest last; bounded by kMaxHistory.
struct HistoryEntry {
  Epoch epoch = 0;
  Name holder;
  std::string reason;   // row id of the decision
  int64_t unix_ms = 0;  // wall clock, for people
  friend bool operator==(const HistoryEntry&, const HistoryEntry&) = default;
};

inline constexpr size_t kMaxHistory = 32;
inline constexpr size_t kMaxMembers = 16;

struct Record {
  std::string cluster;     // the cluster's name
  std::string cluster_id;  // the database's system identifier; empty until the first primary is open
  std::string holder;      // identity "<name>_<uid>_<nonce>"; empty when released
  Name holder_name;        // member name of the holder; of the last holder when released
  Epoch epoch = 0;
  // Epoch since which the data have had this holder's reign without a break: members with base <= lineage <=
  // epoch are on it.
  Epoch base = 0;
  // Counts renewals: rises with every write of the record.
  int64_t renewal = 0;
  // Counts changes of content (everything but renewal and times) within an epoch; with epoch it orders
  // records.
  int64_t change = 0;
  Duration lease{};  // L: how long candidates wait
  Durability durability = Durability::kGuarded;
  // The sync set: an acknowledged write of this epoch is on at least |voters| - freeze + 1 of the voters
  // (rules S1-S4).
  std::vector<Name> voters;     // sorted
  int32_t freeze = 0;           // q: how many voters a takeover must freeze
  std::vector<Member> members;  // sorted by name
  bool paused = false;
  std::optional<Pending> pending;
  Release release;
  std::vector<HistoryEntry> history;

  friend bool operator==(const Record&, const Record&) = default;
  const Member* FindMember(const Name& name) const;
  bool HasVoter(const Name& name) const;
};

// What a store keeps (see the banner). `leader` and `renewal` are what Kubernetes tools look at.
struct Document {
  std::string leader;
  std::string renewal;
  std::string state;
  friend bool operator==(const Document&, const Document&) = default;
};

inline constexpr size_t kMaxDocumentBytes = 256 * 1024;

// Encodes with `unix_ms` as renewTime (and as acquireTime when `acquired`; otherwise the previous one in
// `acquire_unix_ms`).
Document Encode(const Record& record, int64_t unix_ms, int64_t acquire_unix_ms);

// What of a document is the same in each renewal, so that whoever renews encodes it once.
struct StateText {
  std::string json;  // without the check
  uint64_t sum = 0;
};
StateText EncodeState(const Record& record);
// `state` is of `record`, or of one that differs in its renewal alone.
Document Encode(const Record& record, const StateText& state, int64_t unix_ms, int64_t acquire_unix_ms);

struct Decoded {
  std::optional<Record> record;  // absent: unreadable
  int64_t acquire_unix_ms = 0;
  std::string problem;  // why it is unreadable, or what was edited by hand ("" = sound): names the field, the
                        // value, the remedy
};
// Never fails hard: damage is an answer. A record whose check does not fit has `problem` set and no `record`.
Decoded Decode(const Document& document);

const char* ToString(Durability d);
std::optional<Durability> ParseDurability(const std::string& text);

}  // namespace mainstay::election

#endif  // MAINSTAY_LIB_ELECTION_RECORD_H_
