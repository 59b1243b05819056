# SPDX-License-Identifier: MIT
# Finds libhdf5's C library without needing the C language (FindHDF5 does) and makes stofm::hdf5.
# Sets STOFM_HAVE_HDF5. Hints: HDF5_ROOT.
find_path(STOFM_HDF5_INCLUDE_DIR hdf5.h HINTS "${HDF5_ROOT}/include" PATH_SUFFIXES hdf5/serial)
find_library(STOFM_HDF5_LIBRARY NAMES hdf5_serial hdf5 HINTS "${HDF5_ROOT}/lib" PATH_SUFFIXES hdf5/serial)
# zlib comes with libhdf5: chunks are inflated by our own bounded decoder.
find_library(STOFM_ZLIB_LIBRARY NAMES z HINTS "${HDF5_ROOT}/lib")
mark_as_advanced(STOFM_HDF5_INCLUDE_DIR STOFM_HDF5_LIBRARY STOFM_ZLIB_LIBRARY)
set(STOFM_HAVE_HDF5 OFF)
if(STOFM_HDF5_INCLUDE_DIR AND STOFM_HDF5_LIBRARY AND STOFM_ZLIB_LIBRARY)
  set(STOFM_HAVE_HDF5 ON)
  if(NOT TARGET stofm::hdf5)
    add_library(stofm::hdf5 INTERFACE IMPORTED GLOBAL)
    target_include_directories(stofm::hdf5 INTERFACE "${STOFM_HDF5_INCLUDE_DIR}")
    target_link_libraries(stofm::hdf5 INTERFACE stofm::stofm "${STOFM_HDF5_LIBRARY}" "${STOFM_ZLIB_LIBRARY}")
  endif()
endif()
