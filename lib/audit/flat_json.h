// One object of JSON on one line, read byte by byte with a bound: names and values of its own level, values
// that are arrays or objects left out. For logs, whose lines may be of any length and may be cut anywhere.
//
//   FlatJson json;
//   for (char c : line) json.Byte(c, [&](const std::string& name, HeadText& value) { ... });
//   if (json.inside()) json.Break(...);        // the line ended in the middle of a value
//
// Thread rules: plain value, one thread. Errors: none; what is no JSON gives names and values of no meaning,
// never more than kMaxLogText bytes each.
#ifndef MAINSTAY_LIB_AUDIT_FLAT_JSON_H_
#define MAINSTAY_LIB_AUDIT_FLAT_JSON_H_

#include <cstdint>
#include <string>

#include "absl/functional/function_ref.h"
#include "lib/audit/database_log.h"

namespace mainstay::audit {

class FlatJson {
 public:
  using Found = absl::FunctionRef<void(const std::string& name, HeadText& value)>;

  void Byte(char c, Found found);
  bool inside() const { return at_ != At::kOutside; }
  // Gives what there is of the value that was begun.
  void Break(Found found);
  // The next byte begins another object.
  void Restart() { at_ = At::kOutside; }

 private:
  void InString(char c, Found found);
  void InNested(char c);
  void Hex(char c);
  void EndOfValue(Found found);

  enum class At : uint8_t { kOutside, kKey, kColon, kString, kBare, kNested };
  At at_ = At::kOutside;
  bool escape_ = false;
  bool quoted_ = false;  // in a string of what is nested
  int depth_ = 0;
  int hex_left_ = 0;  // digits of \uXXXX still to come
  uint32_t hex_ = 0;
  uint32_t surrogate_ = 0;  // a high one that waits for its low one
  std::string name_;
  HeadText value_;
};

}  // namespace mainstay::audit

#endif  // MAINSTAY_LIB_AUDIT_FLAT_JSON_H_
