// Reads a file of own queries for /metrics (docs/METRICS.md), in the format that CloudNativePG and
// postgres_exporter share:
//
//   pg_orders:
//     query: "SELECT status, count(*) AS n FROM public.orders GROUP BY 1"
//     target_databases: ["app"]
//     metrics:
//       - status: {usage: LABEL, description: "Status of the order"}
//       - n: {usage: GAUGE, description: "Orders"}
//
// All problems at once, each with its line. A file with problems is not used at all.
// Thread rules: none; reads the file when it is called.
#ifndef MAINSTAY_AGENT_CONFIG_QUERIES_H_
#define MAINSTAY_AGENT_CONFIG_QUERIES_H_

#include <string>
#include <vector>

#include "lib/engine/postgres/metrics_queries.h"

namespace mainstay::agent {

struct LoadedQueries {
  std::vector<engine::postgres::UserQuery> queries;  // empty when there are problems
  std::vector<std::string> problems;                 // "queries.yaml:3: pg_orders.metrics: is no list; ..."
  bool ok() const { return problems.empty(); }
};

LoadedQueries LoadQueries(const std::string& file, const std::string& prefix);
// The same from text; `name` is how problems call it.
LoadedQueries LoadQueriesText(const std::string& text, const std::string& name, const std::string& prefix);

}  // namespace mainstay::agent

#endif  // MAINSTAY_AGENT_CONFIG_QUERIES_H_
