#include "lib/audit/database_log.h"

#include <algorithm>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "lib/audit/audit.h"
#include "lib/audit/line.h"
#include "lib/audit/redact.h"

namespace mainstay::audit {
namespace {

constexpr absl::string_view kAuditMark = "AUDIT: ";
constexpr absl::string_view kDurationMark = "duration: ";

struct Severity {
  absl::string_view name;
  LogWeight weight;
};
constexpr Severity kSeverities[] = {
    {"LOG", LogWeight::kInfo},        {"ERROR", LogWeight::kError},    {"FATAL", LogWeight::kError},
    {"WARNING", LogWeight::kWarn},    {"NOTICE", LogWeight::kInfo},    {"INFO", LogWeight::kInfo},
    {"PANIC", LogWeight::kError},     {"DEBUG", LogWeight::kDebug},    {"DEBUG1", LogWeight::kDebug},
    {"DEBUG2", LogWeight::kDebug},    {"DEBUG3", LogWeight::kDebug},   {"DEBUG4", LogWeight::kDebug},
    {"DEBUG5", LogWeight::kDebug},    {"debug", LogWeight::kDebug},    {"verbose", LogWeight::kDebug},
    {"notice", LogWeight::kInfo},     {"warning", LogWeight::kWarn},   {"info", LogWeight::kInfo},
    {"error", LogWeight::kError},     {"critical", LogWeight::kError}, {"alert", LogWeight::kError},
    {"emergency", LogWeight::kError},
};

// The fields of one record of CSV; an unfinished last one counts.
std::vector<std::string> SplitCsv(absl::string_view text, size_t most) {
  std::vector<std::string> out(1);
  bool quoted = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (quoted) {
      if (c != '"') {
        out.back().push_back(c);
      } else if (i + 1 < text.size() && text[i + 1] == '"') {
        out.back().push_back('"');
        ++i;
      } else {
        quoted = false;
      }
    } else if (c == '"') {
      quoted = true;
    } else if (c == ',' && out.size() < most) {
      out.emplace_back();
    } else {
      out.back().push_back(c);
    }
  }
  return out;
}

// What is told of who and what, and the texts besides the message.
void AppendRecord(JsonObject& out, const DatabaseLine& l) {
  const auto text = [](JsonObject& o, absl::string_view key, absl::string_view value) {
    if (!value.empty()) o.Text(key, Redact(value));
  };
  JsonObject o = out.Open("record");
  o.TextUnlessEmpty("severity", l.severity);
  o.TextUnlessEmpty("sqlstate", l.sqlstate);
  if (l.pid != 0) o.Number("pid", l.pid);
  o.TextUnlessEmpty("session", l.session);
  if (l.session_line != 0) o.Number("line", l.session_line);
  o.TextUnlessEmpty("user", l.user);
  o.TextUnlessEmpty("database", l.database);
  text(o, "application", l.application);
  o.TextUnlessEmpty("client", l.remote);
  o.TextUnlessEmpty("backend", l.backend);
  o.TextUnlessEmpty("command", l.command);
  o.TextUnlessEmpty("txid", l.transaction);
  o.TextUnlessEmpty("vxid", l.virtual_transaction);
  o.TextUnlessEmpty("query_id", l.query_id);
  text(o, "detail", l.detail.head());
  text(o, "hint", l.hint.head());
  text(o, "query", l.query.head());
  text(o, "context", l.context.head());
  text(o, "statement", l.statement.head());
  o.TextUnlessEmpty("location", l.location);
  o.Close();
}

void AppendPgAudit(JsonObject& out, const PgAudit& a) {
  JsonObject o = out.Open("audit");
  o.Text("type", a.type);
  o.Number("statement_id", a.statement_id);
  o.Number("substatement_id", a.substatement_id);
  o.Text("class", a.clazz);
  o.Text("command", a.command);
  o.TextUnlessEmpty("object_type", a.object_type);
  o.TextUnlessEmpty("object_name", a.object_name);
  if (!a.statement.empty()) o.Text("statement", Redact(a.statement));
  if (!a.parameter.empty()) o.Text("parameter", Redact(a.parameter));
  if (a.rows.has_value()) o.Number("rows", *a.rows);
  o.Close();
}

void AppendRing(JsonObject& out, const RingFacts& r) {
  JsonObject o = out.Open("ring");
  if (r.id >= 0) o.Number("id", r.id);
  o.Number("count", r.count);
  o.TextUnlessEmpty("reason", r.reason);
  o.TextUnlessEmpty("context", r.context);
  if (!r.object.empty()) o.Text("object", Redact(r.object));
  o.Fixed("completeness", r.completeness);
  o.Close();
}

constexpr size_t kMaxFields = 40;

void AppendEvent(JsonObject& out, const BrokerEvent& e) {
  JsonObject o = out.Open("event");
  o.Text("name", e.name);
  JsonObject fields = o.Open("fields");
  for (size_t i = 0; i < e.fields.size() && i < kMaxFields; ++i) {
    std::string key;
    AppendText(&key, e.fields[i].first, 64);
    fields.Text(key.substr(1, key.size() - 2), Redact(e.fields[i].second));
  }
  fields.Close();
  o.Close();
}

void AppendHead(JsonObject& out, int64_t unix_us, absl::string_view level, const Identity& who, uint64_t seq,
                absl::string_view clazz) {
  out.Fixed("ts", Timestamp(unix_us));
  out.Fixed("level", level);
  out.Fixed("logger", who.engine == "postgresql" ? absl::string_view("postgres") : who.engine);
  out.Fixed("schema", "mainstay.log/v1");
  out.Number("seq", static_cast<int64_t>(seq));
  out.Fixed("boot", who.boot);
  out.Fixed("class", clazz);
}

}  // namespace

const char* ToString(LogClass c) {
  switch (c) {
    case LogClass::kLog:
      return "log";
    case LogClass::kAudit:
      return "audit";
    case LogClass::kSlowQuery:
      return "slow_query";
    case LogClass::kDenied:
      return "denied";
    case LogClass::kLatency:
      return "latency";
    case LogClass::kKill:
      return "kill";
  }
  return "?";
}

const char* ToString(LogWeight w) {
  switch (w) {
    case LogWeight::kDebug:
      return "debug";
    case LogWeight::kInfo:
      return "info";
    case LogWeight::kWarn:
      return "warn";
    case LogWeight::kError:
      return "error";
  }
  return "?";
}

LogWeight WeightOf(const DatabaseLine& line) {
  for (const Severity& s : kSeverities) {
    if (line.severity == s.name) return s.weight;
  }
  if (line.sqlstate.size() != 5 || absl::StartsWith(line.sqlstate, "00")) return LogWeight::kInfo;
  return absl::StartsWith(line.sqlstate, "01") || absl::StartsWith(line.sqlstate, "02") ? LogWeight::kWarn
                                                                                        : LogWeight::kError;
}

LogClass ClassOf(const DatabaseLine& line) {
  if (line.clazz.has_value()) return *line.clazz;
  const std::string& text = line.message.head();
  const std::string& code = line.sqlstate;
  const bool plain = code.empty() || code == "00000";
  // A function of a client's can RAISE a message that looks like pgaudit's, but not without a CONTEXT, which
  // pgaudit never has.
  if (absl::StartsWith(text, kAuditMark) && (plain || code == "01000") && line.context.size() == 0 &&
      ParsePgAudit(text).has_value()) {
    return LogClass::kAudit;
  }
  if (plain && DurationMs(text).has_value()) return LogClass::kSlowQuery;
  return LogClass::kLog;
}

std::optional<double> DurationMs(absl::string_view message) {
  if (!absl::ConsumePrefix(&message, kDurationMark)) return std::nullopt;
  const size_t end = message.find(' ');
  double ms = 0;
  if (end == absl::string_view::npos || !absl::StartsWith(message.substr(end), " ms")) return std::nullopt;
  if (!absl::SimpleAtod(message.substr(0, end), &ms) || !(ms >= 0)) return std::nullopt;
  return ms;
}

std::optional<PgAudit> ParsePgAudit(absl::string_view message) {
  if (!absl::ConsumePrefix(&message, kAuditMark)) return std::nullopt;
  const std::vector<std::string> f = SplitCsv(message, 10);
  PgAudit out;
  if (f.size() < 5 || (f[0] != "SESSION" && f[0] != "OBJECT")) return std::nullopt;
  if (!absl::SimpleAtoi(f[1], &out.statement_id) || !absl::SimpleAtoi(f[2], &out.substatement_id))
    return std::nullopt;
  out.type = f[0];
  out.clazz = f[3];
  out.command = f[4];
  if (f.size() > 5) out.object_type = f[5];
  if (f.size() > 6) out.object_name = f[6];
  if (f.size() > 7) out.statement = f[7];
  if (f.size() > 8) out.parameter = f[8];
  int64_t rows = 0;
  if (f.size() > 9 && absl::SimpleAtoi(f[9], &rows)) out.rows = rows;
  return out;
}

std::string Format(const DatabaseLine& l, const Identity& who, uint64_t seq, int64_t now_unix_us) {
  const LogClass clazz = ClassOf(l);
  const std::optional<double> duration =
      l.duration_ms.has_value() || l.clazz.has_value() ? l.duration_ms : DurationMs(l.message.head());
  std::optional<PgAudit> audit;
  if (clazz == LogClass::kAudit && !l.event.has_value()) audit = ParsePgAudit(l.message.head());
  const std::string message = Redact(l.message.head());
  std::string out;
  bool shortened = l.cut();
  for (const size_t cap : {size_t{6144}, size_t{2048}, size_t{512}, size_t{128}, size_t{32}}) {
    out.clear();
    JsonObject o(&out, cap);
    AppendHead(o, l.unix_us != 0 ? l.unix_us : now_unix_us, ToString(WeightOf(l)), who, seq, ToString(clazz));
    // pgaudit's text is in `audit` already.
    o.Text("msg", audit.has_value()
                      ? absl::StrCat("AUDIT: ", audit->type, " ", audit->clazz, " ", audit->command)
                      : message);
    if ((clazz == LogClass::kSlowQuery || clazz == LogClass::kLatency) && duration.has_value())
      o.Real("duration_ms", *duration);
    AppendIdentity(o, who);
    AppendRecord(o, l);
    if (audit.has_value()) AppendPgAudit(o, *audit);
    if (l.ring.has_value()) AppendRing(o, *l.ring);
    if (l.event.has_value()) AppendEvent(o, *l.event);
    if (shortened) {
      o.Bool("truncated", true);
      o.Number("bytes", static_cast<int64_t>(l.bytes()));
    }
    o.Close();
    out.push_back('\n');
    if (out.size() <= kMaxLineBytes) break;
    shortened = true;
  }
  return out;
}

std::string Format(const Dropped& dropped, const Identity& who, uint64_t seq, int64_t now_unix_us) {
  std::string out;
  JsonObject o(&out, 512);
  AppendHead(o, now_unix_us, "warn", who, seq, "dropped");
  o.Text("msg", dropped.msg);
  AppendIdentity(o, who);
  JsonObject d = o.Open("dropped");
  d.Number("lines", static_cast<int64_t>(dropped.lines));
  d.Number("bytes", static_cast<int64_t>(dropped.bytes));
  d.Fixed("reason", dropped.reason);
  d.Close();
  o.Close();
  out.push_back('\n');
  return out;
}

}  // namespace mainstay::audit
