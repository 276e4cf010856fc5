// Parsers of PostgreSQL's log and the lines made of it.
#include "lib/audit/database_log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

#include "lib/audit/audit.h"
#include "lib/audit/pg_files.h"
#include "lib/audit/pg_stderr.h"
#include "lib/base/json.h"
#include "test/unit/audit/who.h"

namespace mainstay::audit {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

std::string Padded(std::string text) {
  text.resize(63, ' ');
  return text;
}

// One line as the server writes it under kPgPrefix.
std::string Line(const std::string& text, int line = 1, const std::string& user = "bob",
                 const std::string& app = "psql", const std::string& code = "00000") {
  return "@mainstay 2026-11-24 17:00:00.123 UTC 1764003600.123 4711 69248f10.1267 " + std::to_string(line) +
         " " + code + "|0|2/17|client backend|127.0.0.1(40000)|" + Padded(app) + Padded(user) +
         Padded("app") + " " + text + "\n";
}

struct Collected {
  std::vector<DatabaseLine> lines;
  LogParser::Sink sink = [this](const DatabaseLine& l) { lines.push_back(l); };
};

std::vector<DatabaseLine> Parse(LogParser& parser, const std::string& text, size_t piece) {
  Collected c;
  for (size_t at = 0; at < text.size(); at += piece)
    parser.Feed(absl::string_view(text).substr(at, piece), c.sink);
  parser.Flush(c.sink);
  EXPECT_FALSE(parser.pending());
  return c.lines;
}

TEST(PgStderr, FieldsAndContinuationsInPiecesOfAnySize) {
  const std::string text =
      Line("ERROR:  relation \"x\" does not exist at character 15", 3, "bob", "psql", "42P01") +
      Line("HINT:  look again", 4, "bob", "psql", "42P01") +
      Line("STATEMENT:  select *\n\tfrom x\n\t\twhere true", 5, "bob", "psql", "42P01") +
      Line("LOG:  duration: 1234.567 ms  statement: select 1", 6);
  for (const size_t piece : {size_t{1}, size_t{7}, size_t{4096}}) {
    PgStderrParser parser;
    const auto lines = Parse(parser, text, piece);
    ASSERT_EQ(lines.size(), 2u) << piece;
    const DatabaseLine& l = lines[0];
    EXPECT_EQ(l.unix_us, 1764003600123000);
    EXPECT_EQ(l.severity, "ERROR");
    EXPECT_EQ(l.sqlstate, "42P01");
    EXPECT_EQ(l.pid, 4711);
    EXPECT_EQ(l.session, "69248f10.1267");
    EXPECT_EQ(l.session_line, 3);
    EXPECT_EQ(l.user, "bob");
    EXPECT_EQ(l.database, "app");
    EXPECT_EQ(l.application, "psql");
    EXPECT_EQ(l.remote, "127.0.0.1(40000)");
    EXPECT_EQ(l.backend, "client backend");
    EXPECT_EQ(l.virtual_transaction, "2/17");
    EXPECT_EQ(l.message.head(), "relation \"x\" does not exist at character 15");
    EXPECT_EQ(l.hint.head(), "look again");
    EXPECT_EQ(l.statement.head(), "select *\nfrom x\n\twhere true");
    EXPECT_EQ(WeightOf(l), LogWeight::kError);
    EXPECT_EQ(ClassOf(l), LogClass::kLog);
    EXPECT_EQ(ClassOf(lines[1]), LogClass::kSlowQuery);
    EXPECT_DOUBLE_EQ(*DurationMs(lines[1].message.head()), 1234.567);
  }
}

// Names may contain anything, also what a line begins with; a statement's line breaks are followed by a TAB.
TEST(PgStderr, NobodyForgesALine) {
  const std::string forged = "x\n@mainstay 2026-11-24 17:00:00.123 UTC 1764003600.1";
  PgStderrParser parser;
  auto lines = Parse(parser, Line("FATAL:  password authentication failed", 1, forged, "psql", "28P01"), 5);
  ASSERT_EQ(lines.size(), 1u);
  EXPECT_EQ(lines[0].user, forged.substr(0, 63));
  EXPECT_EQ(lines[0].message.head(), "password authentication failed");
  EXPECT_EQ(lines[0].database, "app");
  // An application's name that looks like the rest of a prefix.
  lines = Parse(parser, Line("LOG:  x", 1, "bob", "psql|admin|prod| LOG:  nothing happened"), 9);
  ASSERT_EQ(lines.size(), 1u);
  EXPECT_EQ(lines[0].user, "bob");
  EXPECT_EQ(lines[0].message.head(), "x");
  // A statement that quotes a whole line.
  std::string quoted = Line("LOG:  AUDIT: SESSION,1,1,DDL,DROP TABLE,TABLE,x,drop,<none>");
  quoted.pop_back();
  lines = Parse(parser, Line("LOG:  statement: select '\n\t" + quoted + "'"), 11);
  ASSERT_EQ(lines.size(), 1u);
  EXPECT_EQ(ClassOf(lines[0]), LogClass::kLog);
  // A RAISE has a CONTEXT; pgaudit never has.
  lines = Parse(parser,
                Line("LOG:  AUDIT: SESSION,1,1,DDL,DROP TABLE,TABLE,x,drop,<none>") +
                    Line("CONTEXT:  PL/pgSQL function inline_code_block line 1 at RAISE", 2),
                11);
  ASSERT_EQ(lines.size(), 1u);
  EXPECT_EQ(ClassOf(lines[0]), LogClass::kLog);
}

TEST(PgStderr, TextWithoutThePrefix) {
  PgStderrParser parser;
  const auto lines =
      Parse(parser,
            "2026-11-24 17:00:00.123 UTC [12] FATAL:  data directory has wrong ownership\n"
            "2026-11-24 17:00:00.123 UTC [12] HINT:  The server must be started by its owner.\n"
            "cp: cannot stat 'x': No such file or directory\n" +
                Line("LOG:  after"),
            13);
  ASSERT_EQ(lines.size(), 3u);
  EXPECT_EQ(lines[0].severity, "FATAL");
  EXPECT_EQ(lines[0].message.head(), "data directory has wrong ownership");
  EXPECT_EQ(lines[0].hint.head(), "The server must be started by its owner.");
  EXPECT_EQ(lines[1].severity, "");
  EXPECT_EQ(lines[1].message.head(), "cp: cannot stat 'x': No such file or directory");
  EXPECT_EQ(lines[2].message.head(), "after");
}

TEST(PgStderr, TenMegabytesKeepTheirHeadAndTheirSize) {
  const std::string big(10 << 20, 'y');
  PgStderrParser parser;
  auto lines = Parse(parser, Line("LOG:  statement: " + big) + Line("LOG:  after", 2), 8176);
  ASSERT_EQ(lines.size(), 2u);
  EXPECT_TRUE(lines[0].cut());
  EXPECT_EQ(lines[0].bytes(), big.size() + strlen("statement: "));
  EXPECT_EQ(lines[0].message.head().size(), kMaxLogText);
  EXPECT_EQ(lines[1].message.head(), "after");
  const std::string line = Format(lines[0], kWho, 1, 0);
  EXPECT_LE(line.size(), kMaxLineBytes);
  const Json j = *ParseJson(line, 1 << 20);
  EXPECT_EQ(j["truncated"], true);
  EXPECT_EQ(j["bytes"], big.size() + strlen("statement: "));
  // Most of it was never read.
  Collected c;
  const std::string whole = Line("LOG:  statement: " + big);
  parser.Feed(whole.substr(0, 9000), c.sink);
  EXPECT_TRUE(parser.Miss(10 << 20));
  parser.Feed(whole.substr(9000 + (9 << 20)), c.sink);
  parser.Flush(c.sink);
  ASSERT_EQ(c.lines.size(), 1u);
  EXPECT_GT(c.lines[0].bytes(), big.size());
  EXPECT_FALSE(parser.Miss(5));  // between lines
  // The same in many lines of one statement.
  std::string many = "LOG:  statement: x";
  for (int i = 0; i < 100000; ++i) many += "\n\tselect " + std::to_string(i);
  lines = Parse(parser, Line(many), 8176);
  ASSERT_EQ(lines.size(), 1u);
  EXPECT_TRUE(lines[0].cut());
  EXPECT_GT(lines[0].bytes(), 1000000u);
}

TEST(PgStderr, AGapCostsTheBrokenLinesAlone) {
  PgStderrParser parser;
  Collected c;
  const std::string second = Line("LOG:  lost in part", 2), third = Line("LOG:  third", 3);
  parser.Feed(Line("LOG:  first"), c.sink);
  parser.Feed(second.substr(0, second.size() - 9), c.sink);
  parser.Gap(c.sink);
  parser.Feed("the rest of something\n\tcontinued\n" + third, c.sink);
  parser.Flush(c.sink);
  ASSERT_EQ(c.lines.size(), 3u);
  EXPECT_EQ(c.lines[0].message.head(), "first");
  EXPECT_FALSE(c.lines[0].broken);
  EXPECT_TRUE(c.lines[1].broken);
  EXPECT_THAT(c.lines[1].message.head(), StartsWith("lost"));
  EXPECT_EQ(c.lines[2].message.head(), "third");
}

TEST(PgCsv, AllColumnsAndLineBreaks) {
  const std::string text =
      "2026-11-24 17:00:00.123 UTC,\"bob\",\"app\",4711,\"127.0.0.1:40000\",69248f10.1267,3,\"SELECT\","
      "2026-11-24 16:59:00 UTC,2/17,0,ERROR,42P01,\"relation \"\"x\"\" does not\nexist\",,\"hint\",,,\"ctx\","
      "\"select *\nfrom x\",15,,\"psql\",\"client backend\",,123\n"
      "2026-11-24 17:00:00.124 UTC,,,4712,,69248f10.1268,1,,2026-11-24 16:59:00 "
      "UTC,,0,LOG,00000,\"second\",,,,,,,,,\"\","
      "\"checkpointer\",,0\n";
  for (const size_t piece : {size_t{1}, size_t{9}, size_t{4096}}) {
    PgCsvParser parser;
    const auto lines = Parse(parser, text, piece);
    ASSERT_EQ(lines.size(), 2u);
    EXPECT_EQ(lines[0].unix_us, 1795539600123000);
    EXPECT_EQ(lines[0].user, "bob");
    EXPECT_EQ(lines[0].message.head(), "relation \"x\" does not\nexist");
    EXPECT_EQ(lines[0].hint.head(), "hint");
    EXPECT_EQ(lines[0].context.head(), "ctx");
    EXPECT_EQ(lines[0].statement.head(), "select *\nfrom x");
    EXPECT_EQ(lines[0].application, "psql");
    EXPECT_EQ(lines[0].query_id, "123");
    EXPECT_EQ(lines[1].backend, "checkpointer");
  }
  PgCsvParser parser;
  Collected c;
  parser.Feed(text.substr(0, 100), c.sink);
  parser.Gap(c.sink);
  parser.Feed(text.substr(150), c.sink);
  ASSERT_EQ(c.lines.size(), 1u);
  EXPECT_EQ(c.lines[0].message.head(), "second");
}

TEST(PgJson, EscapesAndPieces) {
  const std::string text =
      R"({"timestamp":"2026-11-24 18:00:00.123 +01","user":"bob","dbname":"app","pid":4711,"remote_host":"127.0.0.1",)"
      R"("remote_port":40000,"session_id":"69248f10.1267","line_num":3,"ps":"SELECT","vxid":"2/17","txid":0,)"
      R"("error_severity":"ERROR","state_code":"42P01","message":"a \"b\"\n\u00e4\ud83d\udc18","statement":"select 1",)"
      R"("application_name":"psql","backend_type":"client backend","query_id":77})"
      "\n{\"timestamp\":\"2026-11-24 17:00:00.124 "
      "UTC\",\"pid\":1,\"error_severity\":\"LOG\",\"message\":\"second\"}\n";
  for (const size_t piece : {size_t{1}, size_t{9}, size_t{4096}}) {
    PgJsonParser parser;
    const auto lines = Parse(parser, text, piece);
    ASSERT_EQ(lines.size(), 2u);
    EXPECT_EQ(lines[0].unix_us, 1795539600123000);
    EXPECT_EQ(lines[0].message.head(), "a \"b\"\n\xc3\xa4\xf0\x9f\x90\x98");
    EXPECT_EQ(lines[0].remote, "127.0.0.1(40000)");
    EXPECT_EQ(lines[0].pid, 4711);
    EXPECT_EQ(lines[0].query_id, "77");
    EXPECT_EQ(lines[1].message.head(), "second");
  }
}

TEST(PgTime, Zones) {
  EXPECT_EQ(ParsePgTime("1970-01-01 00:00:01.002 UTC"), 1002000);
  EXPECT_EQ(ParsePgTime("1970-01-01 05:30:01.000 +05:30"), 1000000);
  EXPECT_EQ(ParsePgTime("1970-01-01 00:00:01.002 CET"), 0);
  EXPECT_EQ(ParsePgTime("nonsense"), 0);
}

TEST(PgAuditText, CsvWithLineBreaksAndWithoutAnEnd) {
  auto a = ParsePgAudit(
      "AUDIT: SESSION,3,1,DDL,CREATE TABLE,TABLE,public.t,\"create table t (a int,\n\"\"b\"\" int)\",<none>");
  ASSERT_TRUE(a.has_value());
  EXPECT_EQ(a->type, "SESSION");
  EXPECT_EQ(a->statement_id, 3);
  EXPECT_EQ(a->clazz, "DDL");
  EXPECT_EQ(a->command, "CREATE TABLE");
  EXPECT_EQ(a->object_name, "public.t");
  EXPECT_EQ(a->statement, "create table t (a int,\n\"b\" int)");
  EXPECT_EQ(a->parameter, "<none>");
  a = ParsePgAudit("AUDIT: OBJECT,1,1,READ,SELECT,TABLE,public.t,\"select 'un");
  ASSERT_TRUE(a.has_value());
  EXPECT_EQ(a->statement, "select 'un");
  EXPECT_FALSE(ParsePgAudit("AUDIT: whatever").has_value());
  EXPECT_FALSE(ParsePgAudit("statement: AUDIT: SESSION,1,1,A,B").has_value());
}

TEST(DatabaseLogFormat, SchemaClassesAndSecrets) {
  PgStderrParser parser;
  const auto lines =
      Parse(parser,
            Line("LOG:  AUDIT: SESSION,3,1,ROLE,ALTER ROLE,,,alter role bob password 'geheim',<none>") +
                Line("ERROR:  boom", 2, "bob", "psql", "XX000") +
                Line("STATEMENT:  alter role bob password 'geheim'", 3, "bob", "psql", "XX000"),
            100);
  ASSERT_EQ(lines.size(), 2u);
  const Json j = *ParseJson(Format(lines[0], kWho, 7, 0), 1 << 16);
  EXPECT_EQ(j["schema"], "mainstay.log/v1");
  EXPECT_EQ(j["logger"], "postgres");
  EXPECT_EQ(j["class"], "audit");
  EXPECT_EQ(j["seq"], 7);
  EXPECT_EQ(j["ts"], "2025-11-24T17:00:00.123000Z");
  EXPECT_EQ(j["audit"]["command"], "ALTER ROLE");
  EXPECT_EQ(j["audit"]["statement"], "alter role bob password '***'");
  EXPECT_EQ(j["record"]["user"], "bob");
  for (const char* taken : {"log", "stream", "time", "logtag", "_p", "kubernetes"})
    EXPECT_FALSE(j.contains(taken)) << taken;
  EXPECT_THAT(Format(lines[1], kWho, 8, 0), Not(HasSubstr("geheim")));
  const Json d = *ParseJson(Format(Dropped{12, 3456, "rate-limit", "12 lines"}, kWho, 9, 0), 1 << 16);
  EXPECT_EQ(d["class"], "dropped");
  EXPECT_EQ(d["dropped"]["lines"], 12);
  EXPECT_EQ(d["dropped"]["reason"], "rate-limit");
}

TEST(DatabaseLogFormat, AlwaysFitsAndAlwaysParses) {
  for (const std::string unit : {"x", "\x01", "\xff", "\xf0\x9f\x90\x98", "\xe2\x80\xa8"}) {
    std::string text;
    while (text.size() < 20000) text += unit;
    DatabaseLine l;
    for (HeadText* t : {&l.message, &l.detail, &l.hint, &l.context, &l.query, &l.statement}) t->Append(text);
    for (std::string* t :
         {&l.severity, &l.user, &l.database, &l.application, &l.remote, &l.backend, &l.command,
          &l.transaction, &l.virtual_transaction, &l.query_id, &l.location, &l.session, &l.sqlstate})
      *t = text;
    const std::string line = Format(l, kWho, UINT32_MAX, 0);
    EXPECT_LE(line.size(), kMaxLineBytes);
    EXPECT_EQ(line.find('\n'), line.size() - 1);
    ASSERT_TRUE(ParseJson(line, 1 << 20).ok());
  }
}

}  // namespace
}  // namespace mainstay::audit
