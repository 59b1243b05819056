# SPDX-License-Identifier: MIT
# The demonstration bundle: a small pretrained model (examples/data/MODEL_CARD.md), put together with the gene tables.
add_executable(make_demo_bundle "${PROJECT_SOURCE_DIR}/examples/make_demo_bundle.cpp")
target_link_libraries(make_demo_bundle PRIVATE stofm_developer)
set_target_properties(make_demo_bundle PROPERTIES RUNTIME_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/examples")

set(STOFM_DEMO_BUNDLE "${PROJECT_BINARY_DIR}/share/stofm/demo.safetensors")
set(trained "${PROJECT_SOURCE_DIR}/examples/data/demo_trained.safetensors")
set(genes "${PROJECT_SOURCE_DIR}/weights_tools/genes/genes.tsv")
set(mouse_to_human "${PROJECT_SOURCE_DIR}/weights_tools/genes/mouse_to_human.tsv")
add_custom_command(OUTPUT "${STOFM_DEMO_BUNDLE}"
  COMMAND ${CMAKE_COMMAND} -E make_directory "${PROJECT_BINARY_DIR}/share/stofm"
  COMMAND make_demo_bundle "${STOFM_DEMO_BUNDLE}" "${trained}" "${genes}" "${mouse_to_human}"
  DEPENDS make_demo_bundle "${trained}" "${genes}" "${mouse_to_human}"
  COMMENT "Making share/stofm/demo.safetensors"
  VERBATIM)
add_custom_target(stofm_demo ALL DEPENDS "${STOFM_DEMO_BUNDLE}")
