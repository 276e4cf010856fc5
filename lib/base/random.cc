#include "lib/base/random.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "lib/base/strings.h"
#include "lib/base/wall_clock.h"

namespace mainstay {

std::string RandomBytes(size_t n) {
  std::string out(n, '\0');
  size_t have = 0;
  while (have < n) {
    const ssize_t got = getrandom(out.data() + have, n - have, 0);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) {
      fprintf(stderr, "mainstay: getrandom failed: %s; ending, since identities would not be unique\n",
              strerror(errno));
      abort();
    }
    have += static_cast<size_t>(got);
  }
  return out;
}

std::string RandomHex(size_t n_bytes) {
  const std::string bytes = RandomBytes(n_bytes);
  return Hex(bytes);
}

uint64_t RandomUint64() {
  const std::string bytes = RandomBytes(sizeof(uint64_t));
  uint64_t out = 0;
  memcpy(&out, bytes.data(), sizeof out);
  return out;
}

std::string UuidV7() {
  std::string b = RandomBytes(16);
  uint64_t ms = static_cast<uint64_t>(UnixMillis());
  for (int i = 5; i >= 0; --i, ms >>= 8) b[i] = static_cast<char>(ms & 0xff);
  b[6] = static_cast<char>((b[6] & 0x0f) | 0x70);
  b[8] = static_cast<char>((b[8] & 0x3f) | 0x80);
  std::string hex = Hex(b);
  for (size_t at : {8, 13, 18, 23}) hex.insert(at, 1, '-');
  return hex;
}

}  // namespace mainstay
