#include "lib/audit/redis_log.h"

#include <algorithm>
#include <cstring>
#include <ctime>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "lib/audit/redis_text.h"

namespace mainstay::audit {
namespace {

constexpr size_t kLineRoom = kMaxLogText + 256;

constexpr absl::string_view kMonths[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                         "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

const char* Process(char c) {
  switch (c) {
    case 'M':
      return "primary";
    case 'S':
      return "replica";
    case 'C':
      return "child";
    case 'X':
      return "sentinel";
    default:
      return nullptr;
  }
}

const char* Level(char c) {
  switch (c) {
    case '.':
      return "debug";
    case '-':
      return "verbose";
    case '*':
      return "notice";
    case '#':
      return "warning";
    default:
      return nullptr;
  }
}

bool Number(absl::string_view text, int least, int most, int* out) {
  return !text.empty() && absl::ascii_isdigit(static_cast<unsigned char>(text[0])) &&
         absl::SimpleAtoi(text, out) && *out >= least && *out <= most;
}

// "30 Nov 2026 20:20:00.123" in the local time of this machine -> microseconds.
bool Time(absl::string_view day, absl::string_view month, absl::string_view year, absl::string_view clock,
          int64_t* out) {
  struct tm tm = {};
  int ms = 0;
  const auto* m = std::find(std::begin(kMonths), std::end(kMonths), month);
  if (m == std::end(kMonths) || clock.size() != 12 || clock[2] != ':' || clock[5] != ':' || clock[8] != '.')
    return false;
  if (!Number(day, 1, 31, &tm.tm_mday) || !Number(year, 1970, 9999, &tm.tm_year) ||
      !Number(clock.substr(0, 2), 0, 23, &tm.tm_hour) || !Number(clock.substr(3, 2), 0, 59, &tm.tm_min) ||
      !Number(clock.substr(6, 2), 0, 60, &tm.tm_sec) || !Number(clock.substr(9), 0, 999, &ms))
    return false;
  tm.tm_year -= 1900;
  tm.tm_mon = static_cast<int>(m - std::begin(kMonths));
  tm.tm_isdst = -1;
  const time_t t = mktime(&tm);
  if (t < 0) return false;
  *out = static_cast<int64_t>(t) * 1000000 + int64_t{ms} * 1000;
  return true;
}

// The rest of the line behind its head; false: it has none.
bool TakeHead(absl::string_view* line, DatabaseLine* out) {
  const std::vector<absl::string_view> words =
      absl::StrSplit(line->substr(0, 80), absl::MaxSplits(' ', 6));  // head, and the rest
  if (words.size() != 7 || words[5].size() != 1) return false;
  const size_t colon = words[0].find(':');
  if (colon == absl::string_view::npos || words[0].size() != colon + 2) return false;
  const char* process = Process(words[0][colon + 1]);
  const char* level = Level(words[5][0]);
  if (process == nullptr || level == nullptr) return false;
  if (!absl::SimpleAtoi(words[0].substr(0, colon), &out->pid) || out->pid <= 0) return false;
  if (!Time(words[1], words[2], words[3], words[4], &out->unix_us)) return false;
  out->severity = level;
  out->backend = process;
  line->remove_prefix(static_cast<size_t>(words[6].data() - line->data()));
  return true;
}

std::optional<LogClass> ClassOfText(absl::string_view text) {
  if (absl::StartsWith(text, "Possible SECURITY ATTACK detected")) return LogClass::kDenied;
  if (absl::StrContains(text, "for overcoming of output buffer limits")) return LogClass::kKill;
  return std::nullopt;
}

}  // namespace

RedisLogParser::RedisLogParser() : line_(kLineRoom) {}

void RedisLogParser::Feed(absl::string_view bytes, const Sink& sink) {
  line_.Feed(bytes, [&] { EndOfLine(false, sink); });
}

void RedisLogParser::EndOfLine(bool broken, const Sink& sink) {
  absl::string_view rest = absl::StripTrailingAsciiWhitespace(line_.text());
  DatabaseLine line;
  if (!TakeHead(&rest, &line)) line = DatabaseLine();
  if (!rest.empty()) {
    line.clazz = ClassOfText(rest);
    line.message.Append(RedisLogText(rest));
    line.message.Skip(line_.beyond());
    line.broken = broken;
    sink(line);
  }
  line_.Clear();
}

bool RedisLogParser::Miss(uint64_t bytes) { return line_.Miss(bytes); }

void RedisLogParser::Gap(const Sink& sink) {
  if (!line_.empty()) EndOfLine(true, sink);
  line_.SkipRest();
}

}  // namespace mainstay::audit
