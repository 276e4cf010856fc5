// What the maintenance core knows of a RabbitMQ cluster at one moment: what each member's agent reports of
// its own broker and disk, and what the leader's own broker says about the quorum queues.
//
// Use: the leader asks all members for a MemberFacts (EncodeFacts makes the text that crosses the wire), puts
// them into a View, and asks Plan (plan.h) for the next step. Thread rules: plain values. Errors: DecodeFacts
// is strict and bounded: kInvalidArgument with the field, the value and what is wanted.
#ifndef MAINSTAY_LIB_MAINTENANCE_FACTS_H_
#define MAINSTAY_LIB_MAINTENANCE_FACTS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "lib/base/time.h"

namespace mainstay::maintenance {

inline constexpr size_t kMaxMembers = 16;
inline constexpr size_t kMaxFactsBytes = 64 * 1024;

// The broker as its own agent sees it.
enum class Broker : uint8_t {
  kUnknown,   // it does not answer
  kStopped,   // no process
  kStarting,  // a process: it boots, or waits for its peers
  kPaused,    // a process in which RabbitMQ is stopped (cut off from the majority; stop_app)
  kReady,
};
const char* ToString(Broker broker);

// How the data on a disk began, as the agent noted beside them before the broker was first started.
enum class Begun : uint8_t { kNo, kFound, kJoin };

struct MemberFacts {
  std::string name;    // the member's: its pod's
  std::string node;    // "rabbit@host"
  bool heard = false;  // its agent answered lately; false: nothing below means anything

  // ---- its disk ----
  std::string disk;          // an id that the agent put on it; another one: another disk, or wiped
  bool blank = false;        // no data, and none were begun
  Begun begun = Begun::kNo;  // what Mainstay ordered when it was blank; kNo: blank, or had data before
  std::string marker;        // id of the cluster that these data were seen to belong to; "": never confirmed
  std::vector<std::string>
      at_shutdown;  // nodes that ran when this one stopped (its own included); none known

  // ---- its broker ----
  Broker broker = Broker::kUnknown;
  std::string start;                    // of this run of the process; "": it does not run
  std::string cluster_id;               // kReady only
  std::vector<std::string> nodes;       // members of the cluster as it sees them, kReady only; sorted
  std::vector<std::string> running;     // those of them that it sees run
  std::vector<std::string> partitions;  // nodes it was cut off from, until it is restarted
  bool draining = false;
  bool alarm = false;

  // ---- what it wants ----
  // It wants to be down for a moment (preStop, restart, drain of its machine): an id of this wish. "": it
  // does not. A token is for one wish: what was granted to a former one is void.
  std::string wish;
  bool critical_known = false;
  std::vector<std::string> critical;  // queues that lose their quorum when it stops

  // The founding (Memory::founding) that its agent saw last: since then it has acted on no other.
  std::string seen_founding;

  bool ready() const { return heard && broker == Broker::kReady; }
  friend bool operator==(const MemberFacts&, const MemberFacts&) = default;
};

// The text that one agent gives another. `heard` is not part of it.
std::string EncodeFacts(const MemberFacts& facts);
absl::StatusOr<MemberFacts> DecodeFacts(absl::string_view text);

// A quorum queue as the leader's own broker sees it.
struct QueueFacts {
  std::string vhost;
  std::string name;
  std::vector<std::string> members;  // nodes
  std::vector<std::string> online;   // those of them where a replica runs
  std::vector<std::string> behind;   // those of them that lack what was committed a while ago, or may
  std::string leader;                // "": none
};

// What a person asked of the leader; `confirm` guards what cannot be undone.
struct Request {
  enum class Kind : uint8_t { kRemove, kRemoveLost, kForceBoot, kReinitialize } kind = Kind::kRemove;
  std::string name;     // member
  std::string confirm;  // kForceBoot, kReinitialize: the cluster's id
};

struct View {
  std::string self;  // the leader's own member
  int64_t epoch = 0;
  std::vector<MemberFacts> members;  // one for each member that the configuration names, heard or not
  bool queues_known = false;
  std::vector<QueueFacts> queues;
  Duration calm{};    // for so long nothing changed in who is ready
  std::string nonce;  // fresh for each view: names what is begun in it
  std::optional<Request> request;

  const MemberFacts* Find(const std::string& name) const;
};

}  // namespace mainstay::maintenance

#endif  // MAINSTAY_LIB_MAINTENANCE_FACTS_H_
