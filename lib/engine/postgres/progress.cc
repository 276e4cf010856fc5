#include "lib/engine/postgres/progress.h"

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_format.h"

namespace mainstay::engine::postgres {

std::optional<Progress> ParseProgress(absl::string_view line) {
  line = absl::StripAsciiWhitespace(line);
  const size_t slash = line.find('/');
  const size_t unit = line.find(" kB (");
  if (slash == absl::string_view::npos || unit == absl::string_view::npos || unit < slash)
    return std::nullopt;
  Progress p;
  if (!absl::SimpleAtoi(line.substr(0, slash), &p.done_kb) ||
      !absl::SimpleAtoi(line.substr(slash + 1, unit - slash - 1), &p.total_kb)) {
    return std::nullopt;
  }
  return p;
}

std::string ToText(const Progress& p) {
  constexpr double kKb = 1024;
  const double total = static_cast<double>(p.total_kb);
  const std::string size = total >= kKb * kKb ? absl::StrFormat("%.1f GB", total / kKb / kKb)
                                              : absl::StrFormat("%.0f MB", total / kKb);
  if (p.total_kb == 0) return size;
  // The estimate may be too small: never more than all of it.
  const double percent = 100.0 * static_cast<double>(p.done_kb) / total;
  return absl::StrFormat("%.0f %% of %s", percent > 100 ? 100 : percent, size);
}

std::optional<Progress> ProgressReader::Add(absl::string_view piece) {
  constexpr size_t kMaxLine = 512;
  std::optional<Progress> last;
  for (const char c : piece) {
    if (c != '\n' && c != '\r') {
      if (line_.size() < kMaxLine) line_ += c;
      continue;
    }
    if (auto p = ParseProgress(line_); p.has_value()) last = p;
    line_.clear();
  }
  return last;
}

}  // namespace mainstay::engine::postgres
