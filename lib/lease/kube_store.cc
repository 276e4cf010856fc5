#include "lib/lease/kube_store.h"

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "lib/base/strings.h"
#include "lib/lease/kube_store_lease.h"
#include "lib/lease/kube_store_object.h"
#include "lib/lease/kube_store_text.h"

namespace mainstay::lease {
namespace {

// RFC 1123 subdomain (dots) or label (no dots).
bool IsDnsName(const std::string& s, size_t max, bool dots) {
  if (s.empty() || s.size() > max) return false;
  bool edge = true;  // at the beginning or after a dot
  for (const char c : s) {
    const bool alnum = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
    if (!alnum && (edge || (c != '-' && !(dots && c == '.')))) return false;
    edge = c == '.';
  }
  return absl::ascii_isalnum(static_cast<unsigned char>(s.back()));
}

class ConfigMapStore : public Store {
 public:
  ConfigMapStore(kube::Client* client, const KubeStoreOptions& options)
      : labels_(options.labels), object_(client, {"", "v1", options.ns, "configmaps", options.name, ""}) {}

  StoreAnswer Read(MonoTime deadline) override {
    Held held;
    StoreAnswer answer = object_.Get(deadline, &held);
    if (answer.outcome == StoreOutcome::kOk) answer.document = FromConfigMap(*held.object);
    return answer;
  }

  StoreAnswer Create(const Document& document, MonoTime deadline) override {
    if (StoreAnswer fits = CheckSize(document); fits.outcome != StoreOutcome::kOk) return fits;
    Json object = NewObject("v1", "ConfigMap", object_.resource(), labels_);
    PutIntoConfigMap(document, &object);
    Held held;
    return object_.Post(object, deadline, &held);
  }

  StoreAnswer Update(const Document& document, const std::string& if_version, MonoTime deadline) override {
    if (StoreAnswer fits = CheckSize(document); fits.outcome != StoreOutcome::kOk) return fits;
    Held held;
    return object_.Put(
        if_version,
        [&document](Json* object) {
          PutIntoConfigMap(document, object);
          return StoreAnswer{StoreOutcome::kOk, "", {}, ""};
        },
        deadline, &held);
  }

  bool WaitChange(const std::string& seen, MonoTime deadline) override {
    Held held;
    return object_.Await(seen, deadline, &held);
  }

  std::optional<StoreAnswer> Await(const std::string& seen, MonoTime deadline, Duration) override {
    Held held;
    if (!object_.Await(seen, deadline, &held)) return std::nullopt;
    if (held.object == nullptr)
      return StoreAnswer{StoreOutcome::kNotFound, "", {}, "kube store: the watch sees no object"};
    return StoreAnswer{StoreOutcome::kOk, held.version, FromConfigMap(*held.object), ""};
  }

  void Interrupt() override { object_.Interrupt(); }
  std::string Describe() const override {
    return absl::StrCat("configmap:", object_.resource().ns, "/", object_.resource().name);
  }

 private:
  const std::map<std::string, std::string> labels_;
  LockObject object_;
};

}  // namespace

StoreAnswer CheckSize(const Document& d) {
  const size_t bytes = d.leader.size() + d.renewal.size() + d.state.size();
  if (bytes <= election::kMaxDocumentBytes) return {StoreOutcome::kOk, "", {}, ""};
  return {StoreOutcome::kUnknown,
          "",
          {},
          absl::StrCat("kube store: the document has ", bytes, " bytes, more than ",
                       election::kMaxDocumentBytes, " (nothing was changed); remove members")};
}

Json NewObject(const char* api_version, const char* kind, const kube::Resource& resource,
               const std::map<std::string, std::string>& labels) {
  Json object = {{"apiVersion", api_version}, {"kind", kind}};
  object["metadata"] = {{"name", resource.name}, {"namespace", resource.ns}};
  if (!labels.empty()) object["metadata"]["labels"] = labels;
  return object;
}

absl::StatusOr<std::unique_ptr<Store>> OpenKubeStore(kube::Client* client, KubeStoreOptions options) {
  if (client == nullptr) return absl::InvalidArgumentError("kube store: there is no client; make one first");
  if (options.ns.empty()) options.ns = client->config().ns;
  if (!IsDnsName(options.ns, 63, false)) {
    return absl::InvalidArgumentError(absl::StrCat("kube store: namespace \"", Cut(options.ns, 80),
                                                   "\" must be 1 to 63 of a-z, 0-9 and -"));
  }
  if (!IsDnsName(options.name, 253, true)) {
    return absl::InvalidArgumentError(absl::StrCat("kube store: name \"", Cut(options.name, 80),
                                                   "\" must be 1 to 253 of a-z, 0-9, - and ."));
  }
  if (options.kind == KubeStoreOptions::Kind::kLease)
    return std::unique_ptr<Store>(std::make_unique<LeaseStore>(client, options));
  return std::unique_ptr<Store>(std::make_unique<ConfigMapStore>(client, options));
}

}  // namespace mainstay::lease
