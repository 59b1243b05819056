# SPDX-License-Identifier: MIT
# Tests of the structure: layers, headers alone, consumer projects.
find_program(STOFM_PYTHON3 NAMES python3)
if(STOFM_PYTHON3)
  add_test(NAME structure.layers
    COMMAND ${STOFM_PYTHON3} "${PROJECT_SOURCE_DIR}/cmake/check_layers.py" "${PROJECT_SOURCE_DIR}/include")
  add_test(NAME structure.reliability_rows
    COMMAND ${STOFM_PYTHON3} "${PROJECT_SOURCE_DIR}/tests/reliability_rows.py" "${PROJECT_SOURCE_DIR}/tests")
  set(header_flags "")
  if(STOFM_HAVE_HDF5)
    list(APPEND header_flags "-isystem${STOFM_HDF5_INCLUDE_DIR}")
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
  set_tests_properties(structure.layers structure.headers_alone structure.compilers structure.reliability_rows PROPERTIES LABELS packaging)
endif()
if(NOT STOFM_SANITIZE)
  foreach(kind find_package subdirectory fetch_content pkg_config)
    add_test(NAME packaging.${kind}
      COMMAND bash "${PROJECT_SOURCE_DIR}/tests/packaging/run.sh" "${PROJECT_SOURCE_DIR}" ${kind})
    set_tests_properties(packaging.${kind} PROPERTIES LABELS packaging TIMEOUT 300)
  endforeach()
endif()
