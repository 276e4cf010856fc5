// Runs the tests, or, started by one of them with --store-writer, is a writer process.
#include <gtest/gtest.h>

#include <cstring>

#include "test/conformance/store_env.h"

int main(int argc, char** argv) {
  if (argc > 1 && std::strcmp(argv[1], "--store-writer") == 0) return mainstay::lease::WriterMain(argc, argv);
  ::testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
