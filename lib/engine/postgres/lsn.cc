#include "lib/engine/postgres/lsn.h"

#include <algorithm>

#include "absl/strings/str_format.h"

namespace mainstay::engine::postgres {
namespace {

std::optional<uint64_t> ParseHex(absl::string_view text, size_t max_digits) {
  if (text.empty() || text.size() > max_digits) return std::nullopt;
  uint64_t value = 0;
  for (const char c : text) {
    uint64_t digit = 0;
    if (c >= '0' && c <= '9') {
      digit = static_cast<uint64_t>(c - '0');
    } else if (c >= 'A' && c <= 'F') {
      digit = static_cast<uint64_t>(c - 'A') + 10;
    } else if (c >= 'a' && c <= 'f') {
      digit = static_cast<uint64_t>(c - 'a') + 10;
    } else {
      return std::nullopt;
    }
    value = value << 4 | digit;
  }
  return value;
}

}  // namespace

std::optional<uint64_t> ParseLsn(absl::string_view text) {
  const size_t slash = text.find('/');
  if (slash == absl::string_view::npos) return std::nullopt;
  const auto high = ParseHex(text.substr(0, slash), 8);
  const auto low = ParseHex(text.substr(slash + 1), 8);
  if (!high.has_value() || !low.has_value()) return std::nullopt;
  return *high << 32 | *low;
}

std::string FormatLsn(uint64_t lsn) { return absl::StrFormat("%X/%X", lsn >> 32, lsn & 0xffffffffU); }

uint64_t RecordEnd(uint64_t start, uint64_t length, uint64_t segment) {
  constexpr uint64_t kPage = 8192;
  constexpr uint64_t kShort = 24;  // page header
  constexpr uint64_t kLong = 40;   // of a file's first page
  uint64_t at = start;
  uint64_t left = length;
  while (left > 0) {
    if (at % kPage == 0) at += at % segment == 0 ? kLong : kShort;
    const uint64_t room = kPage - at % kPage;
    const uint64_t now = std::min(left, room);
    at += now;
    left -= now;
  }
  return (at + 7) & ~uint64_t{7};
}

std::optional<uint32_t> TimelineOfWalFile(absl::string_view name) {
  if (name.size() < 8) return std::nullopt;
  const auto value = ParseHex(name.substr(0, 8), 8);
  if (!value.has_value()) return std::nullopt;
  return static_cast<uint32_t>(*value);
}

}  // namespace mainstay::engine::postgres
