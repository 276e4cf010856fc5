// libFuzzer target: fuzz_store -max_len=8192 test/fuzz/corpus/store
#include "test/fuzz/store_fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static mainstay::lease::StoreFuzz fuzz;
  fuzz.Eat(std::string(reinterpret_cast<const char*>(data), size));
  return 0;
}
