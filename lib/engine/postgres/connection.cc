#include "lib/engine/postgres/connection.h"

#include <errno.h>
#include <libpq-fe.h>
#include <poll.h>
#include <string.h>

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/cord.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "lib/base/result.h"
#include "lib/base/strings.h"
#include "lib/engine/postgres/lsn.h"

namespace mainstay::engine::postgres {
namespace {

constexpr char kStateUrl[] = "mainstay/sqlstate";

absl::StatusCode CodeOf(absl::string_view state) {
  if (state == "53300" || state == "53100" || state == "53200") return absl::StatusCode::kResourceExhausted;
  if (state == "57014")
    return absl::StatusCode::kDeadlineExceeded;  // statement_timeout, or cancelled by somebody
  if (state == "42710" || state == "42P06") return absl::StatusCode::kAlreadyExists;
  if (state == "42704") return absl::StatusCode::kNotFound;
  const absl::string_view cls = state.substr(0, 2);
  if (cls == "28") return absl::StatusCode::kUnauthenticated;
  if (cls == "42") return absl::StatusCode::kInvalidArgument;
  if (cls == "57" || cls == "08") return absl::StatusCode::kUnavailable;
  return absl::StatusCode::kFailedPrecondition;
}

// Text of a server or of libpq: untrusted, may have many lines.
std::string OneLine(absl::string_view text) {
  std::string out = Cut(absl::StripAsciiWhitespace(text), 400);
  std::replace_if(
      out.begin(), out.end(), [](char c) { return static_cast<unsigned char>(c) < 0x20; }, ' ');
  return out;
}

absl::Status SqlError(absl::string_view state, absl::string_view message) {
  absl::Status status(CodeOf(state), absl::StrCat(OneLine(message), " (SQLSTATE ", state, ")"));
  status.SetPayload(kStateUrl, absl::Cord(state));
  return status;
}

// In verbose messages the state stands between ":  " and ":": "FATAL:  57P03: the database system is starting
// up".
std::string StateInMessage(absl::string_view message) {
  for (size_t at = message.find(":  "); at != absl::string_view::npos; at = message.find(":  ", at + 1)) {
    const absl::string_view state = message.substr(at + 3, 6);
    if (state.size() == 6 && state[5] == ':' && std::all_of(state.begin(), state.end() - 1, [](char c) {
          return absl::ascii_isdigit(static_cast<unsigned char>(c)) ||
                 absl::ascii_isupper(static_cast<unsigned char>(c));
        })) {
      return std::string(state.substr(0, 5));
    }
  }
  return "";
}

int TimeoutMs(MonoTime deadline) {
  if (deadline.is_never()) return 1000;
  const Duration left = deadline - BootClock().Now();
  if (left <= Duration(0)) return 0;
  // Rounded up: poll(0) in a loop would spin through the last millisecond.
  return static_cast<int>(std::min<int64_t>((left.count() + 999'999) / 1'000'000, 1000));
}

}  // namespace

std::string SqlState(const absl::Status& status) {
  const auto payload = status.GetPayload(kStateUrl);
  return payload.has_value() ? std::string(*payload) : "";
}

// ---- rows ----

Rows::Rows(pg_result* result) : result_(result, &PQclear), size_(PQntuples(result)) {}
bool Rows::null(int row, int column) const {
  return result_ == nullptr || row >= size_ || column >= PQnfields(result_.get()) ||
         PQgetisnull(result_.get(), row, column) == 1;
}
std::string Rows::text(int row, int column) const {
  if (null(row, column)) return "";
  return std::string(PQgetvalue(result_.get(), row, column),
                     static_cast<size_t>(PQgetlength(result_.get(), row, column)));
}
absl::string_view Rows::view(int row, int column) const {
  if (null(row, column)) return "";
  return {PQgetvalue(result_.get(), row, column),
          static_cast<size_t>(PQgetlength(result_.get(), row, column))};
}
std::vector<std::string> Rows::names() const {
  std::vector<std::string> out;
  for (int i = 0; result_ != nullptr && i < PQnfields(result_.get()); ++i) {
    out.emplace_back(PQfname(result_.get(), i));
  }
  return out;
}
int64_t Rows::number(int row, int column) const {
  int64_t out = 0;
  return absl::SimpleAtoi(text(row, column), &out) ? out : 0;
}
uint64_t Rows::lsn(int row, int column) const { return ParseLsn(text(row, column)).value_or(0); }

// ---- connecting ----

Connection::~Connection() { Close(); }

void Connection::Close() {
  // Non-blocking: a server that does not read cannot hold us (the farewell is sent only if it fits).
  if (conn_ != nullptr) PQfinish(conn_);
  conn_ = nullptr;
  connected_ = busy_ = false;
  prepared_.clear();
}

int Connection::backend_pid() const { return conn_ == nullptr ? 0 : PQbackendPID(conn_); }
int Connection::server_version() const { return conn_ == nullptr ? 0 : PQserverVersion(conn_); }

absl::Status Connection::Begin(const ConnectOptions& options) {
  Close();
  std::vector<const char*> keys, values;
  for (const auto& [key, value] : options) {
    keys.push_back(key.c_str());
    values.push_back(value.c_str());
  }
  keys.push_back(nullptr);
  values.push_back(nullptr);
  since_ = BootClock().Now();
  conn_ = PQconnectStartParams(keys.data(), values.data(), 0);
  if (conn_ == nullptr) return absl::ResourceExhaustedError("out of memory for a connection");
  if (PQstatus(conn_) == CONNECTION_BAD) return Broken("connecting");
  PQsetErrorVerbosity(conn_, PQERRORS_VERBOSE);
  PQsetNoticeProcessor(
      conn_, [](void*, const char*) {}, nullptr);
  poll_state_ = PGRES_POLLING_WRITING;
  return absl::OkStatus();
}

absl::Status Connection::AwaitConnected(MonoTime deadline) {
  if (connected_) return absl::OkStatus();
  if (conn_ == nullptr) return absl::UnavailableError("not connecting");
  while (poll_state_ != PGRES_POLLING_OK) {
    if (poll_state_ == PGRES_POLLING_FAILED) return Broken("connecting");
    MAINSTAY_RETURN_IF_ERROR(Wait(poll_state_ == PGRES_POLLING_READING ? POLLIN : POLLOUT, deadline));
    poll_state_ = PQconnectPoll(conn_);
  }
  PQsetnonblocking(conn_, 1);
  connected_ = true;
  return absl::OkStatus();
}

absl::Status Connection::Connect(const ConnectOptions& options, MonoTime deadline) {
  MAINSTAY_RETURN_IF_ERROR(Begin(options));
  absl::Status status = AwaitConnected(deadline);
  if (!status.ok()) Close();
  return status;
}

absl::Status Connection::Broken(absl::string_view doing) {
  const std::string message = PQerrorMessage(conn_);
  Close();
  if (const std::string state = StateInMessage(message); !state.empty())
    return SqlError(state, absl::StrCat(doing, ": ", message));
  return absl::UnavailableError(absl::StrCat(doing, ": ", OneLine(message)));
}

// One wait for the socket. May return early: callers loop.
absl::Status Connection::Wait(short events, MonoTime deadline) {
  if (canceller_ != nullptr && canceller_->cancelled()) return absl::CancelledError("cancelled");
  pollfd p[2] = {{PQsocket(conn_), events, 0}, {canceller_ == nullptr ? -1 : canceller_->fd(), POLLIN, 0}};
  const int timeout = TimeoutMs(deadline);
  const int n = poll(p, 2, timeout);
  if (canceller_ != nullptr && canceller_->cancelled()) return absl::CancelledError("cancelled");
  if (n == 0 && BootClock().Now() >= deadline)
    return absl::DeadlineExceededError("the database did not answer in time");
  return absl::OkStatus();
}

// ---- statements ----

absl::Status Connection::Flush(MonoTime deadline) {
  for (;;) {
    const int rc = PQflush(conn_);
    if (rc == 0) return absl::OkStatus();
    if (rc < 0) return Broken("sending");
    MAINSTAY_RETURN_IF_ERROR(Wait(POLLIN | POLLOUT, deadline));
    if (PQconsumeInput(conn_) == 0) return Broken("receiving");
  }
}

absl::Status Connection::Send(const char* sql, const std::vector<std::string>& parameters) {
  if (!connected_) return absl::UnavailableError("not connected to the database");
  if (busy_) return absl::FailedPreconditionError("another statement is under way");
  std::vector<const char*> values;
  values.reserve(parameters.size());
  for (const std::string& p : parameters) values.push_back(p.c_str());
  if (PQsendQueryParams(conn_, sql, static_cast<int>(values.size()), nullptr, values.data(), nullptr, nullptr,
                        0) == 0) {
    return Broken("sending");
  }
  busy_ = true;
  since_ = BootClock().Now();
  return absl::OkStatus();
}

absl::StatusOr<Rows> Connection::Await(MonoTime deadline) {
  if (!busy_) return absl::FailedPreconditionError("no statement is under way");
  MAINSTAY_RETURN_IF_ERROR(Flush(deadline));
  Rows rows;
  absl::Status error;
  for (;;) {
    while (PQisBusy(conn_) != 0) {
      MAINSTAY_RETURN_IF_ERROR(Wait(POLLIN, deadline));
      if (PQconsumeInput(conn_) == 0) return Broken("receiving");
    }
    PGresult* result = PQgetResult(conn_);
    if (result == nullptr) break;
    const ExecStatusType kind = PQresultStatus(result);
    if (kind == PGRES_TUPLES_OK || kind == PGRES_COMMAND_OK) {
      rows = Rows(result);
      continue;
    }
    const char* state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    const char* message = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
    if (state != nullptr) {
      error = SqlError(state, message == nullptr ? "" : message);
    } else {
      error = absl::UnavailableError(OneLine(PQresultErrorMessage(result)));
    }
    PQclear(result);
    if (PQstatus(conn_) == CONNECTION_BAD) break;
  }
  busy_ = false;
  if (PQstatus(conn_) == CONNECTION_BAD) Close();
  if (!error.ok()) return error;
  return rows;
}

absl::StatusOr<Rows> Connection::Query(const char* sql, const std::vector<std::string>& parameters,
                                       MonoTime deadline) {
  MAINSTAY_RETURN_IF_ERROR(Send(sql, parameters));
  return Await(deadline);
}

absl::Status Connection::SendPrepared(const char* name, const char* sql,
                                      const std::vector<std::string>& parameters, MonoTime deadline) {
  if (!connected_) return absl::UnavailableError("not connected to the database");
  if (busy_) return absl::FailedPreconditionError("another statement is under way");
  if (std::find(prepared_.begin(), prepared_.end(), name) == prepared_.end()) {
    if (PQsendPrepare(conn_, name, sql, 0, nullptr) == 0) return Broken("sending");
    busy_ = true;
    since_ = BootClock().Now();
    absl::Status status = Await(deadline).status();
    if (!status.ok()) {
      Close();  // half prepared: begin anew with the next session
      return status;
    }
    prepared_.push_back(name);
  }
  std::vector<const char*> values;
  values.reserve(parameters.size());
  for (const std::string& p : parameters) values.push_back(p.c_str());
  if (PQsendQueryPrepared(conn_, name, static_cast<int>(values.size()), values.data(), nullptr, nullptr, 0) ==
      0)
    return Broken("sending");
  busy_ = true;
  since_ = BootClock().Now();
  return absl::OkStatus();
}

absl::StatusOr<Rows> Connection::QueryPrepared(const char* name, const char* sql,
                                               const std::vector<std::string>& parameters,
                                               MonoTime deadline) {
  MAINSTAY_RETURN_IF_ERROR(SendPrepared(name, sql, parameters, deadline));
  return Await(deadline);
}

}  // namespace mainstay::engine::postgres
