// SPDX-License-Identifier: MIT
// Part of stofm::compiled (core/compiled.hpp).
#include "stofm/core/compiled.hpp"
#include "stofm/core/random_key.hpp"
#include "stofm/core/tensor.hpp"
#include "stofm/ops/pair_distances.hpp"
#include "stofm/pipeline/sub_slices.hpp"
#include "stofm/train/masking_draws.hpp"

#undef STOFM_BODIES
#define STOFM_BODIES 1
#include "stofm/train/masking.hpp"
#undef STOFM_BODIES
#define STOFM_BODIES 0
#include "stofm/pipeline/embed_plan.hpp"
#include "stofm/pipeline/virtual_cells.hpp"
#include "stofm/train/cell_features.hpp"

#undef STOFM_BODIES
#define STOFM_BODIES 1
#include "stofm/train/corpus_open.hpp"
#include "stofm/train/prepared_slice.hpp"
