// The section postgresql of the configuration: directories, parameters, roles and databases.
#include <set>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "agent/config_check.h"
#include "lib/engine/postgres/conf.h"
#include "mainstay/v1/config.pb.h"

namespace mainstay::agent {
namespace {

constexpr size_t kMaxName = 63;  // NAMEDATALEN - 1: the server cuts longer ones silently

bool IsIdentifier(const std::string& s) {  // of SQL, unquoted
  if (s.empty() || s.size() > kMaxName || absl::ascii_isdigit(static_cast<unsigned char>(s[0]))) return false;
  for (char c : s) {
    const unsigned char u = static_cast<unsigned char>(c);
    if (!(absl::ascii_islower(u) || absl::ascii_isdigit(u) || c == '_')) return false;
  }
  return true;
}

class Checker {
 public:
  Checker(const v1::Postgresql& p, const AddProblem& add) : p_(p), add_(add) {}

  void All() {
    Places();
    Parameters();
    for (int i = 0; i < p_.hba_size(); ++i) {
      const auto problem = engine::postgres::CheckHbaLine(p_.hba(i));
      if (!problem.what.empty())
        add_(absl::StrCat("postgresql.hba[", i, "]"), p_.hba(i), problem.what, problem.remedy);
    }
    for (int i = 0; i < p_.initdb_size(); ++i) {
      if (!absl::StartsWith(p_.initdb(i), "-")) {
        add_(absl::StrCat("postgresql.initdb[", i, "]"), p_.initdb(i), "is no option", "begin it with -");
      }
    }
    CheckBounded("postgresql.start_timeout", p_.start_timeout(), std::chrono::seconds(1),
                 std::chrono::hours(24), add_);
    CheckBounded("postgresql.stop_timeout", p_.stop_timeout(), std::chrono::milliseconds(100),
                 std::chrono::hours(1), add_);
    CheckBounded("postgresql.clone_timeout", p_.clone_timeout(), std::chrono::seconds(10),
                 std::chrono::hours(24 * 30), add_);
    Users();
    Databases();
  }

 private:
  void Places() {
    CheckAbsolute("postgresql.data_dir", p_.data_dir(), "the server's data directory", add_);
    CheckAbsolute("postgresql.bin_dir", p_.bin_dir(), "the directory that holds postgres and pg_ctl", add_);
    CheckAbsolute("postgresql.socket_dir", p_.socket_dir(), "the directory of the server's unix socket",
                  add_);
    CheckAbsolute("postgresql.password_file", p_.password_file(),
                  "the 0600 file that keeps the generated passwords", add_);
    if (p_.port() < 1 || p_.port() > 65535)
      add_("postgresql.port", absl::StrCat(p_.port()), "is no port", "give 1 to 65535");
    // "<dir>/.s.PGSQL.65535" must fit into sun_path.
    if (p_.socket_dir().size() > 107 - 15) {
      add_("postgresql.socket_dir", p_.socket_dir(), "is too long for a unix socket",
           "use a path of at most 92 bytes");
    }
    for (const auto& [path, role] : {std::pair{"postgresql.superuser", p_.superuser()},
                                     std::pair{"postgresql.agent_role", p_.agent_role()},
                                     std::pair{"postgresql.replication_role", p_.replication_role()}}) {
      if (!IsIdentifier(role))
        add_(path, role, "is no plain role name", "use 1 to 63 of a-z, 0-9 and _, no digit first");
    }
  }

  void Parameters() {
    for (const auto& [name, value] : p_.parameters()) {
      const auto problem = engine::postgres::CheckParameter(name, value);
      if (!problem.what.empty())
        add_(absl::StrCat("postgresql.parameters.", name), value, problem.what, problem.remedy);
    }
  }

  // Any text is a name in SQL when it is quoted; these cannot be stored.
  bool SqlName(const std::string& path, const std::string& name) {
    if (name.empty()) {
      add_(path, "", "is missing", "give a name");
    } else if (name.size() > kMaxName) {
      add_(path, name, "is longer than PostgreSQL keeps", "use at most 63 bytes");
    } else if (name.find_first_of("\n\r") != std::string::npos) {
      add_(path, name, "has a line break", "leave it out");
    } else {
      return true;
    }
    return false;
  }

  // Why a role cannot be managed here; "" when it can.
  std::string Reserved(const std::string& role) const {
    if (absl::StartsWith(role, "pg_")) return "begins with pg_, which PostgreSQL keeps for its own roles";
    if (absl::StartsWith(role, "mainstay_"))
      return "begins with mainstay_, which Mainstay keeps for its own roles";
    if (role == p_.superuser()) return "is the superuser that Mainstay itself works with";
    if (role == p_.agent_role() || role == p_.replication_role()) return "is a role of Mainstay itself";
    if (role == "public" || role == "none") return "is a word that PostgreSQL takes as no role";
    return "";
  }

  void Users() {
    std::set<std::string> seen;
    for (int i = 0; i < p_.users_size(); ++i) {
      const auto& user = p_.users(i);
      const std::string path = absl::StrCat("postgresql.users[", i, "]");
      const std::string at = absl::StrCat(path, ".name");
      if (SqlName(at, user.name())) {
        const std::string reserved = Reserved(user.name());
        if (!reserved.empty()) add_(at, user.name(), reserved, "choose another name");
        if (!seen.insert(user.name()).second)
          add_(at, user.name(), "is there twice", "tell all of a role in one entry");
      }
      if (!user.password_file().empty())
        CheckAbsolute(absl::StrCat(path, ".password_file"), user.password_file(), "the password's file",
                      add_);
      if (user.connection_limit() < -1) {
        add_(absl::StrCat(path, ".connection_limit"), absl::StrCat(user.connection_limit()), "is no limit",
             "give -1 for none, or a number");
      }
      for (int j = 0; j < user.member_of_size(); ++j)
        MemberOf(absl::StrCat(path, ".member_of[", j, "]"), user.name(), user.member_of(j));
    }
  }

  void MemberOf(const std::string& path, const std::string& name, const std::string& role) {
    if (!SqlName(path, role)) return;
    if (role == name) {
      add_(path, role, "is the role itself", "remove it");
    } else if (const std::string reserved = Reserved(role);
               !reserved.empty() && !absl::StartsWith(role, "pg_")) {  // pg_monitor and the like are for this
      add_(path, role, reserved, "grant another role, or set superuser: true");
    }
  }

  void Databases() {
    std::set<std::string> seen;
    for (int i = 0; i < p_.databases_size(); ++i) {
      const auto& database = p_.databases(i);
      const std::string path = absl::StrCat("postgresql.databases[", i, "]");
      const std::string at = absl::StrCat(path, ".name");
      if (SqlName(at, database.name())) {
        if (absl::StartsWith(database.name(), "mainstay_") || database.name() == "template0" ||
            database.name() == "template1") {
          add_(at, database.name(), "is kept for Mainstay or PostgreSQL itself", "choose another name");
        }
        if (!seen.insert(database.name()).second)
          add_(at, database.name(), "is there twice", "tell all of a database in one entry");
      }
      if (!database.owner().empty()) SqlName(absl::StrCat(path, ".owner"), database.owner());
      for (int j = 0; j < database.extensions_size(); ++j)
        SqlName(absl::StrCat(path, ".extensions[", j, "]"), database.extensions(j));
      Plain(absl::StrCat(path, ".encoding"), database.encoding());
      Plain(absl::StrCat(path, ".locale"), database.locale());
    }
  }

  void Plain(const std::string& path, const std::string& value) {
    for (char c : value) {
      if (absl::ascii_isalnum(static_cast<unsigned char>(c)) || absl::StrContains("_-.@", std::string(1, c)))
        continue;
      return add_(path, value, "is no encoding or locale", "use letters, digits and _ - . @");
    }
  }

  const v1::Postgresql& p_;
  const AddProblem& add_;
};

}  // namespace

void CheckPostgresql(const v1::Postgresql& p, const AddProblem& add) { Checker(p, add).All(); }

}  // namespace mainstay::agent
