#include "lib/maintenance/plan.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "lib/maintenance/plan_case.h"

namespace mainstay::maintenance {
namespace {

// Whoever leads must be able to ask and steer the cluster: by its own broker.
std::optional<Step> Lead(const Case& c) {
  if (c.SelfUsable()) return std::nullopt;
  for (const MemberEntry& e : c.m.members) {
    if (e.name == c.v.self || !c.Usable(e)) continue;
    return Execute(Step::Kind::kYield, "yield",
                   absl::StrCat("this broker cannot do the maintenance now, that of ", e.name,
                                " can: gives the lead up"));
  }
  const bool lost =
      !c.m.members.empty() && std::all_of(c.m.members.begin(), c.m.members.end(), [&](const auto& e) {
        return c.Facts(e) != nullptr && c.Facts(e)->heard && c.Facts(e)->blank;
      });
  if (lost)
    return Wait("lost", absl::StrCat("every member of cluster ", c.m.cluster_id,
                                     " lost its disk: nobody founds another by itself; put a disk back, or "
                                     "begin anew: reinitialize, confirmed with that id"));
  const std::string plan = BootPlan(c.v);
  return Wait("boot", plan.empty() ? "no broker that could do the maintenance is ready" : plan);
}

}  // namespace

const char* ToString(Step::Kind kind) {
  switch (kind) {
    case Step::Kind::kWait:
      return "wait";
    case Step::Kind::kRecord:
      return "record";
    case Step::Kind::kForget:
      return "forget";
    case Step::Kind::kAddReplica:
      return "add_replica";
    case Step::Kind::kDeleteReplica:
      return "delete_replica";
    case Step::Kind::kRebalance:
      return "rebalance";
    case Step::Kind::kYield:
      return "yield";
    case Step::Kind::kRefuse:
      return "refuse";
  }
  return "";
}

Step Plan(const View& view, const std::optional<Memory>& memory, const Settings& settings) {
  if (!memory) return PlanWithoutMemory(view, view.epoch);
  const Case c{view, *memory, settings};
  if (memory->epoch > view.epoch)
    return Execute(Step::Kind::kYield, "superseded",
                   absl::StrCat("the memory was written under epoch ", memory->epoch, ", this lead is of ",
                                view.epoch, ": stands again under a higher one"));
  if (memory->epoch < view.epoch) {
    Memory next = *memory;
    next.epoch = view.epoch;
    return Record("claim",
                  "a new maintenance leader: what the former one still writes is refused from now on",
                  std::move(next));
  }
  if (memory->cluster_id.empty()) return PlanFounding(c);
  for (auto* row : {AnswerRequest, Learn, Lead, ContinueToken, Repairs, ContinueRemoval, HealPartition,
                    GrantToken, KeepReplicas, RebalanceDue}) {
    if (std::optional<Step> step = row(c)) return *std::move(step);
  }
  const std::string trouble = c.Unwhole();
  return Wait("watch", trouble.empty() ? "the cluster is whole" : trouble);
}

// ---- what rows share ----

bool Contains(const std::vector<std::string>& list, const std::string& item) {
  return std::find(list.begin(), list.end(), item) != list.end();
}

Step Wait(const char* row, std::string sentence) {
  Step out;
  out.row = row;
  out.sentence = std::move(sentence);
  return out;
}

Step Record(const char* row, std::string sentence, Memory next) {
  Step out = Wait(row, std::move(sentence));
  out.kind = Step::Kind::kRecord;
  out.next = std::move(next);
  return out;
}

Step Execute(Step::Kind kind, const char* row, std::string sentence, std::string node) {
  Step out = Wait(row, std::move(sentence));
  out.kind = kind;
  out.node = std::move(node);
  return out;
}

Step AddReplica(const char* row, const Case::Missing& missing) {
  Step out = Execute(Step::Kind::kAddReplica, row,
                     absl::StrCat("queue '", missing.queue, "' in vhost '", missing.vhost,
                                  "' gets a replica on ", missing.node),
                     missing.node);
  out.vhost = missing.vhost;
  out.queue = missing.queue;
  return out;
}

bool Case::Ready(const MemberEntry& e) const {
  const MemberFacts* f = Facts(e);
  return f != nullptr && f->ready() && f->cluster_id == m.cluster_id && f->disk == e.disk;
}

bool Case::Usable(const MemberEntry& e) const {
  return e.state == MemberState::kMember && Ready(e) && !Facts(e)->draining;
}

bool Case::Lost(const MemberEntry& e) const {
  const MemberFacts* f = Facts(e);
  return f != nullptr && f->heard && f->blank && f->broker == Broker::kStopped && f->disk != e.disk;
}

bool Case::NeedsRepair(const MemberFacts& f) const {
  if (!f.heard || !f.blank || f.broker != Broker::kStopped || f.disk.empty()) return false;
  const MemberEntry* e = m.Find(f.name);
  return e == nullptr || e->state == MemberState::kJoining || f.disk != e->disk;
}

std::string Case::Unwhole(const std::string& but) const {
  for (const MemberEntry& e : m.members) {
    if (e.name == but) continue;
    const MemberFacts* f = Facts(e);
    if (f == nullptr || !f->heard) return absl::StrCat("the agent of ", e.name, " does not answer");
    if (e.state != MemberState::kMember) return absl::StrCat(e.name, " is joining");
    if (!f->ready()) return absl::StrCat("the broker of ", e.name, " is ", ToString(f->broker));
    if (!Ready(e)) return absl::StrCat(e.name, " is of another cluster, or on another disk");
    if (f->draining) return absl::StrCat(e.name, " is drained");
    if (!f->partitions.empty())
      return absl::StrCat(e.name, " was cut off from ", absl::StrJoin(f->partitions, ", "));
    for (const MemberEntry& other : m.members)
      if (other.name != but && !Contains(f->running, other.node))
        return absl::StrCat(e.name, " does not see ", other.name, " run");
  }
  return "";
}

size_t Case::Target() const {
  const auto members = std::count_if(m.members.begin(), m.members.end(),
                                     [](const auto& e) { return e.state == MemberState::kMember; });
  return std::min(s.replicas, static_cast<size_t>(members));
}

size_t Case::Syncing() const {
  return static_cast<size_t>(
      std::count_if(v.queues.begin(), v.queues.end(), [](const auto& q) { return !q.behind.empty(); }));
}

std::string Case::QueueTrouble() const {
  if (!v.queues_known) return "the quorum queues are not known yet";
  for (const QueueFacts& q : v.queues) {
    const std::string queue = absl::StrCat("queue '", q.name, "' in vhost '", q.vhost, "' ");
    if (q.leader.empty()) return absl::StrCat(queue, "has no leader");
    if (q.members.size() < Target())
      return absl::StrCat(queue, "has ", q.members.size(), " of ", Target(), " replicas");
    if (q.online.size() < q.members.size()) return absl::StrCat(queue, "has replicas that do not run");
    if (!q.behind.empty()) return absl::StrCat(queue, "catches up on ", absl::StrJoin(q.behind, ", "));
  }
  return "";
}

std::optional<Case::Missing> Case::FindMissing(const std::string& only, const std::string& but) const {
  for (const QueueFacts& q : v.queues) {
    // Without a leader and a majority that runs nothing can be added.
    if (q.members.size() >= Target() || q.leader.empty() || q.online.size() * 2 <= q.members.size()) continue;
    for (const MemberEntry& e : m.members) {
      if (!Usable(e) || Contains(q.members, e.node) || e.name == but) continue;
      if (only.empty() || e.name == only) return Missing{q.vhost, q.name, e.node};
    }
  }
  return std::nullopt;
}

}  // namespace mainstay::maintenance
