#include "agent/ctl/table.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"

namespace mainstay::ctl {
namespace {

// Keeps both ends: names differ at either.
std::string Shorten(const std::string& text, size_t width) {
  if (text.size() <= width) return text;
  if (width < 4) return text.substr(0, width);
  const size_t head = (width - 2) / 2;
  const size_t tail = width - 2 - head;
  return text.substr(0, head) + ".." + text.substr(text.size() - tail);
}

void AppendCell(std::string* line, const std::string& text, size_t width, bool last) {
  *line += text;
  if (!last) line->append(width - std::min(width, text.size()) + 2, ' ');
}

}  // namespace

std::string Paint(const std::string& text, Colour colour, bool use) {
  static constexpr const char* kCodes[] = {"", "\033[32m", "\033[33m", "\033[31m", "\033[1m", "\033[2m"};
  if (!use || colour == Colour::kNone) return text;
  return absl::StrCat(kCodes[static_cast<int>(colour)], text, "\033[0m");
}

void Table::Add(std::vector<std::string> cells, Colour colour) {
  cells.resize(heads_.size());
  rows_.push_back({std::move(cells), colour});
}

std::string Table::ToString(bool colours) const {
  std::vector<size_t> widths;
  for (const std::string& head : heads_) widths.push_back(head.size());
  for (const Row& row : rows_) {
    for (size_t i = 0; i < widths.size(); ++i) widths[i] = std::max(widths[i], row.cells[i].size());
  }
  size_t total = 2 * (widths.size() - 1);
  for (size_t w : widths) total += w;
  if (total > kWidth) {
    const size_t excess = total - kWidth;
    widths[elastic_] = widths[elastic_] > excess + heads_[elastic_].size() ? widths[elastic_] - excess
                                                                           : heads_[elastic_].size();
  }
  const auto format = [&](const std::vector<std::string>& cells) {
    std::string line;
    for (size_t i = 0; i < cells.size(); ++i) {
      AppendCell(&line, i == elastic_ ? Shorten(cells[i], widths[i]) : cells[i], widths[i],
                 i + 1 == cells.size());
    }
    line.resize(std::min(line.size(), kWidth));
    line.erase(line.find_last_not_of(' ') + 1);
    return line;
  };
  std::string out = Paint(format(heads_), Colour::kBold, colours) + "\n";
  for (const Row& row : rows_) absl::StrAppend(&out, Paint(format(row.cells), row.colour, colours), "\n");
  return out;
}

std::string Wrap(const std::string& text, size_t indent) {
  std::string out;
  size_t column = indent;
  const std::vector<std::string> words = absl::StrSplit(text, ' ', absl::SkipEmpty());
  for (const std::string& word : words) {
    if (column > indent && column + 1 + word.size() > kWidth) {
      out += "\n" + std::string(indent, ' ');
      column = indent;
    } else if (column > indent) {
      out += " ";
      ++column;
    }
    out += word;
    column += word.size();
  }
  return out;
}

std::string Printable(const std::string& text) {
  std::string out = text;
  for (char& c : out) {
    const unsigned char u = static_cast<unsigned char>(c);
    if (u < 0x20 || u == 0x7f) c = '?';
  }
  // C1 controls in UTF-8 (U+0080-U+009F): some terminals obey them.
  for (size_t i = 0; i + 1 < out.size(); ++i) {
    if (out[i] == '\xc2' && static_cast<unsigned char>(out[i + 1]) < 0xa0) out.replace(i, 2, "?");
  }
  return out;
}

std::string Bytes(uint64_t bytes) {
  static constexpr const char* kUnits[] = {"kB", "MB", "GB", "TB", "PB"};
  if (bytes < 1024) return absl::StrCat(bytes, " B");
  double value = static_cast<double>(bytes) / 1024;
  size_t unit = 0;
  while (value >= 1024 && unit + 1 < 5) {
    value /= 1024;
    ++unit;
  }
  return absl::StrFormat("%.*f %s", value < 10 ? 1 : 0, value, kUnits[unit]);
}

std::string Ago(double seconds) {
  if (seconds < 0) seconds = 0;
  if (seconds < 10) return absl::StrFormat("%.1fs", seconds);
  const int64_t s = static_cast<int64_t>(seconds);
  if (s < 60) return absl::StrCat(s, "s");
  if (s < 3600) return absl::StrCat(s / 60, "m", s % 60, "s");
  if (s < 86400) return absl::StrCat(s / 3600, "h", s % 3600 / 60, "m");
  return absl::StrCat(s / 86400, "d", s % 86400 / 3600, "h");
}

std::string Lsn(uint64_t offset) { return absl::StrFormat("%X/%X", offset >> 32, offset & 0xffffffffu); }

}  // namespace mainstay::ctl
