// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// What the parts of `stofm cluster` hand on: options, clusters and the view of all slices together.

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "arguments.hpp"
#include "stofm/tasks/cluster_embedding.hpp"
#include "tasks/task_run.hpp"

namespace stofm::program {

/// "4:20" into two numbers from 2 to 1000; false for anything else.
bool read_sweep(const std::string& text, std::int64_t& first, std::int64_t& last);

/// One number of clusters that was tried.
struct ClusterTrial {
  std::int64_t clusters = 0;
  double stability = 0, silhouette = 0;
};

/// All cells of all slices, one below the other.
struct ClusterWork {
  std::vector<TaskSlice> slices;
  tasks::SliceFeatures features;
  std::vector<std::int64_t> first;           ///< row of the first cell of each slice, and the number of rows
  tasks::EmbeddingClusters clusters;         ///< of all rows
  Tensor<float> view;                        ///< [rows, 2]; empty: none
  std::vector<Tensor<float>> views;          ///< the same by slice
  std::vector<ClusterTrial> trials;          ///< of --sweep
  std::vector<double> silhouettes;           ///< mean of each cluster; empty: one cluster only
  double silhouette = 0;                     ///< of the cells that were looked at
  std::vector<pipeline::StageTime> seconds;  ///< of each part, wall
  std::vector<std::vector<std::int64_t>> counts;  ///< [clusters][slices] cells

  std::int64_t rows() const { return first.back(); }
};

/// Files, report, summary.
void write_clusters(ClusterWork& work, const Arguments& arguments, const LoadedModel* model);

}  // namespace stofm::program
