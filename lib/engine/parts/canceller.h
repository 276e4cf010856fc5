// Wakes an engine's worker that waits: what Engine::Cancel() is made of.
//
// Thread rules: Cancel and cancelled from any thread; everything else by the worker. Cancel() holds until
// Clear().
#ifndef MAINSTAY_LIB_ENGINE_PARTS_CANCELLER_H_
#define MAINSTAY_LIB_ENGINE_PARTS_CANCELLER_H_

#include <atomic>

#include "absl/status/status.h"
#include "lib/base/file.h"
#include "lib/base/time.h"

namespace mainstay::engine {

class Canceller {
 public:
  Canceller();
  void Cancel();
  void Clear();
  bool cancelled() const { return cancelled_.load(std::memory_order_acquire); }
  int fd() const { return event_.get(); }  // readable once cancelled, for who waits for something else, too
  // Sleeps, at most until `deadline`; Cancelled or DeadlineExceeded when there is no time left.
  absl::Status Sleep(Duration pause, MonoTime deadline) const;

 private:
  std::atomic<bool> cancelled_{false};
  UniqueFd event_;
};

}  // namespace mainstay::engine

#endif  // MAINSTAY_LIB_ENGINE_PARTS_CANCELLER_H_
