# SPDX-License-Identifier: MIT
# stofm_add_kernels(<target> [NCCL]): the CUDA kernels as a static library, compiled here with this project's nvcc; with NCCL
# also backend::NcclSums, which needs the target stofm::nccl (stofm-nccl.cmake, STOFM_HAVE_NCCL).
# Used by the developer build and, after find_package(stofm COMPONENTS cuda), by consumers. The project enables CUDA itself:
# enable_language does not work inside a function.
# STOFM_CUDA_ARCHITECTURES: what is compiled for; default sm_80 (with PTX for later devices) and sm_90a.
set(STOFM_CUDA_ARCHITECTURES "80;90a-real" CACHE STRING "Architectures of the stofm kernels")
function(stofm_add_kernels target)
  get_property(languages GLOBAL PROPERTY ENABLED_LANGUAGES)
  if(NOT "CUDA" IN_LIST languages)
    message(FATAL_ERROR "stofm_add_kernels: enable CUDA first, e.g. project(... LANGUAGES CXX CUDA)")
  endif()
  file(GLOB sources CONFIGURE_DEPENDS "${STOFM_KERNEL_SOURCES}/*.cu")
  if(NOT sources)
    message(FATAL_ERROR "stofm_add_kernels: no .cu file in '${STOFM_KERNEL_SOURCES}'")
  endif()
  add_library(${target} STATIC ${sources})
  target_link_libraries(${target} PUBLIC stofm::cuda)
  if("NCCL" IN_LIST ARGN)
    target_sources(${target} PRIVATE "${STOFM_KERNEL_SOURCES}/nccl/nccl_sums.cu")
    target_link_libraries(${target} PUBLIC stofm::nccl)
  endif()
  # CMake 3.25 does not know cuda_std_20 for nvcc, so the standard is an option, and a private one.
  target_compile_options(${target} PRIVATE -std=c++20)
  set_target_properties(${target} PROPERTIES CUDA_ARCHITECTURES "${STOFM_CUDA_ARCHITECTURES}"
    CUDA_RUNTIME_LIBRARY Shared CUDA_VISIBILITY_PRESET hidden POSITION_INDEPENDENT_CODE ON)
endfunction()
