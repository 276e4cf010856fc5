// A program that has work for one at a time: usage: consumer DIRECTORY NAME. All that share DIRECTORY elect a
// leader.
#include <chrono>
#include <csignal>
#include <cstdio>
#include <thread>

#include "lib/lease/elector.h"
#include "lib/lease/file_store.h"

namespace lease = mainstay::lease;
using namespace std::chrono_literals;

volatile std::sig_atomic_t stopping = 0;

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  std::signal(SIGTERM, [](int) { stopping = 1; });
  auto store = lease::FileStore::Open(argv[1]);
  if (!store.ok()) return std::fprintf(stderr, "%s\n", store.status().ToString().c_str()), 1;
  lease::ElectorOptions options;
  options.cluster = "install-test", options.name = argv[2];
  options.lease = 2s, options.validity = 1200ms, options.act = 500ms, options.renew = 300ms;
  auto elector = lease::Elector::Create(store->get(), options, {});
  if (!elector.ok()) return std::fprintf(stderr, "%s\n", elector.status().ToString().c_str()), 1;
  (*elector)->Start();
  while (!stopping) {
    auto permission = (*elector)->CurrentPermission();
    if (permission.MayAct())
      std::printf("%s works in epoch %lld\n", argv[2], static_cast<long long>(permission.epoch())),
          std::fflush(stdout);
    std::this_thread::sleep_for(20ms);
  }
  return (*elector)->Stop() ? 0 : 3;
}
