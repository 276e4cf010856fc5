// What people ask for: taking a member out, forcing a boot, beginning anew.
#include <algorithm>

#include "absl/strings/str_cat.h"
#include "lib/maintenance/plan_case.h"

namespace mainstay::maintenance {
namespace {

Step Refuse(std::string sentence) {
  Step out = Execute(Step::Kind::kRefuse, "refuse", std::move(sentence));
  out.answers = true;
  return out;
}

Step Accept(const char* row, std::string sentence, Memory next) {
  Step out = Record(row, std::move(sentence), std::move(next));
  out.answers = true;
  return out;
}

// Whether `q` keeps a majority without its replica on `node`.
bool KeepsQuorum(const QueueFacts& q, const std::string& node) {
  if (!Contains(q.members, node)) return true;
  const size_t rest = q.members.size() - 1;
  const size_t online = q.online.size() - (Contains(q.online, node) ? 1 : 0);
  return rest > 0 && online * 2 > rest;
}

// Why `e` may not be taken out; "": it may.
std::string RemovalDanger(const Case& c, const MemberEntry& e, bool lost) {
  if (c.m.repair || c.m.removal || c.m.token)
    return "a member is being taken in or out, or restarts: ask again after that";
  if (c.m.members.size() < 2) return absl::StrCat(e.name, " is the last member");
  if (!c.SelfUsable()) return "the broker of the maintenance leader is not ready: ask again when it is";
  if (!c.v.queues_known) return "the quorum queues are not known yet: ask again in a moment";
  const MemberFacts* f = c.Facts(e);
  if (lost && f != nullptr && f->heard && f->broker != Broker::kStopped)
    return absl::StrCat(e.name, " is not lost, its broker is ", ToString(f->broker),
                        ": remove it without saying that it is");
  const std::string trouble = c.Unwhole(lost ? e.name : "");
  if (!trouble.empty()) return trouble;
  for (const QueueFacts& q : c.v.queues)
    if (q.leader.empty() || !KeepsQuorum(q, e.node))
      return absl::StrCat("queue '", q.name, "' in vhost '", q.vhost, "' would lose its quorum");
  return "";
}

Step AskRemoval(const Case& c, const Request& r) {
  const bool lost = r.kind == Request::Kind::kRemoveLost;
  const MemberEntry* e = c.m.Find(r.name);
  if (e == nullptr) return Refuse(absl::StrCat(r.name, " is no member on record"));
  const std::string danger = RemovalDanger(c, *e, lost);
  if (!danger.empty()) return Refuse(absl::StrCat("not taken out: ", danger));
  Memory next = c.m;
  next.removal =
      Removal{.name = e->name, .disk = e->disk, .step = lost ? RemovalStep::kForget : RemovalStep::kDrain};
  return Accept("removal.begin", absl::StrCat(e->name, " is taken out of the cluster, step by step"),
                std::move(next));
}

Step AskForceBoot(const Case& c, const Request& r) {
  const MemberFacts* f = c.v.Find(r.name);
  if (r.confirm != c.m.cluster_id)
    return Refuse("a forced boot may lose what only others have: confirm it with the id of the cluster");
  if (c.m.Find(r.name) == nullptr || f == nullptr || !f->heard || f->blank)
    return Refuse(absl::StrCat(r.name, " is no member with data whose agent answers"));
  for (const MemberFacts& o : c.v.members)
    if (o.ready())
      return Refuse(
          absl::StrCat(o.name, " is ready: the others wait for nothing that a forced boot would give"));
  Memory next = c.m;
  next.force_boot = NamedDisk{f->name, f->disk};
  return Accept("force_boot",
                absl::StrCat(f->name, " starts without waiting for anybody, as a person confirmed"),
                std::move(next));
}

Step AskReinitialize(const Case& c, const Request& r) {
  if (r.confirm != c.m.cluster_id) return Refuse("beginning anew gives a cluster up: confirm it with its id");
  for (const MemberFacts& f : c.v.members)
    if (!f.heard || !f.blank)
      return Refuse(absl::StrCat(f.name, f.heard ? " has data" : " does not answer",
                                 ": a new cluster is begun only when every member is blank"));
  Memory next;
  next.epoch = c.m.epoch;
  return Accept(
      "reinitialize",
      absl::StrCat("cluster ", c.m.cluster_id, " is given up, as a person confirmed; a new one is founded"),
      std::move(next));
}

Step To(const Case& c, RemovalStep step, const char* row, std::string sentence) {
  Memory next = c.m;
  next.removal->step = step;
  return Record(row, std::move(sentence), std::move(next));
}

Step Shrink(const Case& c, const MemberEntry& e) {
  if (!c.v.queues_known) return Wait("removal.queues", "the quorum queues are not known yet");
  const size_t target = std::min(c.s.replicas, c.m.members.size() - 1);
  for (const QueueFacts& q : c.v.queues) {
    if (!Contains(q.members, e.node)) continue;
    // First one more elsewhere, so that it never has fewer than it shall have.
    if (q.members.size() <= target) {
      for (const MemberEntry& other : c.m.members)
        if (other.name != e.name && c.Usable(other) && !Contains(q.members, other.node))
          return AddReplica("removal.grow", {q.vhost, q.name, other.node});
    }
    if (!q.behind.empty()) return Wait("removal.sync", absl::StrCat("queue '", q.name, "' catches up first"));
    if (!KeepsQuorum(q, e.node))
      return Wait("removal.quorum", absl::StrCat("queue '", q.name, "' would lose its quorum: waits"));
    Step out = Execute(Step::Kind::kDeleteReplica, "removal.shrink",
                       absl::StrCat("queue '", q.name, "' gives up its replica on ", e.name), e.node);
    out.vhost = q.vhost;
    out.queue = q.name;
    return out;
  }
  return To(c, RemovalStep::kStop, "removal.shrunk",
            absl::StrCat(e.name, " has no replica any more: it stops"));
}

Step ForgetRemoved(const Case& c, const MemberEntry& e) {
  Memory next = c.m;
  next.removal.reset();
  if (!e.disk.empty()) next.forgotten.push_back({e.name, e.disk});
  if (next.forgotten.size() > kMaxForgotten) next.forgotten.erase(next.forgotten.begin());
  next.members.erase(next.members.begin() + (next.Find(e.name) - next.members.data()));
  if (!Contains(c.Self()->nodes, e.node))
    return Record("removal.done", absl::StrCat(e.name, " is out of the cluster"), std::move(next));
  Step out = Execute(Step::Kind::kForget, "removal.forget",
                     absl::StrCat(e.name, " is taken out of the cluster"), e.node);
  out.next = std::move(next);
  return out;
}

}  // namespace

std::optional<Step> AnswerRequest(const Case& c) {
  if (!c.v.request) return std::nullopt;
  switch (c.v.request->kind) {
    case Request::Kind::kRemove:
    case Request::Kind::kRemoveLost:
      return AskRemoval(c, *c.v.request);
    case Request::Kind::kForceBoot:
      return AskForceBoot(c, *c.v.request);
    case Request::Kind::kReinitialize:
      return AskReinitialize(c, *c.v.request);
  }
  return std::nullopt;
}

std::optional<Step> ContinueRemoval(const Case& c) {
  if (!c.m.removal) return std::nullopt;
  const Removal& r = *c.m.removal;
  const MemberEntry* e = c.m.Find(r.name);
  if (e == nullptr) {
    Memory next = c.m;
    next.removal.reset();
    return Record("removal.gone", absl::StrCat(r.name, " is no member any more"), std::move(next));
  }
  const MemberFacts* f = c.Facts(*e);
  if (r.step <= RemovalStep::kShrink) {
    for (const MemberFacts& o : c.v.members) {
      if (o.name == r.name || !c.NeedsRepair(o) || c.m.Forgotten(o.name, o.disk)) continue;
      Memory next = c.m;
      next.removal.reset();
      return Record("removal.off",
                    absl::StrCat(o.name, " lost its disk: ", r.name, " stays a member for now"),
                    std::move(next));
    }
  }
  const bool down = f == nullptr || !f->heard || f->broker == Broker::kStopped;
  switch (r.step) {
    case RemovalStep::kDrain:
      if (!down && !f->draining) return Wait("removal.drain", absl::StrCat(r.name, " drains"));
      return To(c, RemovalStep::kShrink, "removal.drained",
                absl::StrCat(r.name, " is drained: its replicas are taken away"));
    case RemovalStep::kShrink:
      return Shrink(c, *e);
    case RemovalStep::kStop:
      if (f != nullptr && f->heard && f->broker != Broker::kStopped)
        return Wait("removal.stop", absl::StrCat(r.name, " stops"));
      if (f == nullptr || !f->heard)
        return Wait("removal.stop", absl::StrCat("the agent of ", r.name, " does not say that it stopped"));
      return To(c, RemovalStep::kForget, "removal.stopped", absl::StrCat(r.name, " has stopped"));
    case RemovalStep::kForget:
      return ForgetRemoved(c, *e);
  }
  return std::nullopt;
}

}  // namespace mainstay::maintenance
