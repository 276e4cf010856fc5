// Positions in PostgreSQL's write-ahead log: "16/B374D848" and the arithmetic of its pages.
//
// Thread rules: pure functions.
#ifndef MAINSTAY_LIB_ENGINE_POSTGRES_LSN_H_
#define MAINSTAY_LIB_ENGINE_POSTGRES_LSN_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"

namespace mainstay::engine::postgres {

std::optional<uint64_t> ParseLsn(absl::string_view text);
std::string FormatLsn(uint64_t lsn);

// Where a record of `length` bytes that begins at `start` ends (aligned, page headers counted). PostgreSQL's
// default page of 8 KiB; `segment` is the size of a WAL file.
uint64_t RecordEnd(uint64_t start, uint64_t length, uint64_t segment);
// Length of a shutdown checkpoint's record: the same in 13 to 17 on 64-bit machines.
inline constexpr uint64_t kShutdownCheckpointLength = 114;

// The first eight digits of a WAL file's name: its timeline.
std::optional<uint32_t> TimelineOfWalFile(absl::string_view name);

}  // namespace mainstay::engine::postgres

#endif  // MAINSTAY_LIB_ENGINE_POSTGRES_LSN_H_
