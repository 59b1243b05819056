# SPDX-License-Identifier: MIT
# Tests of the structure: layers, headers alone, consumer projects.
find_program(STOFM_PYTHON3 NAMES python3)
if(STOFM_PYTHON3)
  add_test(NAME structure.layers
    COMMAND ${STOFM_PYTHON3} "${PROJECT_SOURCE_DIR}/cmake/check_layers.py" "${PROJECT_SOURCE_DIR}/include")
  add_test(NAME structure.option_names
    COMMAND ${STOFM_PYTHON3} "${PROJECT_SOURCE_DIR}/cmake/check_option_names.py" "${PROJECT_SOURCE_DIR}")
  add_test(NAME structure.contract_labels
    COMMAND ${STOFM_PYTHON3} "${PROJECT_SOURCE_DIR}/cmake/check_contract_labels.py" "${PROJECT_SOURCE_DIR}/include"
      "${PROJECT_SOURCE_DIR}/kernels")
  add_test(NAME structure.thrown_codes
    COMMAND ${STOFM_PYTHON3} "${PROJECT_SOURCE_DIR}/cmake/check_thrown_codes.py" "${PROJECT_SOURCE_DIR}/include"
      "${PROJECT_SOURCE_DIR}/kernels")
  add_test(NAME docs.readme
    COMMAND ${STOFM_PYTHON3} "${PROJECT_SOURCE_DIR}/tests/docs/readme_test.py" "${PROJECT_SOURCE_DIR}")
  add_test(NAME docs.api_pages COMMAND bash "${PROJECT_SOURCE_DIR}/tests/docs/api_pages.sh" "${PROJECT_SOURCE_DIR}")
  set_tests_properties(docs.api_pages PROPERTIES SKIP_RETURN_CODE 77)
  add_test(NAME docs.model_card
    COMMAND ${STOFM_PYTHON3} "${PROJECT_SOURCE_DIR}/tests/docs/model_card_test.py" "${PROJECT_SOURCE_DIR}")
  add_test(NAME structure.reliability_rows
    COMMAND ${STOFM_PYTHON3} "${PROJECT_SOURCE_DIR}/tests/reliability_rows.py" "${PROJECT_SOURCE_DIR}/tests")
  set(header_flags "")
  if(STOFM_HAVE_HDF5)
    list(APPEND header_flags "-isystem${STOFM_HDF5_INCLUDE_DIR}")
  endif()
  if(STOFM_HAVE_MPI)
    foreach(directory IN LISTS MPI_CXX_INCLUDE_DIRS)
      list(APPEND header_flags "-isystem${directory}")
    endforeach()
  endif()
  get_target_property(eigen_include Eigen3::Eigen INTERFACE_INCLUDE_DIRECTORIES)
  foreach(directory IN LISTS eigen_include)
    list(APPEND header_flags "-isystem${directory}")
  endforeach()
  add_test(NAME structure.headers_alone
    COMMAND ${STOFM_PYTHON3} "${PROJECT_SOURCE_DIR}/tests/packaging/check_headers.py" ${CMAKE_CXX_COMPILER}
      "${PROJECT_SOURCE_DIR}/include" -- ${header_flags})
  add_test(NAME structure.compilers
    COMMAND ${STOFM_PYTHON3} "${PROJECT_SOURCE_DIR}/tests/packaging/compilers_test.py" ${CMAKE_CXX_COMPILER}
      "${PROJECT_SOURCE_DIR}/include" -- ${header_flags})
  add_test(NAME structure.light_headers
    COMMAND ${STOFM_PYTHON3} "${PROJECT_SOURCE_DIR}/tests/packaging/light_headers_test.py" ${CMAKE_CXX_COMPILER}
      "${PROJECT_SOURCE_DIR}/include" -- ${header_flags})
  add_test(NAME structure.kernels
    COMMAND ${STOFM_PYTHON3} "${PROJECT_SOURCE_DIR}/tests/kernels/check_kernels.py" "${PROJECT_SOURCE_DIR}")
  add_test(NAME structure.static_counts
    COMMAND ${STOFM_PYTHON3} "${PROJECT_SOURCE_DIR}/tests/kernels/static_counts_test.py")
  add_test(NAME structure.kernel_headers_alone
    COMMAND ${STOFM_PYTHON3} "${PROJECT_SOURCE_DIR}/tests/kernels/check_kernel_headers.py" ${CMAKE_CXX_COMPILER}
      "${PROJECT_SOURCE_DIR}" -- ${header_flags})
  set_tests_properties(structure.layers structure.headers_alone structure.compilers structure.reliability_rows
    structure.light_headers structure.kernels structure.static_counts structure.kernel_headers_alone PROPERTIES LABELS packaging)
endif()
if(NOT STOFM_SANITIZE)
  foreach(kind find_package subdirectory fetch_content pkg_config rounding compiled)
    add_test(NAME packaging.${kind}
      COMMAND bash "${PROJECT_SOURCE_DIR}/tests/packaging/run.sh" "${PROJECT_SOURCE_DIR}" ${kind}
        "${PROJECT_BINARY_DIR}")
    set_tests_properties(packaging.${kind} PROPERTIES LABELS packaging TIMEOUT 1200)
  endforeach()
  # Needs a CUDA toolkit, not a device: compiles one family with the consumer's nvcc. Skipped without nvcc.
  add_test(NAME packaging.cuda
    COMMAND bash "${PROJECT_SOURCE_DIR}/tests/packaging/cuda.sh" "${PROJECT_SOURCE_DIR}")
  set_tests_properties(packaging.cuda PROPERTIES LABELS packaging TIMEOUT 600 SKIP_RETURN_CODE 77)
  add_test(NAME packaging.thread_sanitizer
    COMMAND bash "${PROJECT_SOURCE_DIR}/tests/packaging/thread_sanitizer.sh" "${PROJECT_SOURCE_DIR}"
      ${CMAKE_CXX_COMPILER} ${header_flags})
  set_tests_properties(packaging.thread_sanitizer PROPERTIES LABELS packaging TIMEOUT 600 SKIP_RETURN_CODE 77)
endif()

# The converter: any Python 3 that has numpy.
set(STOFM_NUMPY_PYTHON "" CACHE FILEPATH "A python3 with numpy, for weights_tools and its tests")
foreach(candidate IN ITEMS "$ENV{STOFM_PYTHON}" "${STOFM_PYTHON3}" /usr/bin/python3)
  if(NOT STOFM_NUMPY_PYTHON AND candidate)
    execute_process(COMMAND "${candidate}" -c "import numpy" RESULT_VARIABLE no_numpy OUTPUT_QUIET ERROR_QUIET)
    if(no_numpy EQUAL 0)
      set(STOFM_NUMPY_PYTHON "${candidate}" CACHE FILEPATH "A python3 with numpy, for weights_tools and its tests" FORCE)
    endif()
  endif()
endforeach()
file(GLOB STOFM_CONVERTER_TESTS CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/tests/weights_tools/test_*.py"
  "${PROJECT_SOURCE_DIR}/tests/bench/test_*.py")
if(STOFM_NUMPY_PYTHON)
  foreach(source IN LISTS STOFM_CONVERTER_TESTS)
    get_filename_component(name "${source}" NAME_WE)
    string(REGEX REPLACE "^test_" "" name "${name}")
    get_filename_component(folder "${source}" DIRECTORY)
    get_filename_component(folder "${folder}" NAME)
    add_test(NAME ${folder}.${name} COMMAND "${STOFM_NUMPY_PYTHON}" -B -m unittest -q "${source}"
      WORKING_DIRECTORY "${PROJECT_SOURCE_DIR}")
    set_tests_properties(${folder}.${name} PROPERTIES LABELS cpu TIMEOUT 300)
  endforeach()
else()
  message(STATUS "stofm: no python3 with numpy, the converter's tests are left out (apt-get install python3-numpy)")
endif()
