// A line of the database's own log, as it is told on the agent's standard output: schema mainstay.log/v1
// (docs/AUDIT.md).
//
//   bytes of the database --LogParser--> DatabaseLine --Format--> one JSON object
//
// A parser is incremental and bounded: it keeps the first kMaxLogText bytes of each text and counts the rest,
// so that a statement of 10 MB costs what one of 6 KB costs. Nothing that a client of the database can choose
// (its name, its statements, its application's name) makes a line of its own or of another's.
//
// Thread rules: plain values; a parser belongs to one thread. Errors: none; what is not understood is a line
// without fields.
#ifndef MAINSTAY_LIB_AUDIT_DATABASE_LOG_H_
#define MAINSTAY_LIB_AUDIT_DATABASE_LOG_H_

#include <algorithm>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"

namespace mainstay::audit {

struct Identity;

inline constexpr size_t kMaxLogText = 6 * 1024;

// The head of a text of any length.
class HeadText {
 public:
  void Append(absl::string_view more) {
    size_ += more.size();
    const size_t room = kMaxLogText - std::min(kMaxLogText, head_.size());
    head_.append(more.data(), std::min(room, more.size()));
  }
  // Bytes that were there and are not kept.
  void Skip(uint64_t bytes) { size_ += bytes; }
  const std::string& head() const { return head_; }
  uint64_t size() const { return size_; }
  bool cut() const { return size_ > head_.size(); }

 private:
  std::string head_;
  uint64_t size_ = 0;
};

enum class LogClass : uint8_t {
  kLog,
  kAudit,  // pgaudit
  kSlowQuery,
  kDenied,   // an attempt that the server refused: a login, a right
  kLatency,  // an event that took long (Redis' latency monitor)
  kKill,     // connections that were cut
};
const char* ToString(LogClass c);  // "slow_query"

// In order of weight.
enum class LogWeight : uint8_t { kDebug, kInfo, kWarn, kError };
const char* ToString(LogWeight w);  // "info"

// What pgaudit wrote behind "AUDIT: ".
struct PgAudit {
  std::string type;  // SESSION, OBJECT
  int64_t statement_id = 0;
  int64_t substatement_id = 0;
  std::string clazz;  // READ, WRITE, DDL, ROLE, ...
  std::string command;
  std::string object_type;
  std::string object_name;
  std::string statement;
  std::string parameter;
  std::optional<int64_t> rows;
};

// An entry of a ring that the server keeps (slow log, ACL log, latency monitor) and that is read now and
// then.
struct RingFacts {
  int64_t id = -1;                      // the ring's own number; -1: it has none
  int64_t count = 1;                    // of equal ones that the ring merged
  std::string reason, context, object;  // "auth", "toplevel", "set"
  const char* completeness = "full";    // full | gapped (entries are missing before this one) | sampled
};

// What a broker tells of itself as an event (RabbitMQ's event exchange).
struct BrokerEvent {
  std::string name;                                         // "user.created"
  std::vector<std::pair<std::string, std::string>> fields;  // as it came
};

struct DatabaseLine {
  std::optional<LogClass> clazz;  // told by who made the line; else it follows from the text
  std::optional<double> duration_ms;
  std::optional<RingFacts> ring;
  std::optional<BrokerEvent> event;
  int64_t unix_us = 0;   // 0: not told
  std::string severity;  // as the server wrote it (it may be translated); "" : not a line of its own making
  std::string sqlstate;
  int64_t pid = 0;
  std::string session;
  int64_t session_line = 0;
  std::string user, database, application, remote, backend, command;
  std::string transaction, virtual_transaction, query_id, location;
  HeadText message, detail, hint, context, query, statement;
  bool broken = false;  // bytes of it were lost on the way

  bool cut() const {
    return broken || message.cut() || detail.cut() || hint.cut() || context.cut() || query.cut() ||
           statement.cut();
  }
  uint64_t bytes() const {
    return message.size() + detail.size() + hint.size() + context.size() + query.size() + statement.size();
  }
};

// By severity, or by SQLSTATE where that is translated.
LogWeight WeightOf(const DatabaseLine& line);
LogClass ClassOf(const DatabaseLine& line);
// Of "duration: 12.345 ms ...".
std::optional<double> DurationMs(absl::string_view message);
// Of "AUDIT: SESSION,1,1,..."; none when it is not pgaudit's. A line that was cut gives what is there.
std::optional<PgAudit> ParsePgAudit(absl::string_view message);

// Why lines are missing.
struct Dropped {
  uint64_t lines = 0;
  uint64_t bytes = 0;
  const char* reason = "";  // "rate-limit", "overflow"
  std::string msg;
};

// The JSON line with its '\n': at most kMaxLineBytes, secrets taken out. Pure.
std::string Format(const DatabaseLine& line, const Identity& who, uint64_t seq, int64_t now_unix_us);
std::string Format(const Dropped& dropped, const Identity& who, uint64_t seq, int64_t now_unix_us);

class LogParser {
 public:
  using Sink = std::function<void(const DatabaseLine&)>;
  virtual ~LogParser() = default;
  virtual void Feed(absl::string_view bytes, const Sink& sink) = 0;
  // Bytes are missing here: what was begun ends, what follows starts at the next line.
  virtual void Gap(const Sink& sink) = 0;
  // Bytes without a line break are missing here. True: they belong to the line that is coming in, whose size
  // they count for. False: a Gap.
  virtual bool Miss(uint64_t /*bytes*/) { return false; }
  // Nothing came for a while: what is complete is given out.
  virtual void Flush(const Sink& sink) = 0;
  // Flush has something to do.
  virtual bool pending() const = 0;
};

}  // namespace mainstay::audit

#endif  // MAINSTAY_LIB_AUDIT_DATABASE_LOG_H_
