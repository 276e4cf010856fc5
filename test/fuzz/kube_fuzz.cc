// libFuzzer targets, one for each FUZZ_WHAT: FuzzKubeHttp, FuzzKubeWatch, FuzzKubeConfig, FuzzKubeObject.
#include "test/fuzz/kube_fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  mainstay::FUZZ_WHAT(std::string(reinterpret_cast<const char*>(data), size));
  return 0;
}
