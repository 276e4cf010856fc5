// The Lease kind of the kube store (lib/lease/kube_store.h has the argument why it is safe).
//
// Thread rules: thread-safe; one waiter at a time.
#ifndef MAINSTAY_LIB_LEASE_KUBE_STORE_LEASE_H_
#define MAINSTAY_LIB_LEASE_KUBE_STORE_LEASE_H_

#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <string>

#include "lib/kube/client.h"
#include "lib/lease/kube_store.h"
#include "lib/lease/kube_store_object.h"
#include "lib/lease/kube_store_text.h"
#include "lib/lease/store.h"

namespace mainstay::lease {

// kOk, or kUnknown for a document that no object can hold.
StoreAnswer CheckSize(const Document& document);
Json NewObject(const char* api_version, const char* kind, const kube::Resource& resource,
               const std::map<std::string, std::string>& labels);

// The ConfigMap with the states' texts, each under a key of its own and never changed.
class StateTexts {
 public:
  StateTexts(kube::Client* client, kube::Resource resource, std::map<std::string, std::string> labels);

  // The text under `key`: kOk with `text`, kNotFound (no such key), kUnknown. What was seen once is not asked
  // for again unless `fresh`.
  StoreAnswer Get(const std::string& key, bool fresh, MonoTime deadline, std::string* text);
  // What is known of `key` without asking.
  std::optional<std::string> Known(const std::string& key);
  // Adds `text` under `key` and removes what is dead. kOk or kUnknown (then the key is at most an orphan).
  StoreAnswer Add(const std::string& key, const std::string& text, MonoTime deadline);
  // Forgets what was seen of `key`: it is gone or was edited.
  void Forget(const std::string& key);

  // Keys that are there as far as known; take this BEFORE the Lease is asked for.
  std::set<std::string> Listed();
  // The Lease, asked for after `listed` was taken, has this version and names `key`: all others of `listed`
  // that are not for this version are dead.
  void Judge(const std::set<std::string>& listed, const std::string& lease_version, const std::string& key);

 private:
  void See(const Json& config_map);
  void Remember(const std::string& key, const std::string& text);
  Json PatchFor(const std::string& key, const std::string& text);

  kube::Client* const client_;
  const kube::Resource resource_;
  const std::map<std::string, std::string> labels_;
  std::mutex mutex_;
  std::set<std::string> listed_;
  std::set<std::string> dead_;
  // The last two texts: of the Lease that is, and of the one that is to be.
  std::map<std::string, std::string> texts_;
  std::string current_;
};

class LeaseStore : public Store {
 public:
  // How often a holder looks whether its state's text is still there.
  static constexpr Duration kVerifyEvery = std::chrono::seconds(30);

  LeaseStore(kube::Client* client, const KubeStoreOptions& options);
  StoreAnswer Read(MonoTime deadline) override;
  StoreAnswer Create(const Document& document, MonoTime deadline) override;
  StoreAnswer Update(const Document& document, const std::string& if_version, MonoTime deadline) override;
  bool WaitChange(const std::string& seen, MonoTime deadline) override;
  std::optional<StoreAnswer> Await(const std::string& seen, MonoTime deadline,
                                   Duration read_timeout) override;
  void Interrupt() override { lock_.Interrupt(); }
  std::string Describe() const override;

 private:
  StoreAnswer Compose(const Held& held, MonoTime deadline, bool* key_is_gone);
  // Where `document`'s state is or is now put. kOk or kUnknown.
  StoreAnswer Place(const Document& document, const StateRef* now, const std::string& for_version,
                    MonoTime deadline, StateRef* ref);
  void Verify(const StateRef& ref, MonoTime deadline);

  const std::map<std::string, std::string> labels_;
  LockObject lock_;
  StateTexts texts_;
  std::mutex mutex_;
  MonoTime verified_;
};

}  // namespace mainstay::lease

#endif  // MAINSTAY_LIB_LEASE_KUBE_STORE_LEASE_H_
