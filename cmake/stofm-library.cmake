# SPDX-License-Identifier: MIT
# The targets a consumer links: stofm::stofm (headers only), stofm::hdf5 (adds libhdf5 for .h5ad) and stofm::mpi (adds MPI).
find_package(Eigen3 3.4 REQUIRED NO_MODULE)
find_package(nlohmann_json 3.10 REQUIRED)
find_package(Threads REQUIRED)

add_library(stofm INTERFACE)
add_library(stofm::stofm ALIAS stofm)
file(GLOB_RECURSE STOFM_HEADERS CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/include/*.hpp" "${PROJECT_SOURCE_DIR}/include/*.inc")
target_sources(stofm INTERFACE FILE_SET HEADERS BASE_DIRS "${PROJECT_SOURCE_DIR}/include" FILES ${STOFM_HEADERS})
target_compile_features(stofm INTERFACE cxx_std_20)
target_link_libraries(stofm INTERFACE Eigen3::Eigen nlohmann_json::nlohmann_json Threads::Threads)

set(STOFM_HAVE_HDF5 OFF)
if(STOFM_HDF5)
  include("${CMAKE_CURRENT_LIST_DIR}/stofm-hdf5.cmake")
  if(NOT STOFM_HAVE_HDF5)
    message(STATUS "stofm: libhdf5 not found, .h5ad is left out (apt-get install libhdf5-dev)")
  endif()
endif()

set(STOFM_HAVE_MPI OFF)
if(STOFM_MPI)
  include("${CMAKE_CURRENT_LIST_DIR}/stofm-mpi.cmake")
  if(NOT STOFM_HAVE_MPI)
    message(STATUS "stofm: MPI not found, several processes are left out (apt-get install libopenmpi-dev openmpi-bin)")
  endif()
endif()
