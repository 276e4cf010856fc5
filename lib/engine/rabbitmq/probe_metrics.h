// Mainstay's own families about a RabbitMQ node: they need nothing of rabbitmq_prometheus, so they stay while
// that cannot answer (booting, paused, drained, hung, dead). All are begun always; what is not known has no
// sample.
//
//   instruments.Observe(probe.Check(deadline));
//   WriteNodeMetrics(facts, Judge(facts), writer);  instruments.Write(writer);
//
// Units: seconds. Thread rules: none inside; the agent uses them on the loop only.
#ifndef MAINSTAY_LIB_ENGINE_RABBITMQ_PROBE_METRICS_H_
#define MAINSTAY_LIB_ENGINE_RABBITMQ_PROBE_METRICS_H_

#include <cstdint>

#include "lib/amqp/verdict.h"
#include "lib/engine/rabbitmq/probe_state.h"
#include "lib/metrics/metrics.h"

namespace mainstay::engine::rabbitmq {

// What the end-to-end probe counted.
struct ProbeInstruments {
  void Observe(const amqp::Result& result);
  void Write(metrics::Writer& w) const;

  metrics::HistogramBy round_seconds{"path",
                                     {0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5}};
  metrics::Histogram confirm_seconds{{0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5}};
  metrics::CounterBy checks{{"outcome"}};   // ok | blocked | failed | skipped
  metrics::CounterBy failures{{"reason"}};  // amqp::Failure
  metrics::CounterBy closes{{"reason"}};    // of connections that ended between checks
  uint64_t stale_nacks = 0;
};

void WriteNodeMetrics(const Facts& facts, const Judgement& judgement, metrics::Writer& w);

}  // namespace mainstay::engine::rabbitmq

#endif  // MAINSTAY_LIB_ENGINE_RABBITMQ_PROBE_METRICS_H_
