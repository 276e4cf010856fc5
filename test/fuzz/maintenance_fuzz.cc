// libFuzzer target: fuzz_maintenance -max_len=16384 test/fuzz/corpus/maintenance
#include "test/fuzz/maintenance_fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  mainstay::maintenance::FuzzMaintenance(data, size);
  return 0;
}
