// Members: what is learned of them, a lost disk repaired, a new one taken in, replicas kept at their number.
#include <algorithm>

#include "absl/strings/str_cat.h"
#include "lib/maintenance/plan_case.h"

namespace mainstay::maintenance {
namespace {

MemberEntry* EntryFor(Memory* m, const MemberFacts& f) {
  if (MemberEntry* e = m->Find(f.name)) return e;
  const auto at =
      std::find_if(m->members.begin(), m->members.end(), [&](const auto& e) { return e.name > f.name; });
  return &*m->members.insert(at, MemberEntry{.name = f.name, .node = f.node});
}

Step To(const Case& c, RepairStep step, const char* row, std::string sentence) {
  Memory next = c.m;
  next.repair->step = step;
  return Record(row, std::move(sentence), std::move(next));
}

Step Begin(const Case& c, const MemberFacts& f, const char* row, std::string sentence) {
  Memory next = c.m;
  next.repair = Repair{.name = f.name, .disk = f.disk};
  return Record(row, std::move(sentence), std::move(next));
}

// All others serve, or lost their disks themselves: whoever is merely down may hold what would be forgotten.
std::string OthersTrouble(const Case& c, const std::string& name) {
  for (const MemberEntry& e : c.m.members) {
    if (e.name == name || c.Lost(e) || e.state == MemberState::kJoining) continue;
    if (!c.Ready(e)) return absl::StrCat(e.name, " is not ready");
    if (c.Facts(e)->draining) return absl::StrCat(e.name, " is drained");
  }
  return "";
}

Step Forget(const Case& c, const MemberFacts& f) {
  if (!f.blank || f.broker != Broker::kStopped) {
    Memory next = c.m;
    next.repair.reset();
    return Record("repair.off", absl::StrCat(f.name, " is not blank any more: nothing to repair"),
                  std::move(next));
  }
  const std::string others = OthersTrouble(c, f.name);
  if (!others.empty())
    return Wait("repair.others",
                absl::StrCat(f.name, " has a blank disk; it is taken in when all others serve: ", others));
  for (const MemberEntry& e : c.m.members)
    if (c.Ready(e) && Contains(c.Facts(e)->running, f.node))
      return Wait("repair.alive", absl::StrCat(e.name, " still sees ", f.node, " run"));
  Memory next = c.m;
  next.repair->step = RepairStep::kJoin;
  MemberEntry* e = EntryFor(&next, f);
  *e = {.name = f.name, .node = f.node, .disk = f.disk, .state = MemberState::kJoining};
  if (Contains(c.Self()->nodes, f.node)) {
    Step out =
        Execute(Step::Kind::kForget, "repair.forget",
                absl::StrCat(f.name, " lost its disk: its former self is taken out of the cluster"), f.node);
    out.next = std::move(next);
    return out;
  }
  if (!c.v.queues_known) return Wait("repair.queues", "the quorum queues are not known yet");
  for (const QueueFacts& q : c.v.queues) {
    if (!Contains(q.members, f.node)) continue;
    Step out = Execute(
        Step::Kind::kDeleteReplica, "repair.ghost",
        absl::StrCat("queue '", q.name, "' still counts a replica on ", f.node, ", which is no member"),
        f.node);
    out.vhost = q.vhost;
    out.queue = q.name;
    return out;
  }
  return Record("repair.join", absl::StrCat(f.name, " may join, blank"), std::move(next));
}

Step Join(const Case& c, const MemberFacts& f) {
  const MemberEntry* e = c.m.Find(f.name);
  if (e == nullptr || e->disk != f.disk)
    return To(c, RepairStep::kForget, "repair.again",
              absl::StrCat(f.name, " is not where it was: begins anew"));
  if (!f.ready() || f.cluster_id != c.m.cluster_id || !Contains(c.Self()->running, f.node))
    return Wait("repair.joining", absl::StrCat(f.name, " joins (its broker is ", ToString(f.broker), ")"));
  Memory next = c.m;
  MemberEntry* entry = next.Find(f.name);
  entry->state = MemberState::kMember;
  entry->start = f.start;
  next.repair->step = RepairStep::kGrow;
  return Record("repair.joined", absl::StrCat(f.name, " has joined; its replicas are added"),
                std::move(next));
}

Step Grow(const Case& c, const MemberFacts& f) {
  if (!c.v.queues_known) return Wait("repair.queues", "the quorum queues are not known yet");
  if (const auto missing = c.FindMissing(f.name, "")) {
    if (c.Syncing() >= c.s.syncing)
      return Wait("repair.throttle",
                  absl::StrCat(c.Syncing(), " queues catch up: the next replica is added after that"));
    return AddReplica("repair.grow", *missing);
  }
  return To(c, RepairStep::kSync, "repair.grown", absl::StrCat(f.name, " has its replicas; they catch up"));
}

Step Sync(const Case& c, const MemberFacts& f) {
  if (!c.v.queues_known) return Wait("repair.queues", "the quorum queues are not known yet");
  for (const QueueFacts& q : c.v.queues) {
    if (!Contains(q.members, f.node)) continue;
    if (!Contains(q.online, f.node) || Contains(q.behind, f.node) || q.leader.empty())
      return Wait("repair.sync", absl::StrCat("queue '", q.name, "' catches up on ", f.name));
  }
  return To(c, RepairStep::kRebalance, "repair.synced",
            absl::StrCat(f.name, " has caught up; leaders are spread"));
}

Step Rebalance(const Case& c, const MemberFacts& f) {
  Memory next = c.m;
  next.repair.reset();
  next.rebalance_due = false;
  Step out = Execute(Step::Kind::kRebalance, "repair.rebalance",
                     absl::StrCat(f.name, " is whole: leaders are spread"));
  out.next = std::move(next);
  return out;
}

Step Continue(const Case& c, const MemberFacts& f) {
  const Repair& r = *c.m.repair;
  if (r.step == RepairStep::kForget) return Forget(c, f);
  if (r.step == RepairStep::kJoin) return Join(c, f);
  const MemberEntry* e = c.m.Find(f.name);
  if (e == nullptr || !c.Usable(*e))
    return Wait("repair.back",
                absl::StrCat("waits until ", f.name, " serves (its broker is ", ToString(f.broker), ")"));
  if (r.step == RepairStep::kGrow) return Grow(c, f);
  if (r.step == RepairStep::kSync) return Sync(c, f);
  return Rebalance(c, f);
}

}  // namespace

std::optional<Step> Learn(const Case& c) {
  Memory next = c.m;
  std::vector<std::string> names;
  for (const MemberFacts& f : c.v.members) {
    if (!f.ready() || f.cluster_id != c.m.cluster_id) continue;
    const MemberEntry* known = c.m.Find(f.name);
    // Its repair confirms a joining; one whose repair was left for another's is learned like any other.
    const bool repairing = c.m.repair && c.m.repair->name == f.name;
    if (known != nullptr && known->state == MemberState::kJoining && (repairing || known->disk != f.disk))
      continue;
    if (known == nullptr && c.m.Forgotten(f.name, f.disk)) continue;
    if (known != nullptr && known->disk == f.disk && known->start == f.start &&
        known->state == MemberState::kMember)
      continue;
    MemberEntry* e = EntryFor(&next, f);
    // A run that was not seen before: it returned, and the leaders that left it are still elsewhere.
    if (!e->start.empty() && e->start != f.start) next.rebalance_due = true;
    e->state = MemberState::kMember;
    e->disk = f.disk;
    e->start = f.start;
    names.push_back(f.name);
  }
  if (next.force_boot) {
    const MemberFacts* f = c.v.Find(next.force_boot->name);
    if (f != nullptr && f->ready()) {
      names.push_back(next.force_boot->name);
      next.force_boot.reset();
    }
  }
  if (names.empty()) return std::nullopt;
  std::string sentence = absl::StrCat("seen ready: ", names[0], names.size() > 1 ? " and others" : "");
  return Record("learn", std::move(sentence), std::move(next));
}

std::optional<Step> Repairs(const Case& c) {
  if (c.m.removal) return std::nullopt;
  const auto needs = [&](const MemberFacts& f) { return c.NeedsRepair(f); };
  const auto first = std::find_if(c.v.members.begin(), c.v.members.end(), needs);
  if (!c.m.repair) {
    if (first == c.v.members.end()) return std::nullopt;
    return Begin(c, *first, "repair.begin",
                 absl::StrCat(first->name, " has a blank disk: it is taken in, step by step"));
  }
  const MemberFacts* f = c.v.Find(c.m.repair->name);
  if (f != nullptr && f->heard && f->blank && f->disk != c.m.repair->disk)
    return Begin(c, *f, "repair.again", absl::StrCat(f->name, " has another blank disk: begins anew"));
  if (f == nullptr || !f->heard) {
    if (first != c.v.members.end())
      return Begin(
          c, *first, "repair.other",
          absl::StrCat("the agent of ", c.m.repair->name, " does not answer: ", first->name, " first"));
    return Wait("repair.silent", absl::StrCat("the agent of ", c.m.repair->name,
                                              ", which is being taken in, does not answer"));
  }
  return Continue(c, *f);
}

std::optional<Step> KeepReplicas(const Case& c) {
  if (c.m.token || c.m.repair || c.m.removal || !c.v.queues_known || !c.Unwhole().empty())
    return std::nullopt;
  const auto missing = c.FindMissing("", "");
  if (!missing || c.Syncing() >= c.s.syncing) return std::nullopt;
  return AddReplica("keep.grow", *missing);
}

}  // namespace mainstay::maintenance
