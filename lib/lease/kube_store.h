// The lock as an object of a Kubernetes API server, for clusters of pods.
//
//   auto client = *kube::Client::Create(*kube::LoadConfig(""), {});
//   auto store = *OpenKubeStore(client.get(), {.ns = "db", .name = "pg-mainstay"});
//
// KIND ConfigMap (default): one object is everything, so one PUT decides.
//   metadata.annotations["control-plane.alpha.kubernetes.io/leader"]   Document.leader: client-go's record
//   metadata.annotations["mainstay.io/renewal"]                        Document.renewal
//   data["state"]                                                      Document.state
//
// KIND Lease: the coordination.k8s.io Lease is the lock, for clusters whose tools look at Leases. Its spec is
// what client-go writes (holderIdentity, leaseDurationSeconds, acquireTime, renewTime in microseconds,
// leaseTransitions), projected from Document.leader; leader and renewal are annotations of it, too. The state
// is too large for a Lease that is written every two seconds: it lies in a ConfigMap of the same name, and
// the Lease's annotations name it. WHY ONE COMPARE-AND-SWAP STILL HOLDS OVER BOTH OBJECTS:
//   1. A text in the ConfigMap has a key of its own, "state-<tag>-<random>", and is never changed after it
//   was
//      written. So (Lease version -> key -> text) is one document for ever.
//   2. An update first adds its text under a new key, then PUTs the Lease, at if_version, naming the key.
//   Only
//      the PUT decides. Until it is done nobody looks at the new key; if it fails, the key is an orphan: no
//      reader ever sees it.
//   3. A text whose Lease was replaced is dead, and an orphan is dead, too, once the Lease was seen past the
//      version that its PUT would have needed (the tag names that version; versions never repeat). Dead texts
//      are removed by the next writer that has seen them *before* it saw the Lease: then the PUT that would
//      name them can never succeed again. Should one be removed wrongly (only after the Lease was deleted and
//      a late POST comes), the lock reads as damaged, which is never a permission.
//   4. What differs only at its end (the check, with each renewal) is put into the Lease's own annotations
//      ("<key> up to n bytes, then this tail"): a renewal is one PUT of the Lease, the ConfigMap rests.
//
// A FOREIGN ELECTOR (client-go) on the same object: it sees our holder and our renewals (the bytes change)
// and keeps away; what it writes itself does not fit our state's check, so it reads as a damaged record under
// a new version: our holder stops at once, our candidates wait until it was unchanged for L. Our releases are
// client-go's (empty holder, one second), so it takes over at once; after its release our candidates wait L.
// client-go looks at whole seconds in both kinds (it cuts a Lease's microseconds, too): of two renewals
// within one second it counts from the first. Therefore the record tells it to wait one second more than L
// (leaseDurationSeconds = L + 1): that covers every profile, the fast one as well.
// The other way round our candidates wait their own L, counted from the last change that was visible (equal
// bytes make no new version), so a foreign elector must stop earlier: its RenewDeadline + RetryPeriod + 1 s
// must be at most L (client-go's defaults, 10 s and 2 s, want L >= 13 s).
//
// VERSION: "<uid>/<resourceVersion>"; the uid makes it unique also after a deletion. Every write carries a
// fresh annotation mainstay.io/write, since the API server gives equal content no new version.
// COST: a renewal is one PUT and no GET. Whoever waits watches (one connection, nothing polled); a watch is
// opened anew when the server ends it. Annotations, labels and keys of others on the object stay as they were
// last seen at that version.
// RIGHTS (Role, resourceNames: [name] but for create): configmaps get, create, update, watch; Lease kind:
// leases get, create, update, watch; configmaps get, create, patch. Never delete.
//
// Outcomes as lib/lease/store.h; 401, 403, 404 of the namespace, 422, 429, 5xx, time-outs are kUnknown with a
// detail that names what is missing. Thread rules: thread-safe; the client must outlive the store.
#ifndef MAINSTAY_LIB_LEASE_KUBE_STORE_H_
#define MAINSTAY_LIB_LEASE_KUBE_STORE_H_

#include <map>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "lib/lease/store.h"

namespace mainstay::kube {
class Client;
}

namespace mainstay::lease {

struct KubeStoreOptions {
  enum class Kind : uint8_t { kConfigMap, kLease };
  Kind kind = Kind::kConfigMap;
  std::string ns;    // "" = the client's own (of its ServiceAccount or context)
  std::string name;  // "<cluster>-mainstay", a DNS subdomain
  // Put on objects that are made here.
  std::map<std::string, std::string> labels = {{"app.kubernetes.io/managed-by", "mainstay"}};
};

// InvalidArgument when name or namespace cannot be names. Sends nothing.
absl::StatusOr<std::unique_ptr<Store>> OpenKubeStore(kube::Client* client, KubeStoreOptions options);

}  // namespace mainstay::lease

#endif  // MAINSTAY_LIB_LEASE_KUBE_STORE_H_
