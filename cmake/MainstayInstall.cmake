# What `cmake --install` puts where, for programs that want the election without the agent:
#
#   find_package(mainstay REQUIRED)                 # finds absl, nlohmann_json and Threads by itself
#   target_link_libraries(me mainstay::lease)       # or mainstay::election, mainstay::base
#   #include "lib/lease/elector.h"                  # the same names as in this tree
#
# include/mainstay/lib/{base,election,lease}/*.h, lib/libmainstay_*.a, lib/cmake/mainstay/. Component "library" is just that.
# Versions: the minor number moves when an interface changes before 1.0 (SameMinorVersion).
include(CMakePackageConfigHelpers)
set(MAINSTAY_INSTALLED base election lease)
set(config_dir ${CMAKE_INSTALL_LIBDIR}/cmake/mainstay)

list(TRANSFORM MAINSTAY_INSTALLED PREPEND mainstay_ OUTPUT_VARIABLE installed_targets)
install(TARGETS ${installed_targets} EXPORT mainstay ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT library)
foreach(room ${MAINSTAY_INSTALLED})
  install(DIRECTORY ${PROJECT_SOURCE_DIR}/lib/${room}/ DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/mainstay/lib/${room}
    COMPONENT library FILES_MATCHING PATTERN "*.h" PATTERN "*_internal.h" EXCLUDE PATTERN "kube_store*" EXCLUDE)
endforeach()
install(EXPORT mainstay NAMESPACE mainstay:: FILE mainstayTargets.cmake DESTINATION ${config_dir} COMPONENT library)

configure_package_config_file(${CMAKE_CURRENT_LIST_DIR}/mainstayConfig.cmake.in ${CMAKE_BINARY_DIR}/mainstayConfig.cmake
  INSTALL_DESTINATION ${config_dir})
write_basic_package_version_file(${CMAKE_BINARY_DIR}/mainstayConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_BINARY_DIR}/mainstayConfig.cmake ${CMAKE_BINARY_DIR}/mainstayConfigVersion.cmake
  DESTINATION ${config_dir} COMPONENT library)
install(FILES ${PROJECT_SOURCE_DIR}/LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR} COMPONENT library)
