#include "lib/maintenance/observer.h"

#include "lib/base/result.h"

namespace mainstay::maintenance {

using engine::rabbitmq::BootState;

absl::Status Observer::OfDisk(MemberFacts* f) {
  // Read each time: the volume may have been replaced under a running agent.
  MAINSTAY_RETURN_IF_ERROR(disk_.Open());
  MAINSTAY_ASSIGN_OR_RETURN(const bool data, disk_.HasData());
  const Note& note = disk_.note();
  f->disk = note.disk;
  f->begun = note.begun;
  f->marker = note.marker;
  f->blank = !data && note.begun == Begun::kNo;
  // Damage there is RabbitMQ's business; for us it is only what people are told.
  if (auto nodes = disk_.AtShutdown(); nodes.ok()) f->at_shutdown = *std::move(nodes);
  if (f->at_shutdown.size() > kMaxMembers) f->at_shutdown.resize(kMaxMembers);
  if (!note.wish.empty() && note.wish_start == f->start) f->wish = note.wish;
  return absl::OkStatus();
}

absl::Status Observer::WhenReady(MemberFacts* f) {
  if (cluster_id_.empty()) {
    MAINSTAY_ASSIGN_OR_RETURN(cluster_id_, control_.ClusterId());
  }
  MAINSTAY_ASSIGN_OR_RETURN(engine::rabbitmq::ClusterMembers members, control_.Members());
  MAINSTAY_ASSIGN_OR_RETURN(const engine::rabbitmq::Check check, control_.Look());
  MAINSTAY_ASSIGN_OR_RETURN(f->draining, control_.Draining());
  if (check.boot != BootState::kReady) return absl::UnavailableError("it ended meanwhile");
  f->cluster_id = cluster_id_;
  f->nodes = std::move(members.all);
  f->running = std::move(members.running);
  f->partitions = check.partitions;
  f->alarm = !check.alarms.empty();
  if (f->wish.empty()) return absl::OkStatus();
  MAINSTAY_ASSIGN_OR_RETURN(const std::vector<engine::rabbitmq::CriticalQueue> critical,
                            control_.QuorumCritical());
  f->critical_known = true;
  for (const auto& q : critical) f->critical.push_back(q.name);
  return absl::OkStatus();
}

void Observer::OfBroker(MemberFacts* f) {
  const absl::StatusOr<BootState> boot = control_.Boot();
  if (!boot.ok()) {
    // Its distribution comes up a few seconds after its process.
    f->broker = answered_ ? Broker::kUnknown : Broker::kStarting;
    return;
  }
  answered_ = true;
  if (*boot != BootState::kReady) {
    const bool paused = *boot == BootState::kStopped && was_ready_;
    f->broker = paused ? Broker::kPaused : Broker::kStarting;
    return;
  }
  f->broker = Broker::kReady;
  was_ready_ = true;
  const MemberFacts before = *f;
  if (WhenReady(f).ok()) return;
  *f = before;
  f->broker = Broker::kUnknown;
}

absl::StatusOr<MemberFacts> Observer::Look() {
  MemberFacts f;
  f.name = name_;
  f.node = node_;
  f.heard = true;
  MAINSTAY_ASSIGN_OR_RETURN(const BrokerPort::Process process, broker_.Look());
  f.start = process.start;
  if (process.start != start_ || !process.running) {
    start_ = process.start;
    answered_ = was_ready_ = false;
    cluster_id_.clear();
  }
  MAINSTAY_RETURN_IF_ERROR(OfDisk(&f));
  if (!process.running)
    f.broker = Broker::kStopped;
  else
    OfBroker(&f);
  return f;
}

}  // namespace mainstay::maintenance
