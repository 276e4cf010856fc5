// Headers of a message as text.
#include "lib/amqp/table.h"

#include <amqp.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace mainstay::amqp {
namespace {

using ::testing::ElementsAre;
using ::testing::Pair;

amqp_field_value_t Number(int64_t n) {
  amqp_field_value_t v = {};
  v.kind = AMQP_FIELD_KIND_I64;
  v.value.i64 = n;
  return v;
}

amqp_field_value_t Word(const char* text) {
  amqp_field_value_t v = {};
  v.kind = AMQP_FIELD_KIND_UTF8;
  v.value.bytes = amqp_cstring_bytes(text);
  return v;
}

amqp_field_value_t List(std::vector<amqp_field_value_t>& items) {
  amqp_field_value_t v = {};
  v.kind = AMQP_FIELD_KIND_ARRAY;
  v.value.array = {.num_entries = static_cast<int>(items.size()), .entries = items.data()};
  return v;
}

std::vector<std::pair<std::string, std::string>> TextOf(std::vector<amqp_table_entry_t> entries) {
  return TableText({.num_entries = static_cast<int>(entries.size()), .entries = entries.data()});
}

amqp_table_entry_t Entry(const char* key, amqp_field_value_t value) {
  return {.key = amqp_cstring_bytes(key), .value = value};
}

TEST(AmqpTable, ValuesAsPeopleReadThem) {
  std::vector<amqp_field_value_t> codes = {Number('n'), Number('o')}, mixed = {Number(1000), Word("a\"b")};
  amqp_field_value_t yes = {};
  yes.kind = AMQP_FIELD_KIND_BOOLEAN;
  yes.value.boolean = 1;
  EXPECT_THAT(TextOf({Entry("name", Word("bob")), Entry("n", Number(-7)), Entry("ssl", yes),
                      Entry("error", List(codes)), Entry("list", List(mixed))}),
              ElementsAre(Pair("name", "bob"), Pair("n", "-7"), Pair("ssl", "true"), Pair("error", "no"),
                          Pair("list", "[1000,\"a\\\"b\"]")));
}

TEST(AmqpTable, NothingIsWithoutEnd) {
  const std::string longest(5000, 'x');
  std::vector<amqp_table_entry_t> many(100, Entry("k", Word(longest.c_str())));
  const auto text = TextOf(many);
  EXPECT_EQ(text.size(), 64u);
  EXPECT_LE(text[0].second.size(), 2048u);
  std::vector<std::vector<amqp_field_value_t>> levels;
  levels.reserve(50);
  for (int i = 0; i < 50; ++i) {
    levels.push_back({i == 0 ? Number(1000) : List(levels.back())});
  }
  EXPECT_LE(TextOf({Entry("deep", List(levels.back()))})[0].second.size(), 20u);
}

}  // namespace
}  // namespace mainstay::amqp
