#include "lib/amqp/table.h"

#include <amqp.h>

#include <algorithm>
#include <cstdint>
#include <optional>

#include "absl/strings/str_cat.h"
#include "lib/base/strings.h"

namespace mainstay::amqp {
namespace {

constexpr int kEntries = 64;
constexpr size_t kLongestText = 2048;
constexpr int kDepth = 4;

std::string TextOf(const amqp_bytes_t& bytes) {
  return std::string(static_cast<const char*>(bytes.bytes), std::min(bytes.len, kLongestText));
}

std::optional<int64_t> Integer(const amqp_field_value_t& v) {
  switch (v.kind) {
    case AMQP_FIELD_KIND_I8:
      return v.value.i8;
    case AMQP_FIELD_KIND_U8:
      return v.value.u8;
    case AMQP_FIELD_KIND_I16:
      return v.value.i16;
    case AMQP_FIELD_KIND_U16:
      return v.value.u16;
    case AMQP_FIELD_KIND_I32:
      return v.value.i32;
    case AMQP_FIELD_KIND_U32:
      return v.value.u32;
    case AMQP_FIELD_KIND_I64:
      return v.value.i64;
    case AMQP_FIELD_KIND_TIMESTAMP:
    case AMQP_FIELD_KIND_U64:
      return static_cast<int64_t>(v.value.u64);
    default:
      return std::nullopt;
  }
}

// What Erlang sends for a string that is no binary.
std::optional<std::string> Spelt(const amqp_array_t& array) {
  std::string out;
  if (array.num_entries == 0) return std::nullopt;
  for (int i = 0; i < array.num_entries && out.size() < kLongestText; ++i) {
    const std::optional<int64_t> c = Integer(array.entries[i]);
    if (!c || *c < 9 || *c > 126) return std::nullopt;
    out.push_back(static_cast<char>(*c));
  }
  return out;
}

// `quoted`: texts as JSON has them.
void Append(const amqp_field_value_t& v, bool quoted, int depth, std::string* out) {
  if (out->size() >= kLongestText) return;
  const auto text = [&](const std::string& s) {
    if (quoted) {
      AppendJsonString(out, s);
    } else {
      out->append(s);
    }
  };
  if (const std::optional<int64_t> n = Integer(v)) return absl::StrAppend(out, *n);
  switch (v.kind) {
    case AMQP_FIELD_KIND_BOOLEAN:
      return absl::StrAppend(out, v.value.boolean != 0 ? "true" : "false");
    case AMQP_FIELD_KIND_F32:
      return absl::StrAppend(out, v.value.f32);
    case AMQP_FIELD_KIND_F64:
      return absl::StrAppend(out, v.value.f64);
    case AMQP_FIELD_KIND_UTF8:
    case AMQP_FIELD_KIND_BYTES:
      return text(TextOf(v.value.bytes));
    case AMQP_FIELD_KIND_ARRAY: {
      if (const std::optional<std::string> spelt = Spelt(v.value.array)) return text(*spelt);
      out->push_back('[');
      for (int i = 0; i < v.value.array.num_entries && i < kEntries && depth > 0; ++i) {
        if (i > 0) out->push_back(',');
        Append(v.value.array.entries[i], true, depth - 1, out);
      }
      return out->push_back(']');
    }
    case AMQP_FIELD_KIND_TABLE: {
      out->push_back('{');
      for (int i = 0; i < v.value.table.num_entries && i < kEntries && depth > 0; ++i) {
        if (i > 0) out->push_back(',');
        AppendJsonString(out, TextOf(v.value.table.entries[i].key));
        out->push_back(':');
        Append(v.value.table.entries[i].value, true, depth - 1, out);
      }
      return out->push_back('}');
    }
    default:
      return absl::StrAppend(out, quoted ? "null" : "");
  }
}

}  // namespace

std::vector<std::pair<std::string, std::string>> TableText(const amqp_table_t& table) {
  std::vector<std::pair<std::string, std::string>> out;
  for (int i = 0; i < table.num_entries && i < kEntries; ++i) {
    std::string value;
    Append(table.entries[i].value, false, kDepth, &value);
    out.emplace_back(TextOf(table.entries[i].key), Cut(value, kLongestText));
  }
  return out;
}

}  // namespace mainstay::amqp
