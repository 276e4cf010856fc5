// Our Elector on a kube store, as a program: beside test/kube/go/elector, which is client-go's. While it
// leads it writes "<name> <CLOCK_BOOTTIME in ns>" to a file every 10 ms. SIGTERM: gives the lock up and ends.
//
//   kube_elector KUBECONFIG lease|configmap NAMESPACE LOCK NAME ACTS
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <thread>

#include "lib/kube/client.h"
#include "lib/lease/elector.h"
#include "lib/lease/kube_store.h"

namespace mainstay::lease {
namespace {

using namespace std::chrono_literals;

volatile sig_atomic_t g_stop = 0;

ElectorOptions Timing(const std::string& lock, const std::string& name) {
  ElectorOptions o{.cluster = lock, .name = name};
  o.lease = 4s, o.validity = 2500ms, o.act = 1s, o.renew = 800ms, o.retry = 100ms, o.request = 1s;
  return o;
}

int Main(char** argv) {
  signal(SIGTERM, [](int) { g_stop = 1; });
  const auto config = kube::LoadKubeconfig(argv[1]);
  if (!config.ok()) return fprintf(stderr, "%s\n", config.status().ToString().c_str()), 2;
  const auto client = kube::Client::Create(*config, {});
  if (!client.ok()) return fprintf(stderr, "%s\n", client.status().ToString().c_str()), 2;
  KubeStoreOptions options;
  options.kind =
      strcmp(argv[2], "lease") == 0 ? KubeStoreOptions::Kind::kLease : KubeStoreOptions::Kind::kConfigMap;
  options.ns = argv[3];
  options.name = argv[4];
  const auto store = OpenKubeStore(client->get(), options);
  if (!store.ok()) return fprintf(stderr, "%s\n", store.status().ToString().c_str()), 2;
  auto elector = Elector::Create(store->get(), Timing(argv[4], argv[5]), {});
  if (!elector.ok()) return fprintf(stderr, "%s\n", elector.status().ToString().c_str()), 2;
  const int out = open(argv[6], O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
  (*elector)->Start();
  while (g_stop == 0) {
    const MonoTime now = BootClock().Now();
    if ((*elector)->CurrentPermission().MayAct(now))
      dprintf(out, "%s %ld\n", argv[5], static_cast<long>(now.nanos()));
    std::this_thread::sleep_for(10ms);
  }
  return (*elector)->Stop() ? 0 : 1;
}

}  // namespace
}  // namespace mainstay::lease

int main(int argc, char** argv) {
  if (argc == 7) return mainstay::lease::Main(argv);
  fprintf(stderr, "kube_elector KUBECONFIG lease|configmap NAMESPACE LOCK NAME ACTS\n");
  return 2;
}
