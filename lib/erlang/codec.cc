#include "lib/erlang/codec.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "lib/base/result.h"

namespace mainstay::erlang {
namespace {

constexpr uint8_t kVersion = 131;
constexpr size_t kMaxAtom = 255;  // characters in Erlang; bytes here, which is less

// The tags of the external term format.
enum Tag : uint8_t {
  kNewFloat = 70,
  kBitBinary = 77,
  kNewPid = 88,
  kNewPort = 89,
  kNewerReference = 90,
  kSmallInteger = 97,
  kInteger = 98,
  kFloatText = 99,
  kAtomLatin1 = 100,
  kReference = 101,
  kPort = 102,
  kPid = 103,
  kSmallTuple = 104,
  kLargeTuple = 105,
  kNil = 106,
  kString = 107,
  kList = 108,
  kBinary = 109,
  kSmallBig = 110,
  kLargeBig = 111,
  kNewFun = 112,
  kExport = 113,
  kNewReference = 114,
  kSmallAtomLatin1 = 115,
  kMap = 116,
  kAtomUtf8 = 118,
  kSmallAtomUtf8 = 119,
  kV4Port = 120,
};

std::string FromLatin1(absl::string_view text) {
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x80) {
      out.push_back(c);
    } else {
      out.push_back(static_cast<char>(0xc0 | (byte >> 6)));
      out.push_back(static_cast<char>(0x80 | (byte & 0x3f)));
    }
  }
  return out;
}

class Reader {
 public:
  Reader(absl::string_view bytes, const DecodeLimits& limits) : bytes_(bytes), limits_(limits) {}

  size_t at() const { return at_; }

  absl::StatusOr<uint32_t> Number(size_t n_bytes) {
    MAINSTAY_ASSIGN_OR_RETURN(const absl::string_view b, Take(n_bytes));
    uint32_t out = 0;
    for (const char c : b) out = out << 8 | static_cast<unsigned char>(c);
    return out;
  }

  absl::StatusOr<absl::string_view> Take(size_t n) {
    if (n > bytes_.size() - at_) return absl::DataLossError(absl::StrCat("the answer is cut at byte ", at_));
    at_ += n;
    return bytes_.substr(at_ - n, n);
  }

  absl::StatusOr<Term> Read(int depth) {
    if (depth > limits_.depth)
      return absl::ResourceExhaustedError(absl::StrCat("the answer is nested deeper than ", limits_.depth));
    if (++terms_ > limits_.terms)
      return absl::ResourceExhaustedError(absl::StrCat("the answer has more than ", limits_.terms, " terms"));
    const size_t begin = at_;
    MAINSTAY_ASSIGN_OR_RETURN(const uint32_t tag, Number(1));
    switch (tag) {
      case kSmallInteger:
      case kInteger:
      case kSmallBig:
      case kLargeBig:
        return ReadInteger(tag);
      case kNewFloat:
      case kFloatText:
        return ReadFloat(tag);
      case kAtomLatin1:
      case kSmallAtomLatin1:
      case kAtomUtf8:
      case kSmallAtomUtf8:
        return ReadAtom(tag);
      case kBinary:
      case kString:
        return ReadBytes(tag);
      case kNil:
        return Term();
      case kList:
        return ReadList(begin, depth);
      case kSmallTuple:
      case kLargeTuple:
        return ReadTuple(tag, depth);
      case kMap:
        return ReadMap(depth);
      default:
        return ReadOpaque(begin, tag, depth);
    }
  }

 private:
  absl::StatusOr<Term> ReadInteger(uint32_t tag) {
    if (tag == kSmallInteger || tag == kInteger) {
      MAINSTAY_ASSIGN_OR_RETURN(const uint32_t n, Number(tag == kInteger ? 4 : 1));
      return Term::Integer(tag == kInteger ? static_cast<int32_t>(n) : static_cast<int64_t>(n));
    }
    const size_t at = at_ - 1;
    MAINSTAY_ASSIGN_OR_RETURN(const uint32_t size, Number(tag == kLargeBig ? 4 : 1));
    MAINSTAY_ASSIGN_OR_RETURN(const uint32_t negative, Number(1));
    MAINSTAY_ASSIGN_OR_RETURN(const absl::string_view digits, Take(size));
    uint64_t magnitude = 0;
    bool fits = true;
    for (size_t i = 0; i < digits.size(); ++i) {
      const auto digit = static_cast<unsigned char>(digits[i]);
      if (i < 8) {
        magnitude |= static_cast<uint64_t>(digit) << (8 * i);
      } else if (digit != 0) {
        fits = false;
      }
    }
    const uint64_t most = negative != 0 ? uint64_t{1} << 63 : INT64_MAX;
    if (!fits || magnitude > most)
      return absl::OutOfRangeError(
          absl::StrCat("an integer of ", size, " bytes at byte ", at, " of the answer"));
    return Term::Integer(static_cast<int64_t>(negative != 0 ? ~magnitude + 1 : magnitude));
  }

  absl::StatusOr<Term> ReadFloat(uint32_t tag) {
    double value = 0;
    if (tag == kNewFloat) {
      MAINSTAY_ASSIGN_OR_RETURN(const absl::string_view b, Take(8));
      uint64_t bits = 0;
      for (const char c : b) bits = bits << 8 | static_cast<unsigned char>(c);
      std::memcpy(&value, &bits, sizeof value);
    } else {
      MAINSTAY_ASSIGN_OR_RETURN(const absl::string_view b, Take(31));
      if (!absl::SimpleAtod(b.substr(0, std::min(b.find('\0'), b.size())), &value)) value = NAN;
    }
    if (!std::isfinite(value)) return absl::DataLossError(absl::StrCat("no number at byte ", at_));
    return Term::Float(value);
  }

  absl::StatusOr<Term> ReadAtom(uint32_t tag) {
    const bool wide = tag == kAtomLatin1 || tag == kAtomUtf8;
    MAINSTAY_ASSIGN_OR_RETURN(const uint32_t size, Number(wide ? 2 : 1));
    MAINSTAY_ASSIGN_OR_RETURN(const absl::string_view name, Take(size));
    if (tag == kAtomUtf8 || tag == kSmallAtomUtf8) return Term::Atom(name);
    return Term::Atom(FromLatin1(name));
  }

  absl::StatusOr<Term> ReadBytes(uint32_t tag) {
    MAINSTAY_ASSIGN_OR_RETURN(const uint32_t size, Number(tag == kBinary ? 4 : 2));
    MAINSTAY_ASSIGN_OR_RETURN(const absl::string_view b, Take(size));
    return tag == kBinary ? Term::Binary(b) : Term::String(b);
  }

  // Each term has a byte at least, so a count beyond what is left is known to be wrong before memory is
  // taken.
  absl::StatusOr<std::vector<Term>> ReadMany(size_t count, int depth) {
    if (count > bytes_.size() - at_)
      return absl::DataLossError(absl::StrCat("the answer is cut at byte ", bytes_.size()));
    std::vector<Term> out;
    out.reserve(
        std::min(count, size_t{64}));  // not `count`: lists in lists could claim the memory of all of them
    for (size_t i = 0; i < count; ++i) {
      MAINSTAY_ASSIGN_OR_RETURN(Term item, Read(depth + 1));
      out.push_back(std::move(item));
    }
    return out;
  }

  absl::StatusOr<Term> ReadList(size_t begin, int depth) {
    MAINSTAY_ASSIGN_OR_RETURN(const uint32_t count, Number(4));
    MAINSTAY_ASSIGN_OR_RETURN(std::vector<Term> items, ReadMany(count, depth));
    MAINSTAY_ASSIGN_OR_RETURN(const Term tail, Read(depth + 1));
    // An improper list ([a|b]) is a part of nothing that is asked for.
    if (!tail.IsList() || !tail.items().empty()) return Term::Opaque(bytes_.substr(begin, at_ - begin));
    return Term::List(std::move(items));
  }

  absl::StatusOr<Term> ReadTuple(uint32_t tag, int depth) {
    MAINSTAY_ASSIGN_OR_RETURN(const uint32_t count, Number(tag == kLargeTuple ? 4 : 1));
    MAINSTAY_ASSIGN_OR_RETURN(std::vector<Term> items, ReadMany(count, depth));
    return Term::Tuple(std::move(items));
  }

  absl::StatusOr<Term> ReadMap(int depth) {
    MAINSTAY_ASSIGN_OR_RETURN(const uint32_t count, Number(4));
    MAINSTAY_ASSIGN_OR_RETURN(std::vector<Term> items, ReadMany(size_t{2} * count, depth));
    std::vector<std::pair<Term, Term>> pairs;
    pairs.reserve(count);
    for (size_t i = 0; i + 1 < items.size(); i += 2)
      pairs.emplace_back(std::move(items[i]), std::move(items[i + 1]));
    return Term::Map(std::move(pairs));
  }

  // A node's name and `rest` bytes of numbers after it.
  absl::Status SkipNode(size_t rest, int depth) {
    MAINSTAY_ASSIGN_OR_RETURN(const Term node, Read(depth + 1));
    if (!node.IsAtom()) return absl::DataLossError(absl::StrCat("no node's name at byte ", at_));
    return Take(rest).status();
  }

  absl::Status SkipOpaque(uint32_t tag, int depth) {
    switch (tag) {
      case kNewPid:
        return SkipNode(12, depth);
      case kPid:
        return SkipNode(9, depth);
      case kV4Port:
        return SkipNode(12, depth);
      case kNewPort:
        return SkipNode(8, depth);
      case kPort:
      case kReference:
        return SkipNode(5, depth);
      case kNewReference:
      case kNewerReference: {
        MAINSTAY_ASSIGN_OR_RETURN(const uint32_t words, Number(2));
        return SkipNode((tag == kNewReference ? 1 : 4) + size_t{4} * words, depth);
      }
      case kBitBinary: {
        MAINSTAY_ASSIGN_OR_RETURN(const uint32_t size, Number(4));
        return Take(size_t{1} + size).status();
      }
      case kNewFun: {
        MAINSTAY_ASSIGN_OR_RETURN(const uint32_t size, Number(4));
        if (size < 4)
          return absl::DataLossError(absl::StrCat("a function of ", size, " bytes at byte ", at_));
        return Take(size - 4).status();  // the size counts itself
      }
      case kExport:
        for (int i = 0; i < 3; ++i) MAINSTAY_RETURN_IF_ERROR(Read(depth + 1).status());
        return absl::OkStatus();
      default:
        return absl::UnimplementedError(absl::StrCat("a term of the form ", tag, " at byte ", at_ - 1));
    }
  }

  absl::StatusOr<Term> ReadOpaque(size_t begin, uint32_t tag, int depth) {
    MAINSTAY_RETURN_IF_ERROR(SkipOpaque(tag, depth));
    return Term::Opaque(bytes_.substr(begin, at_ - begin));
  }

  const absl::string_view bytes_;
  const DecodeLimits limits_;
  size_t at_ = 0;
  size_t terms_ = 0;
};

void AppendNumber(uint64_t value, int n_bytes, std::string* out) {
  for (int i = n_bytes - 1; i >= 0; --i) out->push_back(static_cast<char>(value >> (8 * i)));
}

void AppendTag(Tag tag, std::string* out) { out->push_back(static_cast<char>(tag)); }

void AppendInteger(int64_t value, std::string* out) {
  if (value >= 0 && value < 256) {
    AppendTag(kSmallInteger, out);
    AppendNumber(static_cast<uint64_t>(value), 1, out);
  } else if (value >= INT32_MIN && value <= INT32_MAX) {
    AppendTag(kInteger, out);
    AppendNumber(static_cast<uint32_t>(value), 4, out);
  } else {
    uint64_t magnitude = value < 0 ? ~static_cast<uint64_t>(value) + 1 : static_cast<uint64_t>(value);
    AppendTag(kSmallBig, out);
    out->push_back(8);
    out->push_back(value < 0 ? 1 : 0);
    for (int i = 0; i < 8; ++i, magnitude >>= 8) out->push_back(static_cast<char>(magnitude & 0xff));
  }
}

void AppendAtom(absl::string_view name, std::string* out) {
  name = name.substr(0, kMaxAtom);
  AppendTag(kSmallAtomUtf8, out);
  AppendNumber(name.size(), 1, out);
  out->append(name.data(), name.size());
}

// Strings longer than their form allows are lists of integers, as Erlang itself sends them.
void AppendString(const std::string& text, std::string* out) {
  if (text.size() <= 65535) {
    AppendTag(kString, out);
    AppendNumber(text.size(), 2, out);
    out->append(text);
    return;
  }
  AppendTag(kList, out);
  AppendNumber(text.size(), 4, out);
  for (const char c : text) AppendInteger(static_cast<unsigned char>(c), out);
  AppendTag(kNil, out);
}

void AppendItems(const std::vector<Term>& items, std::string* out) {
  for (const Term& item : items) AppendTerm(item, out);
}

void AppendFloat(double value, std::string* out) {
  uint64_t bits = 0;
  std::memcpy(&bits, &value, sizeof bits);
  AppendTag(kNewFloat, out);
  AppendNumber(bits, 8, out);
}

}  // namespace

absl::StatusOr<Term> Decode(absl::string_view bytes, const DecodeLimits& limits, size_t* used) {
  Reader reader(bytes, limits);
  MAINSTAY_ASSIGN_OR_RETURN(const uint32_t version, reader.Number(1));
  if (version != kVersion) return absl::DataLossError(absl::StrCat("no term: it begins with ", version));
  MAINSTAY_ASSIGN_OR_RETURN(Term out, reader.Read(0));
  if (used != nullptr) {
    *used = reader.at();
  } else if (reader.at() != bytes.size()) {
    return absl::DataLossError(absl::StrCat("the term ends at byte ", reader.at(), " of ", bytes.size()));
  }
  return out;
}

void AppendTerm(const Term& term, std::string* out) {
  const std::vector<Term>& items = term.items();
  switch (term.kind()) {
    case Term::Kind::kAtom:
      return AppendAtom(term.text(), out);
    case Term::Kind::kInteger:
      return AppendInteger(term.integer(), out);
    case Term::Kind::kFloat:
      return AppendFloat(term.real(), out);
    case Term::Kind::kBinary:
      AppendTag(kBinary, out);
      AppendNumber(term.text().size(), 4, out);
      out->append(term.text());
      return;
    case Term::Kind::kString:
      return AppendString(term.text(), out);
    case Term::Kind::kOpaque:
      out->append(term.text());
      return;
    case Term::Kind::kList:
      if (!items.empty()) {
        AppendTag(kList, out);
        AppendNumber(items.size(), 4, out);
        AppendItems(items, out);
      }
      return AppendTag(kNil, out);
    case Term::Kind::kTuple:
      AppendTag(items.size() < 256 ? kSmallTuple : kLargeTuple, out);
      AppendNumber(items.size(), items.size() < 256 ? 1 : 4, out);
      return AppendItems(items, out);
    case Term::Kind::kMap:
      AppendTag(kMap, out);
      AppendNumber(items.size() / 2, 4, out);
      return AppendItems(items, out);
  }
}

std::string Encode(const Term& term) {
  std::string out(1, static_cast<char>(kVersion));
  AppendTerm(term, &out);
  return out;
}

}  // namespace mainstay::erlang
