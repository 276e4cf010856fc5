#include "lib/audit/rabbit_log.h"

#include <ctime>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace mainstay::audit {
namespace {

constexpr size_t kShort = 256;  // of a field that is no message

bool Digits(absl::string_view text, size_t at, size_t n, int* out) {
  if (text.size() < at + n) return false;
  const absl::string_view part = text.substr(at, n);
  for (const char c : part) {
    if (!absl::ascii_isdigit(static_cast<unsigned char>(c))) return false;
  }
  return absl::SimpleAtoi(part, out);
}

// An attempt that was refused: logins by AMQP and by HTTP, rights on a virtual host or a resource.
bool Refused(absl::string_view text) {
  return absl::StrContains(text, "login refused: ") || absl::StrContains(text, "HTTP access denied: ") ||
         (absl::StrContains(text, "access to ") && absl::StrContains(text, " refused for user")) ||
         absl::StrContains(text, "channel exception access_refused");
}

// Between `begin` and `end`, when it is there and short.
std::string Between(absl::string_view text, absl::string_view begin, absl::string_view end) {
  const size_t at = text.find(begin);
  if (at == absl::string_view::npos) return "";
  const absl::string_view rest = text.substr(at + begin.size(), kShort);
  const size_t to = rest.find(end);
  return to == absl::string_view::npos ? "" : std::string(rest.substr(0, to));
}

// Who was refused, as far as the message tells: "... (127.0.0.1:40000 -> 127.0.0.1:5672, state: starting):
// PLAIN login refused: user 'bob' - invalid credentials". What a client can choose stands behind its address.
void ReadRefused(absl::string_view text, DatabaseLine* line) {
  line->clazz = LogClass::kDenied;
  line->remote = Between(text, "(", " -> ");
  line->user = Between(text, "user '", "'");
}

}  // namespace

int64_t ParseRabbitTime(absl::string_view text) {
  struct tm tm = {};
  int us = 0, hours = 0, minutes = 0;
  if (text.size() != 32 || text[4] != '-' || text[7] != '-' || text[10] != ' ' || text[13] != ':' ||
      text[16] != ':' || text[19] != '.' || (text[26] != '+' && text[26] != '-') || text[29] != ':')
    return 0;
  if (!Digits(text, 0, 4, &tm.tm_year) || !Digits(text, 5, 2, &tm.tm_mon) ||
      !Digits(text, 8, 2, &tm.tm_mday) || !Digits(text, 11, 2, &tm.tm_hour) ||
      !Digits(text, 14, 2, &tm.tm_min) || !Digits(text, 17, 2, &tm.tm_sec) || !Digits(text, 20, 6, &us) ||
      !Digits(text, 27, 2, &hours) || !Digits(text, 30, 2, &minutes))
    return 0;
  if (tm.tm_year < 1970 || tm.tm_mon < 1 || tm.tm_mon > 12 || tm.tm_mday < 1 || tm.tm_mday > 31) return 0;
  tm.tm_year -= 1900;
  tm.tm_mon -= 1;
  const int64_t offset = int64_t{60} * (hours * 60 + minutes);
  return (timegm(&tm) - (text[26] == '+' ? offset : -offset)) * 1000000 + us;
}

void RabbitLogParser::Feed(absl::string_view bytes, const Sink& sink) {
  for (const char c : bytes) {
    if (c == '\n') {
      EndOfLine(false, sink);
    } else if (!skip_) {
      Byte(c);
    }
  }
}

void RabbitLogParser::Byte(char c) {
  if (record_) return InRecord(c);
  if (brace_ && c == '"') {
    record_ = true;
    InRecord('{');
    return InRecord(c);
  }
  if (brace_) plain_.Append("{");
  brace_ = c == '{';
  if (!brace_) plain_.Append(absl::string_view(&c, 1));
}

void RabbitLogParser::InRecord(char c) {
  raw_.Append(absl::string_view(&c, 1));
  json_.Byte(c, [this](const std::string& name, HeadText& value) { Field(name, value); });
}

void RabbitLogParser::Field(const std::string& name, HeadText& value) {
  if (name == "msg") return void(line_.message = std::exchange(value, HeadText()));
  const std::string text = value.head().substr(0, kShort);
  if (name == "time") line_.unix_us = ParseRabbitTime(text);
  if (name == "level") line_.severity = text;
  if (name == "pid") line_.session = text;
  if (name == "domain") line_.backend = text;
  if (name == "vhost") line_.database = text;
  if (name == "file") line_.location = line_.location.empty() ? text : absl::StrCat(text, line_.location);
  if (name == "line") absl::StrAppend(&line_.location, ":", text);
}

void RabbitLogParser::EndOfLine(bool broken, const Sink& sink) {
  if (json_.inside()) {
    json_.Break([this](const std::string& name, HeadText& value) { Field(name, value); });
    broken = broken || record_;
  }
  if (brace_ && !record_) plain_.Append("{");
  const bool real = record_ && line_.unix_us != 0 && !line_.severity.empty();
  if (record_ && !real) {
    plain_.Append(raw_.head());
    plain_.Skip(raw_.size() - raw_.head().size());
  }
  if (!absl::StripAsciiWhitespace(plain_.head()).empty()) {
    DatabaseLine plain;
    plain.message = std::exchange(plain_, HeadText());
    plain.broken = broken && !real;
    sink(plain);
  }
  if (real) {
    if (Refused(line_.message.head())) ReadRefused(line_.message.head(), &line_);
    line_.broken = broken;
    sink(line_);
  }
  plain_ = raw_ = HeadText();
  line_ = DatabaseLine();
  json_.Restart();
  brace_ = record_ = skip_ = false;
}

void RabbitLogParser::Gap(const Sink& sink) {
  if (record_ || brace_ || plain_.size() > 0) EndOfLine(true, sink);
  skip_ = true;
}

}  // namespace mainstay::audit
