// Whether the replicas of the quorum queues have caught up: each has, by now, what its leader knew to be
// committed when it was asked before. Pure.
//
// A queue that was seen complete stays so until its members, who of them runs, or a member's start changes;
// so nothing is asked of queues at rest. Thread rules: one thread. Errors: none.
#ifndef MAINSTAY_LIB_MAINTENANCE_PROGRESS_H_
#define MAINSTAY_LIB_MAINTENANCE_PROGRESS_H_

#include <map>
#include <string>
#include <vector>

#include "lib/engine/rabbitmq/parse.h"
#include "lib/maintenance/facts.h"

namespace mainstay::maintenance {

class Progress {
 public:
  // What is new of the queues; `starts` (of all brokers, in any form) tells one run from the next.
  void Update(const std::vector<engine::rabbitmq::QuorumQueue>& queues, const std::string& starts);
  // Queues whose replicas are not known to be complete, at most `max`: ask for these.
  std::vector<engine::rabbitmq::QuorumQueue> ToAsk(size_t max) const;
  void Answer(const std::string& vhost, const std::string& queue,
              const std::vector<engine::rabbitmq::ReplicaProgress>& replicas);
  // The queues as the plan wants them. What was not asked yet is behind.
  std::vector<QueueFacts> Facts() const;

 private:
  struct Entry {
    engine::rabbitmq::QuorumQueue queue;
    int64_t target = -1;  // to be reached; -1: not asked yet
    bool complete = false;
    std::vector<std::string> behind;
  };
  static std::string Key(const std::string& vhost, const std::string& queue) { return vhost + '\0' + queue; }

  std::map<std::string, Entry> entries_;
  std::string starts_;
};

}  // namespace mainstay::maintenance

#endif  // MAINSTAY_LIB_MAINTENANCE_PROGRESS_H_
