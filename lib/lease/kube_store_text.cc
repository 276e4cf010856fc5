#include "lib/lease/kube_store_text.h"

#include <algorithm>
#include <optional>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "lib/base/random.h"
#include "lib/base/strings.h"
#include "lib/base/wall_clock.h"
#include "lib/kube/object.h"

namespace mainstay::lease {
namespace {

constexpr size_t kMaxLeaderBytes = 16 * 1024;
constexpr int64_t kMaxInt32 = INT32_MAX;

std::string Annotation(const Json& object, const char* key) {
  return kube::TextAt(object, "metadata", "annotations", key);
}

// The spec's fields as one text: what is compared, however the server orders or spaces them.
std::string SpecSum(const Json& lease) {
  std::string all;
  const auto spec = lease.is_object() ? lease.find("spec") : lease.end();
  for (const char* field :
       {"holderIdentity", "leaseDurationSeconds", "acquireTime", "renewTime", "leaseTransitions"}) {
    const bool there = spec != lease.end() && spec->is_object() && spec->contains(field);
    absl::StrAppend(&all, there ? DumpJson((*spec)[field]) : "-", "\n");
  }
  return std::string(absl::StrCat(absl::Hex(Fnv1a64(all), absl::kZeroPad16)));
}

// Whole seconds in the annotation, microseconds in the Lease. Nothing when it is no time.
std::optional<std::string> MicroOf(const JsonView& leader, const char* key) {
  const absl::StatusOr<std::string> text = leader.StringOr(key, 64, "");
  if (!text.ok()) return std::nullopt;
  const std::optional<int64_t> ms = ParseUtc(*text);
  if (!ms) return std::nullopt;
  return kube::FormatMicroTime(*ms * 1000);
}

// client-go's LeaderElectionRecordToLeaseSpec.
Json SpecOf(const std::string& leader_text, int64_t unix_us) {
  Json spec = Json::object();
  const std::string now = kube::FormatMicroTime(unix_us);
  spec["renewTime"] = now;
  const absl::StatusOr<Json> json = ParseJson(leader_text, kMaxLeaderBytes);
  const Json empty = Json::object();
  const JsonView leader(json.ok() && json->is_object() ? &*json : &empty, "leader");
  const absl::StatusOr<std::string> holder = leader.StringOr("holderIdentity", kMaxLeaderBytes, "");
  const absl::StatusOr<int64_t> duration = leader.IntOr("leaseDurationSeconds", 1, kMaxInt32, 1);
  const absl::StatusOr<int64_t> transitions = leader.IntOr("leaderTransitions", 0, INT64_MAX, 0);
  const bool held = holder.ok() && !holder->empty();
  if (held) spec["holderIdentity"] = *holder;
  spec["leaseDurationSeconds"] = held && duration.ok() ? *duration : 1;  // released: one second, as client-go
  spec["leaseTransitions"] = transitions.ok() ? std::min(*transitions, kMaxInt32) : 0;
  const std::optional<std::string> acquired = MicroOf(leader, "acquireTime");
  spec["acquireTime"] = held && acquired ? *acquired : now;
  return spec;
}

std::string SecondsOf(const Json& lease, const char* field) {
  const std::optional<int64_t> ms = ParseUtc(kube::TextAt(lease, "spec", nullptr, field));
  return ms ? FormatUtcSeconds(*ms) : "";
}

int64_t NumberAt(const Json& lease, const char* field) {
  const auto spec = lease.find("spec");
  if (spec == lease.end() || !spec->is_object()) return 0;
  const absl::StatusOr<int64_t> n = JsonView(&*spec, "spec").IntOr(field, 0, INT64_MAX, 0);
  return n.ok() ? *n : 0;
}

// client-go's LeaseSpecToLeaderElectionRecord, in the bytes of its annotation.
std::string ForeignLeader(const Json& lease) {
  return DumpJson(OrderedJson{{"holderIdentity", kube::TextAt(lease, "spec", nullptr, "holderIdentity")},
                              {"leaseDurationSeconds", NumberAt(lease, "leaseDurationSeconds")},
                              {"acquireTime", SecondsOf(lease, "acquireTime")},
                              {"renewTime", SecondsOf(lease, "renewTime")},
                              {"leaderTransitions", NumberAt(lease, "leaseTransitions")}});
}

}  // namespace

std::string VersionOf(const Json& object) {
  const std::string uid = kube::MetaText(object, "uid");
  const std::string version = kube::MetaText(object, "resourceVersion");
  return uid.empty() || version.empty() ? "" : absl::StrCat(uid, "/", version);
}

void SetText(Json* object, const char* outer, const char* inner, const std::string& key,
             const std::string& text) {
  Json* at = object;
  for (const char* step : {outer, inner}) {
    if (step == nullptr) continue;
    if (!at->is_object()) *at = Json::object();
    at = &(*at)[step];
  }
  if (!at->is_object()) *at = Json::object();
  (*at)[key] = text;
}

void PutIntoConfigMap(const Document& document, Json* config_map) {
  SetText(config_map, "metadata", "annotations", kLeaderAnnotation, document.leader);
  SetText(config_map, "metadata", "annotations", kRenewalAnnotation, document.renewal);
  SetText(config_map, "metadata", "annotations", kWriteAnnotation, RandomHex(8));
  SetText(config_map, "data", nullptr, "state", document.state);
}

Document FromConfigMap(const Json& config_map) {
  return {Annotation(config_map, kLeaderAnnotation), Annotation(config_map, kRenewalAnnotation),
          kube::TextAt(config_map, "data", nullptr, "state")};
}

void PutIntoLease(const Document& document, int64_t unix_us, Json* lease) {
  if (!lease->is_object()) *lease = Json::object();
  Json& spec = (*lease)["spec"];
  if (!spec.is_object()) spec = Json::object();
  spec.erase("holderIdentity");
  spec.update(SpecOf(document.leader, unix_us));
  SetText(lease, "metadata", "annotations", kLeaseLeaderAnnotation, document.leader);
  SetText(lease, "metadata", "annotations", kRenewalAnnotation, document.renewal);
  SetText(lease, "metadata", "annotations", kWriteAnnotation, RandomHex(8));
  SetText(lease, "metadata", "annotations", kSpecAnnotation, SpecSum(*lease));
}

Document FromLease(const Json& lease) {
  Document out;
  out.renewal = Annotation(lease, kRenewalAnnotation);
  const bool ours = Annotation(lease, kSpecAnnotation) == SpecSum(lease);
  out.leader = ours ? Annotation(lease, kLeaseLeaderAnnotation) : ForeignLeader(lease);
  return out;
}

void PutRef(const StateRef& ref, Json* lease) {
  SetText(lease, "metadata", "annotations", kStateKeyAnnotation, ref.key);
  SetText(lease, "metadata", "annotations", kStateBytesAnnotation, absl::StrCat(ref.bytes));
  SetText(lease, "metadata", "annotations", kStateTailAnnotation, ref.tail);
}

StateRef GetRef(const Json& lease) {
  StateRef ref;
  ref.key = Annotation(lease, kStateKeyAnnotation);
  ref.tail = Annotation(lease, kStateTailAnnotation);
  uint64_t bytes = 0;
  const std::string text = Annotation(lease, kStateBytesAnnotation);
  if (absl::SimpleAtoi(text, &bytes)) ref.bytes = bytes;
  return ref;
}

bool Express(absl::string_view state, const std::string& key, absl::string_view base, StateRef* out) {
  const size_t both = std::min(state.size(), base.size());
  size_t same = static_cast<size_t>(std::mismatch(state.begin(), state.begin() + both, base.begin()).first -
                                    state.begin());
  // Not in the middle of a character: each part must be UTF-8 of its own.
  while (same > 0 && same < state.size() && (static_cast<unsigned char>(state[same]) & 0xC0) == 0x80) --same;
  if (state.size() - same > kMaxTail) return false;
  *out = {same == 0 ? "" : key, same, std::string(state.substr(same))};
  return true;
}

bool Join(const StateRef& ref, absl::string_view base, std::string* state) {
  if (ref.bytes > base.size()) return false;
  *state = absl::StrCat(base.substr(0, ref.bytes), ref.tail);
  return true;
}

std::string StateTag(const std::string& lease_version) {
  return std::string(absl::StrCat(absl::Hex(Fnv1a64(lease_version), absl::kZeroPad16)));
}
std::string NewStateKey(const std::string& lease_version) {
  return absl::StrCat(kStateKeyPrefix, StateTag(lease_version), "-", RandomHex(8));
}
bool HasTag(const std::string& key, const std::string& tag) {
  return absl::StartsWith(key, absl::StrCat(kStateKeyPrefix, tag, "-"));
}

}  // namespace mainstay::lease
