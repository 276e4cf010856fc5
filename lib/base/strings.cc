#include "lib/base/strings.h"

#include <stdio.h>

#include <cmath>

namespace mainstay {
namespace {

constexpr char kHexDigits[] = "0123456789abcdef";

// Length of the valid UTF-8 sequence at the start of `s`, 0 when it is not valid (also surrogates, overlong
// forms).
size_t Utf8Length(absl::string_view s) {
  const auto at = [&](size_t i) { return static_cast<unsigned char>(s[i]); };
  const auto tail = [&](size_t i) { return i < s.size() && (at(i) & 0xc0) == 0x80; };
  const unsigned char c = at(0);
  if (c < 0x80) return 1;
  if (c >= 0xc2 && c <= 0xdf) return tail(1) ? 2 : 0;
  if (c >= 0xe0 && c <= 0xef) {
    if (!tail(1) || !tail(2)) return 0;
    if ((c == 0xe0 && at(1) < 0xa0) || (c == 0xed && at(1) >= 0xa0)) return 0;
    return 3;
  }
  if (c >= 0xf0 && c <= 0xf4) {
    if (!tail(1) || !tail(2) || !tail(3)) return 0;
    if ((c == 0xf0 && at(1) < 0x90) || (c == 0xf4 && at(1) >= 0x90)) return 0;
    return 4;
  }
  return 0;
}

void AppendControl(std::string* out, unsigned char c) {
  switch (c) {
    case '\n':
      *out += "\\n";
      return;
    case '\r':
      *out += "\\r";
      return;
    case '\t':
      *out += "\\t";
      return;
    default:
      break;
  }
  *out += "\\u00";
  out->push_back(kHexDigits[c >> 4]);
  out->push_back(kHexDigits[c & 15]);
}

}  // namespace

void AppendJsonString(std::string* out, absl::string_view text) {
  out->push_back('"');
  while (!text.empty()) {
    const unsigned char c = static_cast<unsigned char>(text[0]);
    const size_t n = Utf8Length(text);
    if (c < 0x20 || c == 0x7f) {
      AppendControl(out, c);
    } else if (c == '"' || c == '\\') {
      out->push_back('\\');
      out->push_back(static_cast<char>(c));
    } else if (n == 0) {
      *out += "\xef\xbf\xbd";
    } else {
      out->append(text.data(), n);
    }
    text.remove_prefix(n == 0 ? 1 : n);
  }
  out->push_back('"');
}

std::string Cut(absl::string_view text, size_t max_bytes) {
  if (text.size() <= max_bytes) return std::string(text);
  if (max_bytes <= 3) return std::string(text.substr(0, max_bytes));
  size_t n = max_bytes - 3;
  // Step back over a sequence that would be torn (at most 3 bytes).
  for (int i = 0; i < 3 && n > 0 && (static_cast<unsigned char>(text[n]) & 0xc0) == 0x80; ++i) --n;
  return std::string(text.substr(0, n)) + "...";
}

std::string FormatDuration(Duration d) {
  if (d == Duration::max()) return "never";
  char out[64];
  const double s = std::chrono::duration<double>(d).count();
  const double a = std::fabs(s);
  if (a < 1e-3) {
    snprintf(out, sizeof out, "%.3gus", s * 1e6);
  } else if (a < 0.9995) {
    snprintf(out, sizeof out, "%.3gms", s * 1e3);
  } else if (a < 60) {
    snprintf(out, sizeof out, "%.3gs", s);
  } else {
    const int64_t t = static_cast<int64_t>(a);
    const char* sign = s < 0 ? "-" : "";
    if (t < 3600) {
      snprintf(out, sizeof out, "%s%dm%02ds", sign, static_cast<int>(t / 60), static_cast<int>(t % 60));
    } else {
      snprintf(out, sizeof out, "%s%lldh%02dm", sign, static_cast<long long>(t / 3600),
               static_cast<int>(t % 3600 / 60));
    }
  }
  return out;
}

uint64_t Fnv1a64(absl::string_view data, uint64_t seed) {
  uint64_t h = seed;
  for (char c : data) h = (h ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
  return h;
}

std::string Hex(absl::string_view bytes) {
  std::string out;
  out.reserve(bytes.size() * 2);
  for (char c : bytes) {
    out.push_back(kHexDigits[static_cast<unsigned char>(c) >> 4]);
    out.push_back(kHexDigits[static_cast<unsigned char>(c) & 15]);
  }
  return out;
}

}  // namespace mainstay
