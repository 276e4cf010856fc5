// PodApi over the Kubernetes API: JSON patches of the role label, Events of events.k8s.io/v1.
//
// Rights (Role): pods get, patch by resourceNames of the members; events (events.k8s.io) create.
// Thread rules: as PodApi; the client must outlive it.
#ifndef MAINSTAY_AGENT_SIDECAR_POD_API_H_
#define MAINSTAY_AGENT_SIDECAR_POD_API_H_

#include <string>
#include <utility>

#include "agent/sidecar/role_publisher.h"
#include "lib/kube/object.h"

namespace mainstay::kube {
class Client;
}

namespace mainstay::agent {

class KubePodApi : public PodApi {
 public:
  struct Options {
    std::string ns;
    std::string pod;         // own
    std::string uid;         // own; Events name it
    std::string role_label;  // "mainstay.io/role"
  };
  KubePodApi(kube::Client* client, Options options) : client_(client), options_(std::move(options)) {}

  absl::Status SetRole(const std::string& pod, const std::string& role, MonoTime deadline) override;
  absl::Status TakeOff(const std::string& pod, const std::string& role, MonoTime deadline) override;
  absl::Status PostEvent(const RoleEvent& event, MonoTime deadline) override;
  void Interrupt() override;

 private:
  kube::Resource Pod(const std::string& pod) const;

  kube::Client* const client_;
  const Options options_;
};

}  // namespace mainstay::agent

#endif  // MAINSTAY_AGENT_SIDECAR_POD_API_H_
