#include "lib/audit/pg_files.h"

#include <ctime>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace mainstay::audit {
namespace {

int64_t Number(absl::string_view text) {
  int64_t out = 0;
  return absl::SimpleAtoi(text, &out) ? out : 0;
}

// "+03", "-0430", "+05:30" in seconds; nothing for a name other than UTC and GMT.
bool ZoneSeconds(absl::string_view zone, int64_t* out) {
  *out = 0;
  if (zone == "UTC" || zone == "GMT") return true;
  if (zone.size() < 3 || (zone[0] != '+' && zone[0] != '-')) return false;
  std::string digits;
  for (const char c : zone.substr(1)) {
    if (absl::ascii_isdigit(static_cast<unsigned char>(c))) {
      digits.push_back(c);
    } else if (c != ':') {
      return false;
    }
  }
  if (digits.size() != 2 && digits.size() != 4) return false;
  const int64_t minutes = digits.size() == 4 ? Number(absl::string_view(digits).substr(2)) : 0;
  *out = (Number(absl::string_view(digits).substr(0, 2)) * 60 + minutes) * (zone[0] == '-' ? -60 : 60);
  return true;
}

}  // namespace

int64_t ParsePgTime(absl::string_view text) {
  const size_t space = text.rfind(' ');
  int64_t zone = 0;
  if (space == absl::string_view::npos || !ZoneSeconds(text.substr(space + 1), &zone)) return 0;
  const std::string when(text.substr(0, space));
  struct tm tm = {};
  const char* rest = strptime(when.c_str(), "%Y-%m-%d %H:%M:%S", &tm);
  if (rest == nullptr) return 0;
  const int64_t seconds = timegm(&tm) - zone;
  int64_t ms = 0;
  if (*rest == '.' && !absl::SimpleAtoi(rest + 1, &ms)) return 0;
  return ms >= 0 && ms < 1000 ? seconds * 1000000 + ms * 1000 : 0;
}

// ---- csvlog ----

void PgCsvParser::Feed(absl::string_view bytes, const Sink& sink) {
  for (const char c : bytes) Byte(c, sink);
}

void PgCsvParser::Byte(char c, const Sink& sink) {
  if (skip_) {  // inside or outside of quotes, nobody knows: the next line that begins like a record
    if (c == '\n') {
      count_ = 0;
      fields_[0] = HeadText();
      quoted_ = quote_ = any_ = false;
    } else {
      fields_[0].Append(absl::string_view(&c, 1));
      if (fields_[0].size() == 5 && absl::StartsWith(fields_[0].head(), "20") && c == '-')
        skip_ = false, any_ = true;
    }
    return;
  }
  if (quote_) {
    quote_ = false;
    if (c == '"') return fields_[count_].Append("\"");
    quoted_ = false;
  } else if (quoted_) {
    if (c == '"') {
      quote_ = true;
    } else {
      fields_[count_].Append(absl::string_view(&c, 1));
    }
    return;
  }
  if (c == '\n') {
    if (any_) EndOfRecord(sink);
    return;
  }
  any_ = true;
  if (c == '"') {
    quoted_ = true;
  } else if (c == ',' && count_ + 1 < kMost) {
    ++count_;
  } else {
    fields_[count_].Append(absl::string_view(&c, 1));
  }
}

void PgCsvParser::EndOfRecord(const Sink& sink) {
  DatabaseLine l;
  if (count_ >= 22) {
    const auto text = [this](size_t i) { return fields_[i].head(); };
    l.unix_us = ParsePgTime(text(0));
    l.user = text(1);
    l.database = text(2);
    l.pid = Number(text(3));
    l.remote = text(4);
    l.session = text(5);
    l.session_line = Number(text(6));
    l.command = text(7);
    l.virtual_transaction = text(9);
    if (text(10) != "0") l.transaction = text(10);
    l.severity = text(11);
    l.sqlstate = text(12);
    l.message = fields_[13];
    l.detail = fields_[14];
    l.hint = fields_[15];
    l.query = fields_[16];
    l.context = fields_[18];
    l.statement = fields_[19];
    l.location = text(21);
    l.application = text(22);
    if (count_ >= 23) l.backend = text(23);
    if (count_ >= 25 && text(25) != "0") l.query_id = text(25);
  } else {
    l.message = fields_[0];  // not a record of PostgreSQL's
    l.broken = true;
  }
  fields_.fill(HeadText());
  count_ = 0;
  quoted_ = quote_ = any_ = false;
  sink(l);
}

void PgCsvParser::Gap(const Sink&) {
  fields_.fill(HeadText());
  count_ = 0;
  quoted_ = quote_ = any_ = false;
  fields_[0].Append("?");  // not at the begin of a line
  skip_ = true;
}

// ---- jsonlog ----

void PgJsonParser::Feed(absl::string_view bytes, const Sink& sink) {
  const auto found = [this](const std::string& name, HeadText& value) { Field(name, value); };
  for (const char c : bytes) {
    if (c == '\n') {
      if (!skip_ && any_) EndOfLine(sink);
      skip_ = any_ = false;
      json_.Restart();
      record_ = DatabaseLine();
    } else if (!skip_) {
      any_ = true;
      json_.Byte(c, found);
    }
  }
}

void PgJsonParser::Field(const std::string& name, HeadText& value) {
  DatabaseLine& l = record_;
  const std::pair<absl::string_view, std::string*> texts[] = {{"user", &l.user},
                                                              {"dbname", &l.database},
                                                              {"session_id", &l.session},
                                                              {"application_name", &l.application},
                                                              {"ps", &l.command},
                                                              {"backend_type", &l.backend},
                                                              {"vxid", &l.virtual_transaction},
                                                              {"error_severity", &l.severity},
                                                              {"state_code", &l.sqlstate},
                                                              {"remote_host", &l.remote}};
  for (const auto& [key, to] : texts) {
    if (name == key) return void(*to = value.head().substr(0, 256));
  }
  const std::pair<absl::string_view, HeadText*> heads[] = {
      {"message", &l.message}, {"detail", &l.detail},       {"hint", &l.hint},
      {"context", &l.context}, {"statement", &l.statement}, {"internal_query", &l.query}};
  for (const auto& [key, to] : heads) {
    if (name == key) return void(*to = std::exchange(value, HeadText()));
  }
  const std::string& v = value.head();
  if (name == "timestamp") l.unix_us = ParsePgTime(v);
  if (name == "pid") l.pid = Number(v);
  if (name == "line_num") l.session_line = Number(v);
  if (name == "txid" && v != "0") l.transaction = v.substr(0, 32);
  if (name == "query_id" && v != "0") l.query_id = v.substr(0, 32);
  if (name == "remote_port") l.remote = absl::StrCat(l.remote, "(", v.substr(0, 8), ")");
  if (name == "func_name") l.location = v.substr(0, 100);
  if (name == "file_name") l.location = absl::StrCat(l.location, ", ", v.substr(0, 100));
  if (name == "file_line_num") l.location = absl::StrCat(l.location, ":", v.substr(0, 8));
}

void PgJsonParser::EndOfLine(const Sink& sink) {
  if (json_.inside()) {  // it ends in the middle
    json_.Break([this](const std::string& name, HeadText& value) { Field(name, value); });
    record_.broken = true;
  }
  if (record_.message.size() == 0 && record_.severity.empty()) return;
  sink(record_);
}

void PgJsonParser::Gap(const Sink&) {
  record_ = DatabaseLine();
  json_.Restart();
  any_ = false;
  skip_ = true;
}

}  // namespace mainstay::audit
