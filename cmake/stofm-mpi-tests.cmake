# SPDX-License-Identifier: MIT
# Tests that run under mpirun (label mpi). Without MPI there is one, which reports itself skipped.
if(NOT STOFM_HAVE_MPI)
  add_test(NAME distributed.mpi COMMAND sh -c "echo 'MPI is not here (apt-get install libopenmpi-dev openmpi-bin)'; exit 77")
  set_tests_properties(distributed.mpi PROPERTIES LABELS mpi SKIP_RETURN_CODE 77)
  return()
endif()
add_executable(test_mpi_ranks "${PROJECT_SOURCE_DIR}/tests/distributed/mpi_ranks.cpp")
set_target_properties(test_mpi_ranks PROPERTIES RUNTIME_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/tests")
target_include_directories(test_mpi_ranks PRIVATE "${PROJECT_SOURCE_DIR}")
target_link_libraries(test_mpi_ranks PRIVATE stofm_developer stofm::mpi)
# In containers mpirun runs as root and with more ranks than cores; leaks inside MPI are not ours.
set(mpi_environment OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_rmaps_base_oversubscribe=1
  PRTE_MCA_rmaps_default_mapping_policy=:oversubscribe  # the same for Open MPI 5
  OMPI_MCA_mpi_yield_when_idle=1 OMPI_MCA_btl_vader_single_copy_mechanism=none ASAN_OPTIONS=detect_leaks=0)
foreach(ranks 1 2 4)
  add_test(NAME distributed.mpi_train_${ranks}
    COMMAND ${MPIEXEC_EXECUTABLE} ${MPIEXEC_NUMPROC_FLAG} ${ranks} $<TARGET_FILE:test_mpi_ranks> train)
endforeach()
foreach(what throw kill)
  add_test(NAME distributed.mpi_${what}
    COMMAND bash "${PROJECT_SOURCE_DIR}/tests/distributed/failing_rank.sh" ${what}
      ${MPIEXEC_EXECUTABLE} ${MPIEXEC_NUMPROC_FLAG} 3 $<TARGET_FILE:test_mpi_ranks>)
endforeach()
foreach(name train_1 train_2 train_4 throw kill)
  set_tests_properties(distributed.mpi_${name} PROPERTIES LABELS mpi TIMEOUT 120 ENVIRONMENT "${mpi_environment}")
endforeach()
