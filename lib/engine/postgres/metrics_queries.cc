#include "lib/engine/postgres/metrics_queries.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "lib/base/result.h"
#include "lib/base/strings.h"
#include "lib/engine/postgres/metrics_table.h"

namespace mainstay::engine::postgres {
namespace {

// "15.4.1" -> 150004: what the third number says is not in a server's version since 10.
absl::Status ParseVersion(absl::string_view text, int* out) {
  const std::vector<absl::string_view> parts = absl::StrSplit(text, '.');
  int numbers[3] = {};
  for (size_t i = 0; i < parts.size(); ++i) {
    if (i >= 3 || parts[i].size() > 4 || !absl::SimpleAtoi(parts[i], &numbers[i]) || numbers[i] < 0) {
      return absl::InvalidArgumentError(
          absl::StrCat("'", Cut(text, 40), "' is no version; write 15 or 15.4.0"));
    }
  }
  *out = numbers[0] * 10000 + numbers[1];
  return absl::OkStatus();
}

char TakeOperator(absl::string_view* text) {
  static constexpr struct {
    const char* text;
    char op;
  } kOps[] = {{">=", 'g'}, {"<=", 'l'}, {"==", '='}, {"!=", '!'},
              {">", '>'},  {"<", '<'},  {"=", '='},  {"!", '!'}};
  for (const auto& o : kOps) {
    if (absl::ConsumePrefix(text, o.text)) return o.op;
  }
  return '=';
}

bool Fits(const VersionBound& bound, int version) {
  switch (bound.op) {
    case 'g':
      return version >= bound.number;
    case 'l':
      return version <= bound.number;
    case '>':
      return version > bound.number;
    case '<':
      return version < bound.number;
    case '!':
      return version != bound.number;
    default:
      return version == bound.number;
  }
}

bool IsName(const std::string& s, bool colon) {
  if (s.empty() || s.size() > 200 || absl::ascii_isdigit(static_cast<unsigned char>(s[0]))) return false;
  return std::all_of(s.begin(), s.end(), [&](char c) {
    return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '_' || (colon && c == ':');
  });
}

// Is there a server that both are for? Ranges change their mind only at their bounds.
bool Meet(const VersionRange& a, const VersionRange& b) {
  std::set<int> candidates = {kFirstMajor * 10000, kLastMajor * 10000};
  for (const VersionRange* range : {&a, &b}) {
    for (const auto& all : *range) {
      for (const VersionBound& bound : all)
        candidates.insert({bound.number - 1, bound.number, bound.number + 1});
    }
  }
  return std::any_of(candidates.begin(), candidates.end(),
                     [&](int version) { return Includes(a, version) && Includes(b, version); });
}

std::set<std::string> TakenNames() {
  std::set<std::string> out;
  for (const MetricCollector& c : MetricCollectors()) {
    for (const MetricColumn& column : c.columns) {
      if (column.use != MetricUse::kLabel && column.use != MetricUse::kHidden) out.insert(column.name);
    }
  }
  return out;
}

bool Reserved(const std::string& family) {
  for (const char* prefix :
       {"mainstay_", "patroni_", "process_", "pg_settings_", "pg_exporter_", "pg_scrape_"}) {
    if (absl::StartsWith(family, prefix)) return true;
  }
  return family == "pg_up" || family == "scrape" || absl::StartsWith(family, "scrape_");
}

}  // namespace

std::optional<QueryUse> ParseQueryUse(const std::string& text) {
  static constexpr struct {
    const char* text;
    QueryUse use;
  } kUses[] = {{"DISCARD", QueryUse::kDiscard},     {"LABEL", QueryUse::kLabel},
               {"COUNTER", QueryUse::kCounter},     {"GAUGE", QueryUse::kGauge},
               {"MAPPEDMETRIC", QueryUse::kMapped}, {"DURATION", QueryUse::kDuration},
               {"HISTOGRAM", QueryUse::kHistogram}};
  for (const auto& u : kUses) {
    if (absl::EqualsIgnoreCase(text, u.text)) return u.use;
  }
  return std::nullopt;
}

absl::Status ParseVersionRange(const std::string& text, VersionRange* out) {
  out->clear();
  for (absl::string_view any : absl::StrSplit(text, "||")) {
    std::vector<VersionBound> all;
    std::string spaced(any);
    std::replace(spaced.begin(), spaced.end(), ',', ' ');
    for (absl::string_view word : absl::StrSplit(spaced, absl::ByAnyChar(" \t"), absl::SkipEmpty())) {
      VersionBound bound;
      bound.op = TakeOperator(&word);
      MAINSTAY_RETURN_IF_ERROR(ParseVersion(word, &bound.number));
      all.push_back(bound);
      if (all.size() > 16) return absl::InvalidArgumentError("has more than 16 bounds");
    }
    if (!all.empty()) out->push_back(std::move(all));
    if (out->size() > 16) return absl::InvalidArgumentError("has more than 16 alternatives");
  }
  return absl::OkStatus();
}

bool Includes(const VersionRange& range, int server_version) {
  if (range.empty()) return true;
  return std::any_of(range.begin(), range.end(), [&](const std::vector<VersionBound>& all) {
    return std::all_of(all.begin(), all.end(),
                       [&](const VersionBound& b) { return Fits(b, server_version); });
  });
}

bool IsMetricName(const std::string& s) { return IsName(s, true); }
bool IsLabelName(const std::string& s) { return IsName(s, false) && !absl::StartsWith(s, "__"); }

// Without recursion: a pattern of stars costs at most length times length.
bool MatchesGlob(const std::string& pattern, const std::string& name) {
  size_t p = 0, n = 0, star = std::string::npos, mark = 0;
  while (n < name.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      mark = n;
    } else if (p < pattern.size() && (pattern[p] == '?' || pattern[p] == name[n])) {
      ++p;
      ++n;
    } else if (star != std::string::npos) {
      p = star + 1;
      n = ++mark;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}

absl::Status CheckQueries(const std::vector<UserQuery>& queries) {
  const std::set<std::string> taken = TakenNames();
  std::multimap<std::string, const UserQuery*> own;
  for (const UserQuery& q : queries) {
    std::set<std::string> labels;
    bool values = false;
    for (const QueryColumn& c : q.columns) {
      if (c.use == QueryUse::kDiscard) continue;
      const std::string what = absl::StrCat("query ", q.name, ", column ", c.column, ": ");
      if (c.use == QueryUse::kLabel) {
        if (!labels.insert(c.name).second) {
          return absl::InvalidArgumentError(
              absl::StrCat(what, "label ", c.name, " is there twice: name one of them otherwise"));
        }
        continue;
      }
      values = true;
      if (taken.count(c.name) > 0 || Reserved(c.name)) {
        return absl::InvalidArgumentError(absl::StrCat(
            what, c.name, " is made by Mainstay itself: name the query otherwise, or leave it out"));
      }
      const auto [first, last] = own.equal_range(c.name);
      if (std::any_of(first, last,
                      [&](const auto& other) { return Meet(other.second->versions, q.versions); })) {
        return absl::InvalidArgumentError(
            absl::StrCat(what, c.name, " is made twice: name one of them otherwise"));
      }
      own.emplace(c.name, &q);
    }
    if (!values) {
      return absl::InvalidArgumentError(
          absl::StrCat("query ", q.name, " makes no value: give a column the usage GAUGE or COUNTER"));
    }
  }
  return absl::OkStatus();
}

std::optional<double> ParseGoDuration(const std::string& text) {
  absl::string_view rest = text;
  if (rest.empty() || rest.size() > 64) return std::nullopt;
  const bool minus = absl::ConsumePrefix(&rest, "-");
  if (!minus) absl::ConsumePrefix(&rest, "+");
  if (rest == "0") return 0;
  static constexpr struct {
    const char* unit;
    double ms;
  } kUnits[] = {{"ns", 1e-6}, {"us", 1e-3}, {"\xc2\xb5s", 1e-3}, {"ms", 1},
                {"s", 1e3},   {"m", 6e4},   {"h", 3.6e6}};
  double sum = 0;  // "ms" is looked for before "m"
  bool any = false;
  while (!rest.empty()) {
    size_t digits = 0;
    while (digits < rest.size() &&
           (absl::ascii_isdigit(static_cast<unsigned char>(rest[digits])) || rest[digits] == '.'))
      ++digits;
    double n = 0;
    if (digits == 0 || !absl::SimpleAtod(rest.substr(0, digits), &n)) return std::nullopt;
    rest.remove_prefix(digits);
    const auto* found = std::find_if(std::begin(kUnits), std::end(kUnits),
                                     [&](const auto& u) { return absl::StartsWith(rest, u.unit); });
    if (found == std::end(kUnits)) return std::nullopt;
    sum += n * found->ms;
    rest.remove_prefix(std::string(found->unit).size());
    any = true;
  }
  if (!any || !std::isfinite(sum)) return std::nullopt;
  return minus ? -sum : sum;
}

std::optional<std::vector<double>> ParseNumbers(const std::string& text) {
  if (text.size() < 2 || text.front() != '{' || text.back() != '}') return std::nullopt;
  std::vector<double> out;
  if (text.size() == 2) return out;
  const std::string inside = text.substr(1, text.size() - 2);
  for (absl::string_view word : absl::StrSplit(inside, ',')) {
    double n = 0;
    if (word != "NULL" && !absl::SimpleAtod(word, &n)) return std::nullopt;
    out.push_back(n);
    if (out.size() > 256) return std::nullopt;
  }
  return out;
}

}  // namespace mainstay::engine::postgres
