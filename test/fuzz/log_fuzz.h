// What the fuzzer and the replay do with bytes of a database's log: through each parser in pieces, whose
// sizes the input gives, with gaps; each line formatted; and through Redact.
#ifndef MAINSTAY_TEST_FUZZ_LOG_FUZZ_H_
#define MAINSTAY_TEST_FUZZ_LOG_FUZZ_H_

#include <memory>
#include <string>

#include "lib/audit/audit.h"
#include "lib/audit/database_log.h"
#include "lib/audit/pg_files.h"
#include "lib/audit/pg_stderr.h"
#include "lib/audit/redact.h"
#include "lib/base/json.h"
#include "test/fuzz/fail.h"

namespace mainstay::audit {

inline void CheckLine(const DatabaseLine& line, const std::string& input) {
  static const Identity who = {"postgresql", "pg", "pg-0", "", "", "", "b"};
  for (const HeadText* t :
       {&line.message, &line.detail, &line.hint, &line.context, &line.query, &line.statement}) {
    if (t->head().size() > kMaxLogText || t->head().size() > t->size())
      FuzzFailed("log", "a text is not bounded", input);
  }
  const std::string json = Format(line, who, 1, 0);
  if (json.size() > kMaxLineBytes) FuzzFailed("log", "a line is too long", input);
  if (json.find('\n') != json.size() - 1) FuzzFailed("log", "a line has a line break", input);
  if (!ParseJson(json, kMaxLineBytes).ok()) FuzzFailed("log", "a line is no JSON", input);
}

inline void FuzzParser(LogParser& parser, const std::string& text, unsigned pieces,
                       const std::string& input) {
  const LogParser::Sink sink = [&](const DatabaseLine& line) { CheckLine(line, input); };
  size_t at = 0;
  for (unsigned i = 0; at < text.size(); ++i) {
    const size_t size = 1 + (pieces >> i % 16) % 97;
    parser.Feed(absl::string_view(text).substr(at, size), sink);
    at += size;
    if ((pieces >> i % 13) % 31 == 30 && !parser.Miss(size)) parser.Gap(sink);
    if ((pieces >> i % 11) % 17 == 16) parser.Flush(sink);
  }
  parser.Flush(sink);
}

// The first byte chooses, two more cut into pieces.
inline void FuzzLog(const uint8_t* data, size_t size) {
  if (size < 3) return;
  const std::string input(reinterpret_cast<const char*>(data), size);
  const std::string text = input.substr(3);
  const unsigned pieces = data[1] | static_cast<unsigned>(data[2]) << 8;
  switch (data[0] % 4) {
    case 0: {
      PgStderrParser parser;
      FuzzParser(parser, text, pieces, input);
      break;
    }
    case 1: {
      PgCsvParser parser;
      FuzzParser(parser, text, pieces, input);
      break;
    }
    case 2: {
      PgJsonParser parser;
      FuzzParser(parser, text, pieces, input);
      break;
    }
    default: {
      // A secret in its place never comes out, whatever stands around it.
      const std::string clean = Redact(text + " ALTER ROLE a PASSWORD $c4n4ry$geheim");
      if (clean.find("geheim") != std::string::npos) FuzzFailed("log", "a secret came out", input);
      Redact(clean);
      ParsePgAudit("AUDIT: SESSION,1,1," + text);
      DurationMs(text);
      ParsePgTime(text);
    }
  }
}

}  // namespace mainstay::audit

#endif  // MAINSTAY_TEST_FUZZ_LOG_FUZZ_H_
