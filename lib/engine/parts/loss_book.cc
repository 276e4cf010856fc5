#include "lib/engine/parts/loss_book.h"

#include <utility>

namespace mainstay::engine {

void LossBook::Add(Loss loss) {
  const std::lock_guard<std::mutex> guard(mutex_);
  loss.number = ++count_;
  bytes_ += loss.bytes.value_or(0);
  newest_.push_back(std::move(loss));
  if (newest_.size() > kKept) newest_.erase(newest_.begin());
}

void LossBook::Fill(Details* out) const {
  const std::lock_guard<std::mutex> guard(mutex_);
  out->lost_bytes = bytes_;
  out->lost = count_;
  out->losses = newest_;
}

}  // namespace mainstay::engine
