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
#include "lib/audit/rabbit_log.h"
#include "lib/audit/redact.h"
#include "lib/audit/redis_log.h"
#include "lib/audit/redis_text.h"
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

// Redis' own log in pieces, and its text as a command: what a secret's word is followed by never comes out.
inline void FuzzRedisLog(const std::string& text, unsigned pieces, const std::string& input) {
  RedisLogParser parser;
  FuzzParser(parser, text, pieces, input);
  std::vector<std::string> words = {"CONFIG", "SET", "masterauth", "geheim"};
  const std::string clean = RedisCommandText(words) + RedisLogText("requirepass geheim " + text);
  if (clean.find("geheim") != std::string::npos && text.find("geheim") == std::string::npos)
    FuzzFailed("log", "a secret of Redis came out", input);
  words.clear();
  for (size_t at = 0; at < text.size(); at += 1 + pieces % 7)
    words.push_back(text.substr(at, 1 + pieces % 7));
  for (const char c : RedisCommandText(words))
    if (static_cast<unsigned char>(c) < 0x20) FuzzFailed("log", "a control character in a command", input);
}

// The first byte chooses, two more cut into pieces.
inline void FuzzLog(const uint8_t* data, size_t size) {
  if (size < 3) return;
  const std::string input(reinterpret_cast<const char*>(data), size);
  const std::string text = input.substr(3);
  const unsigned pieces = data[1] | static_cast<unsigned>(data[2]) << 8;
  if (data[0] == 'r') return FuzzRedisLog(text, pieces, input);
  if (data[0] == 'q') {
    RabbitLogParser parser;
    ParseRabbitTime(text);
    return FuzzParser(parser, text, pieces, input);
  }
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
