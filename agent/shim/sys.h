// The few operating system helpers that mainstay-shim needs. No allocation, no stdio (both would cost
// resident memory). Thread rules: the shim has one thread.
#ifndef MAINSTAY_AGENT_SHIM_SYS_H_
#define MAINSTAY_AGENT_SHIM_SYS_H_

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

namespace mainstay::shimd {

inline constexpr int64_t kSecond = 1000000000;
inline constexpr int64_t kMilli = 1000000;
inline constexpr int64_t kNever = INT64_MAX;

// CLOCK_BOOTTIME in ns.
inline int64_t BootNow() {
  timespec ts;
  clock_gettime(CLOCK_BOOTTIME, &ts);
  return static_cast<int64_t>(ts.tv_sec) * kSecond + ts.tv_nsec;
}

// "mainstay-shim: <a><b><c>" on stderr. Only before the loop runs, and in children: never on the kill path.
void Complain(const char* a, const char* b = "", const char* c = "");
// Complains and ends the process with status 2. Only before the loop runs.
[[noreturn]] void Die(const char* a, const char* b = "", const char* c = "");

// Decimal text of `value` in a buffer of at least 24 bytes; returns the buffer.
const char* Decimal(int64_t value, char* buffer);
// Whole text as a number in [min, max]; false otherwise.
bool ParseNumber(const char* text, int64_t min, int64_t max, int64_t* out);

// Text that grows in a fixed buffer; `ok` turns false when something did not fit (and the text is cut).
class Text {
 public:
  Text(char* buffer, size_t size) : at_(buffer), end_(buffer + size - 1) { *at_ = 0; }
  Text& Add(const char* s) { return Add(s, strlen(s)); }
  Text& Add(const char* s, size_t n) {
    if (n > static_cast<size_t>(end_ - at_)) {
      ok_ = false;
      n = static_cast<size_t>(end_ - at_);
    }
    memcpy(at_, s, n);
    at_ += n;
    *at_ = 0;
    return *this;
  }
  bool ok() const { return ok_; }

 private:
  char* at_;
  char* end_;
  bool ok_ = true;
};

// Reads a small file whole, NUL-terminated; -1 when it cannot be read or does not fit.
int ReadSmallFile(const char* path, char* buffer, size_t size);

}  // namespace mainstay::shimd

#endif  // MAINSTAY_AGENT_SHIM_SYS_H_
