// Text helpers, and the only place that converts between absl::string_view and std::string_view (two
// different types in Debian 12's Abseil). Thread rules: pure functions.
#ifndef MAINSTAY_LIB_BASE_STRINGS_H_
#define MAINSTAY_LIB_BASE_STRINGS_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/strings/string_view.h"
#include "lib/base/time.h"

namespace mainstay {

inline std::string_view ToStd(absl::string_view s) { return std::string_view(s.data(), s.size()); }
inline absl::string_view ToAbsl(std::string_view s) { return absl::string_view(s.data(), s.size()); }

// Appends `text` as a JSON string with its quotes. Control characters are escaped, bytes that are not UTF-8
// become U+FFFD: the result is always one line of valid JSON.
void AppendJsonString(std::string* out, absl::string_view text);

// At most `max_bytes` of `text`, cut before a broken UTF-8 sequence, with "..." at the end when something was
// cut.
std::string Cut(absl::string_view text, size_t max_bytes);

// For people: "250ms", "2.5s", "1m30s", "never". Rounded to three digits that matter.
std::string FormatDuration(Duration d);

// FNV-1a, 64 bits: detects accidents and edits by hand, not attackers.
uint64_t Fnv1a64(absl::string_view data, uint64_t seed = 0xcbf29ce484222325u);

// Lower case hexadecimal.
std::string Hex(absl::string_view bytes);

}  // namespace mainstay

#endif  // MAINSTAY_LIB_BASE_STRINGS_H_
