#include "lib/engine/postgres/metrics_session.h"

#include <libpq-fe.h>
#include <poll.h>

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "lib/base/result.h"
#include "lib/base/strings.h"

namespace mainstay::engine::postgres {
namespace {

absl::Status ErrorOf(const PGresult* result) {
  const char* state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
  const char* message = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
  return absl::FailedPreconditionError(absl::StrCat(Cut(message == nullptr ? "no message" : message, 300),
                                                    " (SQLSTATE ", state == nullptr ? "?" : state, ")"));
}

}  // namespace

void MetricsSession::Close() {
  ready_ = setup_sent_ = false;
  prepared_.clear();
  expected_.clear();
  again_.clear();
  connection_.Close();
}

absl::Status MetricsSession::Fail(absl::Status status) {
  std::vector<std::shared_ptr<Statement>> open = std::move(again_);
  for (const Expected& e : expected_) {
    if (e.kind == Kind::kRun && e.statement != nullptr) open.push_back(e.statement);
  }
  Close();
  for (const auto& statement : open) Deliver(statement.get(), status);
  return status;
}

absl::Status MetricsSession::Ready(MonoTime deadline) {
  if (ready_) return absl::OkStatus();
  absl::Status status;
  if (!connection_.open()) {
    if (!connection_.connecting()) {
      status = connection_.Begin(options_);
      since_ = BootClock().Now();
    }
    if (status.ok()) status = connection_.AwaitConnected(deadline);
  }
  if (status.ok()) status = Setup(deadline);
  if (!status.ok() && !absl::IsDeadlineExceeded(status)) Close();
  return status;
}

absl::Status MetricsSession::Setup(MonoTime deadline) {
  if (!setup_sent_ && PQsendQuery(connection_.raw(), setup_.c_str()) == 0) {
    return absl::UnavailableError(PQerrorMessage(connection_.raw()));
  }
  setup_sent_ = true;
  for (;;) {
    MAINSTAY_RETURN_IF_ERROR(Wait(deadline));
    PGresult* result = PQgetResult(connection_.raw());
    if (result == nullptr) break;
    const bool good = PQresultStatus(result) == PGRES_COMMAND_OK;
    const absl::Status error = good ? absl::OkStatus() : ErrorOf(result);
    PQclear(result);
    if (!good) return error;
  }
  if (PQenterPipelineMode(connection_.raw()) == 0) return absl::InternalError("no pipeline mode");
  ready_ = true;
  ++generation_;
  return absl::OkStatus();
}

// Until PQgetResult will not block.
absl::Status MetricsSession::Wait(MonoTime deadline) {
  PGconn* conn = connection_.raw();
  for (;;) {
    const int unsent = PQflush(conn);
    if (unsent < 0) return absl::UnavailableError(absl::StripAsciiWhitespace(PQerrorMessage(conn)));
    if (PQisBusy(conn) == 0) return absl::OkStatus();
    const Duration left = deadline - BootClock().Now();
    if (left <= Duration(0)) return absl::DeadlineExceededError("the database did not answer in time");
    pollfd p{PQsocket(conn), static_cast<short>(unsent > 0 ? POLLIN | POLLOUT : POLLIN), 0};
    const int64_t ms = std::min<int64_t>(left.count() / 1'000'000 + 1, 1000);
    if (poll(&p, 1, static_cast<int>(ms)) > 0 && PQconsumeInput(conn) == 0) {
      return absl::UnavailableError(absl::StripAsciiWhitespace(PQerrorMessage(conn)));
    }
  }
}

bool MetricsSession::SendOne(const std::shared_ptr<Statement>& statement) {
  PGconn* conn = connection_.raw();
  if (statement->name.empty()) {
    if (PQsendQueryParams(conn, statement->sql.c_str(), 0, nullptr, nullptr, nullptr, nullptr, 0) == 0)
      return false;
  } else {
    if (prepared_.count(statement->name) == 0) {
      if (PQsendPrepare(conn, statement->name.c_str(), statement->sql.c_str(), 0, nullptr) == 0) return false;
      expected_.push_back({Kind::kPrepare, statement});
    }
    if (PQsendQueryPrepared(conn, statement->name.c_str(), 0, nullptr, nullptr, nullptr, 0) == 0)
      return false;
  }
  expected_.push_back({Kind::kRun, statement});
  return true;
}

bool MetricsSession::SendCommand(const char* sql) {
  if (PQsendQueryParams(connection_.raw(), sql, 0, nullptr, nullptr, nullptr, nullptr, 0) == 0) return false;
  expected_.push_back({Kind::kIgnore, nullptr});
  return true;
}

bool MetricsSession::SendSync() {
  if (PQpipelineSync(connection_.raw()) == 0) return false;
  expected_.push_back({Kind::kSync, nullptr});
  return true;
}

absl::Status MetricsSession::SendTogether(const std::vector<std::shared_ptr<Statement>>& statements) {
  for (const auto& statement : statements) {
    if (!SendOne(statement)) return Fail(absl::UnavailableError(PQerrorMessage(connection_.raw())));
  }
  return SendSync() ? absl::OkStatus() : Fail(absl::UnavailableError(PQerrorMessage(connection_.raw())));
}

// The rollback stands behind a synchronization of its own: it is not skipped when the query fails.
absl::Status MetricsSession::SendReadOnly(const std::vector<std::shared_ptr<Statement>>& statements) {
  for (const auto& statement : statements) {
    const bool sent = SendCommand("BEGIN TRANSACTION READ ONLY") && SendOne(statement) && SendSync() &&
                      SendCommand("ROLLBACK") && SendSync();
    if (!sent) return Fail(absl::UnavailableError(PQerrorMessage(connection_.raw())));
  }
  return absl::OkStatus();
}

absl::Status MetricsSession::Send(std::vector<Statement> statements, Grouping grouping) {
  if (!ready_ || busy()) return absl::FailedPreconditionError("the session is not ready");
  if (statements.empty()) return absl::OkStatus();
  std::vector<std::shared_ptr<Statement>> all;
  all.reserve(statements.size());
  for (Statement& s : statements) all.push_back(std::make_shared<Statement>(std::move(s)));
  since_ = last_answer_ = BootClock().Now();
  grouping_ = grouping;
  silent_ = 0;
  return grouping == Grouping::kTogether ? SendTogether(all) : SendReadOnly(all);
}

void MetricsSession::Deliver(Statement* statement, const absl::StatusOr<Rows>& rows) {
  const MonoTime now = BootClock().Now();
  const Duration took = now - std::exchange(last_answer_, now);
  // Once: a statement whose preparation failed is also told that it did not run.
  if (const Answer answer = std::exchange(statement->answer, nullptr); answer != nullptr) answer(rows, took);
}

absl::Status MetricsSession::TakeOne(MonoTime deadline) {
  MAINSTAY_RETURN_IF_ERROR(Wait(deadline));
  PGresult* raw = PQgetResult(connection_.raw());
  if (raw == nullptr) {  // between two statements, unless there is nobody any more
    const bool lost = PQstatus(connection_.raw()) == CONNECTION_BAD || ++silent_ > 4;
    return lost ? absl::UnavailableError("the session was ended") : absl::OkStatus();
  }
  silent_ = 0;
  Rows rows(raw);
  const Expected e = expected_.front();
  expected_.pop_front();
  switch (PQresultStatus(raw)) {
    case PGRES_TUPLES_OK:
      if (e.kind == Kind::kRun) Deliver(e.statement.get(), rows);
      break;
    case PGRES_COMMAND_OK:
      if (e.kind == Kind::kPrepare) prepared_.insert(e.statement->name);
      if (e.kind == Kind::kRun)
        Deliver(e.statement.get(), absl::InvalidArgumentError("the statement returns no rows"));
      break;
    case PGRES_PIPELINE_ABORTED:
      if (e.kind != Kind::kRun || e.statement->answer == nullptr) break;
      if (grouping_ == Grouping::kTogether) {
        again_.push_back(e.statement);
      } else {
        Deliver(e.statement.get(), absl::FailedPreconditionError("its read-only transaction did not begin"));
      }
      break;
    case PGRES_PIPELINE_SYNC:
      if (e.kind != Kind::kSync) return absl::InternalError("the pipeline lost its order");
      break;
    default:
      if (e.kind != Kind::kIgnore && e.kind != Kind::kSync) Deliver(e.statement.get(), ErrorOf(raw));
      if (PQstatus(connection_.raw()) == CONNECTION_BAD)
        return absl::UnavailableError("the session was ended");
      break;
  }
  return absl::OkStatus();
}

absl::Status MetricsSession::Pump(MonoTime deadline) {
  while (busy()) {
    if (expected_.empty()) MAINSTAY_RETURN_IF_ERROR(SendTogether(std::exchange(again_, {})));
    const absl::Status status = TakeOne(deadline);
    if (absl::IsDeadlineExceeded(status)) return status;
    if (!status.ok()) return Fail(status);
  }
  return absl::OkStatus();
}

}  // namespace mainstay::engine::postgres
