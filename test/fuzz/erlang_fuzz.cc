// libFuzzer target: fuzz_erlang -max_len=16384 test/fuzz/corpus/erlang
#include "test/fuzz/erlang_fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  mainstay::engine::rabbitmq::FuzzErlang(data, size);
  return 0;
}
