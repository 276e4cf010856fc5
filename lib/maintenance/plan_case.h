// The inside of Plan: one question, and what its rows share. Only for plan*.cc.
//
// Thread rules: plain values that borrow the View and the Memory they were made of. Errors: none; a check
// answers with what is wrong, "" is nothing.
#ifndef MAINSTAY_LIB_MAINTENANCE_PLAN_CASE_H_
#define MAINSTAY_LIB_MAINTENANCE_PLAN_CASE_H_

#include <optional>
#include <string>
#include <vector>

#include "lib/maintenance/plan.h"

namespace mainstay::maintenance {

struct Case {
  const View& v;
  const Memory& m;
  const Settings& s;

  const MemberFacts* Facts(const MemberEntry& e) const { return v.Find(e.name); }
  const MemberFacts* Self() const { return v.Find(v.self); }
  // Ready, in the cluster on record, on the disk on record.
  bool Ready(const MemberEntry& e) const;
  bool Usable(const MemberEntry& e) const;  // and not drained
  const MemberEntry* SelfEntry() const { return m.Find(v.self); }
  bool SelfUsable() const { return SelfEntry() != nullptr && Usable(*SelfEntry()); }
  // Its disk is not the one on record, and blank: what was on it is gone.
  bool Lost(const MemberEntry& e) const;
  bool NeedsRepair(const MemberFacts& f) const;

  // What keeps the cluster from being whole: every member serves, and each sees all others. `but`: does not
  // count.
  std::string Unwhole(const std::string& but = "") const;
  // What is missing of the quorum queues: a leader, a replica, or what a replica has to catch up.
  std::string QueueTrouble() const;
  size_t Target() const;  // replicas a queue shall have
  size_t Syncing() const;
  struct Missing {
    std::string vhost, queue, node;
  };
  // A queue with fewer replicas than it shall have, and a node for one more; `only`: on that node.
  std::optional<Missing> FindMissing(const std::string& only, const std::string& but) const;
};

bool Contains(const std::vector<std::string>& list, const std::string& item);

Step Wait(const char* row, std::string sentence);
Step Record(const char* row, std::string sentence, Memory next);
Step Execute(Step::Kind kind, const char* row, std::string sentence, std::string node = "");
Step AddReplica(const char* row, const Case::Missing& missing);

// The rows, in the order in which they are asked. Nothing: not their business.
Step PlanWithoutMemory(const View& view, int64_t epoch);  // plan_found.cc
Step PlanFounding(const Case& c);                         // plan_found.cc
std::optional<Step> AnswerRequest(const Case& c);         // plan_admin.cc
std::optional<Step> ContinueRemoval(const Case& c);       // plan_admin.cc
std::optional<Step> Learn(const Case& c);                 // plan_members.cc
std::optional<Step> Repairs(const Case& c);               // plan_members.cc
std::optional<Step> KeepReplicas(const Case& c);          // plan_members.cc
std::optional<Step> ContinueToken(const Case& c);         // plan_restart.cc
std::optional<Step> GrantToken(const Case& c);            // plan_restart.cc
std::optional<Step> HealPartition(const Case& c);         // plan_restart.cc
std::optional<Step> RebalanceDue(const Case& c);          // plan_restart.cc

}  // namespace mainstay::maintenance

#endif  // MAINSTAY_LIB_MAINTENANCE_PLAN_CASE_H_
