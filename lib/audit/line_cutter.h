// Cuts a stream of bytes that comes in pieces into lines, of each of which only a head is kept: what the
// parsers of a database's log stand on. A line of any length costs no more memory than `room`.
//
// Thread rules: none. Errors: none; what is not a line yet waits for its rest.
#ifndef MAINSTAY_LIB_AUDIT_LINE_CUTTER_H_
#define MAINSTAY_LIB_AUDIT_LINE_CUTTER_H_

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/functional/function_ref.h"
#include "absl/strings/string_view.h"

namespace mainstay::audit {

class LineCutter {
 public:
  explicit LineCutter(size_t room) : room_(room) {}

  // Calls `end` at each end of a line that is not skipped; what it does not Clear() stays, and the next line
  // is appended to it.
  void Feed(absl::string_view bytes, absl::FunctionRef<void()> end);

  const std::string& text() const { return text_; }  // the head of the line that is coming in
  bool empty() const { return text_.empty(); }
  uint64_t beyond() const { return size_ - text_.size(); }  // bytes of it that were not kept
  bool skipping() const { return skip_; }

  void Append(char c);  // as if it had come in
  void Clear();
  // Nothing is a line before its next end: its begin was lost.
  void SkipRest();
  // `bytes` of the line were never read. False: that matters, they would have been kept.
  bool Miss(uint64_t bytes);

 private:
  size_t room_;
  std::string text_;
  uint64_t size_ = 0;
  bool skip_ = false;
};

}  // namespace mainstay::audit

#endif  // MAINSTAY_LIB_AUDIT_LINE_CUTTER_H_
