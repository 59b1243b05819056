# SPDX-License-Identifier: MIT
# stofm::compiled: the CPU kernels and the pipeline as a static library, for those who would rather link than compile them
# (include/stofm/core/compiled.hpp). With .h5ad where libhdf5 was found. A project that adds this one builds it when it links it.
file(GLOB_RECURSE STOFM_COMPILED_SOURCES CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/src/*.cpp")
if(NOT STOFM_HAVE_HDF5)
  list(FILTER STOFM_COMPILED_SOURCES EXCLUDE REGEX "/h5ad")
endif()
add_library(stofm_compiled STATIC ${STOFM_COMPILED_SOURCES})
add_library(stofm::compiled ALIAS stofm_compiled)
set_target_properties(stofm_compiled PROPERTIES EXPORT_NAME compiled POSITION_INDEPENDENT_CODE ON)
if(NOT STOFM_COMPILED)
  set_target_properties(stofm_compiled PROPERTIES EXCLUDE_FROM_ALL ON)
endif()
target_compile_definitions(stofm_compiled PUBLIC STOFM_COMPILED)
target_link_libraries(stofm_compiled PUBLIC stofm)
if(STOFM_HAVE_HDF5)
  target_compile_definitions(stofm_compiled PUBLIC STOFM_COMPILED_H5AD)
  target_link_libraries(stofm_compiled PRIVATE stofm::hdf5)
endif()
if(NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES)
  target_compile_options(stofm_compiled PRIVATE -O2)  # a project that named no build type still wants its kernels fast
endif()
