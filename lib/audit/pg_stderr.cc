#include "lib/audit/pg_stderr.h"

#include <algorithm>
#include <cstring>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace mainstay::audit {
namespace {

constexpr absl::string_view kMark = "@mainstay ";
constexpr size_t kColumn = 63;    // NAMEDATALEN - 1
constexpr size_t kMaxHead = 512;  // of the prefix in front of the columns
constexpr size_t kLineRoom = kMaxHead + 3 * kColumn + kMaxLogText + 64;

// What stands in front of the columns. False: it is not there (or not whole).
struct Head {
  DatabaseLine fields;
  size_t columns_at = 0;
};

// The next piece up to `end`; false when there is none.
bool Take(absl::string_view* rest, char end, absl::string_view* out) {
  const size_t at = rest->find(end);
  if (at > kMaxHead) return false;  // or there is none
  *out = rest->substr(0, at);
  rest->remove_prefix(at + 1);
  return true;
}

// "1764003600.123" -> microseconds.
bool Epoch(absl::string_view text, int64_t* out) {
  const size_t dot = text.find('.');
  int64_t seconds = 0, ms = 0;
  if (dot == absl::string_view::npos || text.size() - dot != 4) return false;
  if (!absl::SimpleAtoi(text.substr(0, dot), &seconds) || !absl::SimpleAtoi(text.substr(dot + 1), &ms))
    return false;
  if (seconds < 0 || seconds > (int64_t{1} << 40) || ms < 0) return false;
  *out = seconds * 1000000 + ms * 1000;
  return true;
}

bool ParseHead(absl::string_view line, Head* out) {
  absl::string_view rest = line;
  if (!absl::ConsumePrefix(&rest, kMark)) return false;
  absl::string_view date, time, zone, epoch, pid, session, number, code, txid, vxid, backend, remote;
  if (!Take(&rest, ' ', &date) || !Take(&rest, ' ', &time) || !Take(&rest, ' ', &zone)) return false;
  if (!Take(&rest, ' ', &epoch) || !Take(&rest, ' ', &pid) || !Take(&rest, ' ', &session)) return false;
  if (!Take(&rest, ' ', &number) || !Take(&rest, '|', &code) || !Take(&rest, '|', &txid)) return false;
  if (!Take(&rest, '|', &vxid) || !Take(&rest, '|', &backend) || !Take(&rest, '|', &remote)) return false;
  DatabaseLine& f = out->fields;
  if (!Epoch(epoch, &f.unix_us) || !absl::SimpleAtoi(pid, &f.pid) || f.pid <= 0) return false;
  if (!absl::SimpleAtoi(number, &f.session_line) || code.size() != 5 || session.empty() ||
      session.size() > 40)
    return false;
  f.session = std::string(session);
  f.sqlstate = std::string(code);
  if (txid != "0") f.transaction = std::string(txid);
  f.virtual_transaction = std::string(vxid);
  f.backend = std::string(backend);
  f.remote = std::string(remote);
  out->columns_at = line.size() - rest.size();
  return true;
}

std::string Column(absl::string_view text) {
  text = absl::StripTrailingAsciiWhitespace(text);
  return text == "[unknown]" ? std::string() : std::string(text);
}

// The keyword of a line ("LOG", "DETAIL", a translation) and its text.
bool TakeKeyword(absl::string_view* rest, absl::string_view* keyword) {
  const size_t at = rest->find(":  ");
  if (at == absl::string_view::npos || at == 0 || at > 40) return false;
  *keyword = rest->substr(0, at);
  if (keyword->find(' ') != absl::string_view::npos) return false;
  rest->remove_prefix(at + 3);
  return true;
}

// Where the text of such a line goes; null: it begins a record.
HeadText* FieldOf(absl::string_view keyword, DatabaseLine* l) {
  if (keyword == "DETAIL") return &l->detail;
  if (keyword == "HINT") return &l->hint;
  if (keyword == "QUERY") return &l->query;
  if (keyword == "CONTEXT") return &l->context;
  if (keyword == "STATEMENT") return &l->statement;
  return nullptr;
}

bool IsSeverity(absl::string_view word) {
  for (absl::string_view s : {"LOG", "ERROR", "FATAL", "WARNING", "NOTICE", "INFO", "PANIC"}) {
    if (word == s) return true;
  }
  return absl::StartsWith(word, "DEBUG") && word.size() <= 6;
}

}  // namespace

PgStderrParser::PgStderrParser() : line_(kLineRoom) {}

void PgStderrParser::Feed(absl::string_view bytes, const Sink& sink) {
  line_.Feed(bytes, [&] { EndOfLine(sink); });
}

void PgStderrParser::EndOfLine(const Sink& sink) {
  if (absl::StartsWith(line_.text(), "\t")) {
    Continuation();
  } else if (absl::StartsWith(line_.text(), kMark)) {
    if (!Prefixed(sink)) return;  // the line break stands in a name: there is more to come
  } else {
    Foreign(sink);
  }
  line_.Clear();
}

void PgStderrParser::Continuation() {
  if (!have_ || field_ == nullptr) return;  // of what was lost
  field_->Append("\n");
  field_->Append(absl::string_view(line_.text()).substr(1));
  field_->Skip(line_.beyond());
}

// False: the columns are not whole yet.
bool PgStderrParser::Prefixed(const Sink& sink) {
  Head head;
  if (!ParseHead(line_.text(), &head)) {
    Foreign(sink);
    return true;
  }
  const size_t text_at = head.columns_at + 3 * kColumn + 1;
  if (line_.text().size() < text_at) {
    if (line_.beyond() > 0) return Foreign(sink), true;  // cannot be: the room is larger
    line_.Append('\n');
    return false;
  }
  absl::string_view rest = absl::string_view(line_.text()).substr(text_at);
  absl::string_view keyword;
  const bool known = TakeKeyword(&rest, &keyword);
  const bool same = have_ && !foreign_ && record_.session == head.fields.session &&
                    record_.pid == head.fields.pid && record_.unix_us == head.fields.unix_us;
  HeadText* sub = known && same ? FieldOf(keyword, &record_) : nullptr;
  const bool location = known && same && (keyword == "LOCATION" || keyword == "BACKTRACE");
  if (sub == nullptr && !location) {
    Emit(sink);
    record_ = std::move(head.fields);
    const absl::string_view columns = absl::string_view(line_.text()).substr(head.columns_at);
    record_.application = Column(columns.substr(0, kColumn));
    record_.user = Column(columns.substr(kColumn, kColumn));
    record_.database = Column(columns.substr(2 * kColumn, kColumn));
    if (known) record_.severity = std::string(keyword);
    have_ = true;
    foreign_ = false;
    sub = &record_.message;
  }
  field_ = sub;
  if (location) {
    if (keyword == "LOCATION") record_.location = std::string(rest.substr(0, 200));
    return true;
  }
  sub->Append(rest);
  sub->Skip(line_.beyond());
  return true;
}

// Not our prefix: another program's text, or the server's before it knew the prefix ("2026-11-24 17:00:00.123
// UTC [4711] FATAL:  ...").
void PgStderrParser::Foreign(const Sink& sink) {
  if (line_.empty()) return;
  absl::string_view rest = line_.text();
  absl::string_view keyword;
  const size_t bracket = rest.find("] ");
  if (bracket < 100) rest.remove_prefix(bracket + 2);
  const bool server = TakeKeyword(&rest, &keyword);
  HeadText* sub =
      server && have_ && foreign_ && !record_.severity.empty() ? FieldOf(keyword, &record_) : nullptr;
  if (sub == nullptr) {
    Emit(sink);
    have_ = foreign_ = true;
    if (server && IsSeverity(keyword)) {
      record_.severity = std::string(keyword);
    } else {
      rest = line_.text();
    }
    sub = &record_.message;
  }
  field_ = sub;
  sub->Append(rest);
  sub->Skip(line_.beyond());
}

void PgStderrParser::Emit(const Sink& sink) {
  if (have_) sink(record_);
  have_ = false;
  field_ = nullptr;
  record_ = DatabaseLine();
}

// Only where the head is whole already: what follows a hole must not be taken for its neighbour.
bool PgStderrParser::Miss(uint64_t bytes) { return line_.Miss(bytes); }

void PgStderrParser::Gap(const Sink& sink) {
  if (!line_.empty() && !line_.skipping()) EndOfLine(sink);  // what came of the line counts
  line_.Clear();
  if (have_) record_.broken = true;
  Emit(sink);
  line_.SkipRest();
}

void PgStderrParser::Flush(const Sink& sink) {
  if (line_.empty() && !line_.skipping()) Emit(sink);
}

}  // namespace mainstay::audit
