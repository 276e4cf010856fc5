// What Patroni's changing requests ask for, read out of their bodies: the same checks in the same order with
// the same codes, and Patroni's own words where it has some. Nothing is done here.
//
// Errors: an HTTP status and a text for people. Thread rules: pure.
#ifndef MAINSTAY_AGENT_PATRONI_ASK_H_
#define MAINSTAY_AGENT_PATRONI_ASK_H_

#include <optional>
#include <string>

#include "agent/patroni.h"
#include "lib/http/server.h"

namespace mainstay::agent::patroni {

struct Refusal {
  int status = 400;
  std::string text;
};
template <typename T>
struct Asked {
  T value;
  std::optional<Refusal> refusal;  // then `value` means nothing
};

struct SwitchoverAsk {
  election::Name leader;
  election::Name candidate;           // "" : the best
  std::optional<int64_t> at_unix_ms;  // absent: now
  bool failover = false;              // nobody leads: the candidate shall take over
};
// Of POST /switchover, or with `failover` of POST /failover.
Asked<SwitchoverAsk> ReadSwitchover(const http::Request& request, const Facts& f, bool failover);

struct RestartAsk {
  ScheduledRestart what;  // at_unix_ms 0: now
  bool matches = true;    // its conditions hold now
};
Asked<RestartAsk> ReadRestart(const http::Request& request, const Facts& f);
bool RestartMatches(const ScheduledRestart& what, const Facts& f);

struct ReinitAsk {
  bool force = false;        // Mainstay always cancels what is under way,
  bool from_leader = false;  // and always clones from the leader
};
Asked<ReinitAsk> ReadReinit(const http::Request& request);

// What is to be changed; absent: left as it is.
struct ConfigAsk {
  std::optional<bool> pause;
  std::optional<election::Durability> durability;
};
// Of PATCH /config, or with `replace` of PUT /config. If-Match, when given, must be ConfigTag(f).
Asked<ConfigAsk> ReadConfig(const http::Request& request, const Facts& f, bool replace);
// ETag of /config: another text for another content.
std::string ConfigTag(const Facts& f);

}  // namespace mainstay::agent::patroni

#endif  // MAINSTAY_AGENT_PATRONI_ASK_H_
