#include "lib/maintenance/progress.h"

#include <algorithm>

namespace mainstay::maintenance {

using engine::rabbitmq::QuorumQueue;
using engine::rabbitmq::ReplicaProgress;

void Progress::Update(const std::vector<QuorumQueue>& queues, const std::string& starts) {
  std::map<std::string, Entry> next;
  for (const QuorumQueue& q : queues) {
    Entry& e = next[Key(q.vhost, q.name)];
    const auto before = entries_.find(Key(q.vhost, q.name));
    if (before != entries_.end() && starts == starts_ && before->second.queue.members == q.members &&
        before->second.queue.online == q.online)
      e = std::move(before->second);
    else
      e.behind = q.online;
    e.queue = q;
  }
  entries_ = std::move(next);
  starts_ = starts;
}

std::vector<QuorumQueue> Progress::ToAsk(size_t max) const {
  std::vector<QuorumQueue> out;
  for (const auto& [key, e] : entries_) {
    if (out.size() == max) break;
    if (!e.complete && !e.queue.leader.empty()) out.push_back(e.queue);
  }
  return out;
}

void Progress::Answer(const std::string& vhost, const std::string& queue,
                      const std::vector<ReplicaProgress>& replicas) {
  const auto it = entries_.find(Key(vhost, queue));
  if (it == entries_.end()) return;
  Entry& e = it->second;
  const auto leader = std::find_if(replicas.begin(), replicas.end(), [](const auto& r) { return r.leader; });
  e.behind = e.queue.online;
  if (leader == replicas.end()) return;
  if (e.target < 0) {
    e.target = leader->commit;  // the next answer is measured by it
    return;
  }
  for (const ReplicaProgress& r : replicas)
    if (r.running && r.last >= e.target) std::erase(e.behind, r.node);
  e.complete = e.behind.empty();
  if (e.complete) e.target = -1;
}

std::vector<QueueFacts> Progress::Facts() const {
  std::vector<QueueFacts> out;
  for (const auto& [key, e] : entries_)
    out.push_back({e.queue.vhost, e.queue.name, e.queue.members, e.queue.online,
                   e.complete ? std::vector<std::string>() : e.behind, e.queue.leader});
  return out;
}

}  // namespace mainstay::maintenance
