// What pg_controldata prints, and what pg_control's first bytes say.
//
// Thread rules: pure functions and plain values.
#ifndef MAINSTAY_LIB_ENGINE_POSTGRES_CONTROLDATA_H_
#define MAINSTAY_LIB_ENGINE_POSTGRES_CONTROLDATA_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace mainstay::engine::postgres {

struct ControlData {
  std::string system_id;
  std::string state;        // "shut down", "in production", "shut down in recovery", ...
  uint64_t checkpoint = 0;  // where the latest checkpoint's record begins
  uint64_t redo = 0;
  uint32_t timeline = 0;      // of the latest checkpoint
  uint64_t min_recovery = 0;  // replay must reach this before the data are consistent
  uint32_t min_recovery_timeline = 0;
  uint64_t wal_segment = 16 << 20;
  bool checksums = false;
  bool wal_log_hints = false;

  bool clean_primary() const { return state == "shut down"; }
  // Was a standby (or restoring) when it last ran: opening it without recovery would fork its timeline
  // unseen.
  bool in_recovery() const { return state == "shut down in recovery" || state == "in archive recovery"; }
  // Where the log of a cleanly stopped primary ends.
  uint64_t CleanEnd() const;
};

// Understands the output of pg_controldata 13 to 17 in the C locale. InvalidArgument names the missing or odd
// line.
absl::StatusOr<ControlData> ParseControlData(absl::string_view text);

// The system identifier from the first eight bytes of global/pg_control (the same place in 13 to 17).
absl::StatusOr<std::string> SystemIdOfPgControl(absl::string_view bytes);

// "pg_controldata (PostgreSQL) 15.20 (Debian ...)" -> 15.
absl::StatusOr<int> MajorOfVersionText(absl::string_view text);

}  // namespace mainstay::engine::postgres

#endif  // MAINSTAY_LIB_ENGINE_POSTGRES_CONTROLDATA_H_
