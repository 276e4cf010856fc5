// The lock and the memory of RabbitMQ's maintenance, where the configuration has the lock of the other
// engines.
#include "absl/strings/str_cat.h"
#include "agent/rabbit/clustered.h"
#include "agent/sidecar/assemble.h"
#include "lib/base/result.h"
#include "lib/lease/file_store.h"

namespace mainstay::agent {

absl::StatusOr<MaintenanceStores> BuildMaintenanceStores(const Config& config) {
  MaintenanceStores out;
  if (config.lock == LockKind::kFile) {
    MAINSTAY_ASSIGN_OR_RETURN(out.lock, lease::FileStore::Open(config.lock_path));
    MAINSTAY_ASSIGN_OR_RETURN(out.memory, lease::FileStore::Open(config.lock_path + "/memory"));
    return out;
  }
  MAINSTAY_ASSIGN_OR_RETURN(out.kube, BuildKubeClient(config));
  MAINSTAY_ASSIGN_OR_RETURN(out.lock, BuildKubeStore(config, out.kube.get()));
  // Written at each step, not renewed: a ConfigMap, whatever the lock is.
  Config memory = config;
  memory.lock = LockKind::kConfigMap;
  memory.kubernetes.lock_name = absl::StrCat(config.kubernetes.lock_name, "-memory");
  MAINSTAY_ASSIGN_OR_RETURN(out.memory, BuildKubeStore(memory, out.kube.get()));
  return out;
}

}  // namespace mainstay::agent
