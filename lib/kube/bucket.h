// A token bucket with two priorities: urgent calls (renewals of the lock) always go through and are paid for
// by the others, which wait. So the API server sees at most the rate on average, and no status write can
// delay a renewal.
//
// The debt of urgent calls is bounded by one burst: then others wait at most 2 * burst / rate.
// Units: calls per second. Thread rules: thread-safe; waits nowhere (it says how long to wait).
#ifndef MAINSTAY_LIB_KUBE_BUCKET_H_
#define MAINSTAY_LIB_KUBE_BUCKET_H_

#include <algorithm>
#include <mutex>

#include "lib/base/time.h"

namespace mainstay::kube {

class TokenBucket {
 public:
  TokenBucket(double rate, double burst) : rate_(rate), burst_(burst), tokens_(burst) {}

  void TakeUrgent(MonoTime now) {
    const std::lock_guard<std::mutex> lock(mutex_);
    Fill(now);
    tokens_ = std::max(tokens_ - 1, -burst_);
  }
  // Zero: taken. Otherwise nothing was taken; come again after that time.
  Duration Take(MonoTime now) {
    const std::lock_guard<std::mutex> lock(mutex_);
    Fill(now);
    if (now < blocked_until_) return blocked_until_ - now;
    if (tokens_ >= 1) {
      tokens_ -= 1;
      return Duration::zero();
    }
    return std::max<Duration>(
        std::chrono::milliseconds(1),
        std::chrono::duration_cast<Duration>(std::chrono::duration<double>((1 - tokens_) / rate_)));
  }
  // What is not urgent rests (the server said Retry-After).
  void Block(MonoTime until) {
    const std::lock_guard<std::mutex> lock(mutex_);
    blocked_until_ = std::max(blocked_until_, until);
  }

 private:
  void Fill(MonoTime now) {
    if (!last_.is_past() && now > last_)
      tokens_ = std::min(burst_, tokens_ + rate_ * std::chrono::duration<double>(now - last_).count());
    last_ = std::max(last_, now);
  }

  const double rate_;
  const double burst_;
  std::mutex mutex_;
  double tokens_;
  MonoTime last_;
  MonoTime blocked_until_;
};

}  // namespace mainstay::kube

#endif  // MAINSTAY_LIB_KUBE_BUCKET_H_
