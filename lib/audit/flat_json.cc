#include "lib/audit/flat_json.h"

#include "absl/strings/ascii.h"

namespace mainstay::audit {
namespace {

constexpr size_t kName = 64;

void AppendUtf8(std::string* out, uint32_t c) {
  if (c < 0x80) {
    out->push_back(static_cast<char>(c));
  } else if (c < 0x800) {
    out->push_back(static_cast<char>(0xc0 | c >> 6));
    out->push_back(static_cast<char>(0x80 | (c & 0x3f)));
  } else if (c < 0x10000) {
    out->push_back(static_cast<char>(0xe0 | c >> 12));
    out->push_back(static_cast<char>(0x80 | (c >> 6 & 0x3f)));
    out->push_back(static_cast<char>(0x80 | (c & 0x3f)));
  } else {
    out->push_back(static_cast<char>(0xf0 | c >> 18));
    out->push_back(static_cast<char>(0x80 | (c >> 12 & 0x3f)));
    out->push_back(static_cast<char>(0x80 | (c >> 6 & 0x3f)));
    out->push_back(static_cast<char>(0x80 | (c & 0x3f)));
  }
}

}  // namespace

void FlatJson::Byte(char c, Found found) {
  switch (at_) {
    case At::kOutside:
      if (c != '"') break;  // { , and spaces
      at_ = At::kKey;
      name_.clear();
      break;
    case At::kKey:
      if (c == '"') {
        at_ = At::kColon;
      } else if (name_.size() < kName) {
        name_.push_back(c);
      }
      break;
    case At::kColon:
      value_ = HeadText();
      escape_ = false;
      hex_left_ = 0;
      surrogate_ = 0;
      if (c == '"') {
        at_ = At::kString;
      } else if (c == '[' || c == '{') {
        at_ = At::kNested;
        depth_ = 1;
        quoted_ = false;
      } else if (c != ':' && c != ' ') {
        at_ = At::kBare;
        value_.Append(absl::string_view(&c, 1));
      }
      break;
    case At::kString:
      InString(c, found);
      break;
    case At::kBare:
      if (c == ',' || c == '}') {
        EndOfValue(found);
      } else {
        value_.Append(absl::string_view(&c, 1));
      }
      break;
    case At::kNested:
      InNested(c);
      break;
  }
}

void FlatJson::InNested(char c) {
  if (escape_) {
    escape_ = false;
  } else if (quoted_) {
    escape_ = c == '\\';
    quoted_ = c != '"';
  } else if (c == '"') {
    quoted_ = true;
  } else if (c == '[' || c == '{') {
    ++depth_;
  } else if ((c == ']' || c == '}') && --depth_ == 0) {
    at_ = At::kOutside;
  }
}

void FlatJson::Hex(char c) {
  const bool digit = absl::ascii_isxdigit(static_cast<unsigned char>(c));
  const uint32_t v = !digit ? 0U
                     : absl::ascii_isdigit(static_cast<unsigned char>(c))
                         ? static_cast<uint32_t>(c - '0')
                         : static_cast<uint32_t>((c | 0x20) - 'a' + 10);
  hex_ = hex_ << 4 | v;
  if (--hex_left_ > 0) return;
  if (hex_ >= 0xd800 && hex_ < 0xdc00) {
    surrogate_ = hex_;
    return;
  }
  std::string utf8;
  if (hex_ >= 0xdc00 && hex_ < 0xe000)
    hex_ = surrogate_ != 0 ? 0x10000 + ((surrogate_ - 0xd800) << 10) + (hex_ - 0xdc00) : 0xfffd;
  surrogate_ = 0;
  AppendUtf8(&utf8, hex_);
  value_.Append(utf8);
}

void FlatJson::InString(char c, Found found) {
  if (hex_left_ > 0) {
    Hex(c);
  } else if (escape_) {
    escape_ = false;
    if (c == 'u') {
      hex_left_ = 4;
      hex_ = 0;
      return;
    }
    constexpr absl::string_view from = "ntrbf", to = "\n\t\r\b\f";
    const size_t at = from.find(c);
    value_.Append(at == absl::string_view::npos ? absl::string_view(&c, 1) : to.substr(at, 1));
  } else if (c == '\\') {
    escape_ = true;
  } else if (c == '"') {
    EndOfValue(found);
  } else {
    value_.Append(absl::string_view(&c, 1));
  }
}

void FlatJson::EndOfValue(Found found) {
  at_ = At::kOutside;
  found(name_, value_);
}

void FlatJson::Break(Found found) {
  const bool value = at_ == At::kString || at_ == At::kBare;
  at_ = At::kOutside;
  if (value) found(name_, value_);
}

}  // namespace mainstay::audit
