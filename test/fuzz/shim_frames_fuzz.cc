// libFuzzer target for the shim's frames: clang++ -fsanitize=fuzzer,address,undefined (see
// test/fuzz/shim_frames.sh).
#include "test/fuzz/shim_frames.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  // A copy of exact size, so that reading one byte too far is seen.
  auto* copy = static_cast<uint8_t*>(malloc(size != 0 ? size : 1));
  memcpy(copy, data, size);
  mainstay::shimd::EatFrame(copy, size);
  free(copy);
  return 0;
}
