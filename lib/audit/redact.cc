#include "lib/audit/redact.h"

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"

namespace mainstay::audit {
namespace {

bool IsWord(char c) { return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '_'; }
bool IsSpace(char c) { return absl::ascii_isspace(static_cast<unsigned char>(c)); }

enum class Need : uint8_t { kNothing, kAny, kEquals };  // what must stand between the word and its secret

Need NeedOf(absl::string_view word) {
  for (absl::string_view end : {"password", "passwd", "passphrase", "pwd"}) {
    if (absl::EndsWithIgnoreCase(word, end)) return Need::kAny;
  }
  for (absl::string_view end : {"secret", "token", "secret_key", "access_key", "api_key"}) {
    if (absl::EndsWithIgnoreCase(word, end)) return Need::kEquals;
  }
  return Need::kNothing;
}

class Redactor {
 public:
  explicit Redactor(absl::string_view text) : in_(text) { out_.reserve(text.size()); }

  std::string Run() {
    while (at_ < in_.size()) {
      if (role_ == Role::kYes && AtLiteral()) {
        if (!std::exchange(until_, false)) {
          if (!Literal(false)) out_.push_back(in_[at_++]);
        } else {
          Copy(std::min(in_.find('\'', at_ + 1), in_.size() - 1) + 1 - at_);  // VALID UNTIL '...'
        }
      } else if (in_[at_] == '\'' && Quotes(out_)) {
        Literal(false);  // of a message: syntax error at or near "'geheim'"
      } else if (IsWord(in_[at_])) {
        Word();
      } else if (Rest("://")) {
        Url();
      } else {
        if (in_[at_] == ';') role_ = Role::kNo;
        out_.push_back(in_[at_++]);
      }
    }
    return std::move(out_);
  }

 private:
  // CREATE or ALTER, then ROLE, USER or GROUP: every literal from there on counts, also behind PASWORD.
  enum class Role : uint8_t { kNo, kVerb, kYes };
  void TrackRoles(absl::string_view word) {
    until_ = absl::EqualsIgnoreCase(word, "until");
    if (role_ == Role::kYes) {
      if (absl::EqualsIgnoreCase(word, "mapping")) role_ = Role::kNo;
    } else if (absl::EqualsIgnoreCase(word, "create") || absl::EqualsIgnoreCase(word, "alter")) {
      role_ = Role::kVerb;
    } else {
      const bool role = absl::EqualsIgnoreCase(word, "role") || absl::EqualsIgnoreCase(word, "user") ||
                        absl::EqualsIgnoreCase(word, "group");
      role_ = role && role_ == Role::kVerb ? Role::kYes : Role::kNo;
    }
  }
  bool AtLiteral() const {
    const char c = Peek() | 0x20, next = Peek(1);
    if (Peek() == '\'' || (Peek() == '$' && !absl::ascii_isdigit(static_cast<unsigned char>(next))))
      return true;
    if (at_ > 0 && IsWord(in_[at_ - 1])) return false;
    return ((c == 'e' || c == 'n') && next == '\'') || (c == 'u' && next == '&' && Peek(2) == '\'');
  }
  // A quote of a message stands at the end of what was written.
  static bool Quotes(const std::string& out) {
    for (absl::string_view q : {"\"", "\xc2\xbb", "\xc2\xab", "\xe2\x80\x9e", "\xe2\x80\x9c"}) {
      if (absl::EndsWith(out, q)) return true;
    }
    return false;
  }

  bool Rest(absl::string_view what) const { return absl::StartsWith(in_.substr(at_), what); }
  char Peek(size_t ahead = 0) const { return at_ + ahead < in_.size() ? in_[at_ + ahead] : '\0'; }
  void Copy(size_t n) {
    n = std::min(n, in_.size() - at_);
    out_.append(in_.data() + at_, n);
    at_ += n;
  }
  void Hide() { out_.append(kStars.data(), kStars.size()); }
  void HideRest() {
    Hide();
    at_ = in_.size();
  }

  // Spaces and comments of SQL. True when there was a line break among them.
  bool Gap() {
    bool line = false;
    for (;;) {
      if (IsSpace(Peek()) && at_ < in_.size()) {
        line = line || Peek() == '\n';
        Copy(1);
      } else if (!Comment()) {
        return line;
      }
    }
  }

  // What stands in a comment may be a secret as well. One without an end is none.
  bool Comment() {
    size_t end = at_;
    if (Rest("--")) {
      end = std::min(in_.find('\n', at_), in_.size());
    } else if (Rest("/*")) {
      for (int depth = 0;;) {
        const absl::string_view rest = in_.substr(end);
        if (rest.size() < 2) return false;
        const bool open = absl::StartsWith(rest, "/*"), close = absl::StartsWith(rest, "*/");
        depth += open ? 1 : close ? -1 : 0;
        end += open || close ? 2 : 1;
        if (depth == 0) break;
      }
    } else {
      return false;
    }
    Copy(2);
    out_ += Redact(in_.substr(at_, end - at_));
    at_ = end;
    return true;
  }

  void Word() {
    const size_t begin = at_;
    while (at_ < in_.size() && IsWord(in_[at_])) ++at_;
    const absl::string_view word = in_.substr(begin, at_ - begin);
    TrackRoles(word);
    if (word == "SCRAM" && Rest("-SHA-256$")) return Verifier(begin);
    if (word.size() == 35 && absl::StartsWith(word, "md5")) {
      out_.append("md5");
      return Hide();
    }
    out_.append(word.data(), word.size());
    const Need need = NeedOf(word);
    if (need != Need::kNothing) Secret(need);
  }

  void Verifier(size_t begin) {
    while (at_ < in_.size() && !IsSpace(in_[at_]) && in_[at_] != '\'' && in_[at_] != '"') ++at_;
    out_.append(in_.data() + begin, sizeof("SCRAM-SHA-256$") - 1);
    Hide();
  }

  // Behind a word that announces one.
  void Secret(Need need) {
    if (Rest("\\\"")) {
      Copy(2);
    } else if (Peek() == '"') {
      Copy(1);  // of "password": "..."
    }
    Gap();
    bool equals = false;
    while (at_ < in_.size() && (Peek() == '=' || Peek() == ':' || (equals && Peek() == '>')) &&
           !Rest("://")) {
      equals = true;
      Copy(1);
    }
    if (!equals && absl::StartsWithIgnoreCase(in_.substr(at_), "to") && IsSpace(Peek(2))) Copy(2);
    if (need == Need::kEquals && !equals) return;
    Gap();
    if (!Literal(equals)) {
      if (equals) Bare();
      return;
    }
    // 'one' 'two' on two lines is one literal.
    while (Gap() && (Peek() == '\'') && Literal(equals)) {
    }
  }

  // A literal of any kind. False: there is none here, or it is empty.
  bool Literal(bool connection) {
    bool escapes = connection;
    if ((Peek() == 'E' || Peek() == 'e') && Peek(1) == '\'') {
      Copy(1);
      escapes = true;
    } else if ((Peek() == 'U' || Peek() == 'u') && Peek(1) == '&' && Peek(2) == '\'') {
      Copy(2);
    } else if ((Peek() == 'N' || Peek() == 'n') && Peek(1) == '\'') {
      Copy(1);
    }
    if (Peek() == '\'') return Quoted(escapes);
    if (Peek() == '"') return DoubleQuoted(1);
    if (Rest("\\\"")) return DoubleQuoted(2);
    if (Peek() == '$') return Dollar();
    return false;
  }

  bool Quoted(bool escapes) {
    size_t quotes = 0;
    while (Peek(quotes) == '\'') ++quotes;
    const char next = Peek(quotes);
    if (quotes >= 3) return HideRest(), true;
    if (quotes == 2) {  // empty, or the quotes of a literal within a literal
      if (next == '\0' || IsSpace(next) || next == ';' || next == ',' || next == ')') return Copy(2), true;
      Copy(2);
      Hide();
      const size_t end = in_.find("''", at_);
      if (end == absl::string_view::npos) return HideRest(), true;
      at_ = end;
      return Copy(2), true;
    }
    Copy(1);
    for (size_t i = at_; i < in_.size(); ++i) {
      if (in_[i] == '\\') {
        if (escapes) {
          ++i;
        } else if (i + 1 < in_.size() && in_[i + 1] == '\'') {
          break;  // an end, or not (standard_conforming_strings): nobody knows from here
        }
      } else if (in_[i] == '\'') {
        if (i + 1 < in_.size() && in_[i + 1] == '\'') {
          ++i;
          continue;
        }
        Hide();
        at_ = i;
        return Copy(1), true;
      }
    }
    return HideRest(), true;
  }

  bool DoubleQuoted(size_t size) {
    Copy(size);
    for (size_t i = at_; i < in_.size(); ++i) {
      if (in_[i] == '\\' && size == 1) {
        ++i;
      } else if (in_[i] == '"') {
        Hide();
        at_ = size == 2 && in_[i - 1] == '\\' && i > at_ ? i - 1 : i;
        return Copy(size), true;
      }
    }
    return HideRest(), true;
  }

  bool Dollar() {
    size_t end = at_ + 1;
    while (end < in_.size() && IsWord(in_[end])) ++end;
    if (end >= in_.size() || in_[end] != '$' || absl::ascii_isdigit(static_cast<unsigned char>(Peek(1))))
      return false;  // $1, or no quote at all
    const absl::string_view tag = in_.substr(at_, end + 1 - at_);
    Copy(tag.size());
    const size_t close = in_.find(tag, at_);
    if (close == absl::string_view::npos) return HideRest(), true;
    Hide();
    at_ = close;
    return Copy(tag.size()), true;
  }

  void Bare() {
    const size_t begin = at_;
    while (at_ < in_.size() && !IsSpace(in_[at_]) &&
           absl::string_view("'\";,)&}").find(in_[at_]) == absl::string_view::npos) {
      at_ += in_[at_] == '\\' && at_ + 1 < in_.size() ? 2 : 1;
    }
    at_ = std::min(at_, in_.size());
    if (at_ > begin) Hide();
  }

  void Url() {
    Copy(3);
    size_t colon = absl::string_view::npos, sign = absl::string_view::npos, i = at_;
    bool digits = true;
    for (; i < in_.size(); ++i) {
      const char c = in_[i];
      if (IsSpace(c) || c == '/' || c == '?' || c == '#' || c == '\'' || c == '"') break;
      if (c == '@') sign = i;
      if (colon != absl::string_view::npos && sign == absl::string_view::npos)
        digits = digits && absl::ascii_isdigit(static_cast<unsigned char>(c));
      if (c == ':' && colon == absl::string_view::npos) colon = i;
    }
    if (colon == absl::string_view::npos) return;
    const bool cut = i == in_.size() && sign == absl::string_view::npos && !digits;
    if (!cut && (sign == absl::string_view::npos || sign < colon)) return;
    Copy(colon + 1 - at_);
    Hide();
    at_ = cut ? in_.size() : sign;
  }

  const absl::string_view in_;
  size_t at_ = 0;
  Role role_ = Role::kNo;
  bool until_ = false;  // of VALID UNTIL: the word before
  std::string out_;
};

// Whether any of it can be there at all: most lines have none.
bool Suspicious(absl::string_view text) {
  for (size_t i = 0; i + 2 < text.size(); ++i) {
    if (text[i + 1] == '\'' && text[i] != ' ' && !IsWord(text[i])) return true;  // "'
    switch (text[i] | 0x20) {
      case 'r':  // alter role
        if ((text[i + 1] | 0x20) == 'o') return true;
        break;
      case 'u':  // alter user
        if ((text[i + 1] | 0x20) == 's') return true;
        break;
      case 'g':  // alter group
        if ((text[i + 1] | 0x20) == 'r') return true;
        break;
      case 'p':  // pass, pwd
        if ((text[i + 1] | 0x20) == 'a' || (text[i + 1] | 0x20) == 'w') return true;
        break;
      case 's':  // secret, scram
        if ((text[i + 1] | 0x20) == 'e' || text[i + 1] == 'C') return true;
        break;
      case 't':
        if ((text[i + 1] | 0x20) == 'o') return true;
        break;
      case 'k':  // _key
        if ((text[i + 1] | 0x20) == 'e') return true;
        break;
      case 'm':
        if (text[i + 1] == 'd' && text[i + 2] == '5') return true;
        break;
      default:
        if (text[i] == ':' && text[i + 1] == '/') return true;
    }
  }
  return false;
}

}  // namespace

std::string Redact(absl::string_view text) {
  return Suspicious(text) ? Redactor(text).Run() : std::string(text);
}

}  // namespace mainstay::audit
