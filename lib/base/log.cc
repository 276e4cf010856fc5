#include "lib/base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cmath>
#include <mutex>

#include "absl/strings/str_cat.h"
#include "lib/base/strings.h"
#include "lib/base/wall_clock.h"

namespace mainstay {
namespace {

std::atomic<LogLevel> g_level{LogLevel::kInfo};
std::atomic<LogFormat> g_format{LogFormat::kText};
std::atomic<int> g_fd{2};
std::atomic<uint64_t> g_dropped{0};
std::atomic<bool> g_stuck{false};

// Lines of more than a pipe's page are not atomic by themselves. Never destroyed: late threads may log.
std::mutex& WriteMutex() {
  static std::mutex* const mutex = new std::mutex();
  return *mutex;
}

const char* LevelName(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      return "debug";
    case LogLevel::kInfo:
      return "info";
    case LogLevel::kWarn:
      return "warn";
    case LogLevel::kError:
      return "error";
  }
  return "error";
}

// A text value is quoted only when it has to be, so that the common line reads well.
void AppendTextValue(std::string* out, const LogField& field) {
  bool plain = !field.text().empty();
  for (char c : field.text()) {
    const unsigned char u = static_cast<unsigned char>(c);
    if (u <= 0x20 || u >= 0x7f || c == '"' || c == '\\' || c == '=') plain = false;
  }
  if (plain)
    *out += field.text();
  else
    AppendJsonString(out, field.text());
}

// The message of a text line, unquoted; anything that could break the line is escaped.
void AppendTextMessage(std::string* out, absl::string_view message) {
  std::string quoted;
  AppendJsonString(&quoted, message);
  bool special = false;
  for (char c : message)
    special |= static_cast<unsigned char>(c) < 0x20 || static_cast<unsigned char>(c) >= 0x7f;
  if (special)
    out->append(quoted, 1, quoted.size() - 2);
  else
    out->append(message.data(), message.size());
}

void AppendJsonField(std::string* out, const LogField& field) {
  out->push_back(',');
  AppendJsonString(out, field.key());
  out->push_back(':');
  if (field.quoted())
    AppendJsonString(out, field.text());
  else
    *out += field.text();
}

std::string TextLine(LogLevel level, absl::string_view component, absl::string_view message,
                     std::initializer_list<LogField> fields) {
  std::string out = absl::StrCat(FormatUtcMillis(UnixMillis()), " ", LevelName(level), " ", component, ": ");
  AppendTextMessage(&out, Cut(message, kMaxLogLine / 2));
  for (const LogField& field : fields) {
    absl::StrAppend(&out, " ", field.key(), "=");
    AppendTextValue(&out, field);
    if (out.size() > kMaxLogLine) break;
  }
  return Cut(out, kMaxLogLine - 1);
}

// Cut field by field, so that a line that is too long is still valid JSON.
std::string JsonLine(LogLevel level, absl::string_view component, absl::string_view message,
                     std::initializer_list<LogField> fields) {
  std::string out = absl::StrCat("{\"ts\":\"", FormatUtcMillis(UnixMillis()), "\",\"level\":\"",
                                 LevelName(level), "\",\"component\":");
  AppendJsonString(&out, Cut(component, 64));
  absl::StrAppend(&out, ",\"msg\":");
  // Escaping makes one byte into at most six.
  std::string text = Cut(message, 4096), quoted;
  for (;;) {
    quoted.clear();
    AppendJsonString(&quoted, text);
    if (quoted.size() <= 4096 + 512) break;
    text = Cut(text, text.size() / 2);
  }
  out += quoted;
  constexpr absl::string_view kCutMark = ",\"cut\":true";
  for (const LogField& field : fields) {
    std::string one;
    AppendJsonField(&one, field);
    if (out.size() + one.size() + kCutMark.size() + 2 > kMaxLogLine) {
      out.append(kCutMark.data(), kCutMark.size());
      break;
    }
    out += one;
  }
  out.push_back('}');
  return out;
}

// A pipe that polls as writable takes a page at once; more only when it surely has the room, whatever its
// pages are filled with (half of each at the least).
bool TakesWhole(int fd, size_t size) {
  constexpr size_t kPage = 4096;
  if (size <= kPage) return true;
  const int capacity = fcntl(fd, F_GETPIPE_SZ);
  if (capacity <= 0) return true;  // no pipe
  for (int i = 0; i < 10; ++i) {
    int unread = capacity;
    if (ioctl(fd, FIONREAD, &unread) != 0) return true;
    if (2 * static_cast<size_t>(unread) + size + 3 * kPage <= static_cast<size_t>(capacity)) return true;
    if (g_stuck.load(std::memory_order_relaxed)) return false;
    usleep(1000);
  }
  return false;
}

void WriteLine(std::string line) {
  const int fd = g_fd.load(std::memory_order_relaxed);
  line.push_back('\n');
  const std::lock_guard<std::mutex> lock(WriteMutex());
  pollfd p{fd, POLLOUT, 0};
  const int ready = poll(&p, 1, g_stuck.load(std::memory_order_relaxed) ? 0 : 10);
  if (ready == 0 || !TakesWhole(fd, line.size())) {
    g_stuck.store(true, std::memory_order_relaxed);
    g_dropped.fetch_add(1, std::memory_order_relaxed);
    return;
  }
  g_stuck.store(false, std::memory_order_relaxed);
  ssize_t n = -1;
  do n = write(fd, line.data(), line.size());
  while (n < 0 && errno == EINTR);
  if (n < 0)
    g_dropped.fetch_add(1, std::memory_order_relaxed);  // nothing better to do with an error of the log
}

std::string MakeLine(LogLevel level, absl::string_view component, absl::string_view message,
                     std::initializer_list<LogField> fields) {
  return g_format.load(std::memory_order_relaxed) == LogFormat::kJson
             ? JsonLine(level, component, message, fields)
             : TextLine(level, component, message, fields);
}

}  // namespace

void SetLogOptions(const LogOptions& options) {
  g_level.store(options.level);
  g_format.store(options.format);
  g_fd.store(options.fd);
}

LogOptions GetLogOptions() { return LogOptions{g_level.load(), g_format.load(), g_fd.load()}; }

bool LogEnabled(LogLevel level) { return level >= g_level.load(std::memory_order_relaxed); }

LogField::LogField(absl::string_view key, Duration value)
    : key_(key), text_(FormatDuration(value)), quoted_(true) {}

LogField::LogField(absl::string_view key, double value) : key_(key) {
  char out[32];
  snprintf(out, sizeof out, "%.6g", value);
  text_ = out;
  quoted_ = !std::isfinite(value);  // JSON has no NaN
}

void Log(LogLevel level, absl::string_view component, absl::string_view message,
         std::initializer_list<LogField> fields) {
  if (!LogEnabled(level)) return;
  const int saved = errno;
  if (const uint64_t lost = g_dropped.exchange(0, std::memory_order_relaxed); lost > 0) {
    // If this one is dropped too, the count is kept by adding it back below.
    const uint64_t before = g_dropped.load(std::memory_order_relaxed);
    WriteLine(MakeLine(LogLevel::kWarn, "log", "lines were lost, stderr was not read", {{"lines", lost}}));
    if (g_dropped.load(std::memory_order_relaxed) > before)
      g_dropped.fetch_add(lost - 1, std::memory_order_relaxed);
  }
  WriteLine(MakeLine(level, component, message, fields));
  errno = saved;
}

bool LogLimiter::Allow(MonoTime now, uint64_t* held_back) {
  int64_t next = next_.load(std::memory_order_relaxed);
  while (now.nanos() >= next) {
    if (next_.compare_exchange_weak(next, (now + interval_).nanos(), std::memory_order_relaxed)) {
      *held_back = held_.exchange(0, std::memory_order_relaxed);
      return true;
    }
  }
  held_.fetch_add(1, std::memory_order_relaxed);
  *held_back = 0;
  return false;
}

}  // namespace mainstay
