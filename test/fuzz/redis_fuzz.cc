// libFuzzer target: fuzz_redis -max_len=16384 test/fuzz/corpus/redis
#include "test/fuzz/redis_fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  mainstay::engine::redis::FuzzRedis(data, size);
  return 0;
}
