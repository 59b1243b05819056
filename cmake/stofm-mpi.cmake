# SPDX-License-Identifier: MIT
# Finds MPI's C interface through the C++ language alone and makes stofm::mpi (for stofm/distributed/mpi_communicator.hpp).
# Sets STOFM_HAVE_MPI. Hints: those of FindMPI (MPI_HOME, MPIEXEC_EXECUTABLE).
set(MPI_CXX_SKIP_MPICXX ON)
find_package(MPI QUIET COMPONENTS CXX)
set(STOFM_HAVE_MPI OFF)
if(MPI_CXX_FOUND)
  set(STOFM_HAVE_MPI ON)
  if(NOT TARGET stofm::mpi)
    add_library(stofm::mpi INTERFACE IMPORTED GLOBAL)
    target_link_libraries(stofm::mpi INTERFACE stofm::stofm MPI::MPI_CXX)
  endif()
endif()
