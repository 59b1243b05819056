# SPDX-License-Identifier: MIT
# install(), find_package(stofm [COMPONENTS compiled hdf5 mpi cuda]) and pkg-config.
include(CMakePackageConfigHelpers)
set(STOFM_CMAKE_DIR "${CMAKE_INSTALL_LIBDIR}/cmake/stofm")

install(TARGETS stofm stofm_cuda EXPORT stofm-targets FILE_SET HEADERS DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}")
install(EXPORT stofm-targets NAMESPACE stofm:: DESTINATION "${STOFM_CMAKE_DIR}")
set(version_of_any_machine ARCH_INDEPENDENT)
if(STOFM_COMPILED)
  set(version_of_any_machine "")
  install(TARGETS stofm_compiled EXPORT stofm-compiled-targets ARCHIVE DESTINATION "${CMAKE_INSTALL_LIBDIR}")
  install(EXPORT stofm-compiled-targets NAMESPACE stofm:: DESTINATION "${STOFM_CMAKE_DIR}")
endif()
set(STOFM_KERNEL_INSTALL_DIR "${CMAKE_INSTALL_DATADIR}/stofm/kernels")  # the .cu files that stofm_add_kernels compiles
install(DIRECTORY "${PROJECT_SOURCE_DIR}/kernels/instantiate/" DESTINATION "${STOFM_KERNEL_INSTALL_DIR}"
  FILES_MATCHING PATTERN "*.cu")
configure_package_config_file("${PROJECT_SOURCE_DIR}/cmake/stofm-config.cmake.in"
  "${PROJECT_BINARY_DIR}/stofm-config.cmake" INSTALL_DESTINATION "${STOFM_CMAKE_DIR}"
  PATH_VARS STOFM_KERNEL_INSTALL_DIR)
write_basic_package_version_file("${PROJECT_BINARY_DIR}/stofm-config-version.cmake"
  COMPATIBILITY SameMinorVersion ${version_of_any_machine})
install(FILES "${PROJECT_BINARY_DIR}/stofm-config.cmake" "${PROJECT_BINARY_DIR}/stofm-config-version.cmake"
  "${PROJECT_SOURCE_DIR}/cmake/stofm-hdf5.cmake" "${PROJECT_SOURCE_DIR}/cmake/stofm-mpi.cmake"
  "${PROJECT_SOURCE_DIR}/cmake/stofm-kernels.cmake" "${PROJECT_SOURCE_DIR}/cmake/stofm-nccl.cmake"
  DESTINATION "${STOFM_CMAKE_DIR}")
configure_file("${PROJECT_SOURCE_DIR}/cmake/stofm.pc.in" "${PROJECT_BINARY_DIR}/stofm.pc" @ONLY)
install(FILES "${PROJECT_BINARY_DIR}/stofm.pc" DESTINATION "${CMAKE_INSTALL_DATADIR}/pkgconfig")
if(STOFM_HAVE_HDF5)
  configure_file("${PROJECT_SOURCE_DIR}/cmake/stofm-hdf5.pc.in" "${PROJECT_BINARY_DIR}/stofm-hdf5.pc" @ONLY)
  install(FILES "${PROJECT_BINARY_DIR}/stofm-hdf5.pc" DESTINATION "${CMAKE_INSTALL_DATADIR}/pkgconfig")
endif()
if(STOFM_COMPILED)
  set(STOFM_COMPILED_REQUIRES "stofm")
  set(STOFM_COMPILED_CFLAGS "-DSTOFM_COMPILED")
  if(STOFM_HAVE_HDF5)
    set(STOFM_COMPILED_REQUIRES "stofm-hdf5")
    string(APPEND STOFM_COMPILED_CFLAGS " -DSTOFM_COMPILED_H5AD")
  endif()
  configure_file("${PROJECT_SOURCE_DIR}/cmake/stofm-compiled.pc.in" "${PROJECT_BINARY_DIR}/stofm-compiled.pc" @ONLY)
  install(FILES "${PROJECT_BINARY_DIR}/stofm-compiled.pc" DESTINATION "${CMAKE_INSTALL_DATADIR}/pkgconfig")
endif()
if(TARGET stofm_program)
  install(TARGETS stofm_program RUNTIME DESTINATION "${CMAKE_INSTALL_BINDIR}")
  install(FILES "${PROJECT_BINARY_DIR}/share/stofm/demo.safetensors" DESTINATION "${CMAKE_INSTALL_DATADIR}/stofm")
endif()
