// Names into addresses, with a deadline: getaddrinfo(3) has none, so it runs on a thread that may be left
// behind. At most kMaxResolving of them: when name servers hang, further look-ups fail at once.
//
// Numeric addresses (the usual case in a pod) need no thread. Thread rules: thread-safe.
#ifndef MAINSTAY_LIB_KUBE_RESOLVE_H_
#define MAINSTAY_LIB_KUBE_RESOLVE_H_

#include <sys/socket.h>

#include <string>
#include <vector>

#include "lib/base/time.h"
#include "lib/kube/tls.h"

namespace mainstay::kube {

inline constexpr int kMaxResolving = 4;
inline constexpr size_t kMaxAddresses = 8;

struct Address {
  sockaddr_storage storage{};
  socklen_t length = 0;
};

IoStatus Resolve(const std::string& host, uint16_t port, MonoTime deadline, std::vector<Address>* out);

}  // namespace mainstay::kube

#endif  // MAINSTAY_LIB_KUBE_RESOLVE_H_
