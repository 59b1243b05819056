// SPDX-License-Identifier: MIT
// Part of stofm::compiled (core/compiled.hpp).
#include "stofm/core/compiled.hpp"
#include "stofm/core/error.hpp"
#include "stofm/core/notice.hpp"

#undef STOFM_BODIES
#define STOFM_BODIES 1
#include "stofm/pipeline/coordinates.hpp"
#include "stofm/pipeline/gene_mapping.hpp"
#include "stofm/pipeline/gene_table.hpp"
#include "stofm/pipeline/gene_tokenizer.hpp"
#include "stofm/pipeline/split_cells.hpp"
#include "stofm/pipeline/sub_slices.hpp"
#undef STOFM_BODIES
#define STOFM_BODIES 0
#include "stofm/cluster/leiden.hpp"
#include "stofm/cluster/mini_batch_kmeans.hpp"
#include "stofm/cluster/pca.hpp"
#include "stofm/cluster/umap_graph.hpp"

#undef STOFM_BODIES
#define STOFM_BODIES 1
#include "stofm/pipeline/virtual_cells.hpp"
