// A member's own facts: its disk, its broker's process, and what the broker says by Erlang's distribution.
//
// Strict: of a broker that answers one question and not the next nothing is said but that it is not known.
// Thread rules: one thread; Look takes up to a few seconds when the broker is frozen.
#ifndef MAINSTAY_LIB_MAINTENANCE_OBSERVER_H_
#define MAINSTAY_LIB_MAINTENANCE_OBSERVER_H_

#include <string>

#include "lib/engine/rabbitmq/control.h"
#include "lib/maintenance/disk.h"
#include "lib/maintenance/facts.h"
#include "lib/maintenance/ports.h"

namespace mainstay::maintenance {

class Observer {
 public:
  // All outlive this.
  Observer(std::string name, std::string node, BrokerPort* broker, engine::rabbitmq::Control* control,
           Disk* disk)
      : name_(std::move(name)), node_(std::move(node)), broker_(*broker), control_(*control), disk_(*disk) {}

  // Not ok: disk or process could not be looked at; nothing may be decided.
  absl::StatusOr<MemberFacts> Look();

 private:
  absl::Status OfDisk(MemberFacts* f);
  void OfBroker(MemberFacts* f);
  absl::Status WhenReady(MemberFacts* f);

  const std::string name_, node_;
  BrokerPort& broker_;
  engine::rabbitmq::Control& control_;
  Disk& disk_;
  std::string start_;      // the run that the rest is about
  bool answered_ = false;  // it did once
  bool was_ready_ = false;
  std::string cluster_id_;
};

}  // namespace mainstay::maintenance

#endif  // MAINSTAY_LIB_MAINTENANCE_OBSERVER_H_
