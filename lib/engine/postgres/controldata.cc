#include "lib/engine/postgres/controldata.h"

#include <string.h>

#include <map>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "lib/base/result.h"
#include "lib/base/strings.h"
#include "lib/engine/postgres/lsn.h"

namespace mainstay::engine::postgres {
namespace {

using Lines = std::map<std::string, std::string>;

absl::Status Missing(absl::string_view key, const Lines& lines) {
  const auto it = lines.find(std::string(key));
  return absl::InvalidArgumentError(
      absl::StrCat("pg_controldata: '", key, "' ",
                   it == lines.end() ? std::string("is missing")
                                     : absl::StrCat("has the odd value '", Cut(it->second, 60), "'"),
                   "; is this PostgreSQL 13 to 17?"));
}

absl::Status Lsn(const Lines& lines, absl::string_view key, uint64_t* out) {
  const auto it = lines.find(std::string(key));
  const auto lsn = it == lines.end() ? std::nullopt : ParseLsn(it->second);
  if (!lsn.has_value()) return Missing(key, lines);
  *out = *lsn;
  return absl::OkStatus();
}

template <typename T>
absl::Status Number(const Lines& lines, absl::string_view key, T* out) {
  const auto it = lines.find(std::string(key));
  if (it == lines.end() || !absl::SimpleAtoi(it->second, out)) return Missing(key, lines);
  return absl::OkStatus();
}

}  // namespace

uint64_t ControlData::CleanEnd() const {
  return RecordEnd(checkpoint, kShutdownCheckpointLength, wal_segment);
}

absl::StatusOr<ControlData> ParseControlData(absl::string_view text) {
  Lines lines;
  for (const absl::string_view line : absl::StrSplit(text, '\n')) {
    const size_t colon = line.find(':');
    if (colon == absl::string_view::npos || lines.size() > 200) continue;
    lines[std::string(absl::StripAsciiWhitespace(line.substr(0, colon)))] =
        std::string(absl::StripAsciiWhitespace(line.substr(colon + 1)));
  }
  ControlData out;
  uint64_t id = 0;
  MAINSTAY_RETURN_IF_ERROR(Number(lines, "Database system identifier", &id));
  out.system_id = std::to_string(id);
  out.state = lines["Database cluster state"];
  if (out.state.empty()) return Missing("Database cluster state", lines);
  MAINSTAY_RETURN_IF_ERROR(Lsn(lines, "Latest checkpoint location", &out.checkpoint));
  MAINSTAY_RETURN_IF_ERROR(Lsn(lines, "Latest checkpoint's REDO location", &out.redo));
  MAINSTAY_RETURN_IF_ERROR(Number(lines, "Latest checkpoint's TimeLineID", &out.timeline));
  MAINSTAY_RETURN_IF_ERROR(Lsn(lines, "Minimum recovery ending location", &out.min_recovery));
  MAINSTAY_RETURN_IF_ERROR(Number(lines, "Min recovery ending loc's timeline", &out.min_recovery_timeline));
  MAINSTAY_RETURN_IF_ERROR(Number(lines, "Bytes per WAL segment", &out.wal_segment));
  const uint64_t segment = out.wal_segment;
  if (segment < 1 << 20 || segment > 1 << 30 || (segment & (segment - 1)) != 0)
    return Missing("Bytes per WAL segment", lines);
  int64_t checksums = 0;
  MAINSTAY_RETURN_IF_ERROR(Number(lines, "Data page checksum version", &checksums));
  out.checksums = checksums != 0;
  out.wal_log_hints = lines["wal_log_hints setting"] == "on";
  return out;
}

absl::StatusOr<std::string> SystemIdOfPgControl(absl::string_view bytes) {
  uint64_t id = 0;
  if (bytes.size() < sizeof id)
    return absl::DataLossError("global/pg_control is shorter than 8 bytes: the data directory is damaged");
  memcpy(&id, bytes.data(), sizeof id);
  if (id == 0)
    return absl::DataLossError("global/pg_control holds no system identifier: the data directory is damaged");
  return std::to_string(id);
}

absl::StatusOr<int> MajorOfVersionText(absl::string_view text) {
  constexpr absl::string_view kMark = "(PostgreSQL) ";
  const size_t at = text.find(kMark);
  int major = 0;
  if (at != absl::string_view::npos) {
    absl::string_view rest = text.substr(at + kMark.size());
    size_t n = 0;
    while (n < rest.size() && n < 3 && absl::ascii_isdigit(static_cast<unsigned char>(rest[n]))) ++n;
    if (n > 0 && absl::SimpleAtoi(rest.substr(0, n), &major) && major > 0) return major;
  }
  return absl::InvalidArgumentError(absl::StrCat("not a version of PostgreSQL: '", Cut(text, 80), "'"));
}

}  // namespace mainstay::engine::postgres
