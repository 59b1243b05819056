// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Neighbours, UMAP's graph, Leiden, k-means, principal components: nothing else is included.
///
///     auto graph = stofm::cluster::umap_graph_2d(points);   // [N, 2]
///     auto groups = stofm::cluster::leiden(graph);

#include "stofm/cluster/knn_2d.hpp"
#include "stofm/cluster/leiden.hpp"
#include "stofm/cluster/mini_batch_kmeans.hpp"
#include "stofm/cluster/nearest_neighbours.hpp"
#include "stofm/cluster/pca.hpp"
#include "stofm/cluster/umap_graph.hpp"
#include "stofm/core/random.hpp"
#include "stofm/core/stop_check.hpp"
