// The codec of the record: everything comes back, every edit is seen, nothing hostile gets through.
#include "lib/election/record.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include "lib/base/json.h"
#include "lib/base/strings.h"
#include "lib/election/history_dates.h"
#include "test/unit/election/record_testing.h"

namespace mainstay::election {
namespace {

using ::testing::HasSubstr;

constexpr int64_t kAcquired = 1'790'000'000'000;
constexpr int64_t kRenewed = 1'790'000'055'999;

Record Small() {
  Record r;
  r.cluster = "pg";
  r.cluster_id = "7300000000000000001";
  r.holder = "a_uid-1_n0nce";
  r.holder_name = "a";
  r.epoch = 3;
  r.base = 2;
  r.renewal = 41;
  r.change = 7;
  r.lease = std::chrono::milliseconds(2500);
  r.members = {{"a", "a_uid-1_n0nce", "d1", "10.0.0.1:7000", "10.0.0.1:5432", 100, false},
               {"b", "b_uid-2_n1", "d2", "10.0.0.2:7000", "10.0.0.2:5432", 50, true}};
  r.voters = {"b"};
  r.freeze = 1;
  r.history = {{2, "b", "take-over", 1'789'000'000'000}, {3, "a", "switchover", 1'790'000'000'000}};
  return r;
}

std::string Replaced(std::string text, const std::string& from, const std::string& to) {
  const size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return at == std::string::npos ? text : text.replace(at, from.size(), to);
}

TEST(Record, LeaderIsExactlyWhatClientGoWrites) {
  const Document d = Encode(Small(), kRenewed, kAcquired);
  EXPECT_EQ(
      d.leader,
      R"({"holderIdentity":"a_uid-1_n0nce","leaseDurationSeconds":4,"acquireTime":"2026-09-21T14:13:20Z",)"
      R"("renewTime":"2026-09-21T14:14:15Z","leaderTransitions":3})");
  EXPECT_EQ(d.renewal, "41");
}

// Empty holder, one second, both times now: client-go takes it over at once.
TEST(Record, AReleasedLeaderIsWhatClientGoWritesWhenItReleases) {
  Record r = Small();
  r.holder = "";
  r.release = {true, true, {3, 77, 1}, "a"};
  const Document d = Encode(r, kRenewed, kAcquired);
  EXPECT_EQ(d.leader, R"({"holderIdentity":"","leaseDurationSeconds":1,"acquireTime":"2026-09-21T14:14:15Z",)"
                      R"("renewTime":"2026-09-21T14:14:15Z","leaderTransitions":3})");
  const Decoded back = Decode(d);
  ASSERT_TRUE(back.record) << back.problem;
  EXPECT_EQ(*back.record, r);
}

// Without the second more: what was written before it was there is read as well.
TEST(Record, TheLeaseDurationWithoutItsExtraSecondIsRead) {
  Document d = Encode(Small(), kRenewed, kAcquired);
  d.leader = Replaced(d.leader, "Seconds\":4", "Seconds\":3");
  EXPECT_TRUE(Decode(d).record);
  d.leader = Replaced(d.leader, "Seconds\":3", "Seconds\":2");
  EXPECT_FALSE(Decode(d).record);
}

TEST(Record, StateIsStable) {
  // Written to disk and to Kubernetes: a change of this text is a change of the format.
  const Document d = Encode(Small(), kRenewed, kAcquired);
  EXPECT_EQ(
      d.state.substr(0, d.state.find(",\"check\"")),
      R"({"v":1,"cluster":"pg","cluster_id":"7300000000000000001","holder_name":"a","epoch":3,"base":2,"change":7,)"
      R"("lease_ms":2500,"durability":"guarded","voters":["b"],"freeze":1,"members":[{"name":"a",)"
      R"("incarnation":"a_uid-1_n0nce","data_nonce":"d1","peer_address":"10.0.0.1:7000","db_address":"10.0.0.1:5432",)"
      R"("priority":100},{"name":"b","incarnation":"b_uid-2_n1","data_nonce":"d2","peer_address":"10.0.0.2:7000",)"
      R"("db_address":"10.0.0.2:5432","priority":50,"no_failover":true}],"history":[{"epoch":2,"holder":"b",)"
      R"("reason":"take-over","unix_ms":1789000000000},{"epoch":3,"holder":"a","reason":"switchover",)"
      R"("unix_ms":1790000000000}])");
}

TEST(Record, LeaseIsRoundedUpAndAtLeastOneSecond) {
  Record r = Small();
  r.lease = std::chrono::microseconds(300'001);
  const Document d = Encode(r, 0, 0);
  EXPECT_THAT(d.leader, HasSubstr("\"leaseDurationSeconds\":2,"));
  EXPECT_THAT(d.state, HasSubstr("\"lease_ms\":301,"));
  const Decoded back = Decode(d);
  ASSERT_TRUE(back.record) << back.problem;
  EXPECT_EQ(back.record->lease, std::chrono::milliseconds(301));
}

TEST(Record, EverythingComesBack) {
  for (uint64_t seed = 0; seed < 300; ++seed) {
    RecordMaker make(seed);
    const Record r = make.Make();
    const Document d = Encode(r, kRenewed, kAcquired);
    const Decoded back = Decode(d);
    ASSERT_TRUE(back.record) << "seed " << seed << ": " << back.problem;
    ASSERT_EQ(*back.record, r) << "seed " << seed;
    ASSERT_EQ(back.acquire_unix_ms, r.holder.empty() ? kRenewed / 1000 * 1000 : kAcquired);
    ASSERT_EQ(Encode(*back.record, kRenewed, kAcquired), d) << "seed " << seed;
  }
}

TEST(Record, HistoryIsDatedByWhoWritesIt) {
  HistoryDates dates;
  Record r = Small();
  r.epoch = 7;
  r.history = {{5, "a", "x", 0}, {6, "b", "y", 1000}, {7, "a", "z", 0}};
  EXPECT_EQ(dates.Writing(r, 5000), 5000);
  EXPECT_EQ(dates.Writing(r, 9000), 5000);  // a renewal is no change
  std::vector<HistoryEntry> filled = r.history;
  dates.Fill(&filled);
  EXPECT_EQ(filled[0].unix_ms, 0);  // nobody told
  EXPECT_EQ(filled[1].unix_ms, 1000);
  EXPECT_EQ(filled[2].unix_ms, 5000);
  // It was another who got this epoch.
  Record other = r;
  other.history = {{7, "c", "w", 7000}};
  dates.Read(other, 6000);
  EXPECT_EQ(dates.Writing(r, 9000), 7000);
  // Bounded: the oldest go.
  for (Epoch e = 8; e < 100; ++e) {
    r.epoch = e;
    dates.Writing(r, 9000);
  }
  filled = {{7, "c", "w", 0}, {99, "a", "z", 0}};
  dates.Fill(&filled);
  EXPECT_EQ(filled[0].unix_ms, 0);
  EXPECT_EQ(filled[1].unix_ms, 9000);
}

// Whoever renews encodes the state once; what is written is what would be without that.
TEST(Record, ARenewalIsEncodedLikeAnyOtherWrite) {
  HistoryDates dates;
  Record r = Small();
  const auto written = [&dates](const Record& record) {
    const Document d = dates.Encoded(record, kRenewed);
    EXPECT_EQ(d, Encode(record, kRenewed, kRenewed));
    const Decoded back = Decode(d);
    EXPECT_TRUE(back.record.has_value()) << back.problem;
    return back.record.value_or(Record());
  };
  EXPECT_EQ(written(r), r);
  ++r.renewal;
  EXPECT_EQ(written(r), r);
  r.voters = {"b", "c"};
  ++r.renewal;
  EXPECT_EQ(written(r), r);
  r.holder = "b_uid-2_n1";            // the check covers it, the state does not
  r.history.back().reason = "x\xff";  // not UTF-8: replaced on the way
  EXPECT_EQ(written(r).holder, r.holder);
}

TEST(Record, LongHistoryLosesItsOldest) {
  Record r = Small();
  r.history.clear();
  for (int i = 0; i < 40; ++i) r.history.push_back({i, "a", "x", 0});
  const Decoded back = Decode(Encode(r, 0, 0));
  ASSERT_TRUE(back.record) << back.problem;
  ASSERT_EQ(back.record->history.size(), kMaxHistory);
  EXPECT_EQ(back.record->history.front().epoch, 8);
  EXPECT_EQ(back.record->history.back().epoch, 39);
}

TEST(Record, BytesThatAreNotUtf8DoNotMakeItUnreadable) {
  Record r = Small();
  r.holder = "a_\xff\xfe";
  r.members[0].peer_address = "unix:\xc3";
  const Decoded back = Decode(Encode(r, 0, 0));
  EXPECT_TRUE(back.record) << back.problem;
}

// One bit or one byte of any of the three parts: seen, or without any meaning.
TEST(Record, EveryFlippedByteIsSeen) {
  const Record r = Small();
  const Document d = Encode(r, kRenewed, kAcquired);
  int seen = 0, harmless = 0;
  for (std::string Document::*part : {&Document::leader, &Document::renewal, &Document::state}) {
    for (size_t i = 0; i < (d.*part).size(); ++i) {
      for (int mask : {0x01, 0x02, 0x04, 0x08, 0x10, 0x20, 0x40, 0x80, 0xff}) {
        Document bad = d;
        (bad.*part)[i] = static_cast<char>((bad.*part)[i] ^ mask);
        const Decoded back = Decode(bad);
        ASSERT_EQ(back.problem.empty(), back.record.has_value());
        if (back.record) {
          ASSERT_EQ(*back.record, r) << "byte " << i << " mask " << mask;
        }
        ++(back.record ? harmless : seen);
      }
    }
  }
  // Only the two times and their keys may change without notice.
  EXPECT_LE(harmless, 9 * 70) << seen;
  EXPECT_GT(seen, 5000);
}

TEST(Record, EveryDeletedAndDoubledByteAndEveryTruncationIsSeen) {
  const Record r = Small();
  const Document d = Encode(r, kRenewed, kAcquired);
  for (std::string Document::*part : {&Document::leader, &Document::renewal, &Document::state}) {
    for (size_t i = 0; i < (d.*part).size(); ++i) {
      Document less = d, more = d, cut = d;
      (less.*part).erase(i, 1);
      (more.*part).insert(i, 1, (d.*part)[i]);
      (cut.*part).resize(i);
      for (const Document* bad : {&less, &more, &cut}) {
        const Decoded back = Decode(*bad);
        ASSERT_EQ(back.problem.empty(), back.record.has_value());
        if (back.record) {
          ASSERT_EQ(*back.record, r) << i;
        }
      }
      ASSERT_FALSE(Decode(cut).record) << i;
    }
  }
}

TEST(Record, PartsOfTwoWritesDoNotFit) {
  Record later = Small();
  later.renewal = 42;
  later.holder = "b_uid-2_n1";
  const Document a = Encode(Small(), 0, 0), b = Encode(later, 0, 0);
  EXPECT_FALSE(Decode({b.leader, a.renewal, a.state}).record);
  EXPECT_FALSE(Decode({a.leader, b.renewal, a.state}).record);
  EXPECT_FALSE(Decode({a.leader, a.renewal, b.state}).record);
  EXPECT_TRUE(Decode(b).record);
}

TEST(Record, AnEditNamesPartAndRemedy) {
  const Document d = Encode(Small(), kRenewed, kAcquired);
  struct Case {
    Document document;
    const char* problem;
  };
  const auto state = [&](const char* from, const char* to) {
    return Document{d.leader, d.renewal, Replaced(d.state, from, to)};
  };
  const auto leader = [&](const char* from, const char* to) {
    return Document{Replaced(d.leader, from, to), d.renewal, d.state};
  };
  const std::vector<Case> cases = {
      {leader("a_uid-1_n0nce", "b_uid-2_n1"), "leader.holderIdentity: does not fit"},
      {leader("a_uid-1_n0nce", ""), "leader.holderIdentity: does not fit"},
      {leader(":4,\"acq", ":0,\"acq"), "leader.leaseDurationSeconds: want a whole number"},
      {leader(":4,\"acq", ":-1,\"acq"), "leader.leaseDurationSeconds: want a whole number"},
      {leader(":4,\"acq", ":1000000000,\"acq"), "leader.leaseDurationSeconds: want 4 as state.lease_ms"},
      {leader(":4,\"acq", ":\"text\",\"acq"), "leader.leaseDurationSeconds: want a whole number"},
      {leader("Transitions\":3", "Transitions\":9"),
       "leader.leaderTransitions: want 3 as in state.epoch, got 9"},
      {{d.leader, "40", d.state}, "renewal: does not fit"},
      {{d.leader, "-1", d.state}, "renewal: want a whole number"},
      {{d.leader, "041", d.state}, "renewal: want a whole number"},
      {{d.leader, " 41", d.state}, "renewal: want a whole number"},
      {{d.leader, "99999999999999999999", d.state}, "renewal: want a whole number"},
      {{d.leader, "", d.state}, "renewal: want a whole number"},
      {state("\"epoch\":3", "\"epoch\":4"), "state: does not fit its check"},
      {state("\"voters\":[\"b\"]", "\"voters\":[]"), "state: does not fit its check"},
      {state(",\"check\"", ",\"chick\""), "state.check: want a string, got nothing"},
      {state("\"v\":1", "\"v\":2"), "state.v: 2 was written by a newer version"},
      {{"", d.renewal, d.state}, "leader: not JSON"},
      {{d.leader, d.renewal, ""}, "state: not JSON"},
      {{"[]", d.renewal, d.state}, "leader: want an object"},
      {{d.leader, d.renewal, "[1]"}, "state: want an object"},
      {{d.leader, d.renewal, std::string(300'000, ' ')}, "bytes, more than"},
      {{d.leader, d.renewal, std::string(100'000, '[')}, "nested 100000 deep"},
  };
  for (const Case& c : cases) {
    const Decoded back = Decode(c.document);
    EXPECT_FALSE(back.record) << c.problem;
    EXPECT_THAT(back.problem, HasSubstr(c.problem));
    EXPECT_THAT(back.problem, HasSubstr("; ")) << "no remedy";
  }
}

// A document as another program may write it: with a check that fits, whatever the state says.
Document WithCheck(const Document& d, const std::string& from, const std::string& to) {
  Document out = d;
  Json state = Json::parse(Replaced(d.state, from, to));
  state.erase("check");
  const uint64_t sum = Fnv1a64(DumpJson(state));
  char text[64];
  const std::string holder = Json::parse(d.leader)["holderIdentity"];
  snprintf(text, sizeof text, "%016lx-%016lx-%016lx", static_cast<unsigned long>(sum),
           static_cast<unsigned long>(Fnv1a64(holder, sum)),
           static_cast<unsigned long>(Fnv1a64(d.renewal, ~sum)));
  state["check"] = text;
  out.state = DumpJson(state);
  return out;
}

TEST(Record, UnknownFieldsAndAnotherLayoutAreAccepted) {
  const Document d = Encode(Small(), kRenewed, kAcquired);
  const Decoded back = Decode(WithCheck(d, "\"freeze\":1", "\"freeze\":1,\"future\":{\"x\":[1,2]}"));
  ASSERT_TRUE(back.record) << back.problem;
  EXPECT_EQ(*back.record, Small());
  // The unknown field is covered by the check as well.
  EXPECT_FALSE(
      Decode({d.leader, d.renewal, Replaced(d.state, "\"freeze\":1", "\"freeze\":1,\"future\":1")}).record);
  Document pretty = d;
  pretty.state = Json::parse(d.state).dump(2);
  pretty.leader = Replaced(d.leader, "{", "{\"strategy\":\"\",\"preferredHolder\":\"\", ");
  EXPECT_TRUE(Decode(pretty).record) << Decode(pretty).problem;
}

TEST(Record, ValuesOutOfBoundsAreRefusedEvenWithAGoodCheck) {
  const Document d = Encode(Small(), kRenewed, kAcquired);
  struct Case {
    const char *from, *to, *problem;
  };
  const Case cases[] = {
      {"\"base\":2", "\"base\":-1", "state.base: want a whole number"},
      {"\"base\":2", "\"base\":18446744073709551615", "state.base: want a whole number"},
      {"\"base\":2", "\"base\":2.0", "state.base: want a whole number"},
      {"\"base\":2", "\"base\":1e3", "state.base: want a whole number"},
      {"\"base\":2", "\"base\":\"2\"", "state.base: want a whole number"},
      {"\"base\":2", "\"base\":null", "state.base: want a whole number"},
      {"\"lease_ms\":2500", "\"lease_ms\":0", "state.lease_ms"},
      {"\"lease_ms\":2500", "\"lease_ms\":1000000000000", "state.lease_ms"},
      {"\"guarded\"", "\"GUARDED\"", "state.durability: want async, guarded or strict"},
      {"\"freeze\":1", "\"freeze\":17", "state.freeze"},
      {"\"freeze\":1", "\"freeze\":-1", "state.freeze"},
      {"\"voters\":[\"b\"]", "\"voters\":[\"b\",\"b\"]", "state.voters: want each name once"},
      {"\"voters\":[\"b\"]", "\"voters\":[\"B\"]", "state.voters"},
      {"\"voters\":[\"b\"]", "\"voters\":[7]", "state.voters[0]"},
      {"\"voters\":[\"b\"]", "\"voters\":{}", "state.voters"},
      {"{\"name\":\"b\"", "{\"name\":\"a\"", "state.members[1].name: a is there twice"},
      {"{\"name\":\"b\"", "{\"name\":\"../b\"", "state.members[1].name: want a name"},
      {"{\"name\":\"b\"", "{\"name\":\"\"", "state.members[1].name: want a name"},
      {"\"priority\":50", "\"priority\":3000000000", "state.members[1].priority"},
      {"\"no_failover\":true", "\"no_failover\":1", "state.members[1].no_failover: want true or false"},
      {"\"unix_ms\":1789000000000", "\"unix_ms\":[]", "state.history[0].unix_ms"},
  };
  for (const Case& c : cases) {
    const Decoded back = Decode(WithCheck(d, c.from, c.to));
    EXPECT_FALSE(back.record) << c.to;
    EXPECT_THAT(back.problem, HasSubstr(c.problem));
  }
  std::string many = "\"members\":[";
  for (int i = 0; i < 16; ++i) many += "{\"name\":\"m" + std::to_string(i) + "\"},";
  EXPECT_THAT(Decode(WithCheck(d, "\"members\":[", many)).problem,
              HasSubstr("state.members: want an array of at most 16"));
}

TEST(Record, NumbersThatAreNoNumbersAreRefused) {
  const Document d = Encode(Small(), kRenewed, kAcquired);
  for (const char* bad : {"NaN", "-Infinity", "1e400", "0x10", "+1", "01", "--1", "1e", ""}) {
    EXPECT_FALSE(
        Decode({d.leader, d.renewal, Replaced(d.state, "\"base\":2", std::string("\"base\":") + bad)}).record)
        << bad;
  }
}

TEST(Record, DurabilityNames) {
  for (Durability d : {Durability::kAsync, Durability::kGuarded, Durability::kStrict})
    EXPECT_EQ(ParseDurability(ToString(d)), d);
  EXPECT_FALSE(ParseDurability("none"));
}

TEST(Record, FindMember) {
  const Record r = Small();
  ASSERT_NE(r.FindMember("b"), nullptr);
  EXPECT_EQ(r.FindMember("b")->priority, 50);
  EXPECT_EQ(r.FindMember("c"), nullptr);
  EXPECT_TRUE(r.HasVoter("b"));
  EXPECT_FALSE(r.HasVoter("a"));
}

}  // namespace
}  // namespace mainstay::election
