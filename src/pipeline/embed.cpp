// SPDX-License-Identifier: MIT
// Part of stofm::compiled (core/compiled.hpp).
#include "stofm/io/slice.hpp"
#include "stofm/pipeline/coordinates.hpp"
#include "stofm/pipeline/embed_memory.hpp"
#include "stofm/pipeline/embed_slice.hpp"
#include "stofm/pipeline/gene_mapping.hpp"
#include "stofm/pipeline/merge_slivers.hpp"
#include "stofm/pipeline/model.hpp"
#include "stofm/pipeline/split_cells.hpp"

#undef STOFM_BODIES
#define STOFM_BODIES 1
#include "stofm/pipeline/embed_plan.hpp"
#undef STOFM_BODIES
#define STOFM_BODIES 0
#include "stofm/pipeline/embed_cells.hpp"
#include "stofm/pipeline/embed_pieces.hpp"

#undef STOFM_BODIES
#define STOFM_BODIES 1
#include "stofm/pipeline/embed.hpp"
