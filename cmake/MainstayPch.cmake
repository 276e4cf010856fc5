# Precompiled headers: what nearly every file includes is read once for the rooms and once for the tests. Measured on a clean
# release build with g++ 12: about a second of each file's three. Only there: the sanitized builds and the debug preset have none,
# so a file that forgets an include is found by them (and by clang-tidy, which takes the option away again).
#
#   mainstay_use_pch(mainstay_election rooms)    after the target has its sources; `tests` adds GoogleTest
#
# g++ refuses a precompiled header that was made with other options (-fPIC against -fPIE), and crashes with one of another -O level:
# a target with options of its own must not use it, and there is none where the rooms are compiled at another level than -O2.
string(TOUPPER "${CMAKE_BUILD_TYPE}" type)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND "${CMAKE_CXX_FLAGS} ${CMAKE_CXX_FLAGS_${type}}" MATCHES "-O2" AND NOT MAINSTAY_SANITIZE)
  option(MAINSTAY_PCH "Precompiled headers" ON)
else()
  option(MAINSTAY_PCH "Precompiled headers" OFF)
endif()

# ccache takes part when it is told that a precompiled header is what its .sum says; base_dir makes its path the same in each build.
if(MAINSTAY_PCH AND CMAKE_CXX_COMPILER_LAUNCHER MATCHES "ccache$")
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CMAKE_COMMAND} -E env CCACHE_SLOPPINESS=pch_defines,time_macros CCACHE_PCH_EXTSUM=1
    CCACHE_BASEDIR=${CMAKE_BINARY_DIR} ${CMAKE_CXX_COMPILER_LAUNCHER})
endif()

set(MAINSTAY_PCH_ROOMS <algorithm> <array> <atomic> <chrono> <condition_variable> <cstdint> <deque> <fstream> <functional> <map>
  <memory> <mutex> <optional> <set> <sstream> <string> <thread> <unordered_map> <utility> <variant> <vector>
  <absl/status/status.h> <absl/status/statusor.h> <absl/strings/match.h> <absl/strings/numbers.h> <absl/strings/str_cat.h>
  <absl/strings/str_format.h> <absl/strings/str_join.h> <absl/strings/str_split.h> <absl/strings/string_view.h>)
set(MAINSTAY_PCH_TESTS ${MAINSTAY_PCH_ROOMS} <gmock/gmock.h> <gtest/gtest.h>)

# g++ never writes the same precompiled header twice, so ccache judges it by the text that went into it: libraries of the system
# alone, which change with the next `apt upgrade` and not before.
function(mainstay_pch_sum kind headers)
  list(TRANSFORM headers PREPEND "#include " OUTPUT_VARIABLE lines)
  list(JOIN lines "\n" text)
  file(WRITE ${PROJECT_BINARY_DIR}/pch/${kind}.h "${text}\n")
  execute_process(COMMAND ${CMAKE_CXX_COMPILER} -std=c++20 -E -x c++ ${PROJECT_BINARY_DIR}/pch/${kind}.h
    OUTPUT_VARIABLE read ERROR_VARIABLE ignored)
  string(REPLACE "${PROJECT_BINARY_DIR}" "" read "${read}")
  string(SHA256 sum "${read}")
  file(WRITE ${PROJECT_BINARY_DIR}/CMakeFiles/mainstay_pch_${kind}.dir/cmake_pch.hxx.gch.sum "${sum}\n")
endfunction()

function(mainstay_pch_owner kind headers)
  set(source ${PROJECT_BINARY_DIR}/pch/${kind}.cc)
  file(CONFIGURE OUTPUT ${source} CONTENT "// Owns a precompiled header, has nothing itself.\n")
  add_library(mainstay_pch_${kind} OBJECT EXCLUDE_FROM_ALL ${source})
  target_compile_features(mainstay_pch_${kind} PUBLIC cxx_std_20)
  target_link_libraries(mainstay_pch_${kind} PRIVATE absl::statusor mainstay_flags)
  target_precompile_headers(mainstay_pch_${kind} PRIVATE ${headers})
  mainstay_pch_sum(${kind} "${headers}")
endfunction()

if(MAINSTAY_PCH)
  if(EXISTS /var/lib/dpkg/status)
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS /var/lib/dpkg/status)
  endif()
  mainstay_pch_owner(rooms "${MAINSTAY_PCH_ROOMS}")
  if(MAINSTAY_TESTS)
    mainstay_pch_owner(tests "${MAINSTAY_PCH_TESTS}")
    target_link_libraries(mainstay_pch_tests PRIVATE GTest::gmock)
    set_target_properties(mainstay_pch_tests PROPERTIES POSITION_INDEPENDENT_CODE OFF)
    target_compile_options(mainstay_pch_tests PRIVATE -fPIE ${MAINSTAY_TEST_OPTIMIZE})  # as an executable's files are compiled
  endif()
endif()

function(mainstay_use_pch target kind)
  if(MAINSTAY_PCH)
    target_precompile_headers(${target} REUSE_FROM mainstay_pch_${kind})
  endif()
endfunction()
