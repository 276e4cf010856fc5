// RabbitMQ's own log as it comes on the console, with log.console.formatter = json:
//
//   {"time":"2026-12-01 04:00:00.123456+00:00","level":"warning","msg":"...","pid":"<0.222.0>",
//    "domain":"rabbitmq.connection","file":"rabbit_reader.erl","line":1234,...}
//
// Lines without that stay what they are: the banner, what is said before the log is configured, a crash of
// the virtual machine; the first record is glued to such a line ("Starting broker...{...}") and is taken off
// it. A client can choose words in a message (names of users, queues, connections), never a line or a field.
//
// Thread rules: one thread.
#ifndef MAINSTAY_LIB_AUDIT_RABBIT_LOG_H_
#define MAINSTAY_LIB_AUDIT_RABBIT_LOG_H_

#include <string>

#include "lib/audit/database_log.h"
#include "lib/audit/flat_json.h"

namespace mainstay::audit {

class RabbitLogParser : public LogParser {
 public:
  void Feed(absl::string_view bytes, const Sink& sink) override;
  void Gap(const Sink& sink) override;
  void Flush(const Sink&) override {}
  bool pending() const override { return false; }  // a line is told as soon as it is whole

 private:
  void Byte(char c);
  void InRecord(char c);
  void Field(const std::string& name, HeadText& value);
  void EndOfLine(bool broken, const Sink& sink);

  HeadText plain_;      // what stands before a record
  bool brace_ = false;  // the last byte of it was a brace
  bool record_ = false;
  HeadText raw_;  // of the record, for one that is none
  FlatJson json_;
  DatabaseLine line_;
  bool skip_ = false;  // the line's begin was lost
};

// "2026-12-01 04:00:00.123456+01:00" -> microseconds since 1970; 0: not that.
int64_t ParseRabbitTime(absl::string_view text);

}  // namespace mainstay::audit

#endif  // MAINSTAY_LIB_AUDIT_RABBIT_LOG_H_
