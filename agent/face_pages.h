// What the HTTP pages say, as pure functions of a view. Used by face.cc and its tests.
#ifndef MAINSTAY_AGENT_FACE_PAGES_H_
#define MAINSTAY_AGENT_FACE_PAGES_H_

#include <string>
#include <vector>

#include "lib/base/time.h"
#include "lib/http/server.h"
#include "lib/metrics/metrics.h"
#include "lib/rpc/port.h"

namespace mainstay::agent {

struct Check {
  std::string name;
  bool ok = false;
  std::string why;  // "" : withheld
};

// Alive: the loop turns and the shim answers. Nothing else: neither lock nor peers nor database may get the
// agent killed. `stalled_after`: how long the loop may stand still.
std::vector<Check> LiveChecks(const rpc::StatusView& view, MonoTime loop_turned_at, MonoTime now,
                              Duration stalled_after);
// Ready: this member can serve in its role: its database runs, and as a replica it follows somebody.
std::vector<Check> ReadyChecks(const rpc::StatusView& view, bool serving);
// Started: the lock was read and the database was looked at once.
std::vector<Check> StartChecks(const rpc::StatusView& view);

bool AllOk(const std::vector<Check>& checks);
// What a probe answers, in the style of Kubernetes' API server: "ok", or a line a check ("[+]loop ok") when
// it is asked for (?verbose) or one failed. ?exclude=loop leaves a check out, `check` ("/livez/loop") looks
// at one alone. Codes: 200, 503, and 404 for a check that there is not.
http::Response ProbeAnswer(const http::Request& request, const std::string& page, const std::string& check,
                           const std::vector<Check>& checks);

// mainstay_* metrics that are read off the view.
void WriteViewMetrics(const rpc::StatusView& view, MonoTime now, metrics::Writer& w);
std::string LandingPage(const rpc::StatusView& view);

}  // namespace mainstay::agent

#endif  // MAINSTAY_AGENT_FACE_PAGES_H_
