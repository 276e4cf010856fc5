// What an operator can set of the election, and the check that the timings are safe.
#ifndef MAINSTAY_LIB_ELECTION_SETTINGS_H_
#define MAINSTAY_LIB_ELECTION_SETTINGS_H_

#include <string>
#include <vector>

#include "lib/base/time.h"
#include "lib/election/record.h"

namespace mainstay::election {

enum class Takeover : uint8_t {
  kQuorum,  // guarded and strict: take over as soon as the old primary's synchronous standbys are frozen
  kLease,   // always wait until the lease has run out
};

struct Settings {
  std::string cluster;
  std::string identity;  // "<name>_<uid>_<nonce>": unique for each run of the agent
  Member self;           // name, addresses, tags
  std::vector<Name>
      expected;  // members that the configuration names (other than self): asked before founding a cluster

  // Timing. H/(1-rho) + K <= L/(1+rho), else CheckTiming refuses (kubernetes.md A3 has the proof;
  // docs/ARCHITECTURE.md).
  Duration lease =
      std::chrono::milliseconds(10000);  // L: candidates wait for this long of an unchanged record
  Duration validity =
      std::chrono::milliseconds(7500);  // H: the holder's permission, from before the request was sent
  Duration fence =
      std::chrono::milliseconds(2000);  // K: from the deadline to "can acknowledge no more", bound
  Duration renew = std::chrono::milliseconds(2000);  // between renewals
  Duration suspicion =
      std::chrono::milliseconds(3000);  // S: silence of lock and stream before a quorum takeover
  Duration freeze_wait = std::chrono::milliseconds(1000);  // how long a candidate waits for frozen positions
  Duration sync_patience =
      std::chrono::milliseconds(1000);  // a standby not streaming for this long leaves the sync set
  Duration handover = std::chrono::milliseconds(10000);  // a switchover not finished by then is rolled back
  Duration retry = std::chrono::milliseconds(250);       // base of back-offs
  double rho = 1e-3;                                     // bound on the clocks' rate error

  Durability durability = Durability::kGuarded;  // wished
  int32_t sync_count = 1;                        // k: standbys that acknowledge each write
  Takeover takeover = Takeover::kQuorum;
  bool failsafe = true;
  bool database = true;  // false: a bare leader election without data (the library's Elector)
  // The data live in the database's process: what comes back after its end may be older than what it
  // acknowledged, and than what its standbys have. Such a database is never reopened in place after a crash:
  // the lock is given up, and whoever has most leads next.
  bool volatile_data = false;
};

// "" when safe; otherwise the arithmetic and the remedy, one line for each problem.
std::string CheckTiming(const Settings& settings);

}  // namespace mainstay::election

#endif  // MAINSTAY_LIB_ELECTION_SETTINGS_H_
