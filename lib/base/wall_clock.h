// Wall clock time: only for what people and other programs read (log, audit, records). No decision may rest
// on it.
//
// Units: milliseconds since 1970-01-01 UTC. Thread rules: pure functions, thread-safe.
#ifndef MAINSTAY_LIB_BASE_WALL_CLOCK_H_
#define MAINSTAY_LIB_BASE_WALL_CLOCK_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"

namespace mainstay {

int64_t UnixMillis();  // now

// "2026-11-24T06:18:21Z": whole seconds (rounded down), as client-go's metav1.Time has it.
std::string FormatUtcSeconds(int64_t unix_ms);
// "2026-11-24T06:18:21.123Z"
std::string FormatUtcMillis(int64_t unix_ms);
// Reads both, also with 1 to 9 digits of fraction (cut to milliseconds) and an offset such as +02:00. Nothing
// when malformed.
std::optional<int64_t> ParseUtc(absl::string_view text);

}  // namespace mainstay

#endif  // MAINSTAY_LIB_BASE_WALL_CLOCK_H_
