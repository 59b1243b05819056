// SPDX-License-Identifier: MIT
// Part of stofm::compiled (core/compiled.hpp).
#include "stofm/io/bundle.hpp"
#include "stofm/model/cell_encoder.hpp"
#include "stofm/model/masked_cell_head.hpp"
#include "stofm/model/se2_encoder.hpp"
#include "stofm/pipeline/device_encoders.hpp"
#include "stofm/pipeline/gene_table.hpp"
#include "stofm/pipeline/load_model.hpp"
#include "stofm/pipeline/model_config.hpp"

#undef STOFM_BODIES
#define STOFM_BODIES 1
#include "stofm/pipeline/model.hpp"
