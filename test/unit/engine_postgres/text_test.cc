// Positions, names, histories, pg_controldata, progress.
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "lib/engine/postgres/controldata.h"
#include "lib/engine/postgres/history.h"
#include "lib/engine/postgres/lsn.h"
#include "lib/engine/postgres/names.h"
#include "lib/engine/postgres/progress.h"

namespace mainstay::engine::postgres {
namespace {

TEST(Lsn, ParsesAndFormats) {
  EXPECT_EQ(ParseLsn("16/B374D848"), 0x16B374D848U);
  EXPECT_EQ(ParseLsn("0/0"), 0U);
  EXPECT_EQ(ParseLsn("FFFFFFFF/ffffffff"), UINT64_MAX);
  EXPECT_EQ(FormatLsn(0x16B374D848U), "16/B374D848");
  for (const char* bad :
       {"", "/", "1", "1/", "/1", "1/2/3", "g/1", "123456789/0", "0/123456789", " 0/1", "-1/0", "0x1/0"}) {
    EXPECT_FALSE(ParseLsn(bad).has_value()) << bad;
  }
}

TEST(Lsn, RecordsEndBehindPageHeaders) {
  constexpr uint64_t kSegment = 16 << 20;
  EXPECT_EQ(RecordEnd(0x3000028, 114, kSegment), 0x30000A0U);  // as pg_waldump shows the next record
  // Crosses a page: 24 bytes of header. Crosses into a file: 40.
  EXPECT_EQ(RecordEnd(8192 - 8 + kSegment, 114, kSegment), kSegment + 8192 + 24 + 106 + 6);
  EXPECT_EQ(RecordEnd(2 * kSegment - 8, 114, kSegment), 2 * kSegment + 40 + 106 + 6);
  // Ends exactly at a page's end.
  EXPECT_EQ(RecordEnd(kSegment + 8192 - 120, 120, kSegment), kSegment + 8192);
  EXPECT_EQ(TimelineOfWalFile("0000000A0000000000000003"), 10U);
  EXPECT_FALSE(TimelineOfWalFile("000000").has_value());
}

TEST(Names, RoundTripAndRefuse) {
  const StandbyId id{"pg-0", "0a1b2c3d", 42};
  EXPECT_EQ(*StandbyName(id), "ms_pg-0_0a1b2c3d_42");
  EXPECT_EQ(ParseStandbyName("ms_pg-0_0a1b2c3d_42"), id);
  EXPECT_FALSE(StandbyName({"PG", "0a1b2c3d", 1}).ok());
  EXPECT_FALSE(StandbyName({"a_b", "0a1b2c3d", 1}).ok());
  EXPECT_FALSE(StandbyName({"a", "0a1b2c3", 1}).ok());
  EXPECT_FALSE(StandbyName({"a", "0a1b2c3d", 0}).ok());
  // Longer than PostgreSQL keeps: never cut silently, two members could become one.
  EXPECT_TRUE(StandbyName({std::string(40, 'x'), "0a1b2c3d", 9'999'999'999}).ok());
  EXPECT_FALSE(StandbyName({std::string(40, 'x'), "0a1b2c3d", INT64_MAX}).ok());
  for (const char* bad :
       {"", "ms_", "ms_a", "ms_a_0a1b2c3d", "ms_a_0a1b2c3d_", "ms_a_0a1b2c3d_01", "ms_a_0a1b2c3d_1x",
        "ms_a_0A1b2c3d_1", "xs_a_0a1b2c3d_1", "ms_a_0a1b2c3d_99999999999999999999", "ms__0a1b2c3d_1",
        "ms_a_0a1b2c3d_-1", "ms_a_0a1b2c3d_1 "}) {
    EXPECT_FALSE(ParseStandbyName(bad).has_value()) << bad;
  }
  EXPECT_EQ(SlotName("pg-0-x"), "ms_pg_0_x");
}

TEST(Names, SyncValues) {
  election::Member b, c;
  b.name = "b";
  b.data_nonce = "00000001";
  c.name = "c";
  EXPECT_EQ(*SyncNamesValue({{"b", "c"}, 1}, {b, c}, 3), "ANY 1 (\"ms_b_00000001_3\",\"ms_c_00000000_3\")");
  EXPECT_EQ(*SyncNamesValue({{"b"}, 0}, {b}, 3), "");
  EXPECT_EQ(*SyncNamesValue({{}, 0}, {}, 3), "");
  EXPECT_EQ(*SyncNamesValue({{"nobody"}, 2}, {}, 3), "ANY 2 (\"ms_nobody_00000000_3\")");
  EXPECT_FALSE(SyncNamesValue({{}, 1}, {}, 3).ok());
  EXPECT_FALSE(SyncNamesValue({{"b\",\"x"}, 1}, {}, 3).ok());
  EXPECT_EQ(BarrierValue({}), "FIRST 1 (\"mainstay_barrier\")");
  EXPECT_EQ(BarrierValue({"x", "y"}), "FIRST 3 (\"mainstay_barrier\",\"x\",\"y\")");
}

TEST(Names, Quoting) {
  EXPECT_EQ(*QuoteConf("it's"), "'it''s'");
  EXPECT_EQ(*QuoteConf("a\\'b"), "'a\\\\''b'");
  EXPECT_FALSE(QuoteConf("a\nport = 1").ok());
  EXPECT_FALSE(QuoteConf(absl::string_view("a\0b", 3)).ok());
  EXPECT_EQ(QuoteConninfo("it's \\"), "'it\\'s \\\\'");
  EXPECT_EQ(QuoteIdentifier("a\"b"), "\"a\"\"b\"");
  EXPECT_EQ(*QuoteLiteral("SCRAM$4096:x=='"), "'SCRAM$4096:x=='''");
  EXPECT_FALSE(QuoteLiteral("a\\b").ok());
  EXPECT_EQ(ConninfoValue("user=x application_name=ms_b_1 port=5", "application_name"), "ms_b_1");
  EXPECT_EQ(ConninfoValue("user='a b' application_name='x\\'y' port=5", "application_name"), "x'y");
  EXPECT_EQ(ConninfoValue("password='application_name=evil' user=u", "application_name"), "");
  EXPECT_EQ(ConninfoValue("user='unterminated", "user"), "unterminated");
}

TEST(Names, Addresses) {
  EXPECT_EQ(*ParseHostPort("db-0.x:5432"), (HostPort{"db-0.x", 5432}));
  EXPECT_EQ(*ParseHostPort("[::1]:1"), (HostPort{"::1", 1}));
  for (const char* bad :
       {"", "x", "x:", ":1", "x:0", "x:65536", "::1:5", "a b:5", "x'y:5", "x:1 user=z", "[]:5"}) {
    EXPECT_FALSE(ParseHostPort(bad).ok()) << bad;
  }
}

TEST(History, Parses) {
  const auto lineage =
      ParseHistory(3, "1\t0/3000100\tno recovery target specified\n\n2\t0/5000000\tbefore 2000-01-01\n");
  ASSERT_TRUE(lineage.ok()) << lineage.status();
  EXPECT_EQ(lineage->ancestors, (std::vector<TimelineEnd>{{1, 0x3000100, "no recovery target specified"},
                                                          {2, 0x5000000, "before 2000-01-01"}}));
  EXPECT_TRUE(ParseHistory(1, "")->ancestors.empty());
  EXPECT_TRUE(ParseHistory(2, "# comment\n1\t0/1\n").ok());
  for (const char* bad : {"x\t0/1\n", "1\n", "0\t0/1\n", "1\t0-1\n", "3\t0/1\n", "4\t0/1\n",
                          "2\t0/2\n1\t0/1\n", "1\t0/2\n2\t0/1\n", "1\t0/1\n1\t0/2\n"}) {
    EXPECT_FALSE(ParseHistory(3, bad).ok()) << bad;
  }
  EXPECT_FALSE(ParseHistory(0, "").ok());
  EXPECT_FALSE(ParseHistory(2, std::string(kMaxHistoryBytes + 1, '\n')).ok());
}

// Who may simply follow whom.
TEST(History, AncestorsFollowOthersAreRewound) {
  const Lineage leader{5, {{1, 100}, {3, 200}}};  // 1 -> 3 (at 100) -> 5 (at 200)
  struct Case {
    uint32_t timeline;
    uint64_t end;
    bool follows;
    const char* why;
  };
  const Case cases[] = {
      {5, 250, true, "the leader's own timeline, behind"},
      {5, 300, true, "the leader's own end"},
      {5, 301, false, "longer than the leader"},
      {3, 150, true, "an ancestor, behind the fork"},
      {3, 200, true, "exactly at the fork"},
      {3, 201, false, "one byte past the fork"},
      {1, 100, true, "the oldest, at its fork"},
      {1, 150, false, "past its fork, though below the next one"},
      {2, 50, false, "a timeline that the leader never was on"},
      {4, 190, false, "a sibling between ancestors"},
      {6, 10, false, "a later timeline"},
  };
  for (const Case& c : cases) {
    const Ancestry a = Compare(leader, 300, c.timeline, c.end);
    EXPECT_EQ(a.ancestor, c.follows) << c.why;
    EXPECT_EQ(a.why.empty(), c.follows) << c.why;
  }
}

constexpr char kControl[] =
    "pg_control version number:            1300\n"
    "Catalog version number:               202209061\n"
    "Database system identifier:           7443366881935347122\n"
    "Database cluster state:               shut down\n"
    "pg_control last modified:             Tue 24 Nov 2026 07:00:00 AM UTC\n"
    "Latest checkpoint location:           0/3000028\n"
    "Latest checkpoint's REDO location:    0/3000028\n"
    "Latest checkpoint's REDO WAL file:    000000010000000000000003\n"
    "Latest checkpoint's TimeLineID:       1\n"
    "Latest checkpoint's PrevTimeLineID:   1\n"
    "Minimum recovery ending location:     0/0\n"
    "Min recovery ending loc's timeline:   0\n"
    "wal_level setting:                    replica\n"
    "wal_log_hints setting:                on\n"
    "Bytes per WAL segment:                16777216\n"
    "Data page checksum version:           1\n";

std::string Without(absl::string_view key) {
  std::string text = kControl;
  const size_t at = text.find(std::string(key));
  return text.erase(at, text.find('\n', at) - at + 1);
}

TEST(ControlData, Parses) {
  const auto c = ParseControlData(kControl);
  ASSERT_TRUE(c.ok()) << c.status();
  EXPECT_EQ(c->system_id, "7443366881935347122");
  EXPECT_TRUE(c->clean_primary());
  EXPECT_FALSE(c->in_recovery());
  EXPECT_EQ(c->CleanEnd(), 0x30000A0U);
  EXPECT_TRUE(c->checksums);
  EXPECT_TRUE(c->wal_log_hints);
  for (const char* key :
       {"Database system identifier", "Database cluster state", "Latest checkpoint location",
        "Latest checkpoint's TimeLineID", "Bytes per WAL segment", "Data page checksum version",
        "Minimum recovery ending location"}) {
    const auto missing = ParseControlData(Without(key));
    EXPECT_FALSE(missing.ok()) << key;
    EXPECT_NE(missing.status().message().find(key), absl::string_view::npos) << missing.status();
  }
  EXPECT_FALSE(ParseControlData("").ok());
  std::string odd = kControl;
  odd.replace(odd.find("16777216"), 8, "16777217");
  EXPECT_FALSE(ParseControlData(odd).ok());
}

TEST(ControlData, Versions) {
  EXPECT_EQ(*MajorOfVersionText("pg_controldata (PostgreSQL) 15.20 (Debian 15.20-0+deb12u1)\n"), 15);
  EXPECT_EQ(*MajorOfVersionText("postgres (PostgreSQL) 17beta1"), 17);
  EXPECT_FALSE(MajorOfVersionText("").ok());
  EXPECT_FALSE(MajorOfVersionText("pg (PostgreSQL) x").ok());
  EXPECT_EQ(*SystemIdOfPgControl(absl::string_view("\x01\0\0\0\0\0\0\0zzz", 11)), "1");
  EXPECT_FALSE(SystemIdOfPgControl("short").ok());
  EXPECT_FALSE(SystemIdOfPgControl(std::string(8, '\0')).ok());
}

TEST(Progress, Parses) {
  EXPECT_EQ(ParseProgress(" 1234/5678 kB (21%), 0/1 tablespace (/x/base)"), (Progress{1234, 5678}));
  EXPECT_EQ(ParseProgress("5678/5678 kB (100%), 1/1 tablespace"), (Progress{5678, 5678}));
  for (const char* bad : {"", "x", "1/2", "a/b kB (1%)", "waiting for checkpoint", " kB (/"})
    EXPECT_FALSE(ParseProgress(bad).has_value()) << bad;
  EXPECT_EQ(ToText({512, 1024}), "50 % of 1 MB");
  EXPECT_EQ(ToText({3 << 20, 2 << 20}), "100 % of 2.0 GB");
  EXPECT_EQ(ToText({1, 0}), "0 MB");
  ProgressReader reader;
  EXPECT_FALSE(reader.Add(" 10/").has_value());
  EXPECT_EQ(reader.Add("20 kB (50%)\r 15/20 kB (75%)\r 1"), (Progress{15, 20}));
  EXPECT_FALSE(reader.Add(std::string(100000, 'x')).has_value());
}

}  // namespace
}  // namespace mainstay::engine::postgres
