#include "lib/engine/postgres/history.h"

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "lib/base/strings.h"
#include "lib/engine/postgres/lsn.h"

namespace mainstay::engine::postgres {

absl::StatusOr<Lineage> ParseHistory(uint32_t current, absl::string_view text) {
  if (current == 0) return absl::InvalidArgumentError("timeline 0 does not exist");
  if (text.size() > kMaxHistoryBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("the history of timeline ", current, " is longer than ", kMaxHistoryBytes, " bytes"));
  }
  Lineage out;
  out.current = current;
  int number = 0;
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    ++number;
    line = absl::StripAsciiWhitespace(line);
    if (line.empty() || line[0] == '#') continue;
    const std::vector<absl::string_view> fields =
        absl::StrSplit(line, absl::MaxSplits(absl::ByAnyChar(" \t"), 2), absl::SkipEmpty());
    TimelineEnd entry;
    std::optional<uint64_t> end = fields.size() >= 2 ? ParseLsn(fields[1]) : std::nullopt;
    if (!end.has_value() || !absl::SimpleAtoi(fields[0], &entry.timeline) || entry.timeline == 0) {
      return absl::InvalidArgumentError(absl::StrCat("the history of timeline ", current, ", line ", number,
                                                     ": want a timeline and a position, got '", Cut(line, 80),
                                                     "'"));
    }
    entry.end = *end;
    if (fields.size() > 2) entry.reason = Cut(absl::StripAsciiWhitespace(fields[2]), kMaxReason);
    const bool rises = out.ancestors.empty() || (entry.timeline > out.ancestors.back().timeline &&
                                                 entry.end >= out.ancestors.back().end);
    if (!rises || entry.timeline >= current) {
      return absl::InvalidArgumentError(absl::StrCat("the history of timeline ", current, ", line ", number,
                                                     ": timeline ", entry.timeline,
                                                     " is out of order; the file is damaged"));
    }
    out.ancestors.push_back(entry);
  }
  return out;
}

Ancestry Compare(const Lineage& leader, uint64_t leader_end, uint32_t timeline, uint64_t end) {
  if (timeline == leader.current) {
    if (end <= leader_end) return {true, ""};
    return {false,
            absl::StrCat("these data end at ", FormatLsn(end), " on timeline ", timeline,
                         ", the leader's at ", FormatLsn(leader_end)),
            end - leader_end};
  }
  for (const TimelineEnd& a : leader.ancestors) {
    if (a.timeline != timeline) continue;
    if (end <= a.end) return {true, ""};
    return {false,
            absl::StrCat("the leader left timeline ", timeline, " at ", FormatLsn(a.end),
                         ", these data go on to ", FormatLsn(end)),
            end - a.end};
  }
  return {false, absl::StrCat("timeline ", timeline,
                              " of these data is not among the ancestors of the leader's timeline ",
                              leader.current)};
}

}  // namespace mainstay::engine::postgres
