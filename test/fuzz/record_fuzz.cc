// libFuzzer target: fuzz_record -max_len=8192 test/fuzz/corpus/record
#include "test/fuzz/record_fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  mainstay::election::FuzzRecord(data, size);
  return 0;
}
