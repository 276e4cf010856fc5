// How lib/audit writes its JSON lines: keys in a fixed order, texts cut, nothing from outside unescaped.
// Internal to lib/audit.
//
//   std::string out;
//   JsonObject line(&out, 2048);      // texts of at most 2048 bytes
//   line.Fixed("level", "info");
//   JsonObject actor = line.Open("actor");
//   actor.Text("name", name);
//   actor.Close();
//   line.Close();
//
// Thread rules: plain values.
#ifndef MAINSTAY_LIB_AUDIT_LINE_H_
#define MAINSTAY_LIB_AUDIT_LINE_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace mainstay::audit {

struct Identity;

// JSON string of at most `cap` bytes of `text`. U+2028 and U+2029 end a line for some readers: escaped.
void AppendText(std::string* out, absl::string_view text, size_t cap);

// "2026-01-01T00:00:00.123456Z"
std::string Timestamp(int64_t unix_us);

// An object under construction: writes the commas.
class JsonObject {
 public:
  JsonObject(std::string* out, size_t cap) : out_(out), cap_(cap) { out_->push_back('{'); }
  void Close() { out_->push_back('}'); }
  void Key(absl::string_view key);
  void Text(absl::string_view key, absl::string_view value) {
    Key(key);
    AppendText(out_, value, cap_);
  }
  // Our own words: never cut.
  void Fixed(absl::string_view key, absl::string_view value) {
    Key(key);
    AppendText(out_, value, 64);
  }
  void TextUnlessEmpty(absl::string_view key, absl::string_view value) {
    if (!value.empty()) Text(key, value);
  }
  void Number(absl::string_view key, int64_t value);
  void Real(absl::string_view key, double value);  // finite, three digits after the point
  void Bool(absl::string_view key, bool value);
  void List(absl::string_view key, const std::vector<std::string>& values);  // our own words
  JsonObject Open(absl::string_view key) {
    Key(key);
    return JsonObject(out_, cap_);
  }
  size_t cap() const { return cap_; }

 private:
  std::string* out_;
  size_t cap_;
  bool first_ = true;
};

// The key "object": whose line it is.
void AppendIdentity(JsonObject& line, const Identity& who);

}  // namespace mainstay::audit

#endif  // MAINSTAY_LIB_AUDIT_LINE_H_
