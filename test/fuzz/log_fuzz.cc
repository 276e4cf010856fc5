// libFuzzer target: fuzz_log -max_len=8192 test/fuzz/corpus/log
#include "test/fuzz/log_fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  mainstay::audit::FuzzLog(data, size);
  return 0;
}
