// libFuzzer target: fuzz_rabbitmq -max_len=4096 test/fuzz/corpus/rabbitmq
#include "test/fuzz/rabbitmq_fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  mainstay::engine::rabbitmq::FuzzRabbitmq(data, size);
  return 0;
}
