#include "lib/engine/postgres/account_plan.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "lib/base/result.h"
#include "lib/engine/postgres/names.h"

namespace mainstay::engine::postgres {
namespace {

struct Flag {
  const char* word;  // with NO before it: the opposite
  bool UserSpec::*wish;
  bool RoleFacts::*fact;
};
constexpr Flag kFlags[] = {
    {"LOGIN", &UserSpec::login, &RoleFacts::login},
    {"SUPERUSER", &UserSpec::superuser, &RoleFacts::superuser},
    {"CREATEDB", &UserSpec::createdb, &RoleFacts::createdb},
    {"CREATEROLE", &UserSpec::createrole, &RoleFacts::createrole},
    {"REPLICATION", &UserSpec::replication, &RoleFacts::replication},
    {"INHERIT", &UserSpec::inherit, &RoleFacts::inherit},
};

}  // namespace

absl::StatusOr<std::optional<AccountStatement>> PlanRole(const UserSpec& wish, const RoleFacts* facts,
                                                         const std::string& new_verifier) {
  std::string options;
  for (const Flag& flag : kFlags) {
    if (facts == nullptr || facts->*flag.fact != wish.*flag.wish)
      absl::StrAppend(&options, wish.*flag.wish ? " " : " NO", flag.word);
  }
  if (facts == nullptr || facts->connection_limit != wish.connection_limit)
    absl::StrAppend(&options, " CONNECTION LIMIT ", wish.connection_limit);
  if (!new_verifier.empty()) {
    MAINSTAY_ASSIGN_OR_RETURN(const std::string literal, QuoteLiteral(new_verifier));
    absl::StrAppend(&options, " PASSWORD ", literal);
  }
  if (options.empty()) return std::optional<AccountStatement>();
  const char* verb = facts == nullptr ? "CREATE ROLE " : "ALTER ROLE ";
  return std::optional<AccountStatement>({absl::StrCat("role ", wish.name),
                                          facts == nullptr ? "was created" : "was changed",
                                          absl::StrCat(verb, QuoteIdentifier(wish.name), options)});
}

std::vector<AccountStatement> PlanGrants(const UserSpec& wish, const RoleFacts* facts) {
  std::vector<AccountStatement> out;
  for (const std::string& group : wish.member_of) {
    if (facts != nullptr && facts->member_of.count(group) > 0) continue;
    out.push_back({absl::StrCat("role ", wish.name), absl::StrCat("became a member of ", group),
                   absl::StrCat("GRANT ", QuoteIdentifier(group), " TO ", QuoteIdentifier(wish.name))});
  }
  return out;
}

std::optional<AccountStatement> PlanDatabase(const DatabaseSpec& wish, const std::string* owner) {
  const std::string about = absl::StrCat("database ", wish.name);
  const std::string name = QuoteIdentifier(wish.name);
  if (owner != nullptr) {
    if (wish.owner.empty() || *owner == wish.owner) return std::nullopt;
    return AccountStatement{about, absl::StrCat("belongs to ", wish.owner, " now"),
                            absl::StrCat("ALTER DATABASE ", name, " OWNER TO ", QuoteIdentifier(wish.owner))};
  }
  std::string sql = absl::StrCat("CREATE DATABASE ", name);
  if (!wish.owner.empty()) absl::StrAppend(&sql, " OWNER ", QuoteIdentifier(wish.owner));
  // Checked by the configuration: letters, digits and _-.@ only. As identifiers they need no literal.
  if (!wish.encoding.empty()) absl::StrAppend(&sql, " ENCODING ", QuoteIdentifier(wish.encoding));
  if (!wish.locale.empty()) absl::StrAppend(&sql, " LOCALE ", QuoteIdentifier(wish.locale));
  // Only template0 can be copied under another encoding or locale.
  if (!wish.encoding.empty() || !wish.locale.empty()) absl::StrAppend(&sql, " TEMPLATE template0");
  return AccountStatement{about, "was created", sql};
}

std::vector<AccountStatement> PlanExtensions(const DatabaseSpec& wish, const std::set<std::string>& have) {
  std::vector<AccountStatement> out;
  for (const std::string& extension : wish.extensions) {
    if (have.count(extension) > 0) continue;
    out.push_back({absl::StrCat("extension ", extension, " of database ", wish.name), "was created",
                   absl::StrCat("CREATE EXTENSION IF NOT EXISTS ", QuoteIdentifier(extension))});
  }
  return out;
}

std::string NameArray(const std::vector<std::string>& names) {
  std::string out = "{";
  for (const std::string& name : names) {
    if (out.size() > 1) out += ',';
    out += '"';
    for (const char c : name) {
      if (c == '"' || c == '\\') out += '\\';
      out += c;
    }
    out += '"';
  }
  return out + "}";
}

}  // namespace mainstay::engine::postgres
