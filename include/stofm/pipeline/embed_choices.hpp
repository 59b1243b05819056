// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// The choices that embedding a slice offers, apart from the code that makes use of them.

namespace stofm::pipeline {

/// How equal distances and coincident cells are dealt with.
enum class Geometry {
  reference,  ///< as the published weights were trained: of equally near nodes the lowest index; cells at one
              ///< place are "far" from each other (distance 100)
  stable,  ///< all nodes as near as the last one (squared distance, rounded to float) are kept; cells at one
           ///< place are neighbours at distance 0: does not depend on the order of cells nor on rotation
};

/// How clusters are found.
enum class ClusterMethod {
  leiden,  ///< the published way: Leiden on the fuzzy graph of z
  kmeans,  ///< ours: mini-batch k-means on z
};

}  // namespace stofm::pipeline
