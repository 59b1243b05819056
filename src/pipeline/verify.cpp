// SPDX-License-Identifier: MIT
// Part of stofm::compiled (core/compiled.hpp).
#include "stofm/core/compiled.hpp"
#include "stofm/core/cpu_features.hpp"
#include "stofm/io/safetensors.hpp"
#include "stofm/model/cell_encoder.hpp"
#include "stofm/model/se2_encoder.hpp"
#include "stofm/pipeline/model.hpp"

#undef STOFM_BODIES
#define STOFM_BODIES 1
#include "stofm/pipeline/verify_case.hpp"
