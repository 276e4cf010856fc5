// The list of everything that the HTTP port answers: path, methods, and a line for docs/ENDPOINTS.md (which a
// test compares with this list).
//
// Thread rules: pure.
#ifndef MAINSTAY_AGENT_FACE_ROUTES_H_
#define MAINSTAY_AGENT_FACE_ROUTES_H_

#include <string>
#include <vector>

#include "lib/http/server.h"

namespace mainstay::agent {

enum class Page : uint8_t {
  kLive,
  kReady,
  kStart,
  kMetrics,
  kStatus,
  kDecisions,
  kPatroniHealth,     // by patroni::HealthCode
  kPatroniLiveness,   // as kLive
  kPatroniReadiness,  // by patroni::NotReady
  kPatroniStatus,
  kPatroniCluster,
  kPatroniHistory,
  kPatroniConfig,
  kPatroniFailsafe,
  kPatroniChange,  // only changing methods
};

struct Route {
  const char* path;
  const char* methods;  // of GET (with HEAD and OPTIONS) POST PUT PATCH DELETE, in this order, by blanks
  Page page;
  const char* codes;
  const char* says;  // for people
  bool patroni() const { return page >= Page::kPatroniHealth; }
};

const std::vector<Route>& Routes();
// "/primary/" is "/primary"; "/livez/shim" is found by its first part when `check` takes the second. Null:
// none.
const Route* FindRoute(std::string path, bool patroni, std::string* check);
bool Takes(const Route& route, http::Method method);
std::string AllowHeader(const Route& route);  // "GET, HEAD, OPTIONS, PATCH, PUT"
// The tables of docs/ENDPOINTS.md, as Markdown.
std::string RoutesAsMarkdown();

}  // namespace mainstay::agent

#endif  // MAINSTAY_AGENT_FACE_ROUTES_H_
