// The kube stores on a real API server.
#include "lib/lease/kube_store.h"
#include "test/conformance/kube_server.h"
#include "test/conformance/store_env.h"

namespace mainstay::lease {
namespace {

using namespace std::chrono_literals;

// A handle with a client of its own, as each agent has one.
class OwnClient : public Store {
 public:
  OwnClient(std::unique_ptr<kube::Client> client, const KubeStoreOptions& options)
      : client_(std::move(client)), store_(*OpenKubeStore(client_.get(), options)) {}
  StoreAnswer Read(MonoTime deadline) override { return store_->Read(deadline); }
  StoreAnswer Create(const Document& d, MonoTime deadline) override { return store_->Create(d, deadline); }
  StoreAnswer Update(const Document& d, const std::string& v, MonoTime deadline) override {
    return store_->Update(d, v, deadline);
  }
  bool WaitChange(const std::string& seen, MonoTime deadline) override {
    return store_->WaitChange(seen, deadline);
  }
  std::optional<StoreAnswer> Await(const std::string& seen, MonoTime deadline, Duration timeout) override {
    return store_->Await(seen, deadline, timeout);
  }
  void Interrupt() override { store_->Interrupt(); }
  std::string Describe() const override { return store_->Describe(); }

 private:
  const std::unique_ptr<kube::Client> client_;
  const std::unique_ptr<Store> store_;
};

class InKube : public Env {
 public:
  InKube(kube::ApiServer* server, KubeStoreOptions::Kind kind)
      : server_(server), admin_(server->Admin()), kind_(kind), name_(kube::FreshName()) {}
  std::unique_ptr<Store> Open() override {
    KubeStoreOptions options;
    options.kind = kind_;
    options.name = name_;
    return std::make_unique<OwnClient>(server_->Admin(), options);
  }
  void DeleteObject() override {
    const kube::Resource what =
        kind_ == KubeStoreOptions::Kind::kLease
            ? kube::Resource{"coordination.k8s.io", "v1", "default", "leases", name_, ""}
            : kube::Resource{"", "v1", "default", "configmaps", name_, ""};
    const kube::Result r = admin_->Delete(what, "", {BootClock().Now() + 5s});
    if (!r.ok()) fprintf(stderr, "deleting: %s\n", r.error.message.c_str());
  }

 private:
  kube::ApiServer* const server_;
  const std::unique_ptr<kube::Client> admin_;
  const KubeStoreOptions::Kind kind_;
  const std::string name_;
};

std::unique_ptr<Env> Make(KubeStoreOptions::Kind kind, std::string* why) {
  kube::ApiServer* const server = kube::ApiServer::Get(why);
  if (server == nullptr) return nullptr;
  return std::make_unique<InKube>(server, kind);
}

}  // namespace

std::vector<Kind> Kinds() {
  using K = KubeStoreOptions::Kind;
  return {{"ConfigMap", [](std::string* why) { return Make(K::kConfigMap, why); }},
          {"Lease", [](std::string* why) { return Make(K::kLease, why); }}};
}

}  // namespace mainstay::lease
