// A session for collecting: statements go out together (libpq's pipeline: one write, one answer to wait for),
// prepared once, and what is not answered by a deadline is waited for again later.
//
//   MetricsSession session(options, "SET statement_timeout = 5000");
//   if (session.Ready(deadline).ok()) session.Send({...}, Grouping::kTogether);
//   session.Pump(deadline);  // DeadlineExceeded: still under way, call it again with the next scrape
//
// Thread rules: one thread. Errors: Unavailable, the session is closed then and every statement without an
// answer has failed; DeadlineExceeded.
#ifndef MAINSTAY_LIB_ENGINE_POSTGRES_METRICS_SESSION_H_
#define MAINSTAY_LIB_ENGINE_POSTGRES_METRICS_SESSION_H_

#include <deque>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "lib/base/time.h"
#include "lib/engine/postgres/connection.h"

namespace mainstay::engine::postgres {

class MetricsSession {
 public:
  // The answer of a statement, and how long it took (since the one before it).
  using Answer = std::function<void(const absl::StatusOr<Rows>& rows, Duration took)>;
  struct Statement {
    std::string name;  // of the prepared statement; "" : not prepared
    std::string sql;
    Answer answer;  // may be null
  };
  enum class Grouping : uint8_t {
    kTogether,  // in one transaction; when one fails, the later ones are sent again without it
    kReadOnly,  // each in a read-only transaction of its own that is rolled back
  };

  // `setup`: statements without answer, run once.
  MetricsSession(ConnectOptions options, std::string setup)
      : connection_(nullptr), options_(std::move(options)), setup_(std::move(setup)) {}

  // Connected and set up. DeadlineExceeded: not yet, may be called again.
  absl::Status Ready(MonoTime deadline);
  // Not while busy().
  absl::Status Send(std::vector<Statement> statements, Grouping grouping);
  // Takes answers until all are there.
  absl::Status Pump(MonoTime deadline);

  bool open() const { return ready_; }
  bool busy() const { return !expected_.empty() || !again_.empty(); }
  MonoTime busy_since() const { return since_; }
  int server_version() const { return connection_.server_version(); }
  uint64_t generation() const { return generation_; }  // rises with each new connection
  void Close();

 private:
  enum class Kind : uint8_t { kPrepare, kRun, kIgnore, kSync };
  struct Expected {
    Kind kind = Kind::kSync;
    std::shared_ptr<Statement> statement;
  };

  absl::Status Setup(MonoTime deadline);
  bool SendOne(const std::shared_ptr<Statement>& statement);
  bool SendCommand(const char* sql);
  bool SendSync();
  absl::Status SendTogether(const std::vector<std::shared_ptr<Statement>>& statements);
  absl::Status SendReadOnly(const std::vector<std::shared_ptr<Statement>>& statements);
  absl::Status Wait(MonoTime deadline);
  absl::Status TakeOne(MonoTime deadline);
  void Deliver(Statement* statement, const absl::StatusOr<Rows>& rows);
  absl::Status Fail(absl::Status status);

  Connection connection_;
  const ConnectOptions options_;
  const std::string setup_;
  bool ready_ = false;
  bool setup_sent_ = false;
  uint64_t generation_ = 0;
  std::set<std::string> prepared_;
  std::deque<Expected> expected_;
  std::vector<std::shared_ptr<Statement>> again_;  // did not run because of another's failure
  Grouping grouping_ = Grouping::kTogether;
  int silent_ = 0;  // answers in a row that were none
  MonoTime since_;
  MonoTime last_answer_;
};

}  // namespace mainstay::engine::postgres

#endif  // MAINSTAY_LIB_ENGINE_POSTGRES_METRICS_SESSION_H_
