#include "lib/maintenance/member.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace mainstay::maintenance {
namespace {

using Kind = Act::Kind;

Act Make(Kind kind, const char* row, std::string sentence) {
  Act out;
  out.kind = kind;
  out.row = row;
  out.sentence = std::move(sentence);
  return out;
}
Act Rest(const char* row, std::string sentence) { return Make(Kind::kNothing, row, std::move(sentence)); }

Act Start(const char* row, std::string sentence, Begun begun, std::vector<std::string> join = {}) {
  Act out = Make(Kind::kStart, row, std::move(sentence));
  out.begun = begun;
  out.join = std::move(join);
  return out;
}

bool Mine(const Own& o, const MemberEntry* e) { return e != nullptr && e->disk == o.facts.disk; }

// Data that began by our order to join, and were never seen to belong to a cluster.
bool Unconfirmed(const Own& o) { return o.facts.begun == Begun::kJoin && o.facts.marker.empty(); }

Act StartWithData(const Own& o) {
  const MemberFacts& f = o.facts;
  if (!o.memory)
    return Start("start.data", "has data: starts, whatever there is of lock and leader", f.begun);
  const Memory& m = *o.memory;
  if (m.Forgotten(f.name, f.disk))
    return Rest("stay.forgotten", absl::StrCat(f.name,
                                               " was taken out of the cluster; its data may not come back: "
                                               "empty its disk, and it joins as a new member"));
  if (m.removal && m.removal->name == f.name && m.removal->step >= RemovalStep::kStop)
    return Rest("stay.removed", "stopped for good: it is being taken out of the cluster");
  if (!f.marker.empty() && !m.cluster_id.empty() && f.marker != m.cluster_id)
    return Rest("stay.foreign",
                absl::StrCat("the data on this disk belong to cluster ", f.marker, ", not to ", m.cluster_id,
                             ": it stays down; put the right disk in, or empty this one"));
  const MemberEntry* entry = m.Find(f.name);
  if (f.begun == Begun::kFound && f.marker.empty() && !m.cluster_id.empty() && !Mine(o, entry))
    return Rest("stay.second",
                absl::StrCat("began a cluster that was never confirmed, while ", m.cluster_id,
                             " is the one on record: it stays down; empty its disk, and it joins that one"));
  if (m.force_boot && m.force_boot->name == f.name && m.force_boot->disk == f.disk && !o.forced)
    return Make(Kind::kForceBoot, "start.forced", "a person confirmed: starts without waiting for anybody");
  return Start("start.data", "has data: starts", f.begun);
}

Act WhileStopped(const Own& o) {
  const MemberFacts& f = o.facts;
  if (o.ending) return Rest("stay.ending", "this agent ends: the broker stays down");
  if (!f.blank && Unconfirmed(o)) {
    if (!o.memory_known)
      return Rest("wait.memory", "its joining was never confirmed, and the memory cannot be read: waits");
    const MemberEntry* entry = o.memory ? o.memory->Find(f.name) : nullptr;
    if (!Mine(o, entry) || entry->state != MemberState::kMember)
      return Make(
          Kind::kWipe, "wipe.unconfirmed",
          "its joining ended before it was confirmed: what it left behind is wiped, and it joins anew");
  }
  if (!f.blank) return StartWithData(o);
  if (!o.memory_known)
    return Rest("wait.memory", "blank, and the memory cannot be read: waits (a blank member founds nothing)");
  if (!o.memory) return Rest("wait.leader", "blank: waits for a maintenance leader");
  const Memory& m = *o.memory;
  if (m.cluster_id.empty()) {
    if (m.founding && m.founding->name == f.name && m.founding->disk == f.disk && m.founding->confirmed)
      return Start("start.found", "founds the cluster", Begun::kFound);
    return Rest("wait.founder",
                absl::StrCat("blank: waits until ", m.founding ? m.founding->name : "somebody",
                             " has founded the cluster"));
  }
  const MemberEntry* entry = m.Find(f.name);
  if (!Mine(o, entry) || entry->state != MemberState::kJoining)
    return Rest("wait.turn", absl::StrCat("blank: waits for its turn to join cluster ", m.cluster_id));
  std::vector<std::string> join;
  for (const MemberEntry& e : m.members)
    if (e.name != f.name && e.state == MemberState::kMember) join.push_back(e.node);
  if (join.empty()) return Rest("wait.peers", "blank: there is no member to join");
  std::string sentence = absl::StrCat("joins ", absl::StrJoin(join, ", "));
  return Start("start.join", std::move(sentence), Begun::kJoin, std::move(join));
}

// Why it must not stop now; "": it may. A drained node has stopped its own replicas, so from then on RabbitMQ
// calls each of their queues critical: what counts is that all others run.
std::string RestartDanger(const MemberFacts& f) {
  if (f.draining) return f.running.size() < f.nodes.size() ? "another member went down" : "";
  if (!f.critical_known) return "does not know which queues need it";
  return f.critical.empty() ? "" : absl::StrCat(f.critical[0], " needs it now");
}

// Its part of a restart for which it has the token. Nothing: no token.
std::optional<Act> WithToken(const Own& o) {
  const MemberFacts& f = o.facts;
  const std::optional<Token>& t = o.memory->token;
  if (!t || t->phase != TokenPhase::kGranted || t->name != f.name || t->disk != f.disk || t->start != f.start)
    return std::nullopt;
  if (t->wish != f.wish && !t->wish.empty()) return std::nullopt;
  // Since it was granted somebody else went down.
  const std::string danger = t->wish.empty() || !f.ready() ? "" : RestartDanger(f);
  if (!danger.empty())
    return Make(Kind::kRewish, "token.critical",
                absl::StrCat("has the restart token, but ", danger, ": asks again"));
  if (f.ready() && !f.draining) return Make(Kind::kDrain, "token.drain", "has the restart token: drains");
  return Make(Kind::kStop, "token.stop", "has the restart token, and is drained: stops");
}

std::optional<Act> WhileRemoved(const Own& o) {
  const MemberFacts& f = o.facts;
  const std::optional<Removal>& r = o.memory->removal;
  if (!r || r->name != f.name) return std::nullopt;
  if (r->step >= RemovalStep::kStop)
    return Make(Kind::kStop, "removal.stop", "its replicas are elsewhere: stops for good");
  if (f.ready() && !f.draining)
    return Make(Kind::kDrain, "removal.drain", "is being taken out of the cluster: drains");
  return Rest("removal.wait", "drained: its replicas are taken away");
}

Act WhileRunning(const Own& o) {
  const MemberFacts& f = o.facts;
  if (!o.memory) return Rest("run", "runs");
  const Memory& m = *o.memory;
  if (f.ready() && !m.cluster_id.empty() && !f.cluster_id.empty() && f.cluster_id != m.cluster_id) {
    Act out = Unconfirmed(o)
                  ? Make(Kind::kStop, "stray.stop", "came up in a cluster of its own: stops")
                  : Rest("second", absl::StrCat("is of cluster ", f.cluster_id, ", while ", m.cluster_id,
                                                " is on record: it gets no clients; a person "
                                                "must say what of its data is worth keeping"));
    out.in_service = false;
    return out;
  }
  if (std::optional<Act> act = WhileRemoved(o)) return *act;
  if (std::optional<Act> act = WithToken(o)) return *act;
  if (f.broker == Broker::kStarting && m.force_boot && m.force_boot->name == f.name &&
      m.force_boot->disk == f.disk && !o.forced)
    return Make(Kind::kForceBoot, "start.forced", "a person confirmed: starts without waiting for anybody");
  if (!f.ready()) return Rest("run", absl::StrCat("is ", ToString(f.broker)));
  if (!m.cluster_id.empty() && f.cluster_id == m.cluster_id && f.marker != m.cluster_id) {
    Act out = Make(Kind::kMark, "mark", "was seen in the cluster on record: its data count from now on");
    out.marker = m.cluster_id;
    return out;
  }
  if (f.draining && o.drained_here)
    return Make(Kind::kRevive, "revive", "was drained for what is not to be any more: serves again");
  return Rest("run", "runs");
}

}  // namespace

const char* ToString(Act::Kind kind) {
  switch (kind) {
    case Kind::kNothing:
      return "nothing";
    case Kind::kStart:
      return "start";
    case Kind::kStop:
      return "stop";
    case Kind::kDrain:
      return "drain";
    case Kind::kRevive:
      return "revive";
    case Kind::kWipe:
      return "wipe";
    case Kind::kMark:
      return "mark";
    case Kind::kRewish:
      return "rewish";
    case Kind::kForceBoot:
      return "force_boot";
  }
  return "";
}

Act Decide(const Own& own) {
  if (own.facts.broker == Broker::kUnknown)
    return Rest("unknown", "the broker's process does not answer: nothing is done about it from here");
  return own.facts.broker == Broker::kStopped ? WhileStopped(own) : WhileRunning(own);
}

}  // namespace mainstay::maintenance
