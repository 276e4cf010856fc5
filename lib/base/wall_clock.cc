#include "lib/base/wall_clock.h"

#include <stdio.h>
#include <time.h>

#include <algorithm>

namespace mainstay {
namespace {

// 0001-01-01 and 9999-12-31T23:59:59.999: what four digits of a year can say; others are clamped to it.
constexpr int64_t kMinMs = -62'135'596'800'000;
constexpr int64_t kMaxMs = 253'402'300'799'999;

// Days since 1970-01-01 of a date of the Gregorian calendar (Howard Hinnant's algorithm).
int64_t DaysFromCivil(int64_t y, int m, int d) {
  y -= m <= 2;
  const int64_t era = (y >= 0 ? y : y - 399) / 400;
  const int64_t yoe = y - era * 400;
  const int64_t doy = (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1;
  return era * 146097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719468;
}

bool Digits(absl::string_view text, size_t at, size_t n, int* out) {
  if (at + n > text.size()) return false;
  int v = 0;
  for (size_t i = at; i < at + n; ++i) {
    if (text[i] < '0' || text[i] > '9') return false;
    v = v * 10 + (text[i] - '0');
  }
  *out = v;
  return true;
}

// The zone at `at` to the end of the text, in minutes east.
std::optional<int> ParseZone(absl::string_view text, size_t at) {
  const absl::string_view zone = text.substr(at);
  if (zone == "Z" || zone == "z") return 0;
  int h = 0, m = 0;
  if (zone.size() != 6 || (zone[0] != '+' && zone[0] != '-') || zone[3] != ':') return std::nullopt;
  if (!Digits(zone, 1, 2, &h) || !Digits(zone, 4, 2, &m) || h > 23 || m > 59) return std::nullopt;
  return (zone[0] == '-' ? -1 : 1) * (h * 60 + m);
}

std::string Format(int64_t unix_ms, bool millis) {
  unix_ms = std::clamp(unix_ms, kMinMs, kMaxMs);
  int64_t ms = unix_ms % 1000;
  if (ms < 0) ms += 1000;
  const time_t seconds = static_cast<time_t>((unix_ms - ms) / 1000);
  tm t{};
  gmtime_r(&seconds, &t);
  char out[64];
  int n = snprintf(out, sizeof out, "%04d-%02d-%02dT%02d:%02d:%02d", t.tm_year + 1900, t.tm_mon + 1,
                   t.tm_mday, t.tm_hour, t.tm_min, t.tm_sec);
  if (millis) n += snprintf(out + n, sizeof out - n, ".%03d", static_cast<int>(ms));
  return std::string(out, n) + "Z";
}

}  // namespace

int64_t UnixMillis() {
  timespec ts{};
  clock_gettime(CLOCK_REALTIME, &ts);
  return int64_t{ts.tv_sec} * 1000 + ts.tv_nsec / 1'000'000;
}

std::string FormatUtcSeconds(int64_t unix_ms) { return Format(unix_ms, false); }
std::string FormatUtcMillis(int64_t unix_ms) { return Format(unix_ms, true); }

std::optional<int64_t> ParseUtc(absl::string_view text) {
  int y = 0, mo = 0, d = 0, h = 0, mi = 0, s = 0;
  if (text.size() < 20 || text.size() > 40) return std::nullopt;
  if (!Digits(text, 0, 4, &y) || text[4] != '-' || !Digits(text, 5, 2, &mo) || text[7] != '-')
    return std::nullopt;
  if (!Digits(text, 8, 2, &d) || (text[10] != 'T' && text[10] != 't')) return std::nullopt;
  if (!Digits(text, 11, 2, &h) || text[13] != ':' || !Digits(text, 14, 2, &mi) || text[16] != ':')
    return std::nullopt;
  if (!Digits(text, 17, 2, &s)) return std::nullopt;
  if (y < 1 || mo < 1 || mo > 12 || d < 1 || d > 31 || h > 23 || mi > 59 || s > 60) return std::nullopt;
  size_t at = 19;
  int64_t ms = 0;
  if (text[at] == '.') {
    int64_t scale = 100;
    size_t digits = 0;
    for (++at; at < text.size() && text[at] >= '0' && text[at] <= '9'; ++at, ++digits) {
      ms += (text[at] - '0') * scale;
      scale /= 10;
    }
    if (digits == 0 || digits > 9) return std::nullopt;
  }
  const std::optional<int> zone = ParseZone(text, at);
  if (!zone) return std::nullopt;
  const int64_t seconds = DaysFromCivil(y, mo, d) * 86400 + h * 3600 + mi * 60 + s - int64_t{*zone} * 60;
  return seconds * 1000 + ms;
}

}  // namespace mainstay
