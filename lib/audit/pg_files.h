// PostgreSQL's log as its logging collector writes it: csvlog and jsonlog (docs/AUDIT.md tells when).
//
// Thread rules: one thread.
#ifndef MAINSTAY_LIB_AUDIT_PG_FILES_H_
#define MAINSTAY_LIB_AUDIT_PG_FILES_H_

#include <array>
#include <string>

#include "lib/audit/database_log.h"
#include "lib/audit/flat_json.h"

namespace mainstay::audit {

// "2026-11-24 17:00:00.123 UTC" or "... +03" in microseconds; 0 when the zone is a name that only the server
// knows (set log_timezone to UTC).
int64_t ParsePgTime(absl::string_view text);

// csvlog: 23 columns (PostgreSQL 12) to 26 (14 and later).
class PgCsvParser : public LogParser {
 public:
  void Feed(absl::string_view bytes, const Sink& sink) override;
  void Gap(const Sink& sink) override;
  void Flush(const Sink&) override {}  // a record ends with its line
  bool pending() const override { return false; }

 private:
  void Byte(char c, const Sink& sink);
  void EndOfRecord(const Sink& sink);

  static constexpr size_t kMost = 30;
  std::array<HeadText, kMost> fields_;
  size_t count_ = 0;     // of the field that is coming in
  bool quoted_ = false;  // inside quotes
  bool quote_ = false;   // the last byte was a quote inside quotes: an end or half a pair
  bool any_ = false;     // the record has begun
  bool skip_ = false;    // resynchronizing after a gap
};

// jsonlog (15 and later): one flat object a line.
class PgJsonParser : public LogParser {
 public:
  void Feed(absl::string_view bytes, const Sink& sink) override;
  void Gap(const Sink& sink) override;
  void Flush(const Sink&) override {}
  bool pending() const override { return false; }

 private:
  void Field(const std::string& name, HeadText& value);
  void EndOfLine(const Sink& sink);

  FlatJson json_;
  DatabaseLine record_;
  bool any_ = false;
  bool skip_ = false;
};

}  // namespace mainstay::audit

#endif  // MAINSTAY_LIB_AUDIT_PG_FILES_H_
