// A store that misbehaves on purpose, around a real one: for tests of whatever stands on a store.
//
// Each request may be delayed, lost before it takes effect, lost after it, refused, or answered from the
// past. All that a real store may do under store.h (except stale reads, which it must not, and which a holder
// must survive none the less). Thread rules: thread-safe. Time: delays end at the request's deadline.
#ifndef MAINSTAY_LIB_LEASE_FAULT_STORE_H_
#define MAINSTAY_LIB_LEASE_FAULT_STORE_H_

#include <memory>
#include <mutex>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "lib/lease/store.h"

namespace mainstay::lease {

struct Faults {
  // Probabilities, 0 to 1; the first that hits counts, in this order.
  double unknown_before = 0;  // kUnknown and nothing happened
  double unknown_after = 0;   // it happened and the answer was lost
  double unknown_late = 0;    // kUnknown at once; it happens up to late_max later, if it still can
  double conflict = 0;        // writes: kConflict and nothing happened
  double stale_read = 0;      // reads: an answer of before
  double delay = 0;           // added to any of the above
  Duration delay_max = std::chrono::milliseconds(5);
  Duration late_max = std::chrono::milliseconds(20);
  bool down = false;  // every request: kUnknown at its deadline or after delay_max, whatever is first
};

class FaultStore : public Store {
 public:
  FaultStore(std::unique_ptr<Store> inner, Faults faults, uint64_t seed);
  ~FaultStore() override;

  void Set(const Faults& faults);
  uint64_t injected() const;  // how many faults (other than delays) there were
  Store& inner() { return *inner_; }

  StoreAnswer Read(MonoTime deadline) override;
  StoreAnswer Create(const Document& document, MonoTime deadline) override;
  StoreAnswer Update(const Document& document, const std::string& if_version, MonoTime deadline) override;
  bool WaitChange(const std::string& seen, MonoTime deadline) override {
    return inner_->WaitChange(seen, deadline);
  }
  void Interrupt() override { inner_->Interrupt(); }
  std::string Describe() const override { return "fault:" + inner_->Describe(); }

 private:
  enum class Kind { kNone, kDown, kBefore, kAfter, kLate, kConflict, kStale };
  struct Plan {
    Kind kind = Kind::kNone;
    Duration delay{};
    Duration late{};
  };
  Plan MakePlan(bool read);
  template <typename Call>
  StoreAnswer Write(Call call, MonoTime deadline);

  const std::unique_ptr<Store> inner_;
  mutable std::mutex mutex_;
  Faults faults_;
  std::mt19937_64 rng_;
  uint64_t injected_ = 0;
  std::vector<StoreAnswer> past_;  // the last few answers of Read
  std::vector<std::thread> late_;  // writes that are still on their way
};

}  // namespace mainstay::lease

#endif  // MAINSTAY_LIB_LEASE_FAULT_STORE_H_
