#include "lib/metrics/collector.h"

#include <algorithm>
#include <unordered_map>
#include <utility>

#include "absl/strings/str_cat.h"

namespace mainstay::metrics {
namespace {

double Seconds(Duration d) { return std::chrono::duration<double>(d).count(); }

constexpr size_t kLongestLabel = 1000;

// Length of the UTF-8 character at the start of `text`, 0 when there is none.
size_t CharacterAt(absl::string_view text) {
  const auto byte = [&](size_t i) { return i < text.size() ? static_cast<unsigned char>(text[i]) : 0; };
  const unsigned char first = byte(0);
  const size_t length = first < 0x80   ? 1
                        : first < 0xc2 ? 0
                        : first < 0xe0 ? 2
                        : first < 0xf0 ? 3
                        : first < 0xf5 ? 4
                                       : 0;
  for (size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return 0;
  }
  if ((first == 0xe0 && byte(1) < 0xa0) || (first == 0xed && byte(1) > 0x9f) ||
      (first == 0xf0 && byte(1) < 0x90) || (first == 0xf4 && byte(1) > 0x8f)) {
    return 0;
  }
  return length;
}

bool IsAscii(absl::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 0x80; });
}

// One byte that is no text (a database in SQL_ASCII) would make the whole answer unreadable.
std::string OnlyText(absl::string_view text) {
  std::string out;
  while (!text.empty() && out.size() < kLongestLabel) {
    const size_t length = CharacterAt(text);
    if (length == 0) out.push_back('?');
    out.append(text.data(), length);
    text.remove_prefix(std::max<size_t>(length, 1));
  }
  return out;
}

// The first `lines` lines of `text`.
absl::string_view Head(absl::string_view text, uint32_t lines) {
  size_t end = 0;
  for (; lines > 0 && end < text.size(); --lines) {
    const size_t line = text.find('\n', end);
    end = line == absl::string_view::npos ? text.size() : line + 1;
  }
  return text.substr(0, end);
}

// The parts of one family, which several collectors may have filled (one for each database).
struct Whole {
  std::vector<const Family*> parts;
};

class Merger {
 public:
  explicit Merger(const std::vector<FamiliesPtr>& groups) {
    for (const FamiliesPtr& group : groups) {
      if (group == nullptr) continue;
      for (const Family& f : *group) {
        const auto [it, fresh] = at_.try_emplace(f.name, wholes_.size());
        if (fresh) wholes_.emplace_back();
        wholes_[it->second].parts.push_back(&f);
      }
    }
  }
  const std::vector<Whole>& wholes() const { return wholes_; }

 private:
  struct Hash {
    size_t operator()(absl::string_view s) const {
      return std::hash<std::string_view>()({s.data(), s.size()});
    }
  };
  std::unordered_map<absl::string_view, size_t, Hash> at_;
  std::vector<Whole> wholes_;
};

void WriteCollectors(const Snapshot& snapshot, absl::string_view prefix, MonoTime now, Writer& w) {
  const auto each = [&](const std::string& name, const char* help, auto value) {
    w.Family(name, Type::kGauge, help);
    for (const CollectorState& c : snapshot.collectors) {
      if (c.at.is_past() && name == "mainstay_collector_age_seconds") continue;
      Labels labels = {{"collector", c.name}};
      if (!c.scope.empty()) labels.emplace_back("datname", c.scope);
      w.Sample(labels, value(c));
    }
  };
  const auto success = [](const CollectorState& c) { return c.ok ? 1.0 : 0.0; };
  const auto took = [](const CollectorState& c) { return Seconds(c.took); };
  each(absl::StrCat(prefix, "_scrape_collector_success"), "1 when the collector's last try succeeded.",
       success);
  each(absl::StrCat(prefix, "_scrape_collector_duration_seconds"), "How long the collector's last try took.",
       took);
  each("mainstay_collector_age_seconds", "How old the values of a collector are; absent: it has none yet.",
       [&](const CollectorState& c) { return Seconds(std::max(Duration::zero(), now - c.at)); });
}

}  // namespace

void LabelText::Add(absl::string_view name, absl::string_view value) {
  if (!text_.empty()) text_.push_back(',');
  absl::StrAppend(&text_, name, "=\"");
  if (value.size() <= kLongestLabel && IsAscii(value)) {
    AppendEscaped(&text_, value, true);
  } else {
    AppendEscaped(&text_, OnlyText(value), true);
  }
  text_.push_back('"');
}

void Family::Add(const LabelText& labels, absl::string_view value, absl::string_view suffix) {
  lines.append(name);
  lines.append(suffix.data(), suffix.size());
  if (!labels.text().empty()) {
    lines.push_back('{');
    lines.append(labels.text());
    lines.push_back('}');
  }
  lines.push_back(' ');
  lines.append(value.data(), value.size());
  lines.push_back('\n');
  ++samples;
}

void Family::AddNumber(const LabelText& labels, double value, absl::string_view suffix) {
  std::string text;
  AppendNumber(&text, value);
  Add(labels, text, suffix);
}

Family& FamilyList::Begin(absl::string_view name, Type type, absl::string_view help) {
  for (Family& f : families_) {
    if (f.name == name) return f;
  }
  return Append(name, type, help);
}

Family& FamilyList::Append(absl::string_view name, Type type, absl::string_view help) {
  families_.push_back({.name = std::string(name), .help = std::string(help), .type = type, .lines = {}});
  return families_.back();
}

Dropped WriteSnapshot(const Snapshot& snapshot, const char* prefix, bool late, MonoTime now,
                      const Bounds& bounds, Writer& w) {
  Dropped dropped;
  w.Family(
      absl::StrCat(prefix, "_up"), Type::kGauge,
      "1 when the database answered this scrape; else its values here are older ones, or there are none.");
  w.Sample(snapshot.up && !late ? 1 : 0);
  uint32_t total = 0;
  const Merger merger(snapshot.families);
  for (const Whole& whole : merger.wholes()) {
    const Family& first = *whole.parts.front();
    w.Family(first.name, first.type, first.help);
    uint32_t shown = 0;
    uint64_t left = 0;
    for (const Family* part : whole.parts) {
      const uint32_t room = std::min(bounds.family - std::min(bounds.family, shown),
                                     bounds.total - std::min(bounds.total, total));
      const uint32_t take = std::min(room, part->samples);
      w.Raw(take == part->samples ? absl::string_view(part->lines) : Head(part->lines, take));
      shown += take;
      total += take;
      left += part->samples - take;
    }
    if (left > 0) dropped.emplace_back(first.name, left);
  }
  if (snapshot.text != nullptr) w.Raw(*snapshot.text);
  WriteCollectors(snapshot, prefix, now, w);
  return dropped;
}

}  // namespace mainstay::metrics
