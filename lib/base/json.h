// JSON from strangers: a bounded parse without exceptions, and typed getters whose errors name field, value
// and remedy.
//
//   MAINSTAY_ASSIGN_OR_RETURN(Json json, ParseJson(text, 64 * 1024));
//   JsonView view(&json, "state");
//   MAINSTAY_ASSIGN_OR_RETURN(int64_t epoch, view.Int("epoch", 0, INT64_MAX));
//
// Getters never throw and never return out-of-range values; unknown fields are ignored. Integers must be
// written as integers (1.0 and 1e3 are refused). Of a key given twice the last one counts. Thread rules:
// values; a JsonView borrows the Json it points into.
#ifndef MAINSTAY_LIB_BASE_JSON_H_
#define MAINSTAY_LIB_BASE_JSON_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "nlohmann/json.hpp"

namespace mainstay {

using Json = nlohmann::json;
using OrderedJson = nlohmann::ordered_json;  // keeps the order of insertion: for what is written

inline constexpr int kMaxJsonDepth = 32;

// InvalidArgument when longer than `max_bytes`, deeper than kMaxJsonDepth, or not JSON (with the offset).
absl::StatusOr<Json> ParseJson(absl::string_view text, size_t max_bytes);

// One line, bytes that are not UTF-8 replaced: never throws.
std::string DumpJson(const Json& json);
std::string DumpJson(const OrderedJson& json);

// A value and where it stands, for messages such as `state.members[2].name: want a string, got 17`.
class JsonView {
 public:
  JsonView(const Json* value, std::string path) : value_(value), path_(std::move(path)) {}

  const Json& json() const { return *value_; }
  const std::string& path() const { return path_; }
  bool Has(absl::string_view key) const;  // present and not null

  absl::StatusOr<std::string> String(absl::string_view key, size_t max_bytes) const;
  absl::StatusOr<int64_t> Int(absl::string_view key, int64_t min, int64_t max) const;
  absl::StatusOr<uint64_t> Uint(absl::string_view key, uint64_t max) const;
  absl::StatusOr<bool> Bool(absl::string_view key) const;
  absl::StatusOr<double> Number(absl::string_view key) const;  // finite
  absl::StatusOr<JsonView> Object(absl::string_view key) const;
  absl::StatusOr<std::vector<JsonView>> Array(absl::string_view key, size_t max_size) const;
  absl::StatusOr<std::vector<std::string>> Strings(absl::string_view key, size_t max_size,
                                                   size_t max_bytes) const;

  // The same for a field that may be missing: `otherwise` when it is absent or null; a wrong type is still an
  // error.
  absl::StatusOr<std::string> StringOr(absl::string_view key, size_t max_bytes,
                                       absl::string_view otherwise) const;
  absl::StatusOr<int64_t> IntOr(absl::string_view key, int64_t min, int64_t max, int64_t otherwise) const;
  absl::StatusOr<bool> BoolOr(absl::string_view key, bool otherwise) const;

  // For checks of one's own: "<path>.<key>: want <want>, got <value>".
  absl::Status Wrong(absl::string_view key, absl::string_view want) const;

 private:
  const Json* Find(absl::string_view key) const;
  std::string PathOf(absl::string_view key) const;

  const Json* value_;
  std::string path_;
};

}  // namespace mainstay

#endif  // MAINSTAY_LIB_BASE_JSON_H_
