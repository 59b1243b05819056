// SPDX-License-Identifier: MIT
// Part of stofm::compiled (core/compiled.hpp).
#include "stofm/core/checked.hpp"
#include "stofm/core/compiled.hpp"

#undef STOFM_BODIES
#define STOFM_BODIES 1
#include "stofm/cluster/kmeans_start.hpp"
#include "stofm/cluster/knn_2d.hpp"
#include "stofm/cluster/leiden.hpp"
#include "stofm/cluster/mini_batch_kmeans.hpp"
#include "stofm/cluster/pca.hpp"
#include "stofm/cluster/symmetric_eigen.hpp"
#include "stofm/cluster/umap_graph.hpp"
