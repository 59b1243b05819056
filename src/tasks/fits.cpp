// SPDX-License-Identifier: MIT
// Part of stofm::compiled (core/compiled.hpp).
#include "stofm/backend/cpu/matrix.hpp"
#include "stofm/cluster/covariance.hpp"
#include "stofm/core/compiled.hpp"
#include "stofm/tasks/checks.hpp"

#undef STOFM_BODIES
#define STOFM_BODIES 1
#include "stofm/tasks/deconvolve.hpp"
#include "stofm/tasks/frozen_head.hpp"
#include "stofm/tasks/logistic_regression.hpp"
#include "stofm/tasks/mixture_interval.hpp"
#include "stofm/tasks/neighbours.hpp"
#include "stofm/tasks/principal_components.hpp"
#include "stofm/tasks/sparse_components.hpp"
#include "stofm/tasks/umap_layout.hpp"
#undef STOFM_BODIES
#define STOFM_BODIES 0
#include "stofm/tasks/kmeans.hpp"

#undef STOFM_BODIES
#define STOFM_BODIES 1
#include "stofm/tasks/gaussian_mixture.hpp"
#undef STOFM_BODIES
#define STOFM_BODIES 0
#include "stofm/tasks/embedding_graph.hpp"
#include "stofm/tasks/leiden_clusters.hpp"

#undef STOFM_BODIES
#define STOFM_BODIES 1
#include "stofm/tasks/cluster_embedding.hpp"
#undef STOFM_BODIES
#define STOFM_BODIES 0
#include "stofm/tasks/classifier.hpp"

#undef STOFM_BODIES
#define STOFM_BODIES 1
#include "stofm/tasks/composition_head.hpp"
