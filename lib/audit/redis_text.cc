#include "lib/audit/redis_text.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "lib/audit/redact.h"

namespace mainstay::audit {
namespace {

constexpr size_t kMaxWord = 128;  // as the slow log itself

// Commands with secrets, and how many of their words say what they do. -1: of any such container command.
struct Sensitive {
  absl::string_view command, sub;  // sub "" : any
  size_t shown;
};
constexpr Sensitive kSensitive[] = {
    {"auth", "", 1},        {"hello", "", 2},          {"acl", "setuser", 3},
    {"acl", "genpass", 2},  {"acl", "dryrun", 2},      {"acl", "deluser", 99},
    {"acl", "getuser", 99}, {"acl", "log", 99},        {"acl", "list", 99},
    {"acl", "users", 99},   {"acl", "cat", 99},        {"acl", "whoami", 99},
    {"acl", "load", 99},    {"acl", "save", 99},       {"acl", "", 2},
    {"config", "get", 99},  {"config", "rewrite", 99}, {"config", "resetstat", 99},
    {"config", "", 3},      {"migrate", "", 4},        {"sentinel", "set", 4},
    {"sentinel", "", 3},    {"module", "", 3},         {"debug", "", 2},
};

bool SaysSecret(absl::string_view word) {
  for (absl::string_view name : {"auth", "auth2", "pass", "requirepass", "masterauth", "auth-pass", "secret",
                                 "token", "apikey", "api_key", "access_key", "secret_key"}) {
    if (absl::EqualsIgnoreCase(word, name)) return true;
  }
  for (absl::string_view end : {"password", "passwd", "passphrase", "pwd"}) {
    if (absl::EndsWithIgnoreCase(word, end)) return true;
  }
  return false;
}

void AppendWord(std::string* out, absl::string_view word) {
  if (!out->empty()) out->push_back(' ');
  if (word.empty()) out->append("\"\"");
  const bool cut = word.size() > kMaxWord;
  for (const char c : word.substr(0, kMaxWord)) {
    const auto u = static_cast<unsigned char>(c);
    if (u < 0x20 || u == 0x7f)
      absl::StrAppendFormat(out, "\\x%02x", u);
    else
      out->push_back(c);
  }
  if (cut) absl::StrAppend(out, "... (", word.size(), " bytes)");
}

// How many words of it may be shown.
size_t Shown(const std::vector<std::string>& words) {
  for (const Sensitive& s : kSensitive) {
    if (!absl::EqualsIgnoreCase(words[0], s.command)) continue;
    if (!s.sub.empty() && (words.size() < 2 || !absl::EqualsIgnoreCase(words[1], s.sub))) continue;
    return s.shown;
  }
  return words.size();
}

}  // namespace

std::string RedisCommandText(const std::vector<std::string>& words) {
  std::string out;
  if (words.empty()) return out;
  const size_t shown = Shown(words);
  bool secret = false;
  for (size_t i = 0; i < words.size(); ++i) {
    if (i >= shown) {
      absl::StrAppend(&out, " ", kStars);
      break;
    }
    if (secret && i > 0) {
      absl::StrAppend(&out, " ", kStars);
      secret = false;
      continue;
    }
    AppendWord(&out, words[i]);
    secret = i > 0 && SaysSecret(words[i]);
  }
  return Redact(out);
}

std::string RedisLogText(absl::string_view text) {
  // A line of redis.conf that it could not read.
  if (absl::StartsWith(text, ">>> '")) {
    const size_t end = std::min(text.find(' ', 5), text.size());
    return end == text.size() ? absl::StrCat(">>> '", kStars)
                              : absl::StrCat(text.substr(0, end), " ", kStars);
  }
  std::string out;
  out.reserve(text.size());
  size_t at = 0;
  bool secret = false;
  while (at < text.size()) {
    const size_t end = std::min(text.find(' ', at), text.size());
    absl::string_view word = text.substr(at, end - at);
    const size_t quote = word.find_first_of("'\"");
    const absl::string_view bare = quote == 0 ? word.substr(1) : word;
    // An ACL rule: '>password', '<password', '#hash', '!hash'.
    const bool rule = bare.size() > 1 && quote == 0 &&
                      (bare[0] == '>' || bare[0] == '<' || bare[0] == '#' || bare[0] == '!');
    if (!word.empty() && (secret || rule)) {
      absl::StrAppend(&out, kStars);
      secret = false;
    } else {
      absl::StrAppend(&out, word);
      std::string name(absl::StripAsciiWhitespace(bare));
      while (!name.empty() && (name.back() == '\'' || name.back() == '"' || name.back() == ':'))
        name.pop_back();
      if (!word.empty())
        secret = absl::EqualsIgnoreCase(name, "requirepass") || absl::EqualsIgnoreCase(name, "masterauth") ||
                 absl::EqualsIgnoreCase(name, "auth-pass");
    }
    if (end == text.size()) break;
    out.push_back(' ');
    at = end + 1;
  }
  return Redact(out);
}

}  // namespace mainstay::audit
