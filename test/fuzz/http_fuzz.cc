// libFuzzer targets, one for each FUZZ_WHAT: FuzzHttp, FuzzPatroni.
#include "test/fuzz/http_fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  mainstay::FUZZ_WHAT(std::string(reinterpret_cast<const char*>(data), size));
  return 0;
}
