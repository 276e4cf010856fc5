#include "agent/rabbit/known.h"

#include <algorithm>

namespace mainstay::agent {

namespace rabbitmq = engine::rabbitmq;
using rabbitmq::BootState;

namespace {

using Names = std::vector<std::string>;

// A node that just began has not reached its peers yet.
constexpr Duration kFindsPeers = std::chrono::seconds(5);

bool Has(const Names& names, const std::string& name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

// Those of `names` that are in neither.
Names Without(const Names& names, const Names& others, const std::string& self) {
  Names out;
  for (const std::string& n : names) {
    if (n != self && !Has(others, n)) out.push_back(n);
  }
  return out;
}

}  // namespace

// Of a process that is gone nothing is known; of its cluster all is as it was.
void Known::Forget() {
  facts_.answered = MonoTime();
  facts_.silence = Duration::zero();
  facts_.failed_tries = 0;
  facts_.boot.reset();
  facts_.running.reset();
  facts_.draining.reset();
  facts_.alarms_memory.clear();
  facts_.alarms_disk.clear();
  facts_.partitions.reset();
  facts_.unreachable.reset();
  facts_.minority.reset();
  facts_.awaited.clear();
  facts_.amqp = amqp::Verdict();
}

bool Known::Shim(bool connected, bool running, MonoTime now) {
  if (!connected) {
    facts_.process.reset();
    return false;
  }
  facts_.process = running;
  if (running == ran_) return false;
  ran_ = running;
  Forget();
  facts_.started = running ? now : MonoTime();
  if (running) ++starts_;
  return true;
}

void Known::Silent(const Looked& looked) {
  const MonoTime from = std::max({looked_until_, facts_.answered, looked.began - interval_ * 2});
  facts_.silence += std::max(Duration::zero(), looked.ended - from);
  ++facts_.failed_tries;
}

void Known::Add(const Looked& looked) {
  // What was asked before the process ended says nothing of the one that runs now.
  if (!facts_.started.is_past() && looked.began < facts_.started) return;
  if (facts_.process.has_value() && !*facts_.process) return;
  if (!looked.status.ok()) {
    Silent(looked);
    looked_until_ = looked.ended;
    return;
  }
  looked_until_ = looked.ended;
  facts_.answered = looked.ended;
  facts_.silence = Duration::zero();
  facts_.failed_tries = 0;
  facts_.boot = looked.boot;
  facts_.running = looked.running;
  if (looked.draining || looked.boot != BootState::kReady) facts_.draining = looked.draining;
  if (looked.alarms) {
    facts_.alarms_memory.clear();
    facts_.alarms_disk.clear();
    for (const rabbitmq::Alarm& a : *looked.alarms) {
      const std::string& whose = a.node.empty() ? node_ : a.node;
      if (a.resource == "memory") facts_.alarms_memory.push_back(whose);
      if (a.resource == "disk") facts_.alarms_disk.push_back(whose);
    }
  }
  if (looked.partitions) facts_.partitions = looked.partitions;
  if (looked.version) version_ = *looked.version;
  if (looked.cluster_id) cluster_id_ = *looked.cluster_id;
  if (looked.members) members_ = *looked.members;
  Peers(looked);
}

void Known::Peers(const Looked& looked) {
  facts_.awaited.clear();
  facts_.unreachable.reset();
  facts_.minority.reset();
  if (!looked.connected) return;
  const Names& connected = *looked.connected;
  if (looked.boot == BootState::kBooting && looked.at_shutdown &&
      (facts_.started.is_past() || looked.ended - facts_.started > kFindsPeers)) {
    facts_.awaited = Without(*looked.at_shutdown, connected, node_);
  }
  if (members_.all.empty()) return;
  facts_.unreachable = Without(members_.all, connected, node_);
  facts_.minority = facts_.unreachable->size() * 2 >= members_.all.size();
}

rabbitmq::Facts Known::Now(MonoTime now) const {
  rabbitmq::Facts out = facts_;
  out.now = now;
  return out;
}

}  // namespace mainstay::agent
