// Formation with a memory: who founds, and what is made of a memory that is missing.
#include <algorithm>
#include <map>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "lib/maintenance/plan_case.h"

namespace mainstay::maintenance {
namespace {

std::vector<std::string> Unheard(const View& v) {
  std::vector<std::string> out;
  for (const MemberFacts& f : v.members)
    if (!f.heard) out.push_back(f.name);
  return out;
}

std::vector<std::string> WithData(const View& v) {
  std::vector<std::string> out;
  for (const MemberFacts& f : v.members)
    if (f.heard && !f.blank) out.push_back(f.name);
  return out;
}

// A running cluster, as those of its members see it that are ready.
struct Seen {
  size_t ready = 0;
  std::vector<std::string> nodes;
};

std::map<std::string, Seen> ClustersOf(const View& v) {
  std::map<std::string, Seen> out;
  for (const MemberFacts& f : v.members) {
    if (!f.ready() || f.cluster_id.empty()) continue;
    Seen& seen = out[f.cluster_id];
    ++seen.ready;
    for (const std::string& n : f.nodes)
      if (!Contains(seen.nodes, n)) seen.nodes.push_back(n);
  }
  return out;
}

// The memory of a cluster that runs, without knowing what was under way: repairs begin anew from what is
// seen, a token is gone (and nobody is granted one before all are whole).
Memory Adopted(const View& v, const std::string& id, const Seen& seen, int64_t epoch) {
  Memory out;
  out.epoch = epoch;
  out.cluster_id = id;
  for (const MemberFacts& f : v.members) {
    if (!Contains(seen.nodes, f.node)) continue;
    MemberEntry e{.name = f.name, .node = f.node};
    // Of the others the disk is not known: a blank one lost it, one with data is learned when it is seen.
    if (f.heard && !f.blank && (f.cluster_id == id || f.marker == id)) e.disk = f.disk;
    if (f.ready() && f.cluster_id == id) e.start = f.start;
    out.members.push_back(std::move(e));
  }
  std::sort(out.members.begin(), out.members.end(),
            [](const auto& a, const auto& b) { return a.name < b.name; });
  out.rebalance_due = true;
  return out;
}

Step Propose(const View& v, int64_t epoch, const char* row) {
  Memory next;
  next.epoch = epoch;
  next.founding = Founding{.name = v.self, .disk = v.Find(v.self)->disk, .nonce = v.nonce};
  return Record(row,
                absl::StrCat("every member is blank: ", v.self,
                             " shall found the cluster, once everybody has seen that and is still blank"),
                std::move(next));
}

}  // namespace

Step PlanWithoutMemory(const View& view, int64_t epoch) {
  const std::vector<std::string> unheard = Unheard(view);
  const std::map<std::string, Seen> clusters = ClustersOf(view);
  if (!clusters.empty()) {
    const auto best = std::max_element(clusters.begin(), clusters.end(), [](const auto& a, const auto& b) {
      return std::make_pair(a.second.ready, a.second.nodes.size()) <
             std::make_pair(b.second.ready, b.second.nodes.size());
    });
    if (!unheard.empty() && best->second.ready * 2 <= view.members.size())
      return Wait("adopt.wait", absl::StrCat("a cluster runs and nothing is on record: waits for ",
                                             absl::StrJoin(unheard, ", "), ", which may be of a larger one"));
    return Record("adopt",
                  absl::StrCat("nothing is on record, cluster ", best->first, " runs with ",
                               best->second.ready, " ready members: puts it on record"),
                  Adopted(view, best->first, best->second, epoch));
  }
  const std::vector<std::string> data = WithData(view);
  if (!data.empty())
    return Wait("adopt.boot", absl::StrCat("nothing is on record, and ", absl::StrJoin(data, ", "),
                                           " have data: waits until they are up. ", BootPlan(view)));
  if (!unheard.empty())
    return Wait("found.wait",
                absl::StrCat("blank: founds nothing before every member was seen blank; not heard of: ",
                             absl::StrJoin(unheard, ", ")));
  if (view.Find(view.self) == nullptr)
    return Wait("found.stranger", "this member is not one of those in the configuration: founds nothing");
  return Propose(view, epoch, "found.propose");
}

Step PlanFounding(const Case& c) {
  if (!c.m.founding) return PlanWithoutMemory(c.v, c.v.epoch);
  const Founding& fo = *c.m.founding;
  const MemberFacts* f = c.v.Find(fo.name);
  const bool blank_elsewhere = f == nullptr || (f->heard && f->blank && f->disk != fo.disk);
  const std::vector<std::string> data = WithData(c.v);
  if (!fo.confirmed || blank_elsewhere) {
    // Nobody acted on it, or what it made is gone.
    if (!data.empty() || blank_elsewhere) return PlanWithoutMemory(c.v, c.v.epoch);
    for (const MemberFacts& m : c.v.members) {
      if (m.heard && m.seen_founding == fo.nonce) continue;
      return Wait("found.seen", absl::StrCat("waits until ", m.name, " has seen who founds"));
    }
    Memory next = c.m;
    next.founding->confirmed = true;
    return Record("found.confirm",
                  absl::StrCat("everybody has seen it and is still blank: ", fo.name, " founds"),
                  std::move(next));
  }
  if (f == nullptr || !f->ready() || f->cluster_id.empty() || f->disk != fo.disk)
    return Wait("found.boot",
                absl::StrCat(fo.name, " founds the cluster; nobody else starts before it is up"));
  Memory next;
  next.epoch = c.m.epoch;
  next.cluster_id = f->cluster_id;
  next.members.push_back({.name = f->name, .node = f->node, .disk = f->disk, .start = f->start});
  return Record("found.done", absl::StrCat(fo.name, " founded cluster ", f->cluster_id), std::move(next));
}

}  // namespace mainstay::maintenance
