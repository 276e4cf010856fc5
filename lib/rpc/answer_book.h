// Idempotency: the same id again gets the same answer, and the thing is done once. A request that repeats a
// running one waits for it.
//
// Bounds: the last kMaxAnswers ids for kKeepAnswers; of a running one at most kMaxWaiters repetitions.
// Thread rules: any thread; answers are delivered without a lock held.
#ifndef MAINSTAY_LIB_RPC_ANSWER_BOOK_H_
#define MAINSTAY_LIB_RPC_ANSWER_BOOK_H_

#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "lib/base/time.h"
#include "lib/rpc/port.h"

namespace mainstay::rpc {

inline constexpr size_t kMaxAnswers = 256;
inline constexpr size_t kMaxWaiters = 8;
inline constexpr Duration kKeepAnswers = std::chrono::minutes(10);

class AnswerBook {
 public:
  using Deliver = std::function<void(const AdminAnswer&)>;

  enum class Verdict : uint8_t {
    kNew,       // do it, then call Finish
    kRepeated,  // `deliver` was or will be called
  };
  // `content` tells whether a repetition is one: another request under the same id is refused
  // (kInvalidArgument). kResourceExhausted: too many are running or waiting.
  absl::Status Begin(const std::string& id, const std::string& content, MonoTime now, Deliver deliver,
                     Verdict* verdict);
  // The answer to a kNew one: kept, and delivered to those who wait (also the first).
  void Finish(const std::string& id, const AdminAnswer& answer);

 private:
  struct Entry {
    std::string content;
    MonoTime at;
    std::optional<AdminAnswer> answer;
    std::vector<Deliver> waiters;
  };
  void Expire(MonoTime now);

  std::mutex mu_;
  std::map<std::string, Entry> entries_;
  std::deque<std::string> order_;  // oldest first
};

}  // namespace mainstay::rpc

#endif  // MAINSTAY_LIB_RPC_ANSWER_BOOK_H_
