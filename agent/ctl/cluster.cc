#include "agent/ctl/cluster.h"

#include <algorithm>
#include <set>
#include <tuple>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "agent/ctl/table.h"
#include "lib/rpc/address.h"
#include "lib/rpc/admin_client.h"

namespace mainstay::ctl {
namespace {

constexpr size_t kMaxAsked = 32;

// Adds the answers of `addresses` that were not asked before.
void Ask(const std::vector<std::string>& addresses, bool decisions, Duration patience,
         const std::shared_ptr<rpc::TlsFiles>& tls, Cluster* cluster) {
  std::vector<std::string> fresh;
  for (const std::string& a : addresses) {
    const bool known = std::any_of(cluster->answers.begin(), cluster->answers.end(),
                                   [&](const Answer& x) { return x.address == a; });
    const bool twice = std::find(fresh.begin(), fresh.end(), a) != fresh.end();
    if (!known && !twice && rpc::CheckAddress(a).empty() &&
        cluster->answers.size() + fresh.size() < kMaxAsked)
      fresh.push_back(a);
  }
  if (fresh.empty()) return;
  auto statuses = rpc::GetStatuses(fresh, decisions, patience, tls);
  for (size_t i = 0; i < fresh.size(); ++i) cluster->answers.push_back({fresh[i], std::move(statuses[i])});
}

double Seconds(const google::protobuf::Duration& d) {
  return static_cast<double>(d.seconds()) + d.nanos() / 1e9;
}

bool LeadsNow(const v1::Status& s) {
  return s.role() == v1::ROLE_PRIMARY && s.lock().has_remaining() && Seconds(s.lock().remaining()) > 0;
}

// The newest view: the highest epoch; of equals the leader's own, then the one that saw the record change
// last.
void ChooseBest(Cluster* cluster) {
  std::tuple<int64_t, bool, double> best_key;
  for (const Answer& a : cluster->answers) {
    if (!a.status.ok()) continue;
    const v1::Status& s = *a.status;
    const double age = s.lock().has_record_age() ? Seconds(s.lock().record_age()) : 1e9;
    const std::tuple<int64_t, bool, double> key{s.epoch(), LeadsNow(s), -age};
    if (cluster->best == nullptr || key > best_key) {
      cluster->best = &s;
      best_key = key;
    }
  }
  if (cluster->best == nullptr) return;
  cluster->epoch = cluster->best->epoch();
  cluster->leader = LeadsNow(*cluster->best) ? cluster->best->member() : cluster->best->leader();
}

v1::MemberStatus OwnRow(const v1::Status& s) {
  v1::MemberStatus row;
  for (const auto& m : s.members()) {
    if (m.name() == s.member()) row = m;
  }
  row.set_name(s.member());
  row.set_role(s.role());
  row.set_state(s.database().state());
  row.set_timeline(s.database().timeline());
  row.set_offset(s.database().offset());
  if (!s.database().activity().empty()) row.set_detail(s.database().activity());
  row.mutable_age()->Clear();  // it answered just now
  return row;
}

void Merge(Cluster* cluster) {
  for (const auto& row : cluster->best->members()) {
    auto& known = cluster->members[row.name()];
    known.row = row;
    known.address = row.peer_address();
  }
  for (const Answer& a : cluster->answers) {
    if (!a.status.ok()) continue;
    for (const auto& row : a.status->members()) {  // members that only an older view knows
      auto [it, fresh] = cluster->members.try_emplace(row.name());
      if (fresh) it->second.row = row;
      if (it->second.address.empty()) it->second.address = row.peer_address();
    }
  }
  for (const Answer& a : cluster->answers) {
    if (!a.status.ok() || a.status->cluster() != cluster->best->cluster()) continue;
    auto& known = cluster->members[a.status->member()];
    const v1::MemberStatus before = known.row;
    known.row = OwnRow(*a.status);
    known.row.set_in_record(before.in_record());
    known.row.set_voter(before.voter());
    known.row.set_sync(before.sync());
    if (before.has_lag_bytes()) known.row.set_lag_bytes(before.lag_bytes());
    known.address = a.address;
    known.own = &*a.status;
    if (a.status->member() == cluster->leader) cluster->leader_answers = true;
  }
  for (const Answer& a : cluster->answers) {
    if (a.status.ok()) continue;
    for (auto& [name, known] : cluster->members) {
      if (known.own == nullptr && known.address == a.address)
        known.error = std::string(a.status.status().message());
    }
  }
}

void MarkUnasked(Cluster* cluster) {
  for (auto& [name, known] : cluster->members)
    known.unasked = cluster->closed && known.own == nullptr && known.error.empty();
}

void Warn(Cluster* cluster) {
  std::vector<std::string> primaries;
  std::set<std::string> said;
  for (const Answer& a : cluster->answers) {
    if (!a.status.ok()) {
      const bool member = std::any_of(cluster->members.begin(), cluster->members.end(), [&](const auto& m) {
        return m.second.address == a.address && m.second.own == nullptr;
      });
      if (!member)
        cluster->warnings.push_back(
            absl::StrCat(a.address, " does not answer: ", a.status.status().message()));
      continue;
    }
    if (a.status->cluster() != cluster->best->cluster()) {
      cluster->warnings.push_back(
          absl::StrCat(a.address, " belongs to another cluster, ", a.status->cluster()));
      continue;
    }
    if (a.status->database().writable()) primaries.push_back(a.status->member());
    for (const std::string& w : a.status->warnings()) {
      if (said.insert(w).second) cluster->warnings.push_back(absl::StrCat(a.status->member(), ": ", w));
    }
  }
  if (cluster->closed) {
    cluster->warnings.push_back(
        "the others are shown as this member sees them: they answer only by TLS; give --tls-ca, --tls-cert "
        "and "
        "--tls-key, or --config");
  }
  for (const auto& [name, known] : cluster->members) {
    if (known.own != nullptr || known.unasked) continue;
    cluster->warnings.push_back(known.error.empty()
                                    ? absl::StrCat(name, " has no known address: nothing can be asked of it")
                                    : absl::StrCat(name, " does not answer: ", known.error));
  }
  if (primaries.size() > 1) {
    cluster->warnings.push_back(
        absl::StrCat("more than one member says that it accepts writes: ", absl::StrJoin(primaries, ", "),
                     "; ask again: the answers are of different moments"));
  }
  if (cluster->leader.empty())
    cluster->warnings.push_back(
        "nobody leads: no writes are accepted; `mainstay why` tells what is waited for");
}

}  // namespace

std::vector<std::string> Cluster::Addresses() const {
  std::vector<std::string> out;
  for (const auto& [name, known] : members) {
    if (!known.address.empty()) out.push_back(known.address);
  }
  return out;
}

Cluster Discover(const std::vector<std::string>& seeds, bool decisions, Duration patience,
                 const std::shared_ptr<rpc::TlsFiles>& tls) {
  Cluster cluster;
  cluster.answers.reserve(kMaxAsked);  // pointers into it stay good
  Ask(seeds, decisions, patience, tls, &cluster);
  std::vector<std::string> more;
  std::set<std::string> answered;  // members that answered, maybe under another address than others know
  for (const Answer& a : cluster.answers) {
    if (a.status.ok()) answered.insert(a.status->member());
  }
  for (const Answer& a : cluster.answers) {
    if (!a.status.ok()) continue;
    for (const auto& m : a.status->members()) {
      if (answered.count(m.name()) > 0) continue;
      // Without a certificate they would refuse us: their agent tells it, instead of a time-out.
      const bool closed = tls == nullptr && !a.status->peer_tls_name().empty() &&
                          !absl::StartsWith(m.peer_address(), "unix:");
      if (closed) {
        cluster.closed = true;
      } else {
        more.push_back(m.peer_address());
      }
    }
  }
  Ask(more, decisions, patience, tls, &cluster);
  ChooseBest(&cluster);
  if (cluster.best != nullptr) {
    Merge(&cluster);
    MarkUnasked(&cluster);
    Warn(&cluster);
  }
  return cluster;
}

std::string UnreachableMessage(const Seeds& seeds, const Cluster& cluster) {
  std::string out = absl::StrCat("no agent answers (addresses from ", seeds.from, "):\n");
  for (const Answer& a : cluster.answers) {
    if (!a.status.ok())
      absl::StrAppend(&out, "  ", a.address, ": ", Printable(std::string(a.status.status().message())), "\n");
  }
  return out +
         "Is the agent running? Tell where it is with --address HOST:PORT, --config FILE or "
         "MAINSTAY_ADDRESS." +
         (seeds.tls == nullptr ? " An agent with TLS needs --tls-ca, --tls-cert and --tls-key, too.\n"
                               : "\n");
}

}  // namespace mainstay::ctl
