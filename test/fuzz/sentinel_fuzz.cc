// libFuzzer target: fuzz_sentinel -max_len=4096 test/fuzz/corpus/sentinel
#include "test/fuzz/sentinel_fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  mainstay::sentinel::FuzzSentinel(data, size);
  return 0;
}
