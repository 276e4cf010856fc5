// One session with a PostgreSQL server over libpq, never blocking past its deadline: connects, sends and
// reads with poll(2). A server that is stopped (SIGSTOP), full or gone costs a call its deadline and no more.
// PQcancel is not used, because it blocks: a session whose query outlived its deadline is kept (Await again)
// or dropped, and the server's statement_timeout ends the query.
//
// Every session pins search_path to pg_catalog,pg_temp in its startup packet; statements take parameters,
// never text from a database; names are catalog-qualified.
//
// Thread rules: one thread at a time.
// Errors: Cancelled, DeadlineExceeded (no answer in time), Unavailable (connection lost, or refused), and for
// an SQL error the code of its class with "<message> (SQLSTATE 57P03)"; SqlState(status) gives the five
// characters.
#ifndef MAINSTAY_LIB_ENGINE_POSTGRES_CONNECTION_H_
#define MAINSTAY_LIB_ENGINE_POSTGRES_CONNECTION_H_

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "lib/base/file.h"
#include "lib/base/time.h"
#include "lib/engine/parts/canceller.h"

struct pg_conn;
struct pg_result;

namespace mainstay::engine::postgres {

// The five characters of an SQL error; "" when `status` is not one.
std::string SqlState(const absl::Status& status);

// The answer of one statement.
class Rows {
 public:
  Rows() = default;
  explicit Rows(pg_result* result);
  int size() const { return size_; }
  bool null(int row, int column) const;
  std::string text(int row, int column) const;  // "" when null or not there
  int64_t number(int row, int column) const;    // 0 when null or not a number
  uint64_t lsn(int row, int column) const;      // 0 when null or not a position
  bool truth(int row, int column) const { return text(row, column) == "t"; }
  absl::string_view view(int row, int column) const;  // as text, without a copy; good while this lives
  std::vector<std::string> names() const;             // of the columns

 private:
  std::shared_ptr<pg_result> result_;
  int size_ = 0;
};

using ConnectOptions = std::vector<std::pair<std::string, std::string>>;

class Connection {
 public:
  explicit Connection(const Canceller* canceller) : canceller_(canceller) {}
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  // Begins to connect; Await... goes on with it.
  absl::Status Begin(const ConnectOptions& options);
  // DeadlineExceeded: not connected yet, may be called again.
  absl::Status AwaitConnected(MonoTime deadline);
  absl::Status Connect(const ConnectOptions& options, MonoTime deadline);

  // One statement; parameters as text. A DeadlineExceeded leaves it under way.
  absl::StatusOr<Rows> Query(const char* sql, const std::vector<std::string>& parameters, MonoTime deadline);
  absl::Status Send(const char* sql, const std::vector<std::string>& parameters);
  absl::StatusOr<Rows> Await(MonoTime deadline);

  // Prepared on first use (by the address of `sql`: literals only); saves parsing and planning of frequent
  // statements.
  absl::StatusOr<Rows> QueryPrepared(const char* name, const char* sql,
                                     const std::vector<std::string>& parameters, MonoTime deadline);
  absl::Status SendPrepared(const char* name, const char* sql, const std::vector<std::string>& parameters,
                            MonoTime deadline);

  void Close();
  bool open() const { return connected_; }
  bool connecting() const { return conn_ != nullptr && !connected_; }
  bool busy() const { return busy_; }             // a statement is under way
  MonoTime busy_since() const { return since_; }  // also: when the connecting began
  int backend_pid() const;
  int server_version() const;  // 150020
  pg_conn* raw() { return conn_; }

 private:
  absl::Status Wait(short events, MonoTime deadline);
  absl::Status Broken(absl::string_view doing);
  absl::Status Flush(MonoTime deadline);

  const Canceller* canceller_;
  pg_conn* conn_ = nullptr;
  bool connected_ = false;
  bool busy_ = false;
  int poll_state_ = 0;
  MonoTime since_;
  std::vector<const char*> prepared_;
};

}  // namespace mainstay::engine::postgres

#endif  // MAINSTAY_LIB_ENGINE_POSTGRES_CONNECTION_H_
