#include "lib/lease/kube_store_object.h"

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "lib/base/log.h"
#include "lib/base/random.h"
#include "lib/lease/kube_store_text.h"

namespace mainstay::lease {
namespace {

constexpr Duration kOpenPatience = std::chrono::milliseconds(2500);
constexpr Duration kFirstRest = std::chrono::milliseconds(250);
constexpr Duration kLongestRest = std::chrono::seconds(4);
// A watch that ends sooner than this ended for no good reason.
constexpr Duration kShortLife = std::chrono::seconds(5);

StoreAnswer Unknown(absl::string_view detail) {
  return {StoreOutcome::kUnknown, "", {}, absl::StrCat("kube store: ", detail)};
}

Held ToHeld(Json object) {
  Held held;
  held.version = VersionOf(object);
  held.object = std::make_shared<const Json>(std::move(object));
  return held;
}

// Not all in the same second when a server comes back.
Duration Jittered(Duration d) {
  return d / 2 + Duration(static_cast<int64_t>(RandomUint64() % static_cast<uint64_t>(d.count())));
}

}  // namespace

StoreAnswer ToAnswer(const kube::Error& error) {
  const std::string detail = absl::StrCat("kube store: ", error.message);
  if (error.code == 404 && error.reason == "NotFound" && error.details_kind != "namespaces")
    return {StoreOutcome::kNotFound, "", {}, detail};
  if (error.code == 409 && (error.reason == "Conflict" || error.reason == "AlreadyExists"))
    return {StoreOutcome::kConflict, "", {}, detail};
  return {StoreOutcome::kUnknown, "", {}, detail};
}

LockObject::LockObject(kube::Client* client, kube::Resource resource)
    : client_(client), resource_(std::move(resource)) {}

// ---- calls ----

void LockObject::Keep(const Held& held) {
  const std::lock_guard<std::mutex> lock(mutex_);
  answered_ = held;
}

Held LockObject::Known(const std::string& version) {
  const std::lock_guard<std::mutex> lock(mutex_);
  for (const Held* held : {&answered_, &watched_})
    if (held->object != nullptr && held->version == version) return *held;
  return {};
}

StoreAnswer LockObject::Get(MonoTime deadline, Held* held) {
  kube::Result r = client_->Get(resource_, CallUntil(deadline));
  if (!r.ok()) return ToAnswer(r.error);
  *held = ToHeld(*std::move(r.object));
  if (held->version.empty()) return Unknown("the API server's object has no uid or resourceVersion");
  Keep(*held);
  return {StoreOutcome::kOk, held->version, {}, ""};
}

StoreAnswer LockObject::Post(const Json& object, MonoTime deadline, Held* held) {
  kube::Resource where = resource_;
  where.name.clear();
  kube::Result r = client_->Create(where, object, CallUntil(deadline));
  if (!r.ok()) {
    StoreAnswer answer = ToAnswer(r.error);
    // 404 on creation is about the namespace; another 409 (a quota's) does not say that something is there.
    const bool exists = r.error.reason == "AlreadyExists";
    if (answer.outcome == StoreOutcome::kNotFound || (answer.outcome == StoreOutcome::kConflict && !exists))
      answer.outcome = StoreOutcome::kUnknown;
    return answer;
  }
  *held = ToHeld(*std::move(r.object));
  if (held->version.empty()) return Unknown("the API server's object has no uid or resourceVersion");
  Keep(*held);
  return {StoreOutcome::kOk, held->version, {}, ""};
}

StoreAnswer LockObject::Put(const std::string& if_version, const Change& change, MonoTime deadline,
                            Held* held) {
  Held base = Known(if_version);
  if (base.object == nullptr) {  // not ours and not watched: only now and then, after a restart
    StoreAnswer now = Get(deadline, &base);
    if (now.outcome != StoreOutcome::kOk) return now;
    if (now.version != if_version) {
      return {StoreOutcome::kConflict,
              "",
              {},
              absl::StrCat("kube store: version is ", now.version, ", not ", if_version, "; read it")};
    }
  }
  Json next = *base.object;
  StoreAnswer refused = change(&next);
  if (refused.outcome != StoreOutcome::kOk) return refused;
  kube::Result r = client_->Replace(resource_, next, CallUntil(deadline));
  if (!r.ok()) {
    StoreAnswer answer = ToAnswer(r.error);
    // Said of this object itself it is a conflict. Otherwise (its uid, a quota) it takes another look.
    const bool plain = r.error.details_kind == resource_.plural &&
                       absl::StrContains(r.error.message, "the object has been modified");
    if (answer.outcome == StoreOutcome::kConflict && !plain)
      return AfterConflict(if_version, answer.detail, deadline);
    return answer;
  }
  *held = ToHeld(*std::move(r.object));
  if (held->version.empty()) return Unknown("the API server's object has no uid or resourceVersion");
  Keep(*held);
  return {StoreOutcome::kOk, held->version, {}, ""};
}

// A PUT with a uid is answered 409 also when nothing is there, or when a quota was in the way: look.
StoreAnswer LockObject::AfterConflict(const std::string& if_version, const std::string& said,
                                      MonoTime deadline) {
  Held held;
  const StoreAnswer now = Get(deadline, &held);
  if (now.outcome == StoreOutcome::kNotFound) return now;
  if (now.outcome == StoreOutcome::kOk && now.version == if_version)
    return {StoreOutcome::kUnknown, "", {}, said};
  return {StoreOutcome::kConflict, "", {}, said};
}

// ---- the watch ----

bool LockObject::TakeInterrupt() {
  const std::lock_guard<std::mutex> lock(mutex_);
  return std::exchange(interrupted_, false);
}

void LockObject::Interrupt() {
  const std::lock_guard<std::mutex> lock(mutex_);
  interrupted_ = true;
  if (watch_ != nullptr) watch_->Interrupt();
  wake_.notify_all();
}

void LockObject::Rest(MonoTime until) {
  std::unique_lock<std::mutex> lock(mutex_);
  while (!interrupted_) {
    const Duration left = until - BootClock().Now();
    if (left <= Duration::zero()) return;
    wake_.wait_for(lock, std::min<Duration>(left, std::chrono::seconds(1)));
  }
}

void LockObject::DropWatch(const std::string& why) {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    watch_.reset();
  }
  if (why.empty()) {  // in good order: at once
    failures_ = 0;
    next_open_ = BootClock().Now() + std::chrono::milliseconds(20);
    return;
  }
  const Duration rest = std::min<Duration>(kFirstRest * (1 << std::min(failures_, 6)), kLongestRest);
  failures_++;
  next_open_ = BootClock().Now() + Jittered(rest);
  if (failures_ == 1 || failures_ % 16 == 0) {
    Log(LogLevel::kWarn, "store", "the watch of the lock failed; it is opened again",
        {{"problem", why}, {"failures", failures_}});
  }
}

void LockObject::OpenWatch(MonoTime deadline) {
  kube::WatchOptions options;
  options.selector.field = absl::StrCat("metadata.name=", resource_.name);
  // "0": what is there now comes first, out of the server's cache, then every change. It may be old, but a
  // watch is a hint only; asked for consistently (no version) it would cost a quorum read.
  options.resource_version = "0";
  // It is always begun anew, so bookmarks are good for nothing; with them Kubernetes 1.34 makes a "watch
  // list" of it, which it refuses on an etcd before 3.4.25.
  options.bookmarks = false;
  // Not all watches of a cluster end together.
  options.timeout = std::chrono::seconds(240 + RandomUint64() % 120);
  kube::Resource all = resource_;
  all.name.clear();
  kube::Error error;
  const MonoTime until = std::max(deadline, BootClock().Now() + kOpenPatience);
  std::shared_ptr<kube::Watch> watch =
      client_->OpenWatch(all, options, CallUntil(std::min(until, BootClock().Now() + kOpenPatience)), &error);
  if (watch == nullptr) return DropWatch(error.message);
  seen_ = Seen::kNothing;
  opened_at_ = BootClock().Now();
  const std::lock_guard<std::mutex> lock(mutex_);
  watch_ = std::move(watch);
  if (interrupted_) watch_->Interrupt();
}

void LockObject::TakeEvent(const kube::WatchEvent& event) {
  using Type = kube::WatchEvent::Type;
  if (event.type == Type::kBookmark || kube::MetaText(event.object, "name") != resource_.name) return;
  failures_ = 0;
  const std::lock_guard<std::mutex> lock(mutex_);
  seen_ = event.type == Type::kDeleted ? Seen::kAbsent : Seen::kPresent;
  watched_ = event.type == Type::kDeleted ? Held{} : ToHeld(event.object);
}

void LockObject::WatchStep(MonoTime deadline) {
  using Got = kube::Watch::Got;
  const MonoTime absent_at = opened_at_ + kAbsentAfter;
  kube::Watch::Item item = watch_->Next(seen_ == Seen::kNothing ? std::min(deadline, absent_at) : deadline);
  switch (item.got) {
    case Got::kEvent:
      return TakeEvent(item.event);
    case Got::kTimeout:
      if (seen_ == Seen::kNothing && BootClock().Now() >= absent_at) {
        const std::lock_guard<std::mutex> lock(mutex_);
        seen_ = Seen::kAbsent;
        watched_ = Held{};
      }
      return;
    case Got::kInterrupted:
      return;
    case Got::kEnded:
    case Got::kExpired: {
      const bool soon = BootClock().Now() < opened_at_ + kShortLife;
      return DropWatch(soon ? item.error.message : "");
    }
    case Got::kFailed:
      return DropWatch(item.error.message);
  }
}

bool LockObject::Await(const std::string& seen, MonoTime deadline, Held* held) {
  const std::lock_guard<std::mutex> waiter(waiter_);
  for (;;) {
    if (TakeInterrupt()) return false;
    if (watch_ != nullptr && seen_ != Seen::kNothing && watched_.version != seen) {
      *held = watched_;
      return true;
    }
    const MonoTime now = BootClock().Now();
    if (now >= deadline) return false;
    if (watch_ != nullptr) {
      WatchStep(deadline);
    } else if (now < next_open_) {
      Rest(std::min(next_open_, deadline));
    } else {
      OpenWatch(deadline);
    }
  }
}

}  // namespace mainstay::lease
