#include "lib/kube/resolve.h"

#include <netdb.h>
#include <string.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>

#include "absl/strings/str_cat.h"
#include "lib/base/thread.h"

namespace mainstay::kube {
namespace {

std::atomic<int> g_resolving{0};

struct Lookup {
  std::string host, port;
  std::mutex mutex;
  std::condition_variable done_cv;
  bool done = false;
  int error = 0;
  std::vector<Address> addresses;
};

int Ask(const std::string& host, const std::string& port, int flags, std::vector<Address>* out) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = flags | AI_NUMERICSERV;
  addrinfo* list = nullptr;
  const int error = getaddrinfo(host.c_str(), port.c_str(), &hints, &list);
  if (error != 0) return error;
  for (const addrinfo* a = list; a != nullptr && out->size() < kMaxAddresses; a = a->ai_next) {
    Address one;
    if (a->ai_addrlen > sizeof one.storage) continue;
    memcpy(&one.storage, a->ai_addr, a->ai_addrlen);
    one.length = a->ai_addrlen;
    out->push_back(one);
  }
  freeaddrinfo(list);
  return 0;
}

}  // namespace

IoStatus Resolve(const std::string& host, uint16_t port, MonoTime deadline, std::vector<Address>* out) {
  const std::string port_text = std::to_string(port);
  if (Ask(host, port_text, AI_NUMERICHOST, out) == 0) return {};
  if (++g_resolving > kMaxResolving) {
    --g_resolving;
    return {Io::kUnreachable, absl::StrCat("looking up ", host,
                                           ": earlier look-ups still hang; are the name servers of "
                                           "/etc/resolv.conf reachable?")};
  }
  const auto lookup = std::make_shared<Lookup>();
  lookup->host = host;
  lookup->port = port_text;
  StartThread("resolve", [lookup] {
    std::vector<Address> found;
    const int error = Ask(lookup->host, lookup->port, AI_ADDRCONFIG, &found);
    {
      const std::lock_guard<std::mutex> lock(lookup->mutex);
      lookup->error = error;
      lookup->addresses = std::move(found);
      lookup->done = true;
    }
    lookup->done_cv.notify_one();
    --g_resolving;
  }).detach();
  std::unique_lock<std::mutex> lock(lookup->mutex);
  while (!lookup->done) {
    const Duration left = deadline - BootClock().Now();
    if (left <= Duration::zero()) {
      return {Io::kTimeout, absl::StrCat("looking up ", host,
                                         ": no answer by the deadline; are the name servers reachable?")};
    }
    lookup->done_cv.wait_for(lock, std::min<Duration>(left, std::chrono::seconds(1)));
  }
  if (lookup->error != 0)
    return {Io::kUnreachable, absl::StrCat("looking up ", host, ": ", gai_strerror(lookup->error))};
  if (lookup->addresses.empty()) return {Io::kUnreachable, absl::StrCat(host, " has no address")};
  *out = std::move(lookup->addresses);
  return {};
}

}  // namespace mainstay::kube
