// One object of the API server under compare-and-swap: what both kinds of the kube store stand on.
//
// It keeps the object as last answered and as last watched, so that an update is one PUT of everything that
// others put there, too. Thread rules: thread-safe; one waiter at a time.
#ifndef MAINSTAY_LIB_LEASE_KUBE_STORE_OBJECT_H_
#define MAINSTAY_LIB_LEASE_KUBE_STORE_OBJECT_H_

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <string>

#include "lib/kube/client.h"
#include "lib/lease/store.h"

namespace mainstay::lease {

// An object and its version; none: it is not there.
struct Held {
  std::string version;
  std::shared_ptr<const Json> object;
};

class LockObject {
 public:
  // How long an opened watch waits for the object before it counts as absent.
  static constexpr Duration kAbsentAfter = std::chrono::seconds(1);

  LockObject(kube::Client* client, kube::Resource resource);

  // kOk with `held`, kNotFound, kUnknown. A consistent read.
  StoreAnswer Get(MonoTime deadline, Held* held);
  // kOk, kConflict, kUnknown.
  StoreAnswer Post(const Json& object, MonoTime deadline, Held* held);
  // `change` edits a copy of the object at `if_version`, which is then put in its place. `change` may refuse:
  // then its answer is the answer. kOk, kConflict, kNotFound, kUnknown.
  using Change = std::function<StoreAnswer(Json* object)>;
  StoreAnswer Put(const std::string& if_version, const Change& change, MonoTime deadline, Held* held);

  // True: the version differs from `seen`, and `held` is what the watch said (no object: it is gone). False:
  // deadline, or Interrupt.
  bool Await(const std::string& seen, MonoTime deadline, Held* held);
  void Interrupt();

  const kube::Resource& resource() const { return resource_; }
  kube::Call CallUntil(MonoTime deadline) const { return {deadline, kube::Priority::kLease}; }

 private:
  Held Known(const std::string& version);
  void Keep(const Held& held);
  StoreAnswer AfterConflict(const std::string& if_version, const std::string& said, MonoTime deadline);
  bool TakeInterrupt();
  void OpenWatch(MonoTime deadline);
  void WatchStep(MonoTime deadline);
  void TakeEvent(const kube::WatchEvent& event);
  void DropWatch(const std::string& why);
  void Rest(MonoTime until);

  kube::Client* const client_;
  const kube::Resource resource_;

  std::mutex mutex_;  // of everything below but the waiter's own
  std::condition_variable wake_;
  Held answered_;  // by the last answer
  Held watched_;   // by the last event of the watch
  bool interrupted_ = false;
  std::shared_ptr<kube::Watch> watch_;

  // The waiter's own.
  std::mutex waiter_;
  enum class Seen : uint8_t { kNothing, kPresent, kAbsent } seen_ = Seen::kNothing;
  MonoTime opened_at_;
  MonoTime next_open_;
  int failures_ = 0;
};

// A failed call as an answer: 409 and 404 where they are certain, kUnknown for the rest.
StoreAnswer ToAnswer(const kube::Error& error);

}  // namespace mainstay::lease

#endif  // MAINSTAY_LIB_LEASE_KUBE_STORE_OBJECT_H_
