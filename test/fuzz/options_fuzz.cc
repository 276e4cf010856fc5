// libFuzzer target: fuzz_options -max_len=8192 test/fuzz/corpus/options
#include "test/fuzz/options_fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  mainstay::shimd::EatOptions(std::string(reinterpret_cast<const char*>(data), size));
  return 0;
}
