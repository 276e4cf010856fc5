// The operational log: one event is one line (text or JSON) and one write(2) to stderr, at most 8 KiB.
//
//   Log(LogLevel::kWarn, "store", "update not confirmed", {{"version", v}, {"took", took}});
//
// Values are escaped, so that a line stays a line. What is for machines to keep goes to the audit log
// (lib/audit). A reader that does not read cannot stop the process: after 10 ms the line is dropped, and the
// next line that gets through says how many were lost. Thread rules: everything here is thread-safe; lines of
// several threads do not mix. errno is kept.
#ifndef MAINSTAY_LIB_BASE_LOG_H_
#define MAINSTAY_LIB_BASE_LOG_H_

#include <atomic>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <type_traits>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "lib/base/time.h"

namespace mainstay {

enum class LogLevel : uint8_t { kDebug, kInfo, kWarn, kError };
enum class LogFormat : uint8_t { kText, kJson };

inline constexpr size_t kMaxLogLine = 8 * 1024;

struct LogOptions {
  LogLevel level = LogLevel::kInfo;  // lower ones are dropped
  LogFormat format = LogFormat::kText;
  int fd = 2;
};
void SetLogOptions(const LogOptions& options);
LogOptions GetLogOptions();
bool LogEnabled(LogLevel level);

// A key and a value; in JSON numbers and booleans stay what they are.
class LogField {
 public:
  LogField(absl::string_view key, absl::string_view value) : key_(key), text_(value), quoted_(true) {}
  LogField(absl::string_view key, const char* value) : LogField(key, absl::string_view(value)) {}
  LogField(absl::string_view key, const std::string& value) : LogField(key, absl::string_view(value)) {}
  LogField(absl::string_view key, const absl::Status& value)
      : key_(key), text_(value.ToString()), quoted_(true) {}
  LogField(absl::string_view key, Duration value);  // "2.5s"
  LogField(absl::string_view key, bool value) : key_(key), text_(value ? "true" : "false") {}
  LogField(absl::string_view key, double value);
  template <typename T, std::enable_if_t<std::is_integral_v<T> && !std::is_same_v<T, bool>, int> = 0>
  LogField(absl::string_view key, T value) : key_(key), text_(std::to_string(value)) {}

  absl::string_view key() const { return key_; }
  const std::string& text() const { return text_; }
  bool quoted() const { return quoted_; }

 private:
  absl::string_view key_;  // outlives the call of Log: a literal in nearly all cases
  std::string text_;
  bool quoted_ = false;
};

void Log(LogLevel level, absl::string_view component, absl::string_view message,
         std::initializer_list<LogField> fields = {});

// Lets through at most one line per `interval`; says how many were held back in between.
//
//   static LogLimiter limiter(10s);
//   if (uint64_t held = 0; limiter.Allow(BootClock().Now(), &held)) Log(..., {{"suppressed", held}});
class LogLimiter {
 public:
  explicit LogLimiter(Duration interval) : interval_(interval) {}
  bool Allow(MonoTime now, uint64_t* held_back);

 private:
  const Duration interval_;
  std::atomic<int64_t> next_{INT64_MIN};
  std::atomic<uint64_t> held_{0};
};

}  // namespace mainstay

#endif  // MAINSTAY_LIB_BASE_LOG_H_
