// The parts that metrics_table.cc puts together; nobody else needs them.
#ifndef MAINSTAY_LIB_ENGINE_POSTGRES_METRICS_PARTS_H_
#define MAINSTAY_LIB_ENGINE_POSTGRES_METRICS_PARTS_H_

#include <vector>

#include "lib/engine/postgres/metrics_table.h"

namespace mainstay::engine::postgres {

std::vector<MetricCollector> ServerCollectors();    // metrics_server.cc
std::vector<MetricCollector> DatabaseCollectors();  // metrics_databases.cc
std::vector<MetricCollector> TableCollectors();     // metrics_tables.cc

}  // namespace mainstay::engine::postgres

#endif  // MAINSTAY_LIB_ENGINE_POSTGRES_METRICS_PARTS_H_
