// Reproducible random numbers of the simulation: the same on every machine and compiler (std:: distributions
// are not). Thread rules: plain value.
#ifndef MAINSTAY_TEST_SIM_RNG_H_
#define MAINSTAY_TEST_SIM_RNG_H_

#include <bit>
#include <cmath>
#include <cstdint>

namespace mainstay::sim {

inline uint64_t SplitMix(uint64_t& x) {
  uint64_t z = (x += 0x9e3779b97f4a7c15u);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

class Rng {  // xoshiro256**
 public:
  explicit Rng(uint64_t seed = 1, uint64_t stream = 0) {
    uint64_t x = seed * 0x2545f4914f6cdd1du + stream * 0x9e3779b97f4a7c15u;
    for (auto& w : s_) w = SplitMix(x);
  }
  uint64_t Next() {
    const uint64_t out = std::rotl(s_[1] * 5, 7) * 9, t = s_[1] << 17;
    s_[2] ^= s_[0], s_[3] ^= s_[1], s_[1] ^= s_[2], s_[0] ^= s_[3];
    s_[2] ^= t;
    s_[3] = std::rotl(s_[3], 45);
    return out;
  }
  uint32_t Below(uint32_t n) { return n == 0 ? 0 : static_cast<uint32_t>((Next() >> 32) * n >> 32); }
  int64_t Between(int64_t lo, int64_t hi) {  // both included
    return lo >= hi ? lo : lo + static_cast<int64_t>(Next() % static_cast<uint64_t>(hi - lo + 1));
  }
  bool Chance(int64_t per_mille) { return per_mille > 0 && Below(1000) < static_cast<uint32_t>(per_mille); }
  double Unit() { return static_cast<double>(Next() >> 11) * 0x1.0p-53; }
  // A delay of about `mean`: mostly near it, with a tail up to some 10 times.
  int64_t Delay(int64_t mean) {
    const double u = Unit();
    return static_cast<int64_t>(static_cast<double>(mean) * (0.3 + 0.7 * -std::log(1.0 - u)));
  }

 private:
  uint64_t s_[4];
};

}  // namespace mainstay::sim

#endif  // MAINSTAY_TEST_SIM_RNG_H_
