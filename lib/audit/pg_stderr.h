// PostgreSQL's log as it comes on standard error, with the prefix that Mainstay gives it:
//
//   @mainstay 2026-11-24 17:00:00.123 UTC 1764003600.123 4711 69248f10.1267 3 00000|0|2/17|client backend|
//   127.0.0.1(40000)|<application, 63 bytes><user, 63 bytes><database, 63 bytes> LOG:  statement: select 1
//
// Why this and not csvlog or jsonlog: those exist only as files that PostgreSQL's logging collector writes,
// one more process and one more thing that can fill a disk or, over a FIFO, block every session. Standard
// error is a pipe whose reader is the shim. What is client-made stands in columns of a fixed width or behind
// a TAB, so no name and no statement can begin a line that looks like another's.
//
// Text without the prefix (a server before it has read its configuration, archive_command, libraries) becomes
// lines with what can be guessed. Thread rules: one thread.
#ifndef MAINSTAY_LIB_AUDIT_PG_STDERR_H_
#define MAINSTAY_LIB_AUDIT_PG_STDERR_H_

#include <string>

#include "lib/audit/database_log.h"
#include "lib/audit/line_cutter.h"

namespace mainstay::audit {

// The value of log_line_prefix.
inline constexpr char kPgPrefix[] = "@mainstay %m %n %p %c %l %e|%x|%v|%b|%r|%-63a%-63u%-63d ";

class PgStderrParser : public LogParser {
 public:
  PgStderrParser();
  void Feed(absl::string_view bytes, const Sink& sink) override;
  void Gap(const Sink& sink) override;
  bool Miss(uint64_t bytes) override;
  void Flush(const Sink& sink) override;
  bool pending() const override { return have_ || !line_.empty(); }

 private:
  void EndOfLine(const Sink& sink);
  void Continuation();
  bool Prefixed(const Sink& sink);
  void Foreign(const Sink& sink);
  void Emit(const Sink& sink);

  LineCutter line_;
  bool have_ = false;     // record_ has begun
  bool foreign_ = false;  // record_ has no prefix of ours
  DatabaseLine record_;
  HeadText* field_ = nullptr;  // of record_: where a continuation goes
};

}  // namespace mainstay::audit

#endif  // MAINSTAY_LIB_AUDIT_PG_STDERR_H_
