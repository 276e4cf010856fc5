#include "agent/config_check.h"

#include <set>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "agent/config_schema.h"
#include "google/protobuf/util/time_util.h"
#include "lib/rpc/address.h"
#include "mainstay/v1/config.pb.h"

namespace mainstay::agent {
namespace {

bool IsName(const std::string& s) {
  if (s.empty() || s.size() > 40) return false;
  for (char c : s) {
    const unsigned char u = static_cast<unsigned char>(c);
    if (!(absl::ascii_islower(u) || absl::ascii_isdigit(u) || c == '-')) return false;
  }
  return true;
}

// A DNS label, or with `dots` a subdomain: what Kubernetes takes as names.
bool IsDns(const std::string& s, size_t max, bool dots) {
  if (s.empty() || s.size() > max) return false;
  char before = '.';
  for (char c : s) {
    const bool word = absl::ascii_islower(static_cast<unsigned char>(c)) ||
                      absl::ascii_isdigit(static_cast<unsigned char>(c));
    if (!word && c != '-' && !(dots && c == '.')) return false;
    if ((c == '-' || c == '.') && before == '.') return false;
    if (c == '.' && before == '-') return false;
    before = c;
  }
  return before != '-' && before != '.';
}

// "role" or "mainstay.io/role".
bool IsLabelKey(const std::string& s) {
  const size_t slash = s.find('/');
  if (slash != std::string::npos && !IsDns(s.substr(0, slash), 253, true)) return false;
  const std::string name = slash == std::string::npos ? s : s.substr(slash + 1);
  if (name.empty() || name.size() > 63) return false;
  for (char c : name) {
    if (!absl::ascii_isalnum(static_cast<unsigned char>(c)) && c != '-' && c != '_' && c != '.') return false;
  }
  return absl::ascii_isalnum(static_cast<unsigned char>(name.front())) &&
         absl::ascii_isalnum(static_cast<unsigned char>(name.back()));
}

// One pass over the message, section by section.
class Checker {
 public:
  Checker(const v1::AgentConfig& message, const AddProblem& add) : m_(message), add_(add) {}

  void All() {
    Names();
    Lock();
    Times();
    Tls();
    Addresses();
    CheckHttp(m_, add_);
    if (m_.engine() == v1::AgentConfig::ENGINE_FAKE) return;
    Absolute("shim.socket", m_.shim().socket(), "the unix socket of mainstay-shim");
    if (m_.engine() == v1::AgentConfig::ENGINE_REDIS) {
      CheckRedis(m_, add_);
      return;
    }
    if (m_.engine() == v1::AgentConfig::ENGINE_RABBITMQ) {
      CheckRabbitmq(m_, add_);
      return;
    }
    CheckPostgresql(m_.postgresql(), add_);
    CheckMetrics(m_.metrics(), add_);
  }

 private:
  void Name(const std::string& path, const std::string& value) {
    if (value.empty()) {
      add_(path, "", "is missing", "give one of [a-z0-9-], 1 to 40 characters");
    } else if (!IsName(value)) {
      add_(path, value, "is no name", "use 1 to 40 of the characters a-z, 0-9 and -");
    }
  }

  void Names() {
    Name("cluster", m_.cluster());
    Name("name", m_.name());
    if (m_.uid().size() > 64 || m_.uid().find_first_of("_ \t\"\\") != std::string::npos) {
      add_("uid", m_.uid(), "is no identity", "use at most 64 characters without blanks, quotes and _");
    }
    if (m_.members_size() > static_cast<int>(election::kMaxMembers)) {
      add_("members", absl::StrCat(m_.members_size()), "are too many",
           absl::StrCat("name at most ", election::kMaxMembers));
    }
    std::set<std::string> seen;
    for (int i = 0; i < m_.members_size(); ++i) {
      const auto& member = m_.members(i);
      const std::string path = absl::StrCat("members[", i, "]");
      Name(absl::StrCat(path, ".name"), member.name());
      if (!seen.insert(member.name()).second)
        add_(absl::StrCat(path, ".name"), member.name(), "is there twice", "names are unique");
      if (member.name() != m_.name() || !member.peer().empty())
        Reachable(absl::StrCat(path, ".peer"), member.peer());
    }
    if (m_.tags().priority() < 0 || m_.tags().priority() > 1000) {
      add_("tags.priority", absl::StrCat(m_.tags().priority()), "is out of bounds", "give 0 to 1000");
    }
    const v1::Audit& audit = m_.audit();
    if (audit.database_log_rate() < 0) {
      add_("audit.database_log_rate", absl::StrCat(audit.database_log_rate()), "is out of bounds",
           "give lines a second, or 0 for no limit");
    }
    if (audit.database_log_rate() > 0 && audit.database_log_burst() < 1) {
      add_("audit.database_log_burst", absl::StrCat(audit.database_log_burst()), "is out of bounds",
           "give 1 or more");
    }
    if (m_.sync_count() < 1 || m_.sync_count() >= static_cast<int>(election::kMaxMembers)) {
      add_("sync_count", absl::StrCat(m_.sync_count()), "is out of bounds",
           absl::StrCat("give 1 to ", election::kMaxMembers - 1, "; for none set durability: async"));
    }
  }

  void Lock() {
    if (m_.election().lock() == v1::Election::LOCK_FILE) {
      Absolute("election.path", m_.election().path(), "the directory that all members of this machine share");
    } else {
      Kubernetes();
    }
  }

  void Kubernetes() {
    const auto& k = m_.kubernetes();
    if (!k.namespace_().empty() && !IsDns(k.namespace_(), 63, false))
      add_("kubernetes.namespace", k.namespace_(), "is no name of a namespace",
           "use at most 63 of a-z, 0-9 and -");
    for (const auto& [path, name] :
         {std::pair{"kubernetes.lock_name", k.lock_name()}, std::pair{"kubernetes.pod", k.pod()}}) {
      if (!name.empty() && !IsDns(name, 253, true))
        add_(path, name, "is no name of an object", "use at most 253 of a-z, 0-9, - and .");
    }
    if (!IsLabelKey(k.role_label()))
      add_("kubernetes.role_label", k.role_label(), "is no key of a label", "write it as mainstay.io/role");
    if (!k.kubeconfig().empty()) Absolute("kubernetes.kubeconfig", k.kubeconfig(), "the kubeconfig's path");
  }

  void Tls() {
    const auto& t = m_.tls();
    const bool some = !t.ca().empty() || !t.cert().empty() || !t.key().empty();
    if (some) {
      Absolute("tls.ca", t.ca(), "the authorities' file as well: TLS here is mutual");
      Absolute("tls.cert", t.cert(), "the certificate's file as well");
      Absolute("tls.key", t.key(), "the private key's file as well");
    }
    if (!t.peer_name().empty() && !IsDns(t.peer_name(), 253, true))
      add_("tls.peer_name", t.peer_name(), "is no DNS name", "use at most 253 of a-z, 0-9, - and .");
  }

  void Bounded(const std::string& path, const google::protobuf::Duration& d, Duration low, Duration high) {
    CheckBounded(path, d, low, high, add_);
  }

  void Times() {
    using std::chrono::hours;
    using std::chrono::milliseconds;
    using std::chrono::minutes;
    const auto& e = m_.election();
    Bounded("election.lease", e.lease(), milliseconds(1000), minutes(10));
    Bounded("election.validity", e.validity(), milliseconds(500), minutes(10));
    Bounded("election.fence", e.fence(), milliseconds(100), minutes(1));
    Bounded("election.renew", e.renew(), milliseconds(100), minutes(5));
    Bounded("election.suspicion", e.suspicion(), milliseconds(300), minutes(10));
    Bounded("election.freeze_wait", e.freeze_wait(), milliseconds(100), minutes(1));
    Bounded("election.sync_patience", e.sync_patience(), milliseconds(100), minutes(10));
    Bounded("election.handover", e.handover(), milliseconds(500), minutes(30));
    Bounded("election.heartbeat", e.heartbeat(), milliseconds(50), minutes(1));
    Bounded("probe.interval", m_.probe().interval(), milliseconds(50), minutes(1));
    Bounded("probe.timeout", m_.probe().timeout(), milliseconds(50), minutes(1));
    Bounded("probe.hung_after", m_.probe().hung_after(), milliseconds(500), minutes(30));
    if (ToDuration(e.heartbeat()) * 2 > ToDuration(e.suspicion())) {
      add_("election.heartbeat", schema::FormatDurationText(ToDuration(e.heartbeat())),
           absl::StrCat("is more than half of election.suspicion (",
                        schema::FormatDurationText(ToDuration(e.suspicion())),
                        "): one lost report would look like a dead primary"),
           "lower election.heartbeat or raise election.suspicion");
    }
    // An idle primary streams what its probes write, a standby's probe sees that: two intervals and some.
    if (ToDuration(m_.probe().interval()) * 3 > ToDuration(e.suspicion())) {
      add_("probe.interval", schema::FormatDurationText(ToDuration(m_.probe().interval())),
           absl::StrCat("is more than a third of election.suspicion (",
                        schema::FormatDurationText(ToDuration(e.suspicion())),
                        "): an idle primary's stream would look silent"),
           "lower probe.interval or raise election.suspicion");
    }
  }

  void Reachable(const std::string& path, const std::string& address) {
    const std::string problem = rpc::CheckAddress(rpc::BracketIpv6(address));
    if (!problem.empty()) add_(path, address, problem, "write host:port or unix:/path");
  }

  bool Listens(const std::string& path, const std::string& address) {
    const std::string problem = rpc::CheckListenAddress(address);
    if (!problem.empty()) add_(path, address, problem, "listen on HOST:PORT, [IPV6]:PORT or unix:/path");
    return problem.empty();
  }

  void Addresses() {
    const std::string& grpc = m_.listen().grpc();
    const bool fine = Listens("listen.grpc", grpc);
    Listens("listen.http", m_.listen().http());
    if (fine && !rpc::IsLocalAddress(grpc)) {
      if (m_.tls().cert().empty()) {
        add_("listen.grpc", grpc,
             "is not loopback, and without mutual TLS anybody who reaches it could stop the database",
             "set tls.ca, tls.cert and tls.key, or listen on 127.0.0.1:PORT or unix:/path");
      }
      Advertised();
    }
    if (grpc == m_.listen().http())
      add_("listen.http", m_.listen().http(), "is the same as listen.grpc", "give each its own port");
    const std::string& admin = m_.listen().admin();
    if (!admin.empty() && !absl::StartsWith(admin, "unix:")) {
      add_("listen.admin", admin, "is no unix socket: it has no TLS, so only its file mode protects it",
           "write unix:/path");
    } else if (!admin.empty() && Listens("listen.admin", admin) &&
               (admin == grpc || admin == m_.listen().http())) {
      add_("listen.admin", admin, "is listened on already", "give it a socket of its own");
    }
    if (!m_.advertise().peer().empty()) Reachable("advertise.peer", m_.advertise().peer());
    if (!m_.advertise().database().empty()) Reachable("advertise.database", m_.advertise().database());
  }

  // Members on other machines: what they would get by default leads them to themselves.
  void Advertised() {
    if (m_.advertise().peer().empty() && rpc::IsWildcardAddress(m_.listen().grpc())) {
      add_("advertise.peer", "",
           absl::StrCat("is missing, and ", m_.listen().grpc(), " is nothing that others could dial"),
           "give this machine's (pod's) own address and port");
    }
    if (m_.advertise().database().empty() && m_.engine() != v1::AgentConfig::ENGINE_FAKE) {
      add_("advertise.database", "",
           absl::StrCat("is missing, and others cannot reach 127.0.0.1:", DatabasePort(m_), " of here"),
           "give this machine's (pod's) own address and the database's port");
    }
  }

  void Absolute(const std::string& path, const std::string& value, const std::string& what) {
    CheckAbsolute(path, value, what, add_);
  }

  const v1::AgentConfig& m_;
  const AddProblem& add_;
};

}  // namespace

uint32_t DatabasePort(const v1::AgentConfig& m) {
  switch (m.engine()) {
    case v1::AgentConfig::ENGINE_REDIS:
      return m.redis().port();
    case v1::AgentConfig::ENGINE_RABBITMQ:
      return m.rabbitmq().port();
    default:
      return m.postgresql().port();
  }
}

Duration ToDuration(const google::protobuf::Duration& d) {
  return Duration(google::protobuf::util::TimeUtil::DurationToNanoseconds(d));
}

void CheckAbsolute(const std::string& path, const std::string& value, const std::string& what,
                   const AddProblem& add) {
  if (value.empty()) {
    add(path, "", "is missing", absl::StrCat("give ", what));
  } else if (value[0] != '/') {
    add(path, value, "is no absolute path", "begin it with /");
  }
}

void CheckBounded(const std::string& path, const google::protobuf::Duration& d, Duration low, Duration high,
                  const AddProblem& add) {
  const Duration value = ToDuration(d);
  if (value >= low && value <= high) return;
  add(path, schema::FormatDurationText(value), "is out of bounds",
      absl::StrCat("give ", schema::FormatDurationText(low), " to ", schema::FormatDurationText(high)));
}

void CheckConfig(const v1::AgentConfig& message, const AddProblem& add) { Checker(message, add).All(); }

}  // namespace mainstay::agent
