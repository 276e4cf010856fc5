// libFuzzer target: fuzz_frames -max_len=8300 test/fuzz/corpus/frames
#include "test/fuzz/frames_fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  // A copy of exact size, so that reading one byte too far is seen.
  auto* copy = static_cast<uint8_t*>(malloc(size != 0 ? size : 1));
  memcpy(copy, data, size);
  mainstay::shimd::EatFrame(copy, size);
  free(copy);
  return 0;
}
