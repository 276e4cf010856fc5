#include "agent/ctl/render.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "agent/ctl/table.h"
#include "lib/base/json.h"
#include "lib/base/wall_clock.h"
#include "lib/rpc/json.h"

namespace mainstay::ctl {
namespace {

double Seconds(const google::protobuf::Duration& d) {
  return static_cast<double>(d.seconds()) + d.nanos() / 1e9;
}

template <typename E>
std::string Text(const google::protobuf::EnumDescriptor* type, E value) {
  const auto* v = type->FindValueByNumber(value);
  return v == nullptr ? "?" : rpc::EnumText(v);
}

std::string StateText(const Cluster::Known& known) {
  if (known.unasked) return Text(v1::DbState_descriptor(), known.row.state());
  if (known.own == nullptr) return "no answer";
  const auto& db = known.own->database();
  if (db.state() == v1::DB_STATE_RUNNING) {
    if (db.verdict() == v1::VERDICT_HUNG) return "hung";
    if (db.verdict() == v1::VERDICT_SATURATED) return "saturated";
    if (known.own->role() == v1::ROLE_REPLICA) return db.streaming_from().empty() ? "waiting" : "streaming";
  }
  if (db.empty() && db.state() == v1::DB_STATE_STOPPED) return "empty";
  return Text(v1::DbState_descriptor(), db.state());
}

Colour RowColour(const Cluster::Known& known) {
  const std::string state = StateText(known);
  if (state == "no answer" || state == "dead" || state == "hung") return Colour::kRed;
  if (state == "streaming" || (state == "running" && known.row.role() == v1::ROLE_PRIMARY))
    return Colour::kGreen;
  return Colour::kYellow;
}

// "yes": writes wait for it and the record says so, so it may take over alone. The database waits for it a
// probe before the record names it; a primary that ends in between has no heir that could be sure.
std::string SyncText(const v1::MemberStatus& row) {
  if (row.sync()) return row.voter() ? "yes" : "joining";
  return row.voter() ? "voter" : "-";
}

std::string MemberTable(const Cluster& cluster, bool colours) {
  Table table({"MEMBER", "ROLE", "STATE", "TL", "LAG", "SYNC", "PRIO", "AGE", "DETAIL"}, 8);
  for (const auto& [name, known] : cluster.members) {
    const auto& row = known.row;
    const bool leads = name == cluster.leader;
    std::string detail = Printable(row.detail());
    if (!row.in_record() && detail.empty()) detail = "not in the record yet";
    std::string priority = row.no_failover() ? "never" : absl::StrCat(row.priority());
    // An own answer is of now; otherwise since when the others miss it.
    const std::string age = known.own != nullptr ? "now" : row.has_age() ? Ago(Seconds(row.age())) : "never";
    table.Add(
        {Printable(name),
         known.own == nullptr && row.role() == v1::ROLE_UNSPECIFIED ? "-"
                                                                    : Text(v1::Role_descriptor(), row.role()),
         StateText(known), row.timeline() == 0 ? "-" : absl::StrCat(row.timeline()),
         leads                 ? "-"
         : row.has_lag_bytes() ? Bytes(row.lag_bytes())
                               : "?",
         leads ? "-" : SyncText(row), priority, age, detail},
        RowColour(known));
  }
  return table.ToString(colours);
}

std::string LockLine(const Cluster& cluster) {
  const auto& lock = cluster.best->lock();
  std::string out =
      absl::StrCat(Printable(lock.where()), ": ", Text(v1::LockHealth_descriptor(), lock.health()));
  if (lock.has_record_age())
    absl::StrAppend(&out, ", record changed ", Ago(Seconds(lock.record_age())), " ago");
  if (lock.has_remaining())
    absl::StrAppend(&out, ", permission for ", Ago(Seconds(lock.remaining())), " more");
  if (!lock.problem().empty()) absl::StrAppend(&out, "; ", Printable(lock.problem()));
  return out;
}

std::string DurabilityLine(const Cluster& cluster) {
  const auto& d = cluster.best->durability();
  const std::string in_force = Text(v1::Durability_descriptor(), d.in_force());
  std::string out = in_force;
  if (d.wished() != d.in_force())
    absl::StrAppend(&out, " (wished: ", Text(v1::Durability_descriptor(), d.wished()), ")");
  if (d.in_force() == v1::DURABILITY_ASYNC) return out + ": the primary acknowledges alone";
  if (d.sync_k() > 0) {
    absl::StrAppend(&out, ": ", d.sync_k(), " of ", absl::StrJoin(d.sync_names(), ", "), " acknowledge",
                    d.sync_k() == 1 ? "s" : "", " each write");
  } else {
    absl::StrAppend(&out, d.in_force() == v1::DURABILITY_STRICT
                              ? ": no standby acknowledges, writes wait"
                              : ": no standby acknowledges, the primary is alone");
  }
  if (d.voters_size() > 0) {
    absl::StrAppend(&out, "; sync set {", absl::StrJoin(d.voters(), ", "), "}, a takeover must freeze ",
                    d.freeze());
  }
  return Printable(out);
}

std::string When(const google::protobuf::Timestamp& t) {
  return FormatUtcMillis(t.seconds() * 1000 + t.nanos() / 1000000);
}

// What is not known is said to be so.
std::string LossText(const std::string& member, const v1::Loss& l) {
  std::string out = absl::StrCat(Printable(member), ", ", When(l.time()), ": ");
  absl::StrAppend(&out, !l.has_bytes() ? "unknown bytes, perhaps none,"
                        : l.at_least() ? absl::StrCat("at least ", Bytes(l.bytes()))
                                       : Bytes(l.bytes()));
  absl::StrAppend(&out, " of epoch ", l.epoch() == 0 ? "unknown" : absl::StrCat(l.epoch()));
  if (!l.from().empty()) absl::StrAppend(&out, " of ", Printable(l.from()));
  absl::StrAppend(&out, " are not at ", Printable(l.leader()), "; written between ",
                  l.has_since() ? When(l.since()) : "an unknown time", " and ",
                  l.has_until() ? When(l.until()) : "an unknown time");
  absl::StrAppend(&out, "; keys changed: ",
                  l.has_changes_at_most() ? absl::StrCat("at most ", l.changes_at_most()) : "unknown");
  if (l.has_keys_here() && l.has_keys_there())
    absl::StrAppend(&out, "; keys: ", l.keys_here(), " there, ", l.keys_there(), " at ",
                    Printable(l.leader()));
  return out;
}

// The newest of each member: one failover has one of the successor and one of the member that came back.
std::string LossLines(const Cluster& cluster, bool colours) {
  std::string out;
  for (const auto& [name, known] : cluster.members) {
    if (known.own == nullptr || known.own->losses_size() == 0) continue;
    const v1::Loss& l = known.own->losses(known.own->losses_size() - 1);
    absl::StrAppend(&out, Paint("Lost        ", Colour::kYellow, colours), Wrap(LossText(name, l), 12), "\n");
  }
  return out;
}

// ---- RabbitMQ: no primary, no lock to write under, no position ----

std::string BrokerTable(const Cluster& cluster, bool colours) {
  Table table({"MEMBER", "NODE", "STATE", "READY", "SEES", "DETAIL"}, 5);
  for (const auto& [name, known] : cluster.members) {
    if (known.own == nullptr || !known.own->has_broker()) {
      table.Add({Printable(name), "-", "no answer", "-", "-", Printable(known.error)}, Colour::kRed);
      continue;
    }
    const v1::Broker& b = known.own->broker();
    const bool well = b.state() == "running";
    const std::string sees = absl::StrCat(b.running_size(), "/", b.members_size());
    table.Add({Printable(name), Printable(b.node()), Printable(b.state()), b.ready() ? "yes" : "no", sees,
               well ? "" : Printable(b.sentence())},
              well && b.ready() ? Colour::kGreen
              : b.live()        ? Colour::kYellow
                                : Colour::kRed);
  }
  return table.ToString(colours);
}

std::string RenderBrokers(const Cluster& cluster, bool colours) {
  const v1::Status& s = *cluster.best;
  std::string out = absl::StrCat("Cluster ", Paint(Printable(s.cluster()), Colour::kBold, colours),
                                 "  rabbitmq ", Printable(s.database().version()), "  ",
                                 Printable(s.broker().cluster_id()), "\n", BrokerTable(cluster, colours));
  for (const std::string& w : s.broker().work())
    absl::StrAppend(&out, "Work        ", Wrap(Printable(w), 12), "\n");
  for (const std::string& w : cluster.warnings) {
    absl::StrAppend(&out, Paint("Warning     ", Colour::kYellow, colours), Wrap(Printable(w), 12), "\n");
  }
  return out;
}

std::string Heading(const Cluster& cluster, bool colours) {
  const v1::Status& s = *cluster.best;
  std::string leader = cluster.leader.empty()
                           ? Paint("nobody leads", Colour::kRed, colours)
                           : absl::StrCat("leader ", Printable(cluster.leader),
                                          cluster.leader_answers || cluster.closed ? "" : " (no answer)");
  std::string out = absl::StrCat("Cluster ", Paint(Printable(s.cluster()), Colour::kBold, colours), "  ",
                                 Printable(s.engine()), " ", Printable(s.database().version()), "  epoch ",
                                 cluster.epoch, "  ", leader);
  if (s.paused())
    absl::StrAppend(&out, "  ", Paint("PAUSED: no automatic failover", Colour::kYellow, colours));
  if (!s.pending_id().empty()) {
    absl::StrAppend(&out, "  switchover", s.pending_target().empty() ? "" : " to ",
                    Printable(s.pending_target()), " under way");
  }
  return out + "\n";
}

}  // namespace

std::string RenderStatus(const Cluster& cluster, bool colours) {
  if (!cluster.reachable()) return "";
  if (cluster.best->has_broker()) return RenderBrokers(cluster, colours);
  std::string out = Heading(cluster, colours) + MemberTable(cluster, colours);
  absl::StrAppend(&out, "Lock        ", Wrap(LockLine(cluster), 12), "\n");
  absl::StrAppend(&out, "Durability  ", Wrap(DurabilityLine(cluster), 12), "\n");
  out += LossLines(cluster, colours);
  for (const std::string& w : cluster.warnings) {
    absl::StrAppend(&out, Paint("Warning     ", Colour::kYellow, colours), Wrap(Printable(w), 12), "\n");
  }
  return out;
}

std::string StatusJson(const Cluster& cluster, bool pretty) {
  OrderedJson out;
  out["cluster"] = cluster.best->cluster();
  out["leader"] = cluster.leader;
  out["leader_answers"] = cluster.leader_answers;
  out["epoch"] = cluster.epoch;
  out["paused"] = cluster.best->paused();
  out["lock"] = OrderedJson::parse(rpc::MessageToJson(cluster.best->lock(), false), nullptr, false);
  out["durability"] =
      OrderedJson::parse(rpc::MessageToJson(cluster.best->durability(), false), nullptr, false);
  out["members"] = OrderedJson::array();
  for (const auto& [name, known] : cluster.members) {
    OrderedJson member = OrderedJson::parse(rpc::MessageToJson(known.row, false), nullptr, false);
    member["answers"] = known.own != nullptr;
    member["summary"] = StateText(known);
    if (known.own != nullptr)
      member["status"] = OrderedJson::parse(rpc::MessageToJson(*known.own, false), nullptr, false);
    out["members"].push_back(std::move(member));
  }
  out["losses"] = OrderedJson::array();
  for (const auto& [name, known] : cluster.members) {
    if (known.own == nullptr) continue;
    for (const v1::Loss& l : known.own->losses()) {
      OrderedJson loss;
      loss["member"] = name;
      const OrderedJson rest = OrderedJson::parse(rpc::MessageToJson(l, false), nullptr, false);
      for (const auto& [key, value] : rest.items()) loss[key] = value;
      out["losses"].push_back(std::move(loss));
    }
  }
  out["warnings"] = cluster.warnings;
  return out.dump(pretty ? 2 : -1, ' ', false, OrderedJson::error_handler_t::replace);
}

std::vector<MemberDecision> CollectDecisions(const Cluster& cluster, const std::string& member,
                                             size_t limit) {
  std::vector<MemberDecision> out;
  for (const auto& [name, known] : cluster.members) {
    if (known.own == nullptr || (!member.empty() && name != member)) continue;
    for (const auto& d : known.own->decisions()) out.push_back({name, d});
  }
  // By wall clock: of different machines only roughly comparable, so epochs go first.
  std::stable_sort(out.begin(), out.end(), [](const MemberDecision& a, const MemberDecision& b) {
    const auto key = [](const MemberDecision& m) {
      return std::pair(m.decision.time().seconds(), m.decision.time().nanos());
    };
    return key(a) < key(b);
  });
  if (out.size() > limit) out.erase(out.begin(), out.end() - static_cast<std::ptrdiff_t>(limit));
  return out;
}

std::string RenderDecisions(const std::vector<MemberDecision>& decisions, bool colours) {
  std::string out;
  for (const MemberDecision& m : decisions) {
    const auto& d = m.decision;
    const std::string when = FormatUtcMillis(d.time().seconds() * 1000 + d.time().nanos() / 1000000);
    absl::StrAppend(
        &out,
        Paint(absl::StrCat(when, "  ", Printable(m.member), "  epoch ", d.epoch(), "  ", Printable(d.row())),
              Colour::kBold, colours),
        "\n    ", Wrap(Printable(d.sentence()), 4), "\n");
    if (!d.facts().empty())
      absl::StrAppend(&out, "    ", Paint(Wrap(Printable(d.facts()), 4), Colour::kDim, colours), "\n");
  }
  return out.empty() ? "No decision is kept: the agent started just now.\n" : out;
}

std::string DecisionsJson(const std::vector<MemberDecision>& decisions) {
  OrderedJson out = OrderedJson::array();
  for (const MemberDecision& m : decisions) {
    OrderedJson one;
    one["member"] = m.member;
    const OrderedJson rest = OrderedJson::parse(rpc::MessageToJson(m.decision, false), nullptr, false);
    for (const auto& [key, value] : rest.items()) one[key] = value;
    out.push_back(std::move(one));
  }
  return out.dump(2, ' ', false, OrderedJson::error_handler_t::replace);
}

}  // namespace mainstay::ctl
