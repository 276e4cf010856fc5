// One thread for calls that the kernel may hold for ever (fsync on a disk that stalls): the caller waits
// until its deadline and not longer, the call goes on alone.
//
// Bounds: one call runs and at most kMaxQueue wait; a further one is refused. A call whose deadline passes
// while it waits is never begun. Thread rules: thread-safe. The destructor does not wait for a call that
// hangs.
#ifndef MAINSTAY_LIB_LEASE_BOUNDED_WORKER_H_
#define MAINSTAY_LIB_LEASE_BOUNDED_WORKER_H_

#include <functional>
#include <memory>
#include <thread>

#include "lib/base/time.h"

namespace mainstay::lease {

class BoundedWorker {
 public:
  static constexpr size_t kMaxQueue = 64;

  BoundedWorker();
  ~BoundedWorker();
  BoundedWorker(const BoundedWorker&) = delete;
  BoundedWorker& operator=(const BoundedWorker&) = delete;

  enum class Ran { kDone, kHangs, kNotBegun };
  // Runs `call` on the worker. kDone: it returned in time. kHangs: it was begun and may still have an effect.
  // kNotBegun: it was not and never will be. `call` must own all that it touches (it may outlive the caller
  // and this object).
  Ran Run(std::function<void()> call, MonoTime deadline);

 private:
  struct Shared;
  static void Loop(std::shared_ptr<Shared> shared);

  const std::shared_ptr<Shared> shared_;
  std::thread thread_;
};

}  // namespace mainstay::lease

#endif  // MAINSTAY_LIB_LEASE_BOUNDED_WORKER_H_
