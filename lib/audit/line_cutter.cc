#include "lib/audit/line_cutter.h"

#include <algorithm>

namespace mainstay::audit {

void LineCutter::Feed(absl::string_view bytes, absl::FunctionRef<void()> end) {
  while (!bytes.empty()) {
    const size_t nl = bytes.find('\n');
    const size_t n = std::min(nl, bytes.size());
    if (!skip_) {
      text_.append(bytes.data(), std::min(n, room_ - std::min(room_, text_.size())));
      size_ += n;
    }
    if (nl == absl::string_view::npos) return;
    bytes.remove_prefix(n + 1);
    if (!skip_) end();
    skip_ = false;
  }
}

void LineCutter::Append(char c) {
  text_.push_back(c);
  ++size_;
}

void LineCutter::Clear() {
  text_.clear();
  size_ = 0;
}

void LineCutter::SkipRest() { skip_ = true; }

bool LineCutter::Miss(uint64_t bytes) {
  if (skip_ || text_.size() < room_) return false;
  size_ += bytes;
  return true;
}

}  // namespace mainstay::audit
