// The restart token: two members are never down together by our hand. Healing and rebalancing after a return.
#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "lib/maintenance/plan_case.h"

namespace mainstay::maintenance {
namespace {

Step Drop(const Case& c, const char* row, std::string sentence) {
  Memory next = c.m;
  next.token.reset();
  return Record(row, std::move(sentence), std::move(next));
}

Step Phase(const Case& c, TokenPhase phase, const char* row, std::string sentence) {
  Memory next = c.m;
  next.token->phase = phase;
  return Record(row, std::move(sentence), std::move(next));
}

Step Grant(const Case& c, const MemberFacts& f, const std::string& wish, const char* row,
           std::string sentence) {
  Memory next = c.m;
  next.token = Token{.name = f.name, .disk = f.disk, .start = f.start, .wish = wish};
  return Record(row, std::move(sentence), std::move(next));
}

// Why `f` may not go down now; "": it may.
std::string Danger(const Case& c, const MemberFacts& f) {
  const MemberEntry* e = c.m.Find(f.name);
  if (e == nullptr || e->state != MemberState::kMember) return absl::StrCat(f.name, " is no member yet");
  // A broker that is down already takes nothing with it.
  const std::string trouble = c.Unwhole(c.Ready(*e) ? "" : f.name);
  if (!trouble.empty() || !c.Ready(*e)) return trouble;
  const std::string queues = c.QueueTrouble();
  if (!queues.empty()) return queues;
  if (!f.critical_known) return absl::StrCat("it is not known which queues need ", f.name);
  if (!f.critical.empty()) return absl::StrCat(f.critical[0], " would lose its quorum");
  return "";
}

}  // namespace

std::optional<Step> ContinueToken(const Case& c) {
  if (!c.m.token) return std::nullopt;
  const Token& t = *c.m.token;
  const MemberFacts* f = c.v.Find(t.name);
  if (f == nullptr || !f->heard)
    return Wait("token.silent",
                absl::StrCat(t.name, " has the restart token and does not answer: nobody else may go down"));
  const MemberEntry* e = c.m.Find(t.name);
  if (e == nullptr || c.Lost(*e) || (f->blank && f->broker == Broker::kStopped))
    return Drop(c, "token.lost", absl::StrCat(t.name, " returned without its disk: its repair follows"));
  if (t.phase == TokenPhase::kGranted) {
    if (f->start == t.start && !t.wish.empty() && f->wish != t.wish && f->ready() && !f->draining)
      return Drop(c, "token.unused", absl::StrCat(t.name, " does not want to restart any more"));
    if (f->start == t.start || !c.Usable(*e))
      return Wait("token.out",
                  absl::StrCat(t.name, " has the restart token (its broker is ", ToString(f->broker), ")"));
    return Phase(c, TokenPhase::kReturned, "token.returned",
                 absl::StrCat(t.name, " is back; its replicas catch up"));
  }
  for (const MemberFacts& o : c.v.members)
    if (c.NeedsRepair(o) && !c.m.Forgotten(o.name, o.disk))
      return Drop(c, "token.repair",
                  absl::StrCat(t.name, " is back, and ", o.name, " lost its disk: its repair comes first"));
  std::string trouble = c.Unwhole();
  if (trouble.empty()) trouble = c.QueueTrouble();
  if (t.phase == TokenPhase::kReturned) {
    // What is missing of replicas nobody adds while the token is out: it is given back, so that they are.
    const bool missing = c.v.queues_known && c.Unwhole().empty() && c.FindMissing("", "").has_value();
    if (missing)
      return Drop(c, "token.missing",
                  "all are back, replicas are missing: they are added before the next restart");
    if (!trouble.empty())
      return Wait("token.sync",
                  absl::StrCat(t.name, " is back; the token is kept until all is whole: ", trouble));
    return Phase(c, TokenPhase::kRebalance, "token.whole", "all is whole again: leaders are spread");
  }
  Memory next = c.m;
  next.token.reset();
  next.rebalance_due = false;
  Step out = Execute(Step::Kind::kRebalance, "token.rebalance",
                     absl::StrCat("the restart of ", t.name, " is over: leaders are spread"));
  out.next = std::move(next);
  return out;
}

std::optional<Step> HealPartition(const Case& c) {
  if (c.m.repair || c.m.removal) return std::nullopt;
  std::vector<const MemberFacts*> cut;
  for (const MemberEntry& e : c.m.members) {
    if (!c.Ready(e)) return std::nullopt;  // first all must be back
    if (!c.Facts(e)->partitions.empty()) cut.push_back(c.Facts(e));
  }
  if (cut.empty()) return std::nullopt;
  // Each side names the other: whoever was cut off from more nodes was on the smaller side.
  std::stable_sort(cut.begin(), cut.end(),
                   [](auto* a, auto* b) { return a->partitions.size() > b->partitions.size(); });
  if (cut[0]->partitions.size() * 2 < c.m.members.size())
    return Wait("heal.person", absl::StrCat("the network was cut into sides of the same size: ", cut[0]->name,
                                            " and ", absl::StrJoin(cut[0]->partitions, ", "),
                                            "; a person must say which one counts"));
  return Grant(c, *cut[0], "", "heal.restart",
               absl::StrCat(cut[0]->name,
                            " was on the smaller side of a cut: it restarts and takes what the others have; "
                            "what was declared on it meanwhile is lost"));
}

std::optional<Step> GrantToken(const Case& c) {
  std::vector<const MemberFacts*> wants;
  for (const MemberFacts& f : c.v.members)
    if (f.heard && !f.wish.empty() && !f.start.empty()) wants.push_back(&f);
  if (wants.empty()) return std::nullopt;
  // The leader itself last: its restart costs an election.
  std::stable_sort(wants.begin(), wants.end(),
                   [&](auto* a, auto* b) { return (a->name == c.v.self) < (b->name == c.v.self); });
  const MemberFacts& f = *wants[0];
  if (c.m.repair || c.m.removal)
    return Wait("token.busy",
                absl::StrCat(f.name, " waits for the restart token: a member is being taken in or out"));
  const std::string danger = Danger(c, f);
  // Not the last word: what is missing may be added (keep.grow) while it waits.
  if (!danger.empty()) {
    if (std::optional<Step> keep = KeepReplicas(c)) return keep;
    return Wait("token.wait", absl::StrCat(f.name, " waits for the restart token: ", danger));
  }
  return Grant(c, f, f.wish, "token.grant",
               absl::StrCat(f.name, " may restart: all is whole, no queue needs it"));
}

std::optional<Step> RebalanceDue(const Case& c) {
  if (!c.m.rebalance_due || c.m.token || c.m.repair || c.m.removal) return std::nullopt;
  if (!c.Unwhole().empty() || !c.QueueTrouble().empty()) return std::nullopt;
  if (std::any_of(c.v.members.begin(), c.v.members.end(), [](const auto& f) { return f.heard && f.alarm; }))
    return Wait("rebalance.alarm", "leaders are spread when there is no alarm");
  if (c.v.calm < c.s.quiet)
    return Wait("rebalance.quiet", "leaders are spread when nothing changed for a while");
  Memory next = c.m;
  next.rebalance_due = false;
  Step out =
      Execute(Step::Kind::kRebalance, "rebalance", "a member returned, and all is quiet: leaders are spread");
  out.next = std::move(next);
  return out;
}

}  // namespace mainstay::maintenance
