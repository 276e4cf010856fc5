#include "agent/face_routes.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"

namespace mainstay::agent {

const std::vector<Route>& Routes() {
  static const std::vector<Route> routes = {
      {"/livez", "GET", Page::kLive, "200, 503",
       "the agent's loop turns and its shim answers; nothing else counts"},
      {"/readyz", "GET", Page::kReady, "200, 503",
       "the database serves in its role, and the agent is not draining"},
      {"/startupz", "GET", Page::kStart, "200, 503", "the lock was read and the database was looked at once"},
      {"/metrics", "GET", Page::kMetrics, "200",
       "Prometheus' text format or OpenMetrics, gzip when asked for (METRICS.md)"},
      {"/status", "GET", Page::kStatus, "200", "mainstay.v1.Status as JSON; `?pretty`"},
      {"/decisions", "GET", Page::kDecisions, "200",
       "the last decisions with their reasons, as JSON; `?pretty`"},
      {"/", "GET", Page::kPatroniHealth, "200, 503", "as /primary (a browser gets a page of links)"},
      {"/primary", "GET", Page::kPatroniHealth, "200, 503",
       "holds the lock, and its database runs and accepts writes"},
      {"/master", "GET", Page::kPatroniHealth, "200, 503", "as /primary"},
      {"/read-write", "GET", Page::kPatroniHealth, "200, 503", "as /primary"},
      {"/leader", "GET", Page::kPatroniHealth, "200, 503", "as /primary"},
      {"/standby-leader", "GET", Page::kPatroniHealth, "503", "there are no standby clusters"},
      {"/standby_leader", "GET", Page::kPatroniHealth, "503", "as /standby-leader"},
      {"/replica", "GET", Page::kPatroniHealth, "200, 503",
       "its database runs as a standby and is not tagged no_load_balance; `lag=`, `replication_state=`, "
       "`tag_NAME=`"},
      {"/read-only", "GET", Page::kPatroniHealth, "200, 503",
       "as /replica, or /primary; the same parameters"},
      {"/synchronous", "GET", Page::kPatroniHealth, "200, 503",
       "a replica that has every acknowledged write: each member of the sync set must acknowledge"},
      {"/sync", "GET", Page::kPatroniHealth, "200, 503", "as /synchronous"},
      {"/read-only-sync", "GET", Page::kPatroniHealth, "200, 503", "as /synchronous, or /primary"},
      {"/read-only-synchronous", "GET", Page::kPatroniHealth, "200, 503", "as /read-only-sync"},
      {"/quorum", "GET", Page::kPatroniHealth, "200, 503",
       "a replica of the sync set when some of its members suffice for an acknowledgement"},
      {"/read-only-quorum", "GET", Page::kPatroniHealth, "200, 503", "as /quorum, or /primary"},
      {"/asynchronous", "GET", Page::kPatroniHealth, "200, 503", "a replica outside the sync set; `lag=`"},
      {"/async", "GET", Page::kPatroniHealth, "200, 503", "as /asynchronous"},
      {"/health", "GET", Page::kPatroniHealth, "200, 503", "the database runs, in whatever role"},
      {"/liveness", "GET", Page::kPatroniLiveness, "200, 503", "as /livez"},
      {"/readiness", "GET", Page::kPatroniReadiness, "200, 503",
       "/primary, or a replica that streams and is at most `lag=` (1 MiB) behind; `mode=apply` or `write`"},
      {"/patroni", "GET", Page::kPatroniStatus, "200", "this member's state"},
      {"/cluster", "GET", Page::kPatroniCluster, "200", "all members, the pause, a scheduled switchover"},
      {"/history", "GET", Page::kPatroniHistory, "200", "changes of the primary, oldest first"},
      {"/config", "GET PUT PATCH", Page::kPatroniConfig, "200, 400, 409, 411, 422, 502, 503",
       "the dynamic settings; an ETag, and If-Match for a compare-and-swap"},
      {"/failsafe", "GET POST", Page::kPatroniFailsafe, "200, 501, 502",
       "GET: the members that must promise when the lock is out of reach. POST: 501, promises go by gRPC"},
      {"/switchover", "POST DELETE", Page::kPatroniChange, "200, 202, 400, 404, 411, 412, 422, 503",
       "POST {leader, candidate, scheduled_at}: now or at a time. DELETE: forget the scheduled one"},
      {"/failover", "POST", Page::kPatroniChange, "200, 400, 411, 412, 503",
       "{candidate}: a switchover while somebody leads, else the candidate takes over if nothing is lost by "
       "it"},
      {"/restart", "POST DELETE", Page::kPatroniChange, "200, 202, 400, 404, 409, 422, 500, 503",
       "POST {schedule, role, postgres_version, timeout, restart_pending}: this member's database. DELETE: "
       "forget "
       "the scheduled one"},
      {"/reload", "POST", Page::kPatroniChange, "202, 503",
       "read the configuration again; 503 says why it was not taken"},
      {"/reinitialize", "POST", Page::kPatroniChange, "200, 400, 503",
       "throw this replica's data away and clone"},
      {"/citus", "POST", Page::kPatroniChange, "501", "there is no Citus"},
      {"/mpp", "POST", Page::kPatroniChange, "501", "there is no Citus"},
      {"/sigterm", "POST", Page::kPatroniChange, "501", "of Patroni's own tests"},
  };
  return routes;
}

const Route* FindRoute(std::string path, bool patroni, std::string* check) {
  check->clear();
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  for (const Route& route : Routes()) {
    if (route.patroni() && !patroni) continue;
    if (path == route.path) return &route;
    const bool probe = route.page <= Page::kStart;
    if (probe && absl::StartsWith(path, absl::StrCat(route.path, "/"))) {
      *check = path.substr(std::string(route.path).size() + 1);
      return &route;
    }
  }
  return nullptr;
}

bool Takes(const Route& route, http::Method method) {
  const std::string word = http::IsSafe(method) ? "GET" : http::ToString(method);
  for (absl::string_view one : absl::StrSplit(route.methods, ' ')) {
    if (one == word) return true;
  }
  return false;
}

std::string AllowHeader(const Route& route) {
  return absl::StrReplaceAll(route.methods, {{"GET", "GET, HEAD, OPTIONS"}, {" ", ", "}});
}

std::string RoutesAsMarkdown() {
  std::string out;
  for (const bool patroni : {false, true}) {
    absl::StrAppend(&out, patroni ? "\n### Patroni's\n\n" : "### Mainstay's own\n\n",
                    "| path | methods | codes | |\n|---|---|---|---|\n");
    for (const Route& r : Routes()) {
      if (r.patroni() != patroni) continue;
      absl::StrAppend(&out, "| `", r.path, "` | ", absl::StrReplaceAll(r.methods, {{" ", ", "}}), " | ",
                      r.codes, " | ", r.says, " |\n");
    }
  }
  return out;
}

}  // namespace mainstay::agent
