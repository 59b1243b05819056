// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// training.hpp and what is done with embeddings afterwards: measuring, predicting, clustering, looking.

#include "stofm/tasks/classification_metrics.hpp"
#include "stofm/tasks/cluster_embedding.hpp"
#include "stofm/tasks/clustering_metrics.hpp"
#include "stofm/tasks/deconvolve.hpp"
#include "stofm/tasks/layout_quality.hpp"
#include "stofm/tasks/logistic_regression.hpp"
#include "stofm/tasks/neighbours.hpp"
#include "stofm/tasks/principal_components.hpp"
#include "stofm/tasks/regression_metrics.hpp"
#include "stofm/tasks/silhouette.hpp"
#include "stofm/tasks/spatial_coherence.hpp"
#include "stofm/tasks/umap_layout.hpp"
#include "stofm/training.hpp"
