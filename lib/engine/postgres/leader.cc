// Another member's database over TCP, as the replication role: is it the leader that we were told of, what is
// its history?
#include <algorithm>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "lib/base/result.h"
#include "lib/engine/postgres/engine.h"
#include "lib/engine/postgres/lsn.h"
#include "lib/engine/postgres/names.h"

namespace mainstay::engine::postgres {
namespace {

constexpr char kFacts[] =
    "SELECT (SELECT system_identifier FROM pg_catalog.pg_control_system()), pg_catalog.pg_is_in_recovery(),"
    " CASE WHEN NOT pg_catalog.pg_is_in_recovery() THEN pg_catalog.pg_current_wal_flush_lsn() END,"
    " CASE WHEN NOT pg_catalog.pg_is_in_recovery() THEN "
    "pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_insert_lsn()) END,"
    " (SELECT timeline_id FROM pg_catalog.pg_control_checkpoint()), "
    "pg_catalog.current_setting('mainstay.epoch', true),"
    " pg_catalog.current_setting('mainstay.member', true)";

}  // namespace

absl::StatusOr<std::unique_ptr<Connection>> PostgresEngine::ConnectLeader(const election::Member& leader,
                                                                          MonoTime deadline) {
  MAINSTAY_ASSIGN_OR_RETURN(const HostPort at, ParseHostPort(leader.db_address));
  auto session = std::make_unique<Connection>(&canceller_);
  const ConnectOptions options = {
      {"host", at.host},
      {"port", std::to_string(at.port)},
      {"dbname", "postgres"},
      {"user", options_.replication_role},
      {"passfile", options_.password_file},
      {"application_name", absl::StrCat("mainstay_", options_.member)},
      {"gssencmode", "disable"},
      {"client_encoding", "UTF8"},
      {"tcp_user_timeout", "5000"},
      {"keepalives_idle", "5"},
      {"options", "-c search_path=pg_catalog,pg_temp -c statement_timeout=10000 -c lock_timeout=1000"},
  };
  const absl::Status status =
      session->Connect(options, std::min(deadline, BootClock().Now() + options_.connect_timeout));
  if (!status.ok()) {
    return absl::Status(status.code(), absl::StrCat("the database of ", leader.name, " at ",
                                                    leader.db_address, ": ", status.message()));
  }
  return session;
}

absl::StatusOr<PostgresEngine::LeaderFacts> PostgresEngine::AskLeader(Connection* session,
                                                                      const Target& target,
                                                                      MonoTime deadline) {
  const std::string& name = target.member.name;
  MAINSTAY_ASSIGN_OR_RETURN(const Rows rows, session->Query(kFacts, {}, deadline));
  LeaderFacts facts;
  facts.system_id = rows.text(0, 0);
  if (!target.cluster_id.empty() && facts.system_id != target.cluster_id) {
    return absl::FailedPreconditionError(
        absl::StrCat("the database at ", target.member.db_address, " has system identifier ", facts.system_id,
                     ", the cluster has ", target.cluster_id,
                     ": it is of another cluster; correct the address of ", name));
  }
  if (const std::string member = rows.text(0, 6); !member.empty() && member != name) {
    return absl::FailedPreconditionError(absl::StrCat("the database at ", target.member.db_address,
                                                      " is that of member ", member, ", not of ", name,
                                                      ": two members have the same address"));
  }
  if (rows.truth(0, 1))
    return absl::UnavailableError(
        absl::StrCat("the leader ", name, " is in recovery: it is not open yet, or no longer"));
  int64_t epoch = 0;
  if (absl::SimpleAtoi(rows.text(0, 5), &epoch) && epoch != target.epoch) {
    return absl::UnavailableError(
        absl::StrCat("the leader ", name, " is open under epoch ", epoch, ", not ", target.epoch));
  }
  facts.end = rows.lsn(0, 2);
  facts.timeline = TimelineOfWalFile(rows.text(0, 3)).value_or(0);
  facts.checkpoint_timeline = static_cast<uint32_t>(rows.number(0, 4));
  MAINSTAY_ASSIGN_OR_RETURN(facts.lineage, LeaderLineage(session, facts.timeline, deadline));
  return facts;
}

absl::StatusOr<Lineage> PostgresEngine::LeaderLineage(Connection* session, uint32_t timeline,
                                                      MonoTime deadline) {
  if (timeline <= 1) return ParseHistory(timeline, "");
  // Hexadecimal: the file is text, but of any encoding.
  MAINSTAY_ASSIGN_OR_RETURN(
      const Rows rows, session->Query("SELECT pg_catalog.encode(pg_catalog.pg_read_binary_file($1), 'hex')",
                                      {absl::StrFormat("pg_wal/%08X.history", timeline)}, deadline));
  return ParseHistory(timeline, absl::HexStringToBytes(rows.text(0, 0)));
}

absl::Status PostgresEngine::AwaitLeaderCheckpoint(Connection* session, const Target& target,
                                                   LeaderFacts* facts, MonoTime deadline) {
  while (facts->checkpoint_timeline != facts->timeline) {
    Say(absl::StrCat("waiting for a checkpoint of ", target.member.name, " on timeline ", facts->timeline));
    absl::Status slept = canceller_.Sleep(std::chrono::milliseconds(50), deadline);
    if (absl::IsDeadlineExceeded(slept)) {
      return absl::DeadlineExceededError(absl::StrCat("no checkpoint of ", target.member.name,
                                                      " on its timeline ", facts->timeline,
                                                      " yet: pg_rewind would compare with the former one"));
    }
    MAINSTAY_RETURN_IF_ERROR(slept);
    MAINSTAY_ASSIGN_OR_RETURN(*facts, AskLeader(session, target, deadline));
  }
  return absl::OkStatus();
}

// The slot before the first byte: WAL that this member needs stays. One that was capped (lost) is made anew.
absl::Status PostgresEngine::EnsureSlotAtLeader(Connection* session, MonoTime deadline) {
  const std::string slot = SlotName(options_.member);
  MAINSTAY_ASSIGN_OR_RETURN(
      const Rows rows,
      session->Query(
          "SELECT COALESCE(wal_status, ''), restart_lsn IS NULL FROM pg_catalog.pg_replication_slots"
          " WHERE slot_name OPERATOR(pg_catalog.=) $1 AND NOT active",
          {slot}, deadline));
  if (rows.size() == 1 && (rows.text(0, 0) == "lost" || rows.truth(0, 1))) {
    const absl::Status dropped =
        session->Query("SELECT pg_catalog.pg_drop_replication_slot($1)", {slot}, deadline).status();
    if (!dropped.ok() && !absl::IsNotFound(dropped)) return dropped;
  }
  const absl::Status made =
      session
          ->Query("SELECT slot_name FROM pg_catalog.pg_create_physical_replication_slot($1, true)", {slot},
                  deadline)
          .status();
  if (made.ok() || absl::IsAlreadyExists(made)) return absl::OkStatus();
  return made;
}

absl::StatusOr<std::string> PostgresEngine::LeaderConninfo(const election::Member& leader,
                                                           const std::string& application_name) const {
  MAINSTAY_ASSIGN_OR_RETURN(const HostPort at, ParseHostPort(leader.db_address));
  return absl::StrCat("host=", QuoteConninfo(at.host), " port=", at.port,
                      " user=", QuoteConninfo(options_.replication_role),
                      " application_name=", QuoteConninfo(application_name),
                      " connect_timeout=3 keepalives_idle=5 keepalives_interval=2 keepalives_count=3 "
                      "tcp_user_timeout=5000 gssencmode=disable");
}

}  // namespace mainstay::engine::postgres
