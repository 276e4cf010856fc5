// A value of Erlang: what a node answers, and the arguments of a call to it.
//
// Immutable once made. Made of bytes by Decode (lib/erlang/codec.h), or by the functions below. What cannot
// be looked into here (pids, references, functions, ports, bit strings, improper lists) is an opaque term: it
// prints, compares by its bytes and is encoded as it came.
//
// Thread rules: plain values. Errors: none; reading as another kind yields "nothing" (empty text, no items).
#ifndef MAINSTAY_LIB_ERLANG_TERM_H_
#define MAINSTAY_LIB_ERLANG_TERM_H_

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"

namespace mainstay::erlang {

class Term {
 public:
  enum class Kind : uint8_t { kAtom, kInteger, kFloat, kBinary, kString, kList, kTuple, kMap, kOpaque };

  Term() : kind_(Kind::kList) {}  // []
  static Term Atom(absl::string_view name);
  static Term Boolean(bool value) { return Atom(value ? "true" : "false"); }
  static Term Integer(int64_t value);
  static Term Float(double value);
  static Term Binary(absl::string_view bytes);
  static Term String(absl::string_view bytes);  // a list of bytes, as "text" is in Erlang; "" is []
  static Term List(std::vector<Term> items);
  static Term Tuple(std::vector<Term> items);
  static Term Map(std::vector<std::pair<Term, Term>> pairs);
  static Term Opaque(absl::string_view encoded);  // without the version byte

  Kind kind() const { return kind_; }
  bool IsAtom(absl::string_view name) const {
    return kind_ == Kind::kAtom && absl::string_view(text_) == name;
  }
  bool IsAtom() const { return kind_ == Kind::kAtom; }
  bool IsList() const { return kind_ == Kind::kList; }
  // A tuple of `size` terms; with a tag: the first of them is that atom.
  bool IsTuple(size_t size) const { return kind_ == Kind::kTuple && items_.size() == size; }
  bool IsTuple(size_t size, absl::string_view tag) const { return IsTuple(size) && items_[0].IsAtom(tag); }

  int64_t integer() const { return integer_; }  // 0: it is none
  double real() const { return real_; }         // 0: it is no float
  // An atom's name, the bytes of a binary, of a string or of an opaque term.
  const std::string& text() const { return text_; }
  // What people would read: an atom's name, a binary's or string's bytes, a list of code points as UTF-8; ""
  // for the rest.
  std::string Words() const;
  // Of a list or tuple. A map's keys and values take turns.
  const std::vector<Term>& items() const { return items_; }
  // The value of an atom in a map or in a list of pairs {Key, Value}; null: not there.
  const Term* Find(absl::string_view key) const;
  // The same with a binary for a key.
  const Term* FindBinary(absl::string_view key) const;

  // As Erlang writes it, cut after about `max_bytes`.
  std::string ToString(size_t max_bytes = 300) const;

  friend bool operator==(const Term& a, const Term& b);

 private:
  const Term* FindKey(Kind kind, absl::string_view key) const;
  void Print(std::string* out, size_t max_bytes) const;
  void PrintItems(char open, char close, std::string* out, size_t max_bytes) const;

  Kind kind_;
  int64_t integer_ = 0;
  double real_ = 0;
  std::string text_;
  std::vector<Term> items_;
};

}  // namespace mainstay::erlang

#endif  // MAINSTAY_LIB_ERLANG_TERM_H_
