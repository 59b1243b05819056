// SPDX-License-Identifier: MIT
// Part of stofm::compiled (core/compiled.hpp).
#include "stofm/core/compiled.hpp"
#include "stofm/io/slice.hpp"
#include "stofm/pipeline/gene_mapping.hpp"
#include "stofm/pipeline/model.hpp"

#undef STOFM_BODIES
#define STOFM_BODIES 1
#include "stofm/tasks/shared_genes.hpp"
#undef STOFM_BODIES
#define STOFM_BODIES 0
#include "stofm/tasks/neighbour_means.hpp"

#undef STOFM_BODIES
#define STOFM_BODIES 1
#include "stofm/tasks/linear_context.hpp"
#undef STOFM_BODIES
#define STOFM_BODIES 0
#include "stofm/pipeline/embed.hpp"
#include "stofm/train/masking.hpp"
#include "stofm/train/prepared_slice.hpp"

#undef STOFM_BODIES
#define STOFM_BODIES 1
#include "stofm/tasks/context_embedding.hpp"
#undef STOFM_BODIES
#define STOFM_BODIES 0
#include "stofm/tasks/gene_components.hpp"

#undef STOFM_BODIES
#define STOFM_BODIES 1
#include "stofm/tasks/slice_features.hpp"
#undef STOFM_BODIES
#define STOFM_BODIES 0
#include "stofm/tasks/impute_targets.hpp"

#undef STOFM_BODIES
#define STOFM_BODIES 1
#include "stofm/tasks/impute.hpp"
