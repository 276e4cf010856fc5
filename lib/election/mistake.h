// Mistakes that peers made or that the models can switch on (reliability.md's tables are summarised in
// docs/SIMULATION.md): the simulation is tested by switching each on and finding a violation. In the product
// Mistake() is a constant false and the compiler removes every trace; only the target
// mainstay_election_mistakes is built with MAINSTAY_MISTAKES.
#ifndef MAINSTAY_LIB_ELECTION_MISTAKE_H_
#define MAINSTAY_LIB_ELECTION_MISTAKE_H_

#include <cstdint>

namespace mainstay::election {

enum class M : uint8_t {
  kNone,
  kRespTime,           // permission counted from the answer (client-go D3)
  kReadGrant,          // reading a record that names me extends the permission
  kCreateNow,          // a missing record is created and acted on at once (client-go D4)
  kFastPath,           // an expired holder renews without reading
  kReleaseBeforeStop,  // the lock is released before the database stopped (D6)
  kReleaseBlind,       // an expired holder writes its release against a version it just read (D1)
  kReleasePost,        // a release may create the record
  kWaitCreate,         // waits L of absence, then creates and acts
  kOwnName,            // trusts a record naming it after a lapse, whatever its version
  kNoCas,              // world: the store ignores the version
  kDupId,              // world: one identity for two incarnations (D5)
  kTooShort,           // candidates wait less than H + K
  kNoShim,             // world: nobody kills at the deadline
  kDropBeforeRecord,   // the database stops waiting before the record says so
  kNoCatchup,          // the record relies on a standby that has not caught up (BUG_ADD, NOCATCHUP)
  kStartLoose,         // a primary reopened under its own lease ignores the recorded sync set
  kIgnoreRecord,       // a candidate ignores the sync set of the record
  kNoSup,              // a frozen or promoted member streams before it read a newer holder
  kSupLost,            // world: that memory is lost when the agent restarts
  kKeepLead,           // a holder goes on although it read a record that another one released (D2: or holds)
  kGrowGucFirst,       // the database names a new standby before the record
  kReloadLag,          // world: SetSync answers before walsenders reread
  kFewer,              // freezes one voter fewer than needed
  kNotBest,            // any frozen member may lead, not the longest
  kForget,             // world: a freeze promise is not synced to disk: lost when the machine dies
  kSoleFirst,          // acknowledges alone before the record says "no voters"
  kReread,             // a freeze outlives the version it was judged against
  kLineage,            // positions of other lineages count
  kKeepActing,         // D2: keeps acting after reading a foreign holder, until its permission ends
  kCount,
};

#ifdef MAINSTAY_MISTAKES
extern thread_local M g_mistake;
inline bool Mistake(M m) { return g_mistake == m; }
#else
constexpr bool Mistake(M) { return false; }
#endif

}  // namespace mainstay::election

#endif  // MAINSTAY_LIB_ELECTION_MISTAKE_H_
