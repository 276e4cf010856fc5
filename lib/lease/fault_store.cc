#include "lib/lease/fault_store.h"

#include <algorithm>

namespace mainstay::lease {
namespace {

constexpr size_t kMaxPast = 8;
constexpr size_t kMaxLate = 256;

StoreAnswer Lost(const char* how) {
  return {StoreOutcome::kUnknown, "", {}, std::string("injected: ") + how};
}

void SleepUntil(MonoTime until, MonoTime deadline) {
  const Duration left = std::min(until, deadline) - BootClock().Now();
  if (left > Duration::zero()) std::this_thread::sleep_for(left);
}

}  // namespace

FaultStore::FaultStore(std::unique_ptr<Store> inner, Faults faults, uint64_t seed)
    : inner_(std::move(inner)), faults_(faults), rng_(seed) {}

FaultStore::~FaultStore() {
  for (std::thread& t : late_) t.join();
}

void FaultStore::Set(const Faults& faults) {
  const std::lock_guard<std::mutex> lock(mutex_);
  faults_ = faults;
}

uint64_t FaultStore::injected() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return injected_;
}

FaultStore::Plan FaultStore::MakePlan(bool read) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto hit = [&](double p) { return p > 0 && std::uniform_real_distribution<>(0, 1)(rng_) < p; };
  const auto some = [&](Duration most) {
    return Duration(std::uniform_int_distribution<int64_t>(0, std::max<int64_t>(most.count(), 0))(rng_));
  };
  Plan plan;
  if (faults_.down)
    plan.kind = Kind::kDown;
  else if (hit(faults_.unknown_before))
    plan.kind = Kind::kBefore;
  else if (hit(faults_.unknown_after))
    plan.kind = Kind::kAfter;
  else if (!read && hit(faults_.unknown_late))
    plan.kind = Kind::kLate;
  else if (!read && hit(faults_.conflict))
    plan.kind = Kind::kConflict;
  else if (read && hit(faults_.stale_read))
    plan.kind = Kind::kStale;
  if (plan.kind != Kind::kNone) ++injected_;
  if (plan.kind == Kind::kDown)
    plan.delay = faults_.delay_max;
  else if (hit(faults_.delay))
    plan.delay = some(faults_.delay_max);
  plan.late = some(faults_.late_max);
  return plan;
}

StoreAnswer FaultStore::Read(MonoTime deadline) {
  const Plan plan = MakePlan(true);
  SleepUntil(BootClock().Now() + plan.delay, deadline);
  if (plan.kind == Kind::kDown) return Lost("the store is down");
  if (plan.kind == Kind::kBefore || plan.kind == Kind::kAfter) return Lost("the answer to the read was lost");
  if (plan.kind == Kind::kStale) {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (!past_.empty()) return past_[rng_() % past_.size()];
  }
  StoreAnswer answer = inner_->Read(deadline);
  const std::lock_guard<std::mutex> lock(mutex_);
  if (past_.size() >= kMaxPast) past_.erase(past_.begin());
  past_.push_back(answer);
  return answer;
}

template <typename Call>
StoreAnswer FaultStore::Write(Call call, MonoTime deadline) {
  const Plan plan = MakePlan(false);
  SleepUntil(BootClock().Now() + plan.delay, deadline);
  switch (plan.kind) {
    case Kind::kDown:
      return Lost("the store is down");
    case Kind::kBefore:
      return Lost("the request was lost");
    case Kind::kConflict:
      return {StoreOutcome::kConflict, "", {}, "injected: conflict"};
    case Kind::kAfter:
      call(deadline);
      return Lost("the answer was lost");
    case Kind::kLate: {
      const std::lock_guard<std::mutex> lock(mutex_);
      if (late_.size() < kMaxLate) {
        late_.emplace_back([call, late = plan.late] {
          std::this_thread::sleep_for(late);
          call(BootClock().Now() + std::chrono::seconds(5));
        });
      }
      return Lost("the request is still on its way");
    }
    case Kind::kStale:
    case Kind::kNone:
      break;
  }
  return call(deadline);
}

StoreAnswer FaultStore::Create(const Document& document, MonoTime deadline) {
  return Write([this, document](MonoTime until) { return inner_->Create(document, until); }, deadline);
}

StoreAnswer FaultStore::Update(const Document& document, const std::string& if_version, MonoTime deadline) {
  return Write(
      [this, document, if_version](MonoTime until) { return inner_->Update(document, if_version, until); },
      deadline);
}

}  // namespace mainstay::lease
