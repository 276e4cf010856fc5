#include "lib/engine/postgres/accounts.h"

#include <libpq-fe.h>

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "lib/base/log.h"
#include "lib/base/mounted_file.h"
#include "lib/base/result.h"
#include "lib/base/strings.h"
#include "lib/engine/postgres/scram.h"

namespace mainstay::engine::postgres {
namespace {

using std::chrono::seconds;

constexpr size_t kMaxPassword = 1024;
constexpr Duration kFirstPause = seconds(5);
constexpr Duration kLongestPause = std::chrono::minutes(5);
constexpr Duration kConnectPatience = seconds(5);
constexpr Duration kAnswerPatience = seconds(35);  // statement_timeout and some

constexpr char kRolesSql[] =
    "SELECT rolname, rolcanlogin, rolsuper, rolcreatedb, rolcreaterole, rolreplication, rolinherit, "
    "rolconnlimit,"
    " COALESCE(rolpassword, '') FROM pg_catalog.pg_authid"
    " WHERE rolname OPERATOR(pg_catalog.=) ANY ($1::pg_catalog.name[])";
constexpr char kMembersSql[] =
    "SELECT m.rolname, g.rolname FROM pg_catalog.pg_auth_members a"
    " JOIN pg_catalog.pg_authid m ON m.oid OPERATOR(pg_catalog.=) a.member"
    " JOIN pg_catalog.pg_authid g ON g.oid OPERATOR(pg_catalog.=) a.roleid"
    " WHERE m.rolname OPERATOR(pg_catalog.=) ANY ($1::pg_catalog.name[])";
constexpr char kDatabasesSql[] =
    "SELECT d.datname, r.rolname FROM pg_catalog.pg_database d"
    " JOIN pg_catalog.pg_authid r ON r.oid OPERATOR(pg_catalog.=) d.datdba"
    " WHERE d.datname OPERATOR(pg_catalog.=) ANY ($1::pg_catalog.name[])";
constexpr char kExtensionsSql[] =
    "SELECT extname FROM pg_catalog.pg_extension WHERE extname OPERATOR(pg_catalog.=) ANY "
    "($1::pg_catalog.name[])";

absl::StatusOr<std::string> ReadPassword(const std::string& path) {
  MAINSTAY_ASSIGN_OR_RETURN(std::string text, ReadMountedFile(path, kMaxPassword));
  if (!text.empty() && text.back() == '\n') text.pop_back();
  if (!text.empty() && text.back() == '\r') text.pop_back();
  if (text.empty())
    return absl::FailedPreconditionError(absl::StrCat(path, " is empty: write the password into it"));
  if (std::any_of(text.begin(), text.end(),
                  [](char c) { return absl::ascii_iscntrl(static_cast<unsigned char>(c)); }))
    return absl::FailedPreconditionError(absl::StrCat(path, " holds a control character or a second line"));
  return text;
}

}  // namespace

void AccountKeeper::Wish(std::vector<UserSpec> users, std::vector<DatabaseSpec> databases) {
  users_ = std::move(users);
  databases_ = std::move(databases);
  Stop();
}

// The next primary, or the next Step, begins anew.
void AccountKeeper::Stop() {
  session_.Close();
  jobs_.clear();
  roles_.clear();
  failures_.clear();
  problem_.clear();
  phase_ = Phase::kDue;
  failed_runs_ = 0;
  next_run_ = MonoTime();
}

void AccountKeeper::Step(MonoTime until) {
  if (phase_ == Phase::kSettled) return;
  if (phase_ == Phase::kDue) {
    if (users_.empty() && databases_.empty()) return;
    if (BootClock().Now() < next_run_) return;
    Begin();
  }
  while (phase_ == Phase::kRunning && BootClock().Now() < until) {
    if (!Turn(until)) return;
  }
}

void AccountKeeper::Begin() {
  phase_ = Phase::kRunning;
  failures_.clear();
  roles_.clear();
  jobs_.clear();
  jobs_.push_back({.kind = Job::Kind::kRoles});
  jobs_.push_back({.kind = Job::Kind::kMembers});
  for (size_t i = 0; i < users_.size(); ++i) jobs_.push_back({.kind = Job::Kind::kPlanRole, .index = i});
  jobs_.push_back({.kind = Job::Kind::kDatabases});
}

std::vector<std::string> AccountKeeper::Names() const {
  std::vector<std::string> out;
  for (const UserSpec& u : users_) out.push_back(u.name);
  return out;
}

bool AccountKeeper::Connected(const std::string& database, MonoTime until) {
  if (session_.open() && connected_to_ == database) return true;
  absl::Status status;
  if (!session_.connecting() || connected_to_ != database) {
    status = session_.Begin(connect_to_(database));
    connected_to_ = database;
  }
  if (status.ok()) status = session_.AwaitConnected(until);
  if (status.ok()) return true;
  if (absl::IsDeadlineExceeded(status) && BootClock().Now() - session_.busy_since() < kConnectPatience)
    return false;
  session_.Close();
  Fail(absl::StrCat("database ", database), status);
  // What was to be done there waits for the next run; without the first one nothing can be planned.
  if (database == kHome) {
    jobs_.clear();
  } else {
    while (!jobs_.empty() && jobs_.front().database == database) jobs_.pop_front();
  }
  return false;
}

absl::Status AccountKeeper::Send(const Job& job) {
  switch (job.kind) {
    case Job::Kind::kRoles:
      return session_.Send(kRolesSql, {NameArray(Names())});
    case Job::Kind::kMembers:
      return session_.Send(kMembersSql, {NameArray(Names())});
    case Job::Kind::kDatabases: {
      std::vector<std::string> names;
      for (const DatabaseSpec& d : databases_) names.push_back(d.name);
      return session_.Send(kDatabasesSql, {NameArray(names)});
    }
    case Job::Kind::kExtensions:
      return session_.Send(kExtensionsSql, {NameArray(databases_[job.index].extensions)});
    case Job::Kind::kChange:
      return session_.Send(job.change.sql.c_str(), {});
    case Job::Kind::kPlanRole:
      break;
  }
  return absl::InternalError("nothing to send");
}

bool AccountKeeper::Turn(MonoTime until) {
  if (jobs_.empty()) {
    End();
    return false;
  }
  if (!Connected(jobs_.front().database, until)) return !session_.connecting();
  if (jobs_.front().kind == Job::Kind::kPlanRole) {
    const size_t index = jobs_.front().index;
    jobs_.pop_front();
    PlanUser(index);
    return true;
  }
  const absl::Status sent = session_.busy() ? absl::OkStatus() : Send(jobs_.front());
  const absl::StatusOr<Rows> rows = sent.ok() ? session_.Await(until) : absl::StatusOr<Rows>(sent);
  if (absl::IsDeadlineExceeded(rows.status()) && session_.busy()) {
    if (BootClock().Now() - session_.busy_since() < kAnswerPatience) return false;
    session_.Close();
  }
  const Job job = std::move(jobs_.front());
  jobs_.pop_front();
  Take(job, rows);
  return true;
}

void AccountKeeper::Take(const Job& job, const absl::StatusOr<Rows>& rows) {
  if (job.kind == Job::Kind::kChange) {
    if (!rows.ok()) return Fail(job.change.about, rows.status());
    Log(LogLevel::kInfo, "postgres", absl::StrCat(job.change.about, " ", job.change.done));
    return;
  }
  if (!rows.ok()) {
    Fail(job.kind == Job::Kind::kExtensions ? absl::StrCat("database ", job.database) : "roles and databases",
         rows.status());
    if (job.kind != Job::Kind::kExtensions) jobs_.clear();
    return;
  }
  switch (job.kind) {
    case Job::Kind::kRoles:
      for (int i = 0; i < rows->size(); ++i) {
        roles_[rows->text(i, 0)] = {.login = rows->truth(i, 1),
                                    .superuser = rows->truth(i, 2),
                                    .createdb = rows->truth(i, 3),
                                    .createrole = rows->truth(i, 4),
                                    .replication = rows->truth(i, 5),
                                    .inherit = rows->truth(i, 6),
                                    .connection_limit = static_cast<int>(rows->number(i, 7)),
                                    .verifier = rows->text(i, 8)};
      }
      return;
    case Job::Kind::kMembers:
      for (int i = 0; i < rows->size(); ++i) roles_[rows->text(i, 0)].member_of.insert(rows->text(i, 1));
      return;
    case Job::Kind::kDatabases:
      return PlanRest(*rows);
    case Job::Kind::kExtensions: {
      std::set<std::string> have;
      for (int i = 0; i < rows->size(); ++i) have.insert(rows->text(i, 0));
      const auto changes = PlanExtensions(databases_[job.index], have);
      for (auto it = changes.rbegin(); it != changes.rend(); ++it)
        jobs_.push_front({.kind = Job::Kind::kChange, .change = *it, .database = job.database});
      return;
    }
    case Job::Kind::kPlanRole:
    case Job::Kind::kChange:
      return;
  }
}

// "" : nothing to change. The password never leaves this function but as a verifier.
absl::StatusOr<std::string> AccountKeeper::NewVerifier(const UserSpec& user, const RoleFacts* facts) {
  if (user.password_file.empty()) return std::string();
  MAINSTAY_ASSIGN_OR_RETURN(const std::string password, ReadPassword(user.password_file));
  const std::string have = facts == nullptr ? "" : facts->verifier;
  if (IsScramVerifier(password)) return password == have ? std::string() : password;
  if (ScramMatches(have, password)) return std::string();
  char* text = PQencryptPasswordConn(session_.raw(), password.c_str(), user.name.c_str(), "scram-sha-256");
  if (text == nullptr) return absl::InternalError("no SCRAM verifier could be made");
  std::string out = text;
  PQfreemem(text);
  return out;
}

void AccountKeeper::PlanUser(size_t index) {
  const UserSpec& user = users_[index];
  const auto it = roles_.find(user.name);
  const RoleFacts* facts = it == roles_.end() ? nullptr : &it->second;
  absl::StatusOr<std::string> verifier = NewVerifier(user, facts);
  // Without its password the role is made all the same: nobody can log in as it until the file is there.
  if (!verifier.ok()) {
    Fail(absl::StrCat("role ", user.name), verifier.status());
    verifier = std::string();
  }
  const auto change = PlanRole(user, facts, *verifier);
  if (!change.ok()) return Fail(absl::StrCat("role ", user.name), change.status());
  if (change->has_value()) jobs_.push_front({.kind = Job::Kind::kChange, .change = **change});
}

// All roles are there: who belongs to whom, and the databases with what is in them.
void AccountKeeper::PlanRest(const Rows& databases) {
  for (const UserSpec& user : users_) {
    const auto it = roles_.find(user.name);
    for (AccountStatement& grant : PlanGrants(user, it == roles_.end() ? nullptr : &it->second))
      jobs_.push_back({.kind = Job::Kind::kChange, .change = std::move(grant)});
  }
  std::map<std::string, std::string> owners;
  for (int i = 0; i < databases.size(); ++i) owners[databases.text(i, 0)] = databases.text(i, 1);
  for (const DatabaseSpec& database : databases_) {
    const auto it = owners.find(database.name);
    if (auto change = PlanDatabase(database, it == owners.end() ? nullptr : &it->second); change.has_value())
      jobs_.push_back({.kind = Job::Kind::kChange, .change = *std::move(change)});
  }
  for (size_t i = 0; i < databases_.size(); ++i) {
    if (databases_[i].extensions.empty()) continue;
    jobs_.push_back({.kind = Job::Kind::kExtensions, .index = i, .database = databases_[i].name});
  }
}

void AccountKeeper::Fail(const std::string& about, const absl::Status& status) {
  failures_.push_back(absl::StrCat(about, ": ", Cut(status.message(), 200)));
}

void AccountKeeper::End() {
  session_.Close();
  roles_.clear();
  if (failures_.empty()) {
    if (failed_runs_ > 0)
      Log(LogLevel::kInfo, "postgres", "users and databases are as the configuration wishes");
    phase_ = Phase::kSettled;
    problem_.clear();
    failed_runs_ = 0;
    return;
  }
  const Duration pause = std::min<Duration>(kFirstPause * (1 << std::min(failed_runs_, 6)), kLongestPause);
  ++failed_runs_;
  next_run_ = BootClock().Now() + pause;
  phase_ = Phase::kDue;
  const std::string all = absl::StrJoin(failures_, "; ");
  // The same again is told again only as its own pauses grow.
  Log(LogLevel::kWarn, "postgres", "not all users and databases are as the configuration wishes",
      {{"problem", Cut(all, 1000)}, {"again_in", pause}});
  problem_ = absl::StrCat("users and databases: ", Cut(all, 300));
}

}  // namespace mainstay::engine::postgres
