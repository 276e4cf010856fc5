// Runs the tests, or, started by one of them with --elector, is a program that elects
// (elector_processes_test.cc).
#include <gtest/gtest.h>

#include <cstring>

namespace mainstay::lease {
int ElectorMain(int argc, char** argv);
}

int main(int argc, char** argv) {
  if (argc > 1 && std::strcmp(argv[1], "--elector") == 0) return mainstay::lease::ElectorMain(argc, argv);
  ::testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
