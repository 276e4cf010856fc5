// What a member lost since its agent started: the newest losses and the sum of all.
//
//   book.Add(loss);          // numbers it
//   book.Fill(&details);
//
// Thread rules: any thread.
#ifndef MAINSTAY_LIB_ENGINE_PARTS_LOSS_BOOK_H_
#define MAINSTAY_LIB_ENGINE_PARTS_LOSS_BOOK_H_

#include <cstdint>
#include <mutex>
#include <vector>

#include "lib/engine/engine.h"

namespace mainstay::engine {

class LossBook {
 public:
  static constexpr size_t kKept = 8;

  void Add(Loss loss);
  void Fill(Details* out) const;

 private:
  mutable std::mutex mutex_;
  std::vector<Loss> newest_;
  uint64_t count_ = 0;
  uint64_t bytes_ = 0;
};

}  // namespace mainstay::engine

#endif  // MAINSTAY_LIB_ENGINE_PARTS_LOSS_BOOK_H_
