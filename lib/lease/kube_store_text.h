// Documents into Kubernetes objects and back, without a network: the bytes that others read, too.
//
// When to use it: inside the kube stores; apart so that tests and fuzzers reach it. Never fails: what is
// missing in an object is an empty text, which the core's Decode judges. Thread rules: pure functions.
#ifndef MAINSTAY_LIB_LEASE_KUBE_STORE_TEXT_H_
#define MAINSTAY_LIB_LEASE_KUBE_STORE_TEXT_H_

#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"
#include "lib/base/json.h"
#include "lib/lease/store.h"

namespace mainstay::lease {

inline constexpr char kLeaderAnnotation[] = "control-plane.alpha.kubernetes.io/leader";
inline constexpr char kRenewalAnnotation[] = "mainstay.io/renewal";
inline constexpr char kWriteAnnotation[] = "mainstay.io/write";
// Lease kind only:
inline constexpr char kLeaseLeaderAnnotation[] = "mainstay.io/leader";
inline constexpr char kSpecAnnotation[] = "mainstay.io/spec";  // sum of the spec that we wrote
inline constexpr char kStateKeyAnnotation[] = "mainstay.io/state-key";
inline constexpr char kStateBytesAnnotation[] = "mainstay.io/state-bytes";
inline constexpr char kStateTailAnnotation[] = "mainstay.io/state-tail";

// "<uid>/<resourceVersion>"; "" when the object has none.
std::string VersionOf(const Json& object);

// Writes text into object[outer][inner][key] (or object[outer][key] without `inner`), making maps on the way.
void SetText(Json* object, const char* outer, const char* inner, const std::string& key,
             const std::string& text);

// ---- ConfigMap kind ----
void PutIntoConfigMap(const Document& document, Json* config_map);
Document FromConfigMap(const Json& config_map);

// ---- Lease kind ----
// Spec and annotations but for the state. `unix_us`: now, for renewTime.
void PutIntoLease(const Document& document, int64_t unix_us, Json* lease);
// leader and renewal. When a foreign elector wrote the spec, leader is what the spec says, in client-go's
// annotation form.
Document FromLease(const Json& lease);

// Where the state is: `bytes` of the text under `key` in the ConfigMap ("" = none of it), then `tail`.
struct StateRef {
  std::string key;
  size_t bytes = 0;
  std::string tail;
  friend bool operator==(const StateRef&, const StateRef&) = default;
};
// Longest tail that goes into the Lease: a few times the check at the state's end.
inline constexpr size_t kMaxTail = 160;
void PutRef(const StateRef& ref, Json* lease);
StateRef GetRef(const Json& lease);
// `state` as a beginning of `base` and a tail. False: the tail would be longer than kMaxTail.
bool Express(absl::string_view state, const std::string& key, absl::string_view base, StateRef* out);
// The state that `ref` means; false when `base` is shorter than it should be.
bool Join(const StateRef& ref, absl::string_view base, std::string* state);

// Keys of texts: "state-<tag>-<random>", the tag made of the Lease's version that the text is written for.
inline constexpr char kStateKeyPrefix[] = "state-";
std::string StateTag(const std::string& lease_version);
std::string NewStateKey(const std::string& lease_version);
bool HasTag(const std::string& key, const std::string& tag);

}  // namespace mainstay::lease

#endif  // MAINSTAY_LIB_LEASE_KUBE_STORE_TEXT_H_
