#include "agent/sidecar/pod_api.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "lib/base/wall_clock.h"
#include "lib/kube/client.h"

namespace mainstay::agent {
namespace {

absl::Status ToStatus(const kube::Result& result) {
  return result.ok() ? absl::OkStatus() : absl::UnavailableError(result.error.message);
}

// One that is gone has no label to be set or taken off.
absl::Status OfPod(const kube::Result& result) {
  return result.IsNotFound() ? absl::OkStatus() : ToStatus(result);
}

}  // namespace

kube::Resource KubePodApi::Pod(const std::string& pod) const {
  return {"", "v1", options_.ns, "pods", pod, ""};
}

absl::Status KubePodApi::SetRole(const std::string& pod, const std::string& role, MonoTime deadline) {
  const Json value = role.empty() ? Json(nullptr) : Json(role);
  const Json patch = {{"metadata", {{"labels", {{options_.role_label, value}}}}}};
  return OfPod(client_->Patch(Pod(pod), kube::PatchType::kMerge, patch, {.deadline = deadline}));
}

absl::Status KubePodApi::TakeOff(const std::string& pod, const std::string& role, MonoTime deadline) {
  const std::string path =
      "/metadata/labels/" + absl::StrReplaceAll(options_.role_label, {{"~", "~0"}, {"/", "~1"}});
  const Json patch =
      Json::array({{{"op", "test"}, {"path", path}, {"value", role}}, {{"op", "remove"}, {"path", path}}});
  const kube::Result result = client_->Patch(Pod(pod), kube::PatchType::kJson, patch, {.deadline = deadline});
  if (!result.ok() && result.error.code == 422) return absl::OkStatus();  // the test: it has another value
  return OfPod(result);
}

absl::Status KubePodApi::PostEvent(const RoleEvent& event, MonoTime deadline) {
  std::string time = FormatUtcMillis(UnixMillis());  // MicroTime wants exactly six digits
  time.insert(time.size() - 1, "000");
  const Json object = {
      {"apiVersion", "events.k8s.io/v1"},
      {"kind", "Event"},
      {"metadata", {{"generateName", options_.pod + "-"}, {"namespace", options_.ns}}},
      {"eventTime", time},
      {"type", event.warning ? "Warning" : "Normal"},
      {"reason", event.reason},
      {"action", "RoleChange"},
      {"note", event.note},
      {"reportingController", "mainstay.io/agent"},
      {"reportingInstance", options_.pod},
      {"regarding",
       {{"apiVersion", "v1"},
        {"kind", "Pod"},
        {"namespace", options_.ns},
        {"name", options_.pod},
        {"uid", options_.uid}}},
  };
  return ToStatus(client_->Create({"events.k8s.io", "v1", options_.ns, "events", "", ""}, object,
                                  {.deadline = deadline}));
}

void KubePodApi::Interrupt() { client_->Interrupt(); }

}  // namespace mainstay::agent
