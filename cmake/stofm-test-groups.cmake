# SPDX-License-Identifier: MIT
# With STOFM_QUICK_TO_BUILD the test files of a folder are compiled together, several to a translation unit: what they share
# (the library's inline code) is then compiled once instead of once a file, which is most of the time of a build from
# nothing. Every file stays in a namespace of its own and keeps its own CTest entry; only the executable is shared.

# stofm_test_joins_group(RESULT SOURCE FOLDER): whether SOURCE may share an executable. Not kernel tests: their cases stand
# in headers, so a CTest entry could not choose them by source file. A counted heap (tests/support/heap_count.hpp) would
# count for all.
function(stofm_test_joins_group result source folder)
  set(joins NO)
  if(STOFM_QUICK_TO_BUILD AND folder MATCHES "^(autograd|cluster|io|model|nn|ops|pipeline|tasks|train)$")
    file(STRINGS "${source}" counts_heap REGEX "heap_count\\.hpp")
    if(NOT counts_heap)
      set(joins YES)
    endif()
  endif()
  set(${result} ${joins} PARENT_SCOPE)
endfunction()

# stofm_add_test_group(FOLDER SOURCES...): executable test_FOLDER, CTest entries FOLDER.FILE.
function(stofm_add_test_group folder)
  set(includes "")
  foreach(source IN LISTS ARGN)
    file(STRINGS "${source}" lines REGEX "^#include")
    list(APPEND includes ${lines})
  endforeach()
  list(REMOVE_DUPLICATES includes)
  list(JOIN includes "\n" includes)
  set(header "${PROJECT_BINARY_DIR}/groups/${folder}.hpp")  # all includes, before the first namespace opens
  file(CONFIGURE OUTPUT "${header}" CONTENT "#pragma once\n${includes}\n" @ONLY)
  set_property(DIRECTORY "${PROJECT_SOURCE_DIR}" APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${ARGN})

  set(target "test_${folder}")
  add_executable(${target} ${ARGN})
  set_target_properties(${target} PROPERTIES RUNTIME_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/tests"
    UNITY_BUILD ON UNITY_BUILD_BATCH_SIZE 10 UNITY_BUILD_UNIQUE_ID STOFM_TEST_FILE
    UNITY_BUILD_CODE_BEFORE_INCLUDE "namespace STOFM_TEST_FILE {" UNITY_BUILD_CODE_AFTER_INCLUDE "}")
  target_compile_options(${target} PRIVATE "SHELL:-include \"${header}\"")
  target_link_libraries(${target} PRIVATE stofm_test_main)
  stofm_optimise_test(${target} "${folder}")
  foreach(source IN LISTS ARGN)
    get_filename_component(file "${source}" NAME)
    string(REGEX REPLACE "_test\\.cpp$" "" name "${file}")
    add_test(NAME ${folder}.${name} COMMAND ${target} "--source-file=*/tests/${folder}/${file}")
    set_tests_properties(${folder}.${name} PROPERTIES LABELS cpu SKIP_RETURN_CODE 77 TIMEOUT 600
      FAIL_REGULAR_EXPRESSION "test cases: +0 ")  # a filter that finds nothing passes
  endforeach()
endfunction()
