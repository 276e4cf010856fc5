// What a member's agent does with its own broker: out of its own facts and the memory as it was last read. No
// leader is asked, so a broker with data starts whether or not a leader, a lock or the API server is there.
// Pure.
//
// Thread rules: pure functions. Errors: none; what cannot be done is said in the sentence.
#ifndef MAINSTAY_LIB_MAINTENANCE_MEMBER_H_
#define MAINSTAY_LIB_MAINTENANCE_MEMBER_H_

#include <optional>
#include <string>
#include <vector>

#include "lib/maintenance/facts.h"
#include "lib/maintenance/memory.h"

namespace mainstay::maintenance {

struct Own {
  MemberFacts facts;  // heard
  // The memory: nothing: it could not be read. A memory without content: it is not there.
  bool memory_known = false;
  std::optional<Memory> memory;
  bool ending = false;        // the pod ends: once stopped, the broker stays down
  bool drained_here = false;  // this agent drained it (not a person with rabbitmqctl)
  bool forced = false;        // this run, or the next, was already told to wait for nobody
};

struct Act {
  enum class Kind : uint8_t {
    kNothing,
    kStart,  // with `join` (empty: as the founder, or with what its data say) after `begun` was noted
    kStop,   // in order
    kDrain,
    kRevive,
    kWipe,       // the data, which never counted; the disk gets a new id
    kMark,       // note `marker` beside the data
    kRewish,     // ask for the token under a new id: the one that was granted may not be used now
    kForceBoot,  // stopped: the next start waits for nobody; running: stop it first
  };
  Kind kind = Kind::kNothing;
  const char* row = "";
  std::string sentence;
  std::vector<std::string> join;
  Begun begun = Begun::kNo;
  std::string marker;
  bool in_service = true;  // false: clients must not be sent here
};
const char* ToString(Act::Kind kind);

Act Decide(const Own& own);

}  // namespace mainstay::maintenance

#endif  // MAINSTAY_LIB_MAINTENANCE_MEMBER_H_
