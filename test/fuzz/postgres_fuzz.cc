// libFuzzer target: fuzz_postgres -max_len=4096 test/fuzz/corpus/postgres
#include "test/fuzz/postgres_fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  mainstay::engine::postgres::FuzzPostgres(data, size);
  return 0;
}
