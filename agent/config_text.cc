// Texts of single values: durations, sizes, suggestions.
#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/time.h"
#include "agent/config_schema.h"

namespace mainstay::agent::schema {
namespace {

struct Unit {
  const char* name;
  int shift;
};
constexpr Unit kUnits[] = {{"B", 0},    {"kB", 10}, {"KB", 10},  {"KiB", 10}, {"MB", 20},
                           {"MiB", 20}, {"GB", 30}, {"GiB", 30}, {"TB", 40},  {"TiB", 40}};

size_t EditDistance(const std::string& a, const std::string& b) {
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t change = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, change});
    }
  }
  return row[b.size()];
}

}  // namespace

std::optional<Duration> ParseDurationText(const std::string& text) {
  // absl takes "inf", signs and unit-less zero; only the last one is meant here.
  if (text.empty() || text.size() > 32 || !absl::ascii_isdigit(static_cast<unsigned char>(text[0])))
    return std::nullopt;
  absl::Duration d;
  if (!absl::ParseDuration(text, &d) || d > absl::Hours(24 * 365)) return std::nullopt;
  return absl::ToChronoNanoseconds(d);
}

std::string FormatDurationText(Duration d) { return absl::FormatDuration(absl::FromChrono(d)); }

std::optional<uint64_t> ParseSize(const std::string& text) {
  size_t digits = 0;
  while (digits < text.size() && absl::ascii_isdigit(static_cast<unsigned char>(text[digits]))) ++digits;
  uint64_t n = 0;
  if (digits == 0 || !absl::SimpleAtoi(text.substr(0, digits), &n)) return std::nullopt;
  const std::string unit(absl::StripAsciiWhitespace(text.substr(digits)));
  if (unit.empty()) return n;
  for (const Unit& u : kUnits) {
    if (unit != u.name) continue;
    if (n > (UINT64_MAX >> 1 >> u.shift)) return std::nullopt;
    return n << u.shift;
  }
  return std::nullopt;
}

std::string FormatSize(uint64_t bytes) {
  static constexpr Unit kPrinted[] = {{"TB", 40}, {"GB", 30}, {"MB", 20}, {"kB", 10}};
  for (const Unit& u : kPrinted) {
    if (bytes != 0 && (bytes & ((uint64_t{1} << u.shift) - 1)) == 0)
      return absl::StrCat(bytes >> u.shift, u.name);
  }
  return absl::StrCat(bytes);
}

std::string Nearest(const std::string& word, const std::vector<std::string>& words) {
  std::string best;
  size_t best_distance = std::max<size_t>(1, word.size() / 3) + 1;
  if (word.size() > 64) return best;
  for (const std::string& candidate : words) {
    const size_t distance = EditDistance(absl::AsciiStrToLower(word), absl::AsciiStrToLower(candidate));
    if (distance < best_distance) {
      best_distance = distance;
      best = candidate;
    }
  }
  return best;
}

std::string QuoteYaml(const std::string& text) {
  static const char* const kWords[] = {"true", "false", "yes", "no", "on", "off", "null", "y", "n"};
  bool plain = !text.empty() && (absl::ascii_isalpha(static_cast<unsigned char>(text[0])) || text[0] == '/');
  for (char c : text) {
    plain = plain && (absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '_' || c == '.' ||
                      c == '/' || c == '-' || c == ':');
  }
  if (plain && text.back() == ':') plain = false;
  for (const char* word : kWords) {
    if (absl::AsciiStrToLower(text) == word) plain = false;
  }
  return plain ? text : AlwaysQuoteYaml(text);
}

std::string AlwaysQuoteYaml(const std::string& text) {
  std::string out = "\"";
  for (char c : text) {
    const unsigned char u = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out.push_back('\\');
      out.push_back(c);
    } else if (u < 0x20 || u == 0x7f) {
      absl::StrAppendFormat(&out, "\\x%02x", u);
    } else {
      out.push_back(c);
    }
  }
  return out + "\"";
}

}  // namespace mainstay::agent::schema
