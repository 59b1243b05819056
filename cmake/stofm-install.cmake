# SPDX-License-Identifier: MIT
# install(), find_package(stofm [COMPONENTS hdf5 mpi]) and pkg-config.
include(CMakePackageConfigHelpers)
set(STOFM_CMAKE_DIR "${CMAKE_INSTALL_LIBDIR}/cmake/stofm")

install(TARGETS stofm EXPORT stofm-targets FILE_SET HEADERS DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}")
install(EXPORT stofm-targets NAMESPACE stofm:: DESTINATION "${STOFM_CMAKE_DIR}")
configure_package_config_file("${PROJECT_SOURCE_DIR}/cmake/stofm-config.cmake.in"
  "${PROJECT_BINARY_DIR}/stofm-config.cmake" INSTALL_DESTINATION "${STOFM_CMAKE_DIR}")
write_basic_package_version_file("${PROJECT_BINARY_DIR}/stofm-config-version.cmake"
  COMPATIBILITY SameMinorVersion ARCH_INDEPENDENT)
install(FILES "${PROJECT_BINARY_DIR}/stofm-config.cmake" "${PROJECT_BINARY_DIR}/stofm-config-version.cmake"
  "${PROJECT_SOURCE_DIR}/cmake/stofm-hdf5.cmake" "${PROJECT_SOURCE_DIR}/cmake/stofm-mpi.cmake"
  DESTINATION "${STOFM_CMAKE_DIR}")
configure_file("${PROJECT_SOURCE_DIR}/cmake/stofm.pc.in" "${PROJECT_BINARY_DIR}/stofm.pc" @ONLY)
install(FILES "${PROJECT_BINARY_DIR}/stofm.pc" DESTINATION "${CMAKE_INSTALL_DATADIR}/pkgconfig")
if(TARGET stofm_program)
  install(TARGETS stofm_program RUNTIME DESTINATION "${CMAKE_INSTALL_BINDIR}")
  install(FILES "${PROJECT_BINARY_DIR}/share/stofm/demo.safetensors" DESTINATION "${CMAKE_INSTALL_DATADIR}/stofm")
endif()
