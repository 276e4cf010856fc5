#include "agent/config_check.h"

#include <set>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "agent/config_schema.h"
#include "google/protobuf/util/time_util.h"
#include "lib/engine/postgres/conf.h"
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

bool IsIdentifier(const std::string& s) {  // of SQL, unquoted
  if (s.empty() || s.size() > 63 || absl::ascii_isdigit(static_cast<unsigned char>(s[0]))) return false;
  for (char c : s) {
    const unsigned char u = static_cast<unsigned char>(c);
    if (!(absl::ascii_islower(u) || absl::ascii_isdigit(u) || c == '_')) return false;
  }
  return true;
}

Duration ToDuration(const google::protobuf::Duration& d) {
  return Duration(google::protobuf::util::TimeUtil::DurationToNanoseconds(d));
}

// One pass over the message, section by section.
class Checker {
 public:
  Checker(const v1::AgentConfig& message, const AddProblem& add) : m_(message), add_(add) {}

  void All() {
    Names();
    Lock();
    Times();
    Addresses();
    if (m_.engine() == v1::AgentConfig::ENGINE_POSTGRESQL) Postgresql();
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
    if (m_.sync_count() < 1 || m_.sync_count() >= static_cast<int>(election::kMaxMembers)) {
      add_("sync_count", absl::StrCat(m_.sync_count()), "is out of bounds",
           absl::StrCat("give 1 to ", election::kMaxMembers - 1, "; for none set durability: async"));
    }
  }

  void Lock() {
    switch (m_.election().lock()) {
      case v1::Election::LOCK_FILE:
        Absolute("election.path", m_.election().path(),
                 "the directory that all members of this machine share");
        return;
      case v1::Election::LOCK_CONFIGMAP:
      case v1::Election::LOCK_LEASE:
        add_("election.lock", m_.election().lock() == v1::Election::LOCK_LEASE ? "lease" : "configmap",
             "is not built into this version (the Kubernetes store comes later)",
             "use lock: file on one machine");
        return;
      default:
        return;
    }
  }

  void Bounded(const std::string& path, const google::protobuf::Duration& d, Duration low, Duration high) {
    const Duration value = ToDuration(d);
    if (value >= low && value <= high) return;
    add_(path, schema::FormatDurationText(value), "is out of bounds",
         absl::StrCat("give ", schema::FormatDurationText(low), " to ", schema::FormatDurationText(high)));
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
    const std::string problem = rpc::CheckAddress(address);
    if (!problem.empty()) add_(path, address, problem, "write host:port or unix:/path");
  }

  void Addresses() {
    for (const auto& [path, address] :
         {std::pair{"listen.grpc", m_.listen().grpc()}, std::pair{"listen.http", m_.listen().http()}}) {
      const std::string problem = rpc::CheckListenAddress(address);
      if (!problem.empty())
        add_(path, address, problem, "listen on 127.0.0.1:PORT, [::1]:PORT or unix:/path");
    }
    if (m_.listen().grpc() == m_.listen().http()) {
      add_("listen.http", m_.listen().http(), "is the same as listen.grpc", "give each its own port");
    }
    if (!m_.advertise().peer().empty()) Reachable("advertise.peer", m_.advertise().peer());
    if (!m_.advertise().database().empty()) Reachable("advertise.database", m_.advertise().database());
  }

  void Absolute(const std::string& path, const std::string& value, const std::string& what) {
    if (value.empty()) {
      add_(path, "", "is missing", absl::StrCat("give ", what));
    } else if (value[0] != '/') {
      add_(path, value, "is no absolute path", "begin it with /");
    }
  }

  void Postgresql() {
    const auto& p = m_.postgresql();
    Absolute("postgresql.data_dir", p.data_dir(), "the server's data directory");
    Absolute("postgresql.bin_dir", p.bin_dir(), "the directory that holds postgres and pg_ctl");
    Absolute("postgresql.socket_dir", p.socket_dir(), "the directory of the server's unix socket");
    Absolute("postgresql.password_file", p.password_file(),
             "the 0600 file that keeps the generated passwords");
    Absolute("shim.socket", m_.shim().socket(), "the unix socket of mainstay-shim");
    if (p.port() < 1 || p.port() > 65535)
      add_("postgresql.port", absl::StrCat(p.port()), "is no port", "give 1 to 65535");
    // "<dir>/.s.PGSQL.65535" must fit into sun_path.
    if (p.socket_dir().size() > 107 - 15) {
      add_("postgresql.socket_dir", p.socket_dir(), "is too long for a unix socket",
           "use a path of at most 92 bytes");
    }
    for (const auto& [path, role] : {std::pair{"postgresql.superuser", p.superuser()},
                                     std::pair{"postgresql.agent_role", p.agent_role()},
                                     std::pair{"postgresql.replication_role", p.replication_role()}}) {
      if (!IsIdentifier(role))
        add_(path, role, "is no plain role name", "use 1 to 63 of a-z, 0-9 and _, no digit first");
    }
    Parameters();
    for (int i = 0; i < p.hba_size(); ++i) {
      const auto problem = engine::postgres::CheckHbaLine(p.hba(i));
      if (!problem.what.empty())
        add_(absl::StrCat("postgresql.hba[", i, "]"), p.hba(i), problem.what, problem.remedy);
    }
    for (int i = 0; i < p.initdb_size(); ++i) {
      if (!absl::StartsWith(p.initdb(i), "-")) {
        add_(absl::StrCat("postgresql.initdb[", i, "]"), p.initdb(i), "is no option", "begin it with -");
      }
    }
    Bounded("postgresql.start_timeout", p.start_timeout(), std::chrono::seconds(1), std::chrono::hours(24));
    Bounded("postgresql.stop_timeout", p.stop_timeout(), std::chrono::milliseconds(100),
            std::chrono::hours(1));
    Bounded("postgresql.clone_timeout", p.clone_timeout(), std::chrono::seconds(10),
            std::chrono::hours(24 * 30));
  }

  void Line(const std::string& path, const std::string& value) {
    for (char c : value) {
      if (static_cast<unsigned char>(c) < 0x20 && c != '\t')
        return add_(path, value, "holds a control character", "write one line");
    }
  }

  void Parameters() {
    for (const auto& [name, value] : m_.postgresql().parameters()) {
      const std::string path = absl::StrCat("postgresql.parameters.", name);
      const auto problem = engine::postgres::CheckParameter(name, value);
      if (!problem.what.empty()) add_(path, value, problem.what, problem.remedy);
    }
  }

  const v1::AgentConfig& m_;
  const AddProblem& add_;
};

LogLevel ToLevel(v1::Log::Level level) {
  switch (level) {
    case v1::Log::LEVEL_DEBUG:
      return LogLevel::kDebug;
    case v1::Log::LEVEL_WARN:
      return LogLevel::kWarn;
    case v1::Log::LEVEL_ERROR:
      return LogLevel::kError;
    default:
      return LogLevel::kInfo;
  }
}

election::Durability ToDurability(v1::Durability d) {
  switch (d) {
    case v1::DURABILITY_ASYNC:
      return election::Durability::kAsync;
    case v1::DURABILITY_STRICT:
      return election::Durability::kStrict;
    default:
      return election::Durability::kGuarded;
  }
}

election::Settings ToSettings(const v1::AgentConfig& m) {
  election::Settings s;
  const auto& e = m.election();
  s.cluster = m.cluster();
  s.self.name = m.name();
  s.self.peer_address = m.advertise().peer().empty() ? m.listen().grpc() : m.advertise().peer();
  s.self.db_address = m.advertise().database();
  if (s.self.db_address.empty()) s.self.db_address = absl::StrCat("127.0.0.1:", m.postgresql().port());
  s.self.priority = m.tags().priority();
  s.self.no_failover = m.tags().no_failover();
  for (const auto& member : m.members()) {
    if (member.name() != m.name()) s.expected.push_back(member.name());
  }
  s.lease = ToDuration(e.lease());
  s.validity = ToDuration(e.validity());
  s.fence = ToDuration(e.fence());
  s.renew = ToDuration(e.renew());
  s.suspicion = ToDuration(e.suspicion());
  s.freeze_wait = ToDuration(e.freeze_wait());
  s.sync_patience = ToDuration(e.sync_patience());
  s.handover = ToDuration(e.handover());
  s.durability = ToDurability(m.durability());
  s.sync_count = m.sync_count();
  s.takeover =
      e.takeover() == v1::Election::TAKEOVER_LEASE ? election::Takeover::kLease : election::Takeover::kQuorum;
  s.failsafe = e.failsafe();
  return s;
}

PostgresqlConfig ToPostgresql(const v1::Postgresql& p) {
  PostgresqlConfig out;
  out.data_dir = p.data_dir();
  out.bin_dir = p.bin_dir();
  out.socket_dir = p.socket_dir();
  out.port = static_cast<uint16_t>(p.port());
  out.listen_addresses = p.listen_addresses();
  out.password_file = p.password_file();
  out.parameters = {p.parameters().begin(), p.parameters().end()};
  out.hba = {p.hba().begin(), p.hba().end()};
  out.slot_wal_cap_bytes = p.slot_wal_cap();
  out.superuser = p.superuser();
  out.agent_role = p.agent_role();
  out.replication_role = p.replication_role();
  out.initdb = {p.initdb().begin(), p.initdb().end()};
  out.clone_rate_bytes = p.clone_rate();
  out.start_timeout = ToDuration(p.start_timeout());
  out.stop_timeout = ToDuration(p.stop_timeout());
  out.clone_timeout = ToDuration(p.clone_timeout());
  return out;
}

}  // namespace

void CheckConfig(const v1::AgentConfig& message, const AddProblem& add) { Checker(message, add).All(); }

Config ConvertConfig(std::shared_ptr<const v1::AgentConfig> message) {
  const v1::AgentConfig& m = *message;
  Config c;
  c.cluster = m.cluster();
  c.name = m.name();
  c.uid = m.uid();
  c.engine = m.engine() == v1::AgentConfig::ENGINE_FAKE ? EngineKind::kFake : EngineKind::kPostgresql;
  c.settings = ToSettings(m);
  c.heartbeat = ToDuration(m.election().heartbeat());
  c.lock_path = m.election().path();
  for (const auto& member : m.members()) {
    if (member.name() != m.name()) c.members.push_back({member.name(), member.peer()});
  }
  c.listen_grpc = m.listen().grpc();
  c.listen_http = m.listen().http();
  c.shim_socket = m.shim().socket();
  c.state_dir = m.state_dir();
  c.postgresql = ToPostgresql(m.postgresql());
  c.probe_interval = ToDuration(m.probe().interval());
  c.probe_timeout = ToDuration(m.probe().timeout());
  c.hung_after = ToDuration(m.probe().hung_after());
  c.log_level = ToLevel(m.log().level());
  c.log_format = m.log().format() == v1::Log::FORMAT_TEXT ? LogFormat::kText : LogFormat::kJson;
  c.audit_enabled = m.audit().enabled();
  c.audit_reads = m.audit().probes();
  c.message = std::move(message);
  return c;
}

}  // namespace mainstay::agent
