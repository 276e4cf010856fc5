#include "lib/erlang/term.h"

#include "absl/strings/str_cat.h"
#include "lib/base/strings.h"

namespace mainstay::erlang {
namespace {

// An atom that needs no quotes.
bool Plain(absl::string_view name) {
  if (name.empty() || name[0] < 'a' || name[0] > 'z') return false;
  for (const char c : name) {
    const bool fine =
        (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '@';
    if (!fine) return false;
  }
  return true;
}

void PrintQuoted(char quote, absl::string_view text, std::string* out) {
  out->push_back(quote);
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == quote || c == '\\') {
      out->push_back('\\');
      out->push_back(c);
    } else if (byte < 0x20 || byte == 0x7f) {
      absl::StrAppend(out, "\\x", absl::Hex(byte, absl::kZeroPad2));
    } else {
      out->push_back(c);
    }
  }
  out->push_back(quote);
}

// Of one code point; false: there is none such.
bool AppendUtf8(int64_t code, std::string* out) {
  if (code < 0 || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff)) return false;
  const auto c = static_cast<uint32_t>(code);
  if (c < 0x80) {
    out->push_back(static_cast<char>(c));
  } else if (c < 0x800) {
    out->push_back(static_cast<char>(0xc0 | (c >> 6)));
    out->push_back(static_cast<char>(0x80 | (c & 0x3f)));
  } else if (c < 0x10000) {
    out->push_back(static_cast<char>(0xe0 | (c >> 12)));
    out->push_back(static_cast<char>(0x80 | ((c >> 6) & 0x3f)));
    out->push_back(static_cast<char>(0x80 | (c & 0x3f)));
  } else {
    out->push_back(static_cast<char>(0xf0 | (c >> 18)));
    out->push_back(static_cast<char>(0x80 | ((c >> 12) & 0x3f)));
    out->push_back(static_cast<char>(0x80 | ((c >> 6) & 0x3f)));
    out->push_back(static_cast<char>(0x80 | (c & 0x3f)));
  }
  return true;
}

}  // namespace

Term Term::Atom(absl::string_view name) {
  Term t;
  t.kind_ = Kind::kAtom;
  t.text_ = std::string(name);
  return t;
}

Term Term::Integer(int64_t value) {
  Term t;
  t.kind_ = Kind::kInteger;
  t.integer_ = value;
  return t;
}

Term Term::Float(double value) {
  Term t;
  t.kind_ = Kind::kFloat;
  t.real_ = value;
  return t;
}

Term Term::Binary(absl::string_view bytes) {
  Term t;
  t.kind_ = Kind::kBinary;
  t.text_ = std::string(bytes);
  return t;
}

Term Term::String(absl::string_view bytes) {
  Term t;
  if (bytes.empty()) return t;
  t.kind_ = Kind::kString;
  t.text_ = std::string(bytes);
  return t;
}

Term Term::List(std::vector<Term> items) {
  Term t;
  t.items_ = std::move(items);
  return t;
}

Term Term::Tuple(std::vector<Term> items) {
  Term t;
  t.kind_ = Kind::kTuple;
  t.items_ = std::move(items);
  return t;
}

Term Term::Map(std::vector<std::pair<Term, Term>> pairs) {
  Term t;
  t.kind_ = Kind::kMap;
  t.items_.reserve(2 * pairs.size());
  for (std::pair<Term, Term>& pair : pairs) {
    t.items_.push_back(std::move(pair.first));
    t.items_.push_back(std::move(pair.second));
  }
  return t;
}

Term Term::Opaque(absl::string_view encoded) {
  Term t;
  t.kind_ = Kind::kOpaque;
  t.text_ = std::string(encoded);
  return t;
}

std::string Term::Words() const {
  if (kind_ == Kind::kAtom || kind_ == Kind::kBinary) return text_;
  std::string out;
  if (kind_ == Kind::kString) {
    for (const char c : text_) AppendUtf8(static_cast<unsigned char>(c), &out);
  } else if (kind_ == Kind::kList) {
    for (const Term& item : items_)
      if (item.kind_ != Kind::kInteger || !AppendUtf8(item.integer_, &out)) return "";
  }
  return out;
}

const Term* Term::FindKey(Kind kind, absl::string_view key) const {
  const auto is = [&](const Term& t) { return t.kind_ == kind && absl::string_view(t.text_) == key; };
  if (kind_ == Kind::kMap) {
    for (size_t i = 0; i + 1 < items_.size(); i += 2)
      if (is(items_[i])) return &items_[i + 1];
  } else if (kind_ == Kind::kList) {
    for (const Term& item : items_)
      if (item.IsTuple(2) && is(item.items_[0])) return &item.items_[1];
  }
  return nullptr;
}

const Term* Term::Find(absl::string_view key) const { return FindKey(Kind::kAtom, key); }
const Term* Term::FindBinary(absl::string_view key) const { return FindKey(Kind::kBinary, key); }

void Term::PrintItems(char open, char close, std::string* out, size_t max_bytes) const {
  out->push_back(open);
  for (size_t i = 0; i < items_.size() && out->size() < max_bytes; ++i) {
    if (i > 0) out->append(kind_ == Kind::kMap && i % 2 == 1 ? " => " : ",");
    items_[i].Print(out, max_bytes);
  }
  out->push_back(close);
}

void Term::Print(std::string* out, size_t max_bytes) const {
  if (out->size() >= max_bytes) return;
  const absl::string_view text = absl::string_view(text_).substr(0, max_bytes);
  switch (kind_) {
    case Kind::kAtom:
      if (Plain(text)) {
        absl::StrAppend(out, text);
      } else {
        PrintQuoted('\'', text, out);
      }
      return;
    case Kind::kInteger:
      absl::StrAppend(out, integer_);
      return;
    case Kind::kFloat:
      absl::StrAppend(out, real_);
      return;
    case Kind::kBinary:
      out->append("<<");
      if (!text.empty()) PrintQuoted('"', text, out);
      out->append(">>");
      return;
    case Kind::kString:
      PrintQuoted('"', text, out);
      return;
    case Kind::kOpaque:
      out->append("#opaque");
      return;
    case Kind::kList:
      return PrintItems('[', ']', out, max_bytes);
    case Kind::kTuple:
      return PrintItems('{', '}', out, max_bytes);
    case Kind::kMap:
      out->push_back('#');
      return PrintItems('{', '}', out, max_bytes);
  }
}

std::string Term::ToString(size_t max_bytes) const {
  std::string out;
  Print(&out, max_bytes);
  return Cut(out, max_bytes);
}

bool operator==(const Term& a, const Term& b) {
  return a.kind_ == b.kind_ && a.integer_ == b.integer_ && a.real_ == b.real_ && a.text_ == b.text_ &&
         a.items_ == b.items_;
}

}  // namespace mainstay::erlang
