#include "lib/sentinel/resp.h"

#include <algorithm>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "lib/base/result.h"
#include "lib/base/strings.h"

namespace mainstay::sentinel {
namespace {

absl::Status Bad(absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat("Protocol error: ", what));
}

// Longest line that begins a request or a word: a sign and a number.
constexpr size_t kMaxHead = 32;

// Digits only: SimpleAtoi would take blanks and signs.
bool Length(absl::string_view text, int64_t* out) {
  return !text.empty() && text.find_first_not_of("0123456789") == absl::string_view::npos &&
         absl::SimpleAtoi(text, out);
}

}  // namespace

// Without its end; nothing: it has not come whole.
absl::StatusOr<std::optional<absl::string_view>> RequestReader::Line(size_t* at) const {
  const absl::string_view rest = absl::string_view(buffer_).substr(*at);
  const size_t end = rest.find('\n');
  if (end == absl::string_view::npos) {
    if (rest.size() > kMaxRequestBytes) return Bad("too big inline request");
    return std::optional<absl::string_view>();
  }
  *at += end + 1;
  absl::string_view line = rest.substr(0, end);
  if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
  return std::optional<absl::string_view>(line);
}

absl::StatusOr<RequestReader::Step> RequestReader::Bulk(size_t* at, Words* out) const {
  MAINSTAY_ASSIGN_OR_RETURN(const std::optional<absl::string_view> head, Line(at));
  if (!head.has_value()) {
    if (buffer_.size() - *at > kMaxHead) return Bad("invalid bulk length");
    return Step::kMore;
  }
  int64_t length = 0;
  if (head->empty() || (*head)[0] != '$')
    return Bad(absl::StrCat("expected '$', got '", head->empty() ? " " : Cut(head->substr(0, 1), 1), "'"));
  if (!Length(head->substr(1), &length) || length > static_cast<int64_t>(kMaxRequestBytes))
    return Bad("invalid bulk length");
  const size_t size = static_cast<size_t>(length);
  if (buffer_.size() - *at < size + 2) return Step::kMore;
  if (buffer_.compare(*at + size, 2, "\r\n") != 0) return Bad("a bulk does not end where it said");
  out->emplace_back(buffer_, *at, size);
  *at += size + 2;
  return Step::kDone;
}

absl::StatusOr<RequestReader::Step> RequestReader::One(Words* out) {
  size_t at = 0;
  MAINSTAY_ASSIGN_OR_RETURN(const std::optional<absl::string_view> head, Line(&at));
  if (!head.has_value()) return Step::kMore;
  if (head->empty() || (*head)[0] != '*') {  // inline, as people type it
    for (const absl::string_view word : absl::StrSplit(*head, absl::ByAnyChar(" \t"), absl::SkipEmpty())) {
      if (out->size() >= kMaxWords) return Bad("too many words");
      out->emplace_back(word);
    }
    buffer_.erase(0, at);
    return Step::kDone;
  }
  int64_t words = 0;
  // A negative number of words is an empty request, as Redis has it.
  if (*head != "*-1" && (!Length(head->substr(1), &words) || words > static_cast<int64_t>(kMaxWords))) {
    return Bad("invalid multibulk length");
  }
  for (int64_t i = 0; i < words; ++i) {
    MAINSTAY_ASSIGN_OR_RETURN(const Step step, Bulk(&at, out));
    if (step == Step::kMore) return Step::kMore;
  }
  buffer_.erase(0, at);
  return Step::kDone;
}

absl::StatusOr<std::optional<Words>> RequestReader::Next() {
  while (!buffer_.empty()) {
    Words words;
    MAINSTAY_ASSIGN_OR_RETURN(const Step step, One(&words));
    if (step == Step::kMore) {
      if (buffer_.size() > kMaxRequestBytes) return Bad("too big request");
      return std::optional<Words>();
    }
    if (!words.empty()) return std::optional<Words>(std::move(words));
  }
  return std::optional<Words>();
}

ReplyWriter& ReplyWriter::Simple(absl::string_view text) {
  absl::StrAppend(&out_, "+", text, "\r\n");
  return *this;
}

ReplyWriter& ReplyWriter::Error(absl::string_view text) {
  std::string line(text);
  std::replace_if(
      line.begin(), line.end(), [](char c) { return c == '\r' || c == '\n'; }, ' ');
  absl::StrAppend(&out_, "-", line, "\r\n");
  return *this;
}

ReplyWriter& ReplyWriter::Integer(int64_t n) {
  absl::StrAppend(&out_, ":", n, "\r\n");
  return *this;
}

ReplyWriter& ReplyWriter::Bulk(absl::string_view text) {
  absl::StrAppend(&out_, "$", text.size(), "\r\n", text, "\r\n");
  return *this;
}

ReplyWriter& ReplyWriter::Nil() {
  out_ += proto_ == 3 ? "_\r\n" : "$-1\r\n";
  return *this;
}

ReplyWriter& ReplyWriter::NilArray() {
  out_ += proto_ == 3 ? "_\r\n" : "*-1\r\n";
  return *this;
}

ReplyWriter& ReplyWriter::Array(size_t n) {
  absl::StrAppend(&out_, "*", n, "\r\n");
  return *this;
}

ReplyWriter& ReplyWriter::Map(size_t pairs) {
  if (proto_ != 3) return Array(2 * pairs);
  absl::StrAppend(&out_, "%", pairs, "\r\n");
  return *this;
}

ReplyWriter& ReplyWriter::Push(size_t n) {
  if (proto_ != 3) return Array(n);
  absl::StrAppend(&out_, ">", n, "\r\n");
  return *this;
}

namespace {

// Whether `c` is in the set that begins behind '[' at *at; *at is behind its ']' afterwards.
bool InSet(absl::string_view pattern, size_t* at, char c) {
  size_t i = *at;
  const bool negated = i < pattern.size() && pattern[i] == '^';
  if (negated) ++i;
  bool found = false;
  for (; i < pattern.size() && pattern[i] != ']'; ++i) {
    if (pattern[i] == '\\' && i + 1 < pattern.size()) ++i;
    char low = pattern[i];
    char high = low;
    if (i + 2 < pattern.size() && pattern[i + 1] == '-' && pattern[i + 2] != ']') {
      high = pattern[i + 2];
      i += 2;
    }
    if (low > high) std::swap(low, high);
    found = found || (low <= c && c <= high);
  }
  *at = std::min(i + 1, pattern.size());
  return found != negated;
}

// One character of `pattern` at *at against `c`; *at is behind it afterwards.
bool MatchesOne(absl::string_view pattern, size_t* at, char c) {
  const char p = pattern[(*at)++];
  if (p == '?') return true;
  if (p == '[') return InSet(pattern, at, c);
  if (p == '\\' && *at < pattern.size()) return pattern[(*at)++] == c;
  return p == c;
}

}  // namespace

// With one place to come back to, the last star: never more than |pattern| * |text| steps.
bool MatchesPattern(absl::string_view pattern, absl::string_view text) {
  size_t p = 0;
  size_t t = 0;
  size_t star = absl::string_view::npos;
  size_t from = 0;
  while (t < text.size()) {
    size_t next = p;
    if (p < pattern.size() && pattern[p] == '*') {
      star = ++p;
      from = t;
    } else if (p < pattern.size() && MatchesOne(pattern, &next, text[t])) {
      p = next;
      ++t;
    } else if (star != absl::string_view::npos) {
      p = star;
      t = ++from;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}

}  // namespace mainstay::sentinel
