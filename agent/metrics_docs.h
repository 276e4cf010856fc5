// docs/METRICS.md, made from the same code that answers /metrics: `mainstay metrics docs`.
#ifndef MAINSTAY_AGENT_METRICS_DOCS_H_
#define MAINSTAY_AGENT_METRICS_DOCS_H_

#include <string>

namespace mainstay::agent {

// Tables of all families, in Markdown.
std::string MetricsDocs();

}  // namespace mainstay::agent

#endif  // MAINSTAY_AGENT_METRICS_DOCS_H_
