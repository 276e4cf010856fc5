#include "lib/lease/kube_store_lease.h"

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "lib/base/log.h"
#include "lib/base/wall_clock.h"

namespace mainstay::lease {
namespace {

constexpr int kReadTries = 4;    // the Lease moved on between its GET and the ConfigMap's
constexpr size_t kMaxDead = 64;  // removed in one write
constexpr Duration kVerifyPatience = std::chrono::milliseconds(300);  // the renewal is answered after it

StoreAnswer Fine() { return {StoreOutcome::kOk, "", {}, ""}; }

}  // namespace

// ---- the texts ----

StateTexts::StateTexts(kube::Client* client, kube::Resource resource,
                       std::map<std::string, std::string> labels)
    : client_(client), resource_(std::move(resource)), labels_(std::move(labels)) {}

void StateTexts::See(const Json& config_map) {
  const std::lock_guard<std::mutex> lock(mutex_);
  listed_.clear();
  const auto data = config_map.find("data");
  if (data == config_map.end() || !data->is_object()) return;
  for (const auto& [key, value] : data->items()) {
    if (absl::StartsWith(key, kStateKeyPrefix) && value.is_string()) listed_.insert(key);
  }
  for (auto it = dead_.begin(); it != dead_.end();) it = listed_.count(*it) == 0 ? dead_.erase(it) : ++it;
}

std::optional<std::string> StateTexts::Known(const std::string& key) {
  if (key.empty()) return "";
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto it = texts_.find(key);
  if (it == texts_.end()) return std::nullopt;
  return it->second;
}

void StateTexts::Forget(const std::string& key) {
  const std::lock_guard<std::mutex> lock(mutex_);
  texts_.erase(key);
}

StoreAnswer StateTexts::Get(const std::string& key, bool fresh, MonoTime deadline, std::string* text) {
  if (const std::optional<std::string> known = fresh ? std::nullopt : Known(key)) {
    *text = *known;
    return Fine();
  }
  const kube::Result r = client_->Get(resource_, {deadline, kube::Priority::kLease});
  if (!r.ok()) return ToAnswer(r.error);
  See(*r.object);
  const auto data = r.object->find("data");
  if (data == r.object->end() || !data->is_object() || !data->contains(key) || !(*data)[key].is_string()) {
    return {StoreOutcome::kNotFound,
            "",
            {},
            absl::StrCat("kube store: configmap ", resource_.name, " has no key ", key)};
  }
  *text = (*data)[key].get<std::string>();
  Remember(key, *text);
  return Fine();
}

void StateTexts::Remember(const std::string& key, const std::string& text) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (texts_.size() >= 2) {
    for (auto it = texts_.begin(); it != texts_.end();)
      it = it->first == current_ ? std::next(it) : texts_.erase(it);
  }
  texts_[key] = text;
}

Json StateTexts::PatchFor(const std::string& key, const std::string& text) {
  const std::lock_guard<std::mutex> lock(mutex_);
  Json data = Json::object();
  size_t n = 0;
  for (const std::string& dead : dead_) {
    if (++n > kMaxDead) break;
    data[dead] = nullptr;
  }
  data[key] = text;
  return {{"data", std::move(data)}};
}

// A merge patch: it needs no version, since keys are never written twice and what is dead stays dead.
StoreAnswer StateTexts::Add(const std::string& key, const std::string& text, MonoTime deadline) {
  const kube::Call call{deadline, kube::Priority::kLease};
  for (int attempt = 0; attempt < 3; ++attempt) {
    kube::Result r = client_->Patch(resource_, kube::PatchType::kMerge, PatchFor(key, text), call);
    if (!r.ok() && r.error.code == 404 && r.error.reason == "NotFound") {
      Json fresh = NewObject("v1", "ConfigMap", resource_, labels_);
      SetText(&fresh, "data", nullptr, key, text);
      kube::Resource where = resource_;
      where.name.clear();
      r = client_->Create(where, fresh, call);
      if (!r.ok() && r.error.reason == "AlreadyExists") continue;
    }
    if (!r.ok()) {
      return {
          StoreOutcome::kUnknown,
          "",
          {},
          absl::StrCat("kube store: the state was not stored, the lock was not touched: ", r.error.message)};
    }
    See(*r.object);
    Remember(key, text);
    return Fine();
  }
  return {StoreOutcome::kUnknown,
          "",
          {},
          absl::StrCat("kube store: configmap ", resource_.name,
                       " comes and goes; look who deletes it (the lock was not touched)")};
}

std::set<std::string> StateTexts::Listed() {
  const std::lock_guard<std::mutex> lock(mutex_);
  return listed_;
}

void StateTexts::Judge(const std::set<std::string>& listed, const std::string& lease_version,
                       const std::string& key) {
  const std::string tag = StateTag(lease_version);
  const std::lock_guard<std::mutex> lock(mutex_);
  current_ = key;
  for (const std::string& other : listed) {
    if (other != key && !HasTag(other, tag)) dead_.insert(other);
  }
  dead_.erase(key);
}

// ---- the store ----

LeaseStore::LeaseStore(kube::Client* client, const KubeStoreOptions& options)
    : labels_(options.labels),
      lock_(client, {"coordination.k8s.io", "v1", options.ns, "leases", options.name, ""}),
      texts_(client, {"", "v1", options.ns, "configmaps", options.name, ""}, options.labels) {}

std::string LeaseStore::Describe() const {
  return absl::StrCat("lease:", lock_.resource().ns, "/", lock_.resource().name);
}

// The document that this version of the Lease means. *key_is_gone: the ConfigMap has no such text.
StoreAnswer LeaseStore::Compose(const Held& held, MonoTime deadline, bool* key_is_gone) {
  StoreAnswer answer = Fine();
  answer.version = held.version;
  answer.document = FromLease(*held.object);
  const StateRef ref = GetRef(*held.object);
  std::string base;
  const StoreAnswer got = texts_.Get(ref.key, false, deadline, &base);
  if (got.outcome == StoreOutcome::kUnknown) return got;
  *key_is_gone = got.outcome == StoreOutcome::kNotFound;
  if (*key_is_gone || !Join(ref, base, &answer.document.state)) {
    answer.outcome = StoreOutcome::kUnreadable;
    answer.document = {};
    answer.detail = absl::StrCat("kube store: the state that lease ", lock_.resource().name,
                                 " names is not in the configmap of the same name: ", got.detail,
                                 "; put it back or leave it: the holder or its successor writes it anew");
  }
  return answer;
}

StoreAnswer LeaseStore::Read(MonoTime deadline) {
  StoreAnswer last;
  std::string gone_at;
  for (int attempt = 0; attempt < kReadTries; ++attempt) {
    const std::set<std::string> listed = texts_.Listed();
    Held held;
    StoreAnswer answer = lock_.Get(deadline, &held);
    if (answer.outcome != StoreOutcome::kOk) return answer;
    texts_.Judge(listed, held.version, GetRef(*held.object).key);
    bool key_is_gone = false;
    last = Compose(held, deadline, &key_is_gone);
    // Replaced and removed between the two looks: then the Lease has moved on. Only if it has not, it is
    // gone.
    if (!key_is_gone || gone_at == held.version) return last;
    gone_at = held.version;
  }
  last.outcome = StoreOutcome::kUnknown;
  last.detail = "kube store: the lease is written faster than it can be read";
  return last;
}

StoreAnswer LeaseStore::Place(const Document& document, const StateRef* now, const std::string& for_version,
                              MonoTime deadline, StateRef* ref) {
  if (now != nullptr) {
    const std::optional<std::string> base = texts_.Known(now->key);
    if (base && Express(document.state, now->key, *base, ref)) return Fine();
  }
  if (Express(document.state, "", "", ref)) return Fine();
  const std::string key = NewStateKey(for_version);
  StoreAnswer added = texts_.Add(key, document.state, deadline);
  *ref = {key, document.state.size(), ""};
  return added;
}

StoreAnswer LeaseStore::Create(const Document& document, MonoTime deadline) {
  if (StoreAnswer fits = CheckSize(document); fits.outcome != StoreOutcome::kOk) return fits;
  StateRef ref;
  if (StoreAnswer placed = Place(document, nullptr, "new", deadline, &ref);
      placed.outcome != StoreOutcome::kOk)
    return placed;
  Json lease = NewObject("coordination.k8s.io/v1", "Lease", lock_.resource(), labels_);
  PutIntoLease(document, UnixMillis() * 1000, &lease);
  PutRef(ref, &lease);
  const std::set<std::string> listed = texts_.Listed();
  Held held;
  StoreAnswer answer = lock_.Post(lease, deadline, &held);
  if (answer.outcome == StoreOutcome::kOk) texts_.Judge(listed, held.version, ref.key);
  return answer;
}

StoreAnswer LeaseStore::Update(const Document& document, const std::string& if_version, MonoTime deadline) {
  if (StoreAnswer fits = CheckSize(document); fits.outcome != StoreOutcome::kOk) return fits;
  StateRef ref;
  std::set<std::string> listed;
  Held held;
  StoreAnswer answer = lock_.Put(
      if_version,
      [&](Json* lease) {
        const StateRef now = GetRef(*lease);
        StoreAnswer placed = Place(document, &now, if_version, deadline, &ref);
        if (placed.outcome != StoreOutcome::kOk) return placed;
        PutIntoLease(document, UnixMillis() * 1000, lease);
        PutRef(ref, lease);
        listed = texts_.Listed();  // before the PUT is sent
        return placed;
      },
      deadline, &held);
  if (answer.outcome != StoreOutcome::kOk) return answer;
  texts_.Judge(listed, held.version, ref.key);
  Verify(ref, std::min(deadline, BootClock().Now() + kVerifyPatience));
  return answer;
}

// A text that somebody deleted or edited is written anew with the next update. Beside the renewal: a failure
// here is nothing.
void LeaseStore::Verify(const StateRef& ref, MonoTime deadline) {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    const MonoTime now = BootClock().Now();
    if (ref.key.empty() || now < verified_ + kVerifyEvery) return;
    verified_ = now;
  }
  const std::optional<std::string> known = texts_.Known(ref.key);
  std::string text;
  const StoreAnswer got = texts_.Get(ref.key, true, deadline, &text);
  const bool gone = got.outcome == StoreOutcome::kNotFound;
  if (!gone && (got.outcome != StoreOutcome::kOk || !known || *known == text)) return;
  Log(LogLevel::kWarn, "store", "the state beside the lock was edited or deleted; it is written anew",
      {{"lease", lock_.resource().name}, {"key", ref.key}});
  texts_.Forget(ref.key);
}

bool LeaseStore::WaitChange(const std::string& seen, MonoTime deadline) {
  Held held;
  return lock_.Await(seen, deadline, &held);
}

std::optional<StoreAnswer> LeaseStore::Await(const std::string& seen, MonoTime deadline,
                                             Duration read_timeout) {
  Held held;
  if (!lock_.Await(seen, deadline, &held)) return std::nullopt;
  if (held.object == nullptr)
    return StoreAnswer{StoreOutcome::kNotFound, "", {}, "kube store: the watch sees no lease"};
  bool key_is_gone = false;
  StoreAnswer answer = Compose(held, BootClock().Now() + read_timeout, &key_is_gone);
  if (!key_is_gone) return answer;
  return Read(BootClock().Now() + read_timeout);  // it may be an old one: look
}

}  // namespace mainstay::lease
