// SENTINEL ...: what is told of the cluster, in Sentinel's words.
#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "lib/base/strings.h"
#include "lib/sentinel/answers.h"

namespace mainstay::sentinel {
namespace {

using Fields = std::vector<std::pair<const char*, std::string>>;

void Write(const Fields& fields, ReplyWriter* out) {
  out->Map(fields.size());
  for (const auto& [name, value] : fields) out->Bulk(name).Bulk(value);
}

std::string Flags(const char* kind, bool down, bool objectively) {
  return absl::StrCat(kind, down ? ",s_down" : "", objectively ? ",o_down" : "");
}

// Periods of a Sentinel that has none: its defaults, so that who computes with them gets something sane.
constexpr char kDownAfter[] = "5000";
constexpr char kFailoverTimeout[] = "180000";
// For clients that judge a member by these: an answer just now, or one that is long gone.
const char* Since(bool reachable) { return reachable ? "0" : "3600000"; }

void AddLink(bool reachable, Fields* to) {
  to->insert(to->end(), {{"link-pending-commands", "0"},
                         {"link-refcount", "1"},
                         {"last-ping-sent", "0"},
                         {"last-ok-ping-reply", Since(reachable)},
                         {"last-ping-reply", Since(reachable)},
                         {"down-after-milliseconds", kDownAfter}});
}

std::string HostPort(const Address& a) { return absl::StrCat(a.host, ":", a.port); }

}  // namespace

int Answers::Usable() const {
  return 1 + static_cast<int>(std::count_if(view_.peers.begin(), view_.peers.end(),
                                            [](const PeerView& p) { return p.reachable; }));
}

void Answers::Primary(const std::string& name, ReplyWriter* out) const {
  const bool down = !view_.primary.has_value();
  Fields f = {{"name", name},
              {"ip", last_primary_->host},
              {"port", std::to_string(last_primary_->port)},
              {"runid", view_.primary_run_id},
              {"flags", Flags("master", down, down)}};
  AddLink(!down, &f);
  f.insert(f.end(), {{"info-refresh", Since(!down)},
                     {"role-reported", "master"},
                     {"role-reported-time", "0"},
                     {"config-epoch", std::to_string(view_.epoch)},
                     {"num-slaves", std::to_string(view_.replicas.size())},
                     {"num-other-sentinels", std::to_string(view_.peers.size())},
                     {"quorum", std::to_string(view_.voters / 2 + 1)},
                     {"failover-timeout", kFailoverTimeout},
                     {"parallel-syncs", "1"}});
  Write(f, out);
}

void Answers::Replica(const ReplicaView& replica, ReplyWriter* out) const {
  Fields f = {{"name", HostPort(replica.address)},
              {"ip", replica.address.host},
              {"port", std::to_string(replica.address.port)},
              {"runid", replica.run_id},
              {"flags", absl::StrCat(Flags("slave", !replica.reachable, false),
                                     replica.reachable ? "" : ",disconnected")}};
  AddLink(replica.reachable, &f);
  f.insert(f.end(), {{"info-refresh", Since(replica.reachable)},
                     {"role-reported", "slave"},
                     {"role-reported-time", "0"},
                     {"master-link-down-time", replica.link_up ? "0" : "1000"},
                     {"master-link-status", replica.link_up ? "ok" : "err"},
                     {"master-host", last_primary_ ? last_primary_->host : "?"},
                     {"master-port", std::to_string(last_primary_ ? last_primary_->port : 0)},
                     {"slave-priority", std::to_string(replica.priority)},
                     {"slave-repl-offset", std::to_string(replica.offset)},
                     {"replica-announced", "1"}});
  Write(f, out);
}

void Answers::Peer(const PeerView& peer, ReplyWriter* out) const {
  Fields f = {{"name", peer.id},
              {"ip", peer.address.host},
              {"port", std::to_string(peer.address.port)},
              {"runid", peer.id},
              {"flags", absl::StrCat(Flags("sentinel", !peer.reachable, false),
                                     peer.reachable ? "" : ",disconnected")}};
  AddLink(peer.reachable, &f);
  f.insert(
      f.end(),
      {{"last-hello-message", Since(peer.reachable)}, {"voted-leader", "?"}, {"voted-leader-epoch", "0"}});
  Write(f, out);
}

void Answers::Quorum(ReplyWriter* out) const {
  const int usable = Usable();
  if (view_.can_elect && usable > view_.voters / 2) {
    out->Simple(
        absl::StrCat("OK ", usable, " usable Sentinels. Quorum and failover authorization can be reached"));
  } else {
    out->Error(absl::StrCat(
        "NOQUORUM ", usable,
        " usable Sentinels. Not enough available Sentinels to reach the majority and authorize a failover"));
  }
}

void Answers::OfName(const std::string& subcommand, const Call& call) const {
  ReplyWriter* const out = call.out;
  if (call.words.size() != 3) {
    out->Error(absl::StrCat("ERR wrong number of arguments for 'sentinel|", subcommand, "' command"));
    return;
  }
  const std::string& name = call.words[2];
  // Of a name that nobody knows Sentinel says nil here and an error elsewhere.
  if (subcommand == "get-master-addr-by-name") {
    if (KnowsName(name) && view_.primary.has_value()) {
      out->Array(2).Bulk(view_.primary->host).Bulk(std::to_string(view_.primary->port));
    } else {
      out->NilArray();
    }
    return;
  }
  if (!KnowsName(name) || !last_primary_.has_value()) {
    out->Error("ERR No such master with that name");
  } else if (subcommand == "master") {
    Primary(name, out);
  } else if (subcommand == "replicas" || subcommand == "slaves") {
    out->Array(view_.replicas.size());
    for (const ReplicaView& replica : view_.replicas) Replica(replica, out);
  } else if (subcommand == "sentinels") {
    out->Array(view_.peers.size());
    for (const PeerView& peer : view_.peers) Peer(peer, out);
  } else {
    Quorum(out);
  }
}

void Answers::Sentinel(const Call& call) const {
  static constexpr const char* kOfName[] = {
      "get-master-addr-by-name", "master", "replicas", "slaves", "sentinels", "ckquorum"};
  const std::string what = call.words.size() > 1 ? absl::AsciiStrToLower(call.words[1]) : "";
  if (std::find(std::begin(kOfName), std::end(kOfName), what) != std::end(kOfName)) return OfName(what, call);
  if (what == "masters" && call.words.size() == 2) {
    call.out->Array(last_primary_.has_value() ? identity_.names.size() : 0);
    for (const std::string& name : identity_.names) {
      if (last_primary_.has_value()) Primary(name, call.out);
    }
  } else if (what == "myid" && call.words.size() == 2) {
    call.out->Bulk(identity_.id);
  } else if (what == "pending-scripts" && call.words.size() == 2) {
    call.out->Array(0);
  } else {
    call.out->Error(absl::StrCat("ERR 'SENTINEL ", Cut(what, 60),
                                 "' is not answered: nothing is changed here; use `mainstay switchover`, "
                                 "`mainstay pause` and the configuration"));
  }
}

// A replica that is new, lost or back since the view that is in force.
void Answers::Tell(const ReplicaView& now, std::vector<Message>* out) const {
  if (!last_primary_.has_value()) return;
  const auto was = std::find_if(view_.replicas.begin(), view_.replicas.end(),
                                [&](const ReplicaView& r) { return r.address == now.address; });
  const bool fresh = was == view_.replicas.end();
  const auto told = [&](const char* channel) {
    for (const std::string& name : identity_.names) {
      out->push_back({channel, absl::StrCat("slave ", HostPort(now.address), " ", now.address.host, " ",
                                            now.address.port, " @ ", name, " ", last_primary_->host, " ",
                                            last_primary_->port)});
    }
  };
  if (fresh) told("+slave");
  if (!now.reachable && (fresh || was->reachable)) told("+sdown");
  if (now.reachable && !fresh && !was->reachable) told("-sdown");
}

// In Sentinel's order: a primary that is not certain is down first; then the switch; then who follows.
std::vector<Message> Answers::Update(View view) {
  std::vector<Message> out;
  const std::optional<Address> before = last_primary_;
  const auto told = [&](const char* channel, const std::string& payload) {
    out.push_back({channel, payload});
  };
  const auto primary = [&](const char* channel, const Address& a, const char* more) {
    for (const std::string& name : identity_.names)
      told(channel, absl::StrCat("master ", name, " ", a.host, " ", a.port, more));
  };
  if (before.has_value() && !view.primary.has_value() && !told_down_) {
    primary("+sdown", *before, "");
    primary("+odown", *before, absl::StrCat(" #quorum ", Usable(), "/", view.voters / 2 + 1).c_str());
    told_down_ = true;
  }
  if (view.primary.has_value()) {
    if (before.has_value() && !(*before == *view.primary)) {
      for (const std::string& name : identity_.names) {
        told("+switch-master", absl::StrCat(name, " ", before->host, " ", before->port, " ",
                                            view.primary->host, " ", view.primary->port));
      }
    } else if (told_down_) {
      primary("-sdown", *view.primary, "");
      primary("-odown", *view.primary, "");
    }
    told_down_ = false;
    last_primary_ = view.primary;
  }
  for (const ReplicaView& now : view.replicas) Tell(now, &out);
  view_ = std::move(view);
  return out;
}

}  // namespace mainstay::sentinel
