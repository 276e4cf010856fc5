#include "lib/engine/rabbitmq/probe_metrics.h"

#include <algorithm>
#include <optional>

namespace mainstay::engine::rabbitmq {
namespace {

using metrics::Type;

double Seconds(Duration d) { return std::chrono::duration<double>(d).count(); }

void Gauge(metrics::Writer& w, const char* name, const char* help, std::optional<double> value) {
  w.Family(name, Type::kGauge, help);
  if (value) w.Sample(*value);
}

std::optional<double> Flag(std::optional<bool> v) {
  if (!v) return std::nullopt;
  return *v ? 1.0 : 0.0;
}

std::optional<double> Count(const std::optional<std::vector<std::string>>& names) {
  if (!names) return std::nullopt;
  return static_cast<double>(names->size());
}

std::optional<double> Age(MonoTime at, MonoTime now) {
  if (at.is_past()) return std::nullopt;
  return Seconds(std::max(Duration::zero(), now - at));
}

void WriteBlocked(const Facts& f, metrics::Writer& w) {
  w.Family("mainstay_rabbitmq_blocked", Type::kGauge,
           "1 while publishes are held back because a node of the cluster lacks this resource.");
  const amqp::Blocked& b = f.amqp.blocked;
  const bool memory = b.memory || !f.alarms_memory.empty();
  const bool disk = b.disk || !f.alarms_disk.empty();
  w.Sample({{"resource", "memory"}}, memory ? 1 : 0);
  w.Sample({{"resource", "disk"}}, disk ? 1 : 0);
  w.Sample({{"resource", "other"}}, b.on && !memory && !disk ? 1 : 0);
}

}  // namespace

void ProbeInstruments::Observe(const amqp::Result& r) {
  const char* outcome = r.skipped ? "skipped" : !r.trouble.ok() ? "failed" : r.blocked.on ? "blocked" : "ok";
  checks.Add({outcome});
  if (r.skipped) return;
  if (!r.trouble.ok()) failures.Add({ToString(r.trouble.failure)});
  if (!r.earlier.ok()) closes.Add({ToString(r.earlier.failure)});
  stale_nacks += r.stale_nacks;
  if (r.paused) return;
  if (r.confirmed) confirm_seconds.Observe(*r.confirmed);
  if (r.delivered) round_seconds.Observe("classic", *r.delivered);
}

void ProbeInstruments::Write(metrics::Writer& w) const {
  round_seconds.Write(
      w, "mainstay_rabbitmq_probe_seconds",
      "From the publish of the end-to-end probe's message until it came back; without times of "
      "being blocked.");
  confirm_seconds.Write(w, "mainstay_rabbitmq_probe_confirm_seconds",
                        "From the publish of the end-to-end probe's message until the broker confirmed it.");
  checks.Write(w, "mainstay_rabbitmq_probe_checks_total", "Checks of the end-to-end probe.");
  failures.Write(w, "mainstay_rabbitmq_probe_failures_total", "Failed checks of the end-to-end probe.");
  closes.Write(w, "mainstay_rabbitmq_probe_connections_lost_total",
               "Connections of the end-to-end probe that ended between two checks.");
  w.Family(
      "mainstay_rabbitmq_stale_channel_nacks_total", Type::kCounter,
      "Messages refused on a channel and taken on a new one: clients that keep their channels are refused "
      "for ever (RabbitMQ 3.10 and 3.11).");
  w.Sample(static_cast<double>(stale_nacks));
}

void WriteNodeMetrics(const Facts& f, const Judgement& j, metrics::Writer& w) {
  const bool up =
      j.state == NodeState::kRunning || j.state == NodeState::kBlocked || j.state == NodeState::kFailing;
  Gauge(w, "mainstay_rabbitmq_up", "1 while RabbitMQ runs in this node, also when it takes no publishes.",
        up ? 1 : 0);
  w.Family("mainstay_rabbitmq_state", Type::kGauge, "State of this node; 1 for the current one.");
  for (const NodeState s : kNodeStates) w.Sample({{"state", ToString(s)}}, s == j.state ? 1 : 0);
  w.Family("mainstay_rabbitmq_boot_state", Type::kGauge,
           "State of this node's boot as RabbitMQ tells it; 1 for the current one.");
  for (const BootState b : kBootStates) w.Sample({{"state", ToString(b)}}, f.boot == b ? 1 : 0);
  w.Family("mainstay_rabbitmq_ready", Type::kGauge, "1 while this node may have clients.");
  w.Sample(j.ready.ok ? 1 : 0);
  WriteBlocked(f, w);
  Gauge(w, "mainstay_rabbitmq_drained", "1 while this node is in maintenance.", Flag(f.draining));
  Gauge(w, "mainstay_rabbitmq_partitioned", "Nodes that this one remembers to have been cut off from.",
        Count(f.partitions));
  Gauge(w, "rabbitmq_running", "1 while RabbitMQ runs in this node (rabbitmq_exporter's name).", up ? 1 : 0);
  Gauge(w, "rabbitmq_partitions",
        "Nodes that this one remembers to have been cut off from (rabbitmq_exporter's name).",
        Count(f.partitions));
  Gauge(w, "mainstay_rabbitmq_peers_unreachable", "Members of the cluster that this node does not see.",
        Count(f.unreachable));
  Gauge(w, "mainstay_rabbitmq_peers_awaited", "Members of the cluster that this node's boot waits for.",
        static_cast<double>(f.awaited.size()));
  Gauge(w, "mainstay_rabbitmq_answer_age_seconds",
        "Since this node last answered a call by Erlang distribution.", Age(f.answered, f.now));
  w.Family("mainstay_rabbitmq_probe_state", Type::kGauge,
           "State of the end-to-end probe; 1 for the current one.");
  for (const amqp::State s :
       {amqp::State::kUnknown, amqp::State::kOk, amqp::State::kBlocked, amqp::State::kFailed})
    w.Sample({{"state", ToString(s)}}, s == f.amqp.state ? 1 : 0);
  Gauge(w, "mainstay_rabbitmq_probe_age_seconds", "Since a message of the end-to-end probe last came back.",
        Age(f.amqp.last_ok, f.now));
}

}  // namespace mainstay::engine::rabbitmq
