# Third-party libraries, all from Debian's packages (`./dev setup` installs them). The only file that knows how each is linked.
#
#   mainstay_dep_grpc              gRPC C++ with TLS, protobuf, the cap on gRPC's threads
#   mainstay_dep_grpc_reflection   the same with the reflection service
#   mainstay_dep_protobuf          messages only
#   mainstay_dep_pq                libpq
#   mainstay_dep_hiredis           hiredis
#   mainstay_dep_ei                libei, Erlang's interface for C
#   mainstay_dep_amqp              rabbitmq-c
#   mainstay_dep_boost             Asio and Beast, header use; their bodies are compiled once
#   mainstay_dep_openssl  mainstay_dep_yaml  mainstay_dep_cli11  mainstay_dep_zlib
#   mainstay_dep_static            link option for programs: no shared libstdc++, nothing unused
#
# MAINSTAY_STATIC (ON in release, OFF in debug and under sanitizers) takes each library's archive where Debian ships one:
# "static but glibc". Measured on a hello-world server: 15.0 MB of RSS and 25 ms to start with shared libraries, 9.3 MB and
# 2.5 ms with archives. The targets keep their names (absl::strings, gRPC::grpc++): only the file behind each changes.
if(CMAKE_BUILD_TYPE STREQUAL "Debug" OR MAINSTAY_SANITIZE)
  option(MAINSTAY_STATIC "Link third-party archives instead of shared libraries" OFF)
else()
  option(MAINSTAY_STATIC "Link third-party archives instead of shared libraries" ON)
endif()

set(THREADS_PREFER_PTHREAD_FLAG OFF)
find_package(Threads REQUIRED)
find_package(absl REQUIRED)
find_package(nlohmann_json REQUIRED)
if(MAINSTAY_TESTS)
  find_package(GTest REQUIRED)
endif()
if(MAINSTAY_AGENT)
  if(MAINSTAY_RPC)
    find_package(gRPC REQUIRED)  # brings Protobuf, OpenSSL, ZLIB, c-ares, re2
    find_package(PostgreSQL REQUIRED)
  endif()
  find_package(Protobuf REQUIRED)
  find_package(OpenSSL REQUIRED)
  find_package(ZLIB REQUIRED)
  find_package(Boost 1.74 REQUIRED)
  find_package(yaml-cpp REQUIRED)
  find_package(CLI11 REQUIRED)
  if(MAINSTAY_TESTS AND MAINSTAY_RPC)
    find_package(benchmark REQUIRED)
  endif()
endif()

# ---- the archive behind an imported target ----------------------------------------------------------------------------

# Points `target` at libNAME.a beside its libNAME.so.*, if there is one; otherwise leaves it alone.
function(mainstay_use_archive target)
  get_target_property(type ${target} TYPE)
  if(type STREQUAL "INTERFACE_LIBRARY")
    return()
  endif()
  foreach(property IMPORTED_LOCATION IMPORTED_LOCATION_NONE IMPORTED_LOCATION_RELEASE)
    get_target_property(file ${target} ${property})
    if(file MATCHES "^(.*)\\.so[.0-9]*$")
      set(archive "${CMAKE_MATCH_1}.a")
      if(EXISTS "${archive}")
        set_target_properties(${target} PROPERTIES ${property} "${archive}")
      endif()
    endif()
  endforeach()
endfunction()

# Sets MAINSTAY_STATIC_PQ when a program with libpq.a and our stubs really links.
function(mainstay_find_static_pq)
  find_library(MAINSTAY_PQ_ARCHIVE libpq.a)
  file(GLOB server_dirs /usr/lib/postgresql/*/lib)
  list(SORT server_dirs COMPARE NATURAL ORDER DESCENDING)
  find_library(MAINSTAY_PGCOMMON_ARCHIVE libpgcommon_shlib.a PATHS ${server_dirs})
  find_library(MAINSTAY_PGPORT_ARCHIVE libpgport_shlib.a PATHS ${server_dirs})
  mark_as_advanced(MAINSTAY_PQ_ARCHIVE MAINSTAY_PGCOMMON_ARCHIVE MAINSTAY_PGPORT_ARCHIVE)
  if(NOT (MAINSTAY_PQ_ARCHIVE AND MAINSTAY_PGCOMMON_ARCHIVE AND MAINSTAY_PGPORT_ARCHIVE))
    message(STATUS "libpq: shared (no libpq.a with postgresql-server-dev's archives)")
    return()
  endif()
  if(NOT DEFINED MAINSTAY_STATIC_PQ)
    file(WRITE ${CMAKE_BINARY_DIR}/pq_probe.c
      "#include <libpq-fe.h>\nint main(void) { return PQstatus(PQconnectdb(\"dbname=x\")) == CONNECTION_OK; }\n")
    try_compile(MAINSTAY_STATIC_PQ ${CMAKE_BINARY_DIR}/pq_probe
      SOURCES ${CMAKE_BINARY_DIR}/pq_probe.c ${CMAKE_CURRENT_FUNCTION_LIST_DIR}/deps/pq_stubs.c
      CMAKE_FLAGS "-DINCLUDE_DIRECTORIES=${PostgreSQL_INCLUDE_DIRS}"
      LINK_LIBRARIES ${MAINSTAY_PQ_ARCHIVE} ${MAINSTAY_PGCOMMON_ARCHIVE} ${MAINSTAY_PGPORT_ARCHIVE} OpenSSL::SSL OpenSSL::Crypto Threads::Threads
      OUTPUT_VARIABLE why)
    if(MAINSTAY_STATIC_PQ)
      message(STATUS "libpq: archive")
    else()
      message(STATUS "libpq: shared (libpq.a does not link: ${why})")
    endif()
  endif()
endfunction()

if(MAINSTAY_STATIC)
  get_property(imported DIRECTORY PROPERTY IMPORTED_TARGETS)
  foreach(target ${imported})
    if(target MATCHES "^(absl|gRPC|protobuf|re2|c-ares|ZLIB|OpenSSL)::" OR target STREQUAL "yaml-cpp")
      mainstay_use_archive(${target})
    endif()
  endforeach()
  if(TARGET re2::re2)  # found through pkg-config: a bare -lre2
    find_library(MAINSTAY_RE2_ARCHIVE libre2.a)
    mark_as_advanced(MAINSTAY_RE2_ARCHIVE)
    if(MAINSTAY_RE2_ARCHIVE)
      set_target_properties(re2::re2 PROPERTIES INTERFACE_LINK_LIBRARIES "${MAINSTAY_RE2_ARCHIVE};Threads::Threads")
    endif()
  endif()
endif()

# ---- linker -----------------------------------------------------------------------------------------------------------

find_program(MAINSTAY_MOLD mold)
mark_as_advanced(MAINSTAY_MOLD)
if(MAINSTAY_MOLD)
  add_link_options(-fuse-ld=mold)  # the agent in 0.3 s instead of 2
endif()

add_library(mainstay_dep_static INTERFACE)
if(MAINSTAY_STATIC)
  target_link_options(mainstay_dep_static INTERFACE -static-libstdc++ -static-libgcc -Wl,--gc-sections)
endif()

# ---- the libraries ----------------------------------------------------------------------------------------------------

if(MAINSTAY_AGENT AND MAINSTAY_RPC)
  # gRPC sizes its thread pools by the CPUs of the *node*: 53 threads on a 64-core machine, whatever the container's limit.
  # With archives the functions that count them can be replaced: lib/rpc/cpu_cap.cc.
  # -u pulls that object file in, whatever the order of archives.
  add_library(mainstay_dep_grpc INTERFACE)
  target_link_libraries(mainstay_dep_grpc INTERFACE gRPC::grpc++ mainstay_dep_protobuf)
  if(MAINSTAY_STATIC)
    # The CPU that a thread runs on with it: it is an index into what is as long as the count.
    target_link_options(mainstay_dep_grpc INTERFACE -Wl,--wrap=gpr_cpu_num_cores -Wl,-u,__wrap_gpr_cpu_num_cores
      -Wl,--wrap=gpr_cpu_current_cpu)
    # Waiting for the next event without waking up in between: lib/rpc/next_event.cc.
    set(next grpc_completion_queue_next)
    target_link_options(mainstay_dep_grpc INTERFACE -Wl,--wrap=${next} -Wl,-u,__wrap_${next})
    # The list of gRPC's parts that are registered, so linked: lib/rpc/grpc_parts.cc instead of all there are.
    set(parts _ZN9grpc_core22BuildCoreConfigurationEPNS_17CoreConfiguration7BuilderE)
    target_link_options(mainstay_dep_grpc INTERFACE -Wl,--wrap=${parts} -Wl,-u,__wrap_${parts})
  endif()
  # The reflection service registers itself from a static constructor, which an archive drops unless it is named.
  add_library(mainstay_dep_grpc_reflection INTERFACE)
  target_link_libraries(mainstay_dep_grpc_reflection INTERFACE gRPC::grpc++_reflection mainstay_dep_grpc)

  # libpq.a needs two archives that come with the server's development package, and GSSAPI and LDAP, which have none: they are
  # answered by cmake/deps/pq_stubs.c. Measured on an agent's set of libraries: 20.0 MB of RSS with libpq.so, 14.8 MB with this.
  # Where the archives are missing or of another kind, libpq stays shared; it then brings its own OpenSSL, and ours is hidden in the
  # program (--exclude-libs), or libpq would bind to half of it.
  add_library(mainstay_dep_pq INTERFACE)
  if(MAINSTAY_STATIC)
    mainstay_find_static_pq()
  endif()
  if(MAINSTAY_STATIC AND MAINSTAY_STATIC_PQ)
    add_library(mainstay_pq_stubs STATIC ${CMAKE_CURRENT_LIST_DIR}/deps/pq_stubs.c)
    target_include_directories(mainstay_dep_pq SYSTEM INTERFACE ${PostgreSQL_INCLUDE_DIRS})
    target_link_libraries(mainstay_dep_pq INTERFACE
      ${MAINSTAY_PQ_ARCHIVE} ${MAINSTAY_PGCOMMON_ARCHIVE} ${MAINSTAY_PGPORT_ARCHIVE} mainstay_pq_stubs mainstay_dep_openssl)
  else()
    target_link_libraries(mainstay_dep_pq INTERFACE PostgreSQL::PostgreSQL)
    if(MAINSTAY_STATIC)
      target_link_options(mainstay_dep_pq INTERFACE -Wl,--exclude-libs,ALL)
    endif()
  endif()
endif()

if(MAINSTAY_AGENT)
  # hiredis as Debian 12 has it (0.14, no TLS): used over the server's unix socket only.
  find_path(MAINSTAY_HIREDIS_INCLUDE hiredis/hiredis.h REQUIRED)
  if(MAINSTAY_STATIC)
    find_library(MAINSTAY_HIREDIS_LIBRARY NAMES libhiredis.a hiredis REQUIRED)
  else()
    find_library(MAINSTAY_HIREDIS_LIBRARY NAMES hiredis REQUIRED)
  endif()
  mark_as_advanced(MAINSTAY_HIREDIS_INCLUDE MAINSTAY_HIREDIS_LIBRARY)
  add_library(mainstay_dep_hiredis INTERFACE)
  target_include_directories(mainstay_dep_hiredis SYSTEM INTERFACE ${MAINSTAY_HIREDIS_INCLUDE})
  target_link_libraries(mainstay_dep_hiredis INTERFACE ${MAINSTAY_HIREDIS_LIBRARY})

  # libei: the handshake of Erlang's distribution. Debian ships the archive alone; libei.a is the one for threads.
  find_path(MAINSTAY_EI_INCLUDE ei.h REQUIRED)
  find_library(MAINSTAY_EI_LIBRARY NAMES libei.a REQUIRED)
  mark_as_advanced(MAINSTAY_EI_INCLUDE MAINSTAY_EI_LIBRARY)
  add_library(mainstay_dep_ei INTERFACE)
  target_include_directories(mainstay_dep_ei SYSTEM INTERFACE ${MAINSTAY_EI_INCLUDE})
  target_link_libraries(mainstay_dep_ei INTERFACE ${MAINSTAY_EI_LIBRARY} Threads::Threads)

  add_library(mainstay_dep_protobuf INTERFACE)
  target_link_libraries(mainstay_dep_protobuf INTERFACE protobuf::libprotobuf)

  add_library(mainstay_dep_openssl INTERFACE)
  target_link_libraries(mainstay_dep_openssl INTERFACE OpenSSL::SSL OpenSSL::Crypto)

  add_library(mainstay_dep_zlib INTERFACE)
  target_link_libraries(mainstay_dep_zlib INTERFACE ZLIB::ZLIB)

  # rabbitmq-c as Debian 12 has it (0.11, with its security updates): the archive finds our OpenSSL.
  find_path(MAINSTAY_AMQP_INCLUDE amqp.h REQUIRED)
  if(MAINSTAY_STATIC)
    find_library(MAINSTAY_AMQP_LIBRARY NAMES librabbitmq.a rabbitmq REQUIRED)
  else()
    find_library(MAINSTAY_AMQP_LIBRARY NAMES rabbitmq REQUIRED)
  endif()
  mark_as_advanced(MAINSTAY_AMQP_INCLUDE MAINSTAY_AMQP_LIBRARY)
  add_library(mainstay_dep_amqp INTERFACE)
  target_include_directories(mainstay_dep_amqp SYSTEM INTERFACE ${MAINSTAY_AMQP_INCLUDE})
  target_link_libraries(mainstay_dep_amqp INTERFACE ${MAINSTAY_AMQP_LIBRARY} mainstay_dep_openssl)

  add_library(mainstay_dep_yaml INTERFACE)
  target_link_libraries(mainstay_dep_yaml INTERFACE yaml-cpp)

  add_library(mainstay_dep_cli11 INTERFACE)
  target_link_libraries(mainstay_dep_cli11 INTERFACE CLI11::CLI11)

  # Asio and Beast with their bodies compiled once (cmake/deps/boost.cc) and not in every file that includes them.
  # No coroutines: g++ 12 miscompiles capturing lambdas in co_await expressions.
  add_library(mainstay_dep_boost STATIC ${CMAKE_CURRENT_LIST_DIR}/deps/boost.cc)
  target_compile_definitions(mainstay_dep_boost PUBLIC
    BOOST_ASIO_SEPARATE_COMPILATION BOOST_BEAST_SEPARATE_COMPILATION
    BOOST_ASIO_NO_DEPRECATED BOOST_ASIO_DISABLE_CO_AWAIT BOOST_ERROR_CODE_HEADER_ONLY BOOST_SYSTEM_NO_DEPRECATED
    # Beast 1.81 asserts that a last chunk comes in pieces of 5 bytes or more: bytes from outside would end a debug
    # build (found by fuzz_kube_http; without the assertion it does what is right, as in a release build).
    $<$<CONFIG:Debug>:BOOST_DISABLE_ASSERTS>)
  target_link_libraries(mainstay_dep_boost PUBLIC Boost::headers Threads::Threads mainstay_dep_openssl)
endif()

# ---- protobuf ---------------------------------------------------------------------------------------------------------

# mainstay_proto(NAME proto PROTOS mainstay/v1/types.proto ...)   called in the directory that is the root of the imports
#   -> mainstay_proto (mainstay::proto): messages; include "mainstay/v1/types.pb.h"
#   -> mainstay_proto_grpc (mainstay::proto_grpc): the services of those files that have some; 7 s of compiling each, so
#      include a .grpc.pb.h in lib/rpc and agent/ctl only.
function(mainstay_proto)
  cmake_parse_arguments(P "" "NAME" "PROTOS" ${ARGN})
  set(out ${CMAKE_CURRENT_BINARY_DIR})
  list(TRANSFORM P_PROTOS PREPEND "${CMAKE_CURRENT_SOURCE_DIR}/" OUTPUT_VARIABLE all)
  set(messages)
  set(services)
  foreach(proto ${P_PROTOS})
    string(REGEX REPLACE "\\.proto$" "" base ${proto})
    set(products ${out}/${base}.pb.cc ${out}/${base}.pb.h)
    set(arguments --cpp_out=${out})
    list(APPEND messages ${products})
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${proto})
    file(STRINGS ${CMAKE_CURRENT_SOURCE_DIR}/${proto} has_service REGEX "^service ")
    if(has_service AND MAINSTAY_RPC)
      list(APPEND arguments --grpc_out=${out} --plugin=protoc-gen-grpc=$<TARGET_FILE:gRPC::grpc_cpp_plugin>)
      list(APPEND products ${out}/${base}.grpc.pb.cc ${out}/${base}.grpc.pb.h)
      list(APPEND services ${out}/${base}.grpc.pb.cc ${out}/${base}.grpc.pb.h)
    endif()
    add_custom_command(OUTPUT ${products}
      COMMAND protobuf::protoc -I ${CMAKE_CURRENT_SOURCE_DIR} ${arguments} ${proto}
      DEPENDS ${all} COMMENT "protoc ${proto}" VERBATIM)
  endforeach()
  # Generated code is not ours: no warnings for it, none from its headers.
  add_library(mainstay_${P_NAME} STATIC ${messages})
  target_include_directories(mainstay_${P_NAME} SYSTEM PUBLIC ${out})
  target_link_libraries(mainstay_${P_NAME} PUBLIC mainstay_dep_protobuf)
  add_library(mainstay::${P_NAME} ALIAS mainstay_${P_NAME})
  if(services)
    add_library(mainstay_${P_NAME}_grpc STATIC ${services})
    target_link_libraries(mainstay_${P_NAME}_grpc PUBLIC mainstay_${P_NAME} mainstay_dep_grpc)
    add_library(mainstay::${P_NAME}_grpc ALIAS mainstay_${P_NAME}_grpc)
  endif()
  # Much code, called a few times a second: a third less time to compile.
  foreach(library mainstay_${P_NAME} mainstay_${P_NAME}_grpc)
    if(TARGET ${library})
      target_compile_options(${library} PRIVATE $<$<CONFIG:RelWithDebInfo>:-O1>)
    endif()
  endforeach()
endfunction()
