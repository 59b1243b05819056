# SPDX-License-Identifier: MIT
# stofm::cuda: the headers under kernels/ and the CUDA libraries; nothing compiled. It is always there and installed, names
# the toolkit's targets only, and needs them only where it is linked. With STOFM_CUDA: the language CUDA and stofm_kernels.
add_library(stofm_cuda INTERFACE)
add_library(stofm::cuda ALIAS stofm_cuda)
set_target_properties(stofm_cuda PROPERTIES EXPORT_NAME cuda)
file(GLOB_RECURSE STOFM_KERNEL_HEADERS CONFIGURE_DEPENDS
  "${PROJECT_SOURCE_DIR}/kernels/stofm/*.cuh" "${PROJECT_SOURCE_DIR}/kernels/stofm/*.hpp")
target_sources(stofm_cuda INTERFACE FILE_SET HEADERS BASE_DIRS "${PROJECT_SOURCE_DIR}/kernels"
  FILES ${STOFM_KERNEL_HEADERS})
target_link_libraries(stofm_cuda INTERFACE stofm CUDA::cudart CUDA::cublas CUDA::cublasLt)
set(STOFM_KERNEL_SOURCES "${PROJECT_SOURCE_DIR}/kernels/instantiate")
if(NOT STOFM_CUDA)
  return()
endif()

if(NOT CMAKE_CUDA_COMPILER AND NOT DEFINED ENV{CUDACXX})
  find_program(STOFM_NVCC nvcc HINTS "$ENV{CUDA_HOME}/bin" /usr/local/cuda/bin)
  if(NOT STOFM_NVCC)
    message(FATAL_ERROR "stofm: STOFM_CUDA is ON but there is no nvcc (toolkit 12.4 or later; see CUDACXX, CUDA_HOME)")
  endif()
  set(CMAKE_CUDA_COMPILER "${STOFM_NVCC}")
endif()
if(NOT DEFINED CMAKE_CUDA_ARCHITECTURES)
  set(CMAKE_CUDA_ARCHITECTURES 80)  # for the check of the compiler; stofm_kernels has its own
endif()
enable_language(CUDA)
find_package(CUDAToolkit 12.4 REQUIRED)
include("${CMAKE_CURRENT_LIST_DIR}/stofm-kernels.cmake")
stofm_add_kernels(stofm_kernels)
if(STOFM_DEVELOPER)
  target_compile_options(stofm_kernels PRIVATE "SHELL:-Werror all-warnings" -Xcompiler=-Wall,-Wextra)
  find_program(STOFM_CCACHE ccache)
  if(STOFM_CCACHE AND NOT CMAKE_CUDA_COMPILER_LAUNCHER)
    set_target_properties(stofm_kernels PROPERTIES CUDA_COMPILER_LAUNCHER "${STOFM_CCACHE}")
  endif()
endif()
