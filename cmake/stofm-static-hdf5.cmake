# SPDX-License-Identifier: MIT
# For the Python package: stofm::hdf5 becomes the static libhdf5 with what it needs, where they are found and can be linked, so
# that the program of a wheel runs where no libhdf5 is. Sets STOFM_STATIC_HDF5 (ON or OFF); where OFF nothing changes.
find_library(STOFM_HDF5_ARCHIVE NAMES libhdf5_serial.a libhdf5.a HINTS "${HDF5_ROOT}/lib" PATH_SUFFIXES hdf5/serial)
find_library(STOFM_SZIP_ARCHIVE NAMES libsz.a)
find_library(STOFM_AEC_ARCHIVE NAMES libaec.a)
find_library(STOFM_ZLIB_ARCHIVE NAMES libz.a)
mark_as_advanced(STOFM_HDF5_ARCHIVE STOFM_SZIP_ARCHIVE STOFM_AEC_ARCHIVE STOFM_ZLIB_ARCHIVE)
set(STOFM_STATIC_HDF5 OFF)
if(STOFM_HDF5_ARCHIVE AND STOFM_SZIP_ARCHIVE AND STOFM_AEC_ARCHIVE AND STOFM_ZLIB_ARCHIVE)
  set(archives "${STOFM_HDF5_ARCHIVE}" "${STOFM_SZIP_ARCHIVE}" "${STOFM_AEC_ARCHIVE}" "${STOFM_ZLIB_ARCHIVE}")
  set(no_network "${PROJECT_SOURCE_DIR}/examples/python/no_network.cpp")
  file(WRITE "${PROJECT_BINARY_DIR}/static_hdf5.cpp"
    "#include <hdf5.h>\nint main(int n, char** file) { return n == 2 && H5Fopen(file[1], H5F_ACC_RDONLY, H5P_DEFAULT) >= 0; }\n")
  try_compile(STOFM_STATIC_HDF5_LINKS "${PROJECT_BINARY_DIR}/static_hdf5"
    SOURCES "${PROJECT_BINARY_DIR}/static_hdf5.cpp" "${no_network}"
    CMAKE_FLAGS "-DINCLUDE_DIRECTORIES=${STOFM_HDF5_INCLUDE_DIR}" LINK_LIBRARIES ${archives} ${CMAKE_DL_LIBS} m)
  if(STOFM_STATIC_HDF5_LINKS)
    set(STOFM_STATIC_HDF5 ON)
    add_library(stofm_no_network STATIC "${no_network}")
    list(INSERT archives 1 stofm_no_network)
    set_property(TARGET stofm::hdf5 PROPERTY INTERFACE_LINK_LIBRARIES stofm::stofm ${archives} ${CMAKE_DL_LIBS} m)
  endif()
endif()
