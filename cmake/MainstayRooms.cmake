# One function per kind of target, so that every room has the same warnings, sanitizers and alias.
#
#   mainstay_room(NAME election SOURCES core.cc ... DEPS mainstay::base)   -> mainstay_election, alias mainstay::election
#   mainstay_test(NAME unit_core SOURCES core_test.cc DEPS mainstay::election [LABELS unit] [TIMEOUT seconds])
#
# UNITY N (4): so many files are compiled as one in the release and asan builds, UNITY 0: each alone. Names in anonymous namespaces
# of one target must therefore differ. The tsan and debug builds and clang-tidy take each file alone: there a forgotten include shows.
#
# Labels: unit, threads (also: worth ThreadSanitizer's time, see target test_threads), scenario, sim, conformance, tidy, install, integration (real servers), long (not part of `./dev test`).
add_library(mainstay_flags INTERFACE)
target_compile_options(mainstay_flags INTERFACE -Wall -Wextra -Wshadow -Wnon-virtual-dtor -Woverloaded-virtual -Werror=switch
  -Wno-missing-field-initializers)  # designated initialisers name what differs from the defaults
if(MAINSTAY_WERROR)
  target_compile_options(mainstay_flags INTERFACE -Werror)
endif()
if(CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
  target_compile_options(mainstay_flags INTERFACE -Wthread-safety)
else()
  # g++ 12 sees these in its own std::string, std::variant and std::sort when it inlines enough of them; clang and
  # AddressSanitizer look for the same mistakes without inventing them.
  target_compile_options(mainstay_flags INTERFACE -Wno-restrict -Wno-maybe-uninitialized -Wno-array-bounds -Wno-stringop-overflow
    -Wno-stringop-overread)
endif()

# For everything, third-party bodies included.
add_compile_options(-fno-omit-frame-pointer -pthread)
if(MAINSTAY_SANITIZE)
  foreach(s ${MAINSTAY_SANITIZE})
    add_compile_options(-fsanitize=${s})
    add_link_options(-fsanitize=${s})
  endforeach()
  add_compile_options(-fno-sanitize-recover=all)
  if(MAINSTAY_FUZZ)
    add_compile_options(-fsanitize=fuzzer-no-link)  # libFuzzer sees which way an input went, in the rooms as well
  endif()
else()
  add_compile_options(-fstack-protector-strong)
  if(NOT CMAKE_BUILD_TYPE STREQUAL "Debug")
    add_compile_definitions(_FORTIFY_SOURCE=2)
    add_compile_options(-ffunction-sections -fdata-sections)  # mainstay_dep_static drops what nobody calls
    add_link_options(-Wl,-z,relro,-z,now)
  endif()
endif()

# ccache finds the same file again in another build directory or checkout only if neither shows in what is compiled.
if(NOT CMAKE_BUILD_TYPE STREQUAL "Debug")
  add_compile_options(-ffile-prefix-map=${PROJECT_SOURCE_DIR}/= -ffile-prefix-map=${CMAKE_BINARY_DIR}=build)  # the last that fits
endif()
find_program(MAINSTAY_CCACHE ccache)
mark_as_advanced(MAINSTAY_CCACHE)
if(MAINSTAY_CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  set(CMAKE_C_COMPILER_LAUNCHER ${MAINSTAY_CCACHE})
  set(CMAKE_CXX_COMPILER_LAUNCHER ${MAINSTAY_CCACHE})
endif()

# Tests are compiled more often than they run: -O0 takes a third less time than -O2, no line numbers a twentieth (the debug and
# sanitized builds have them). What they test is compiled as it is shipped.
set(MAINSTAY_TEST_OPTIMIZE)
if(NOT CMAKE_BUILD_TYPE STREQUAL "Debug" AND NOT MAINSTAY_SANITIZE)
  set(MAINSTAY_TEST_OPTIMIZE -O0 -g0 -U_FORTIFY_SOURCE)
endif()
# g++ collects its garbage from 100 MB on; a file takes 300 to 500 of them.
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  add_compile_options($<$<COMPILE_LANGUAGE:CXX>:--param=ggc-min-expand=300> $<$<COMPILE_LANGUAGE:CXX>:--param=ggc-min-heapsize=524288>)
endif()
include(MainstayPch)

function(mainstay_unity target files)
  if(files STREQUAL "")
    set(files 4)
  endif()
  if(files AND (MAINSTAY_PCH OR MAINSTAY_SANITIZE MATCHES "address"))
    set_target_properties(${target} PROPERTIES UNITY_BUILD ON UNITY_BUILD_BATCH_SIZE ${files})
    if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
      target_compile_options(${target} PRIVATE -Wno-subobject-linkage)  # takes an included .cc for a header
    endif()
  endif()
endfunction()

function(mainstay_room)
  cmake_parse_arguments(R "HEADER_ONLY" "NAME;UNITY" "SOURCES;DEPS;PRIVATE_DEPS" ${ARGN})
  if(R_HEADER_ONLY)
    add_library(mainstay_${R_NAME} INTERFACE)
    target_include_directories(mainstay_${R_NAME} INTERFACE
      $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}> $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}/mainstay>)
    target_link_libraries(mainstay_${R_NAME} INTERFACE ${R_DEPS})
  else()
    add_library(mainstay_${R_NAME} STATIC ${R_SOURCES})
    target_include_directories(mainstay_${R_NAME} PUBLIC
      $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}> $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}/mainstay>)
    target_link_libraries(mainstay_${R_NAME} PUBLIC ${R_DEPS} PRIVATE ${R_PRIVATE_DEPS} $<BUILD_INTERFACE:mainstay_flags>)
    target_compile_features(mainstay_${R_NAME} PUBLIC cxx_std_20)
    mainstay_use_pch(mainstay_${R_NAME} rooms)
    mainstay_unity(mainstay_${R_NAME} "${R_UNITY}")
  endif()
  set_target_properties(mainstay_${R_NAME} PROPERTIES EXPORT_NAME ${R_NAME})
  add_library(mainstay::${R_NAME} ALIAS mainstay_${R_NAME})
  set_property(GLOBAL APPEND PROPERTY MAINSTAY_ROOMS ${R_NAME})
endfunction()

# What ThreadSanitizer is for: ninja -C build/tsan test_threads
add_custom_target(test_threads)
# In a build of a part (MAINSTAY_AGENT=OFF, MAINSTAY_RPC=OFF) a test of a room that is not built is left out, with a word about it.
function(mainstay_test)
  cmake_parse_arguments(T "" "NAME;TIMEOUT;UNITY" "SOURCES;DEPS;LABELS" ${ARGN})
  if(NOT MAINSTAY_AGENT OR NOT MAINSTAY_RPC)
    foreach(dep ${T_DEPS})
      if(dep MATCHES "^mainstay" AND NOT TARGET ${dep})
        message(STATUS "${T_NAME}: left out (${dep} is not built)")
        return()
      endif()
    endforeach()
  endif()
  add_executable(${T_NAME} ${T_SOURCES})
  target_link_libraries(${T_NAME} PRIVATE ${T_DEPS} GTest::gmock GTest::gtest_main mainstay_flags)
  target_compile_options(${T_NAME} PRIVATE ${MAINSTAY_TEST_OPTIMIZE})
  mainstay_use_pch(${T_NAME} tests)
  mainstay_unity(${T_NAME} "${T_UNITY}")
  add_test(NAME ${T_NAME} COMMAND ${T_NAME} WORKING_DIRECTORY ${PROJECT_SOURCE_DIR})
  if(NOT T_TIMEOUT)
    set(T_TIMEOUT 120)
  endif()
  set_tests_properties(${T_NAME} PROPERTIES TIMEOUT ${T_TIMEOUT})
  if(MAINSTAY_SANITIZE AND T_LABELS MATCHES "(^|;)(sim|sim_mistakes|clusters|integration|long)(;|$)")
    set_target_properties(${T_NAME} PROPERTIES EXCLUDE_FROM_ALL ON)  # `./dev test` does not run it there: nor build it
  endif()
  if("threads" IN_LIST T_LABELS)
    add_dependencies(test_threads ${T_NAME})
  endif()
  if(T_LABELS)
    set_tests_properties(${T_NAME} PROPERTIES LABELS "${T_LABELS}")
  endif()
endfunction()
