// Time as Mainstay uses it: a point on CLOCK_BOOTTIME and a length in nanoseconds.
//
// BOOTTIME goes on while the machine is suspended and never steps, so a deadline kept on it cannot be
// stretched by a suspend (CLOCK_MONOTONIC stands still) or by NTP (CLOCK_REALTIME steps). Every deadline in
// Mainstay is a MonoTime; wall clock time appears only in what people read. MonoTimes of two machines must
// never be compared.
//
// Thread rules: plain values; Clock implementations are thread-safe.
#ifndef MAINSTAY_LIB_BASE_TIME_H_
#define MAINSTAY_LIB_BASE_TIME_H_

#include <chrono>
#include <compare>
#include <cstdint>

namespace mainstay {

// A length of time. Signed, nanoseconds; use std::chrono literals (2s, 250ms).
using Duration = std::chrono::nanoseconds;

// A point on this machine's CLOCK_BOOTTIME, in nanoseconds since boot.
// The default value is "the distant past"; Never() is "the distant future" (no deadline).
class MonoTime {
 public:
  constexpr MonoTime() = default;
  static constexpr MonoTime FromNanos(int64_t ns) {
    MonoTime t;
    t.ns_ = ns;
    return t;
  }
  static constexpr MonoTime Never() { return FromNanos(INT64_MAX); }
  constexpr int64_t nanos() const { return ns_; }
  constexpr bool is_never() const { return ns_ == INT64_MAX; }
  constexpr bool is_past() const { return ns_ == INT64_MIN; }

  friend constexpr auto operator<=>(MonoTime, MonoTime) = default;
  // Saturates at both ends: past + anything stays past, never + anything stays never.
  friend constexpr MonoTime operator+(MonoTime t, Duration d) {
    int64_t out = 0;
    if (t.is_never() || t.is_past()) return t;
    if (__builtin_add_overflow(t.ns_, d.count(), &out)) return d.count() > 0 ? Never() : MonoTime();
    return FromNanos(out);
  }
  friend constexpr MonoTime operator-(MonoTime t, Duration d) { return t + (-d); }
  // Saturates: the age of the distant past is the longest Duration.
  friend constexpr Duration operator-(MonoTime a, MonoTime b) {
    int64_t out = 0;
    if (__builtin_sub_overflow(a.ns_, b.ns_, &out)) return a.ns_ > b.ns_ ? Duration::max() : Duration::min();
    return Duration(out);
  }
  MonoTime& operator+=(Duration d) { return *this = *this + d; }

 private:
  int64_t ns_ = INT64_MIN;
};

// Where the time comes from; tests and simulations bring their own. Implementations are thread-safe.
class Clock {
 public:
  virtual ~Clock() = default;
  virtual MonoTime Now() const = 0;
};

// CLOCK_BOOTTIME of this machine. The returned object lives for ever.
const Clock& BootClock();

}  // namespace mainstay

#endif  // MAINSTAY_LIB_BASE_TIME_H_
