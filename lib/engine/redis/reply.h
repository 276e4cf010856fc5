// A reply of Redis as a plain value, so that what reads it needs no client library.
//
// Thread rules: plain values. Who fills it bounds it (the client library has a limit of its own).
#ifndef MAINSTAY_LIB_ENGINE_REDIS_REPLY_H_
#define MAINSTAY_LIB_ENGINE_REDIS_REPLY_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace mainstay::engine::redis {

struct Reply {
  enum class Kind : uint8_t { kNil, kInteger, kStatus, kString, kArray, kError };
  Kind kind = Kind::kNil;
  int64_t integer = 0;       // kInteger
  std::string text;          // kStatus, kString, kError ("NOAUTH Authentication required.")
  std::vector<Reply> items;  // kArray

  bool is_error() const { return kind == Kind::kError; }
  bool is_text() const { return kind == Kind::kStatus || kind == Kind::kString; }
  // Of an error: its first word ("LOADING", "NOAUTH", "READONLY", "BUSY", "ERR"); "" else.
  absl::string_view ErrorCode() const {
    if (!is_error()) return {};
    const absl::string_view all = text;
    return all.substr(0, all.find(' '));
  }

  static Reply Integer(int64_t n) { return {.kind = Kind::kInteger, .integer = n, .text = {}, .items = {}}; }
  static Reply Text(absl::string_view t) {
    return {.kind = Kind::kString, .text = std::string(t), .items = {}};
  }
  static Reply Array(std::vector<Reply> items) {
    return {.kind = Kind::kArray, .text = {}, .items = std::move(items)};
  }
};

}  // namespace mainstay::engine::redis

#endif  // MAINSTAY_LIB_ENGINE_REDIS_REPLY_H_
