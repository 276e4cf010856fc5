#include "agent/shim/sys.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/uio.h>
#include <unistd.h>

namespace mainstay::shimd {

void Complain(const char* a, const char* b, const char* c) {
  const char* parts[] = {"mainstay-shim: ", a, b, c, "\n"};
  iovec iov[5];
  for (int i = 0; i < 5; ++i) iov[i] = {const_cast<char*>(parts[i]), strlen(parts[i])};
  // One call, so that lines of several processes do not mix. Nothing can be done about a failure.
  if (writev(2, iov, 5) < 0) return;
}

void Die(const char* a, const char* b, const char* c) {
  Complain(a, b, c);
  _exit(2);
}

const char* Decimal(int64_t value, char* buffer) {
  char digits[24];
  int n = 0;
  uint64_t rest = value < 0 ? 0 - static_cast<uint64_t>(value) : static_cast<uint64_t>(value);
  do {
    digits[n++] = static_cast<char>('0' + rest % 10);
    rest /= 10;
  } while (rest != 0);
  char* at = buffer;
  if (value < 0) *at++ = '-';
  while (n > 0) *at++ = digits[--n];
  *at = 0;
  return buffer;
}

bool ParseNumber(const char* text, int64_t min, int64_t max, int64_t* out) {
  if (text[0] == 0 || strlen(text) > 18) return false;
  int64_t value = 0;
  for (const char* p = text; *p != 0; ++p) {
    if (*p < '0' || *p > '9') return false;
    value = value * 10 + (*p - '0');
  }
  if (value < min || value > max) return false;
  *out = value;
  return true;
}

int ReadSmallFile(const char* path, char* buffer, size_t size) {
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return -1;
  size_t have = 0;
  while (have < size) {
    ssize_t n = read(fd, buffer + have, size - have);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) break;
    have += static_cast<size_t>(n);
  }
  close(fd);
  if (have >= size) return -1;
  buffer[have] = 0;
  return static_cast<int>(have);
}

}  // namespace mainstay::shimd
