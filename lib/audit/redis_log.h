// Redis' own log as it comes on standard output:
//
//   4711:M 30 Nov 2026 20:20:00.123 * Background saving started by pid 4712
//
// process, what it is (M primary, S replica, C child that saves, X sentinel), its local time, level (. debug,
// - verbose, * notice, # warning), message. Lines without that (the banner, a crash report, an error in
// redis.conf) become lines without fields. A script of a client can write a line of any look
// (redis.log): unlike PostgreSQL's, these lines prove nothing about who wrote them.
//
// Thread rules: one thread.
#ifndef MAINSTAY_LIB_AUDIT_REDIS_LOG_H_
#define MAINSTAY_LIB_AUDIT_REDIS_LOG_H_

#include "lib/audit/database_log.h"
#include "lib/audit/line_cutter.h"

namespace mainstay::audit {

class RedisLogParser : public LogParser {
 public:
  RedisLogParser();
  void Feed(absl::string_view bytes, const Sink& sink) override;
  void Gap(const Sink& sink) override;
  bool Miss(uint64_t bytes) override;
  void Flush(const Sink&) override {}
  bool pending() const override { return false; }  // a line is told as soon as it is whole

 private:
  void EndOfLine(bool broken, const Sink& sink);

  LineCutter line_;
};

}  // namespace mainstay::audit

#endif  // MAINSTAY_LIB_AUDIT_REDIS_LOG_H_
