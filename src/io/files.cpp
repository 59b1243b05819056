// SPDX-License-Identifier: MIT
// Part of stofm::compiled (core/compiled.hpp).
#include "stofm/core/compiled.hpp"
#include "stofm/core/error.hpp"

#undef STOFM_BODIES
#define STOFM_BODIES 1
#include "stofm/io/foreign_files.hpp"
#include "stofm/io/json.hpp"
#include "stofm/io/memory_slice.hpp"
#include "stofm/io/safetensors.hpp"
#include "stofm/io/safetensors_writer.hpp"
#include "stofm/io/spatial_csv.hpp"
