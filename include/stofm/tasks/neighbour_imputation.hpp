// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// gene_imputation.hpp by the mean of the most similar cells of the references: cosine of principal
/// components of the features.

#include "stofm/tasks/gene_imputation.hpp"

namespace stofm::tasks::detail {

/// Cells of several references one after the other.
struct PooledCells {
  Tensor<float> rows;
  std::vector<std::pair<std::size_t, std::int64_t>> place;  ///< source of the group, and cell of it
};
inline PooledCells pooled_cells(std::span<const ImputationSource> sources, const TargetGroup& group,
                                bool held_out_too) {
  PooledCells pool;
  std::vector<Tensor<float>> parts;
  for (std::size_t s = 0; s < group.sources.size(); ++s) {
    const ImputationSource& source = sources[group.sources[s]];
    std::vector<std::int64_t> listed;
    for (std::size_t i = 0; i < source.cells.size(); ++i)
      if (source.cells[i] == ReferenceCell::learn ||
          (held_out_too && source.cells[i] == ReferenceCell::held_out))
        listed.push_back(static_cast<std::int64_t>(i));
    for (const std::int64_t i : listed) pool.place.emplace_back(s, i);
    parts.push_back(listed_rows(source.features, listed));
  }
  const std::int64_t width = sources[0].features.dim(1);
  pool.rows = Tensor<float>({static_cast<std::int64_t>(pool.place.size()), width});
  float* to = pool.rows.data();
  for (const Tensor<float>& part : parts) to = std::copy_n(part.data(), part.numel(), to);
  return pool;
}

/// Mean targets [cells, width] of the nearest cells of `pool` to each of `cells`, both as components.
inline Tensor<float> neighbour_values(const PooledCells& pool, std::span<const SparseRows> targets,
                                      const PrincipalComponents& components, TensorView<const float> cells,
                                      std::int64_t k) {
  const Tensor<float> points = component_scores(components, std::as_const(pool.rows).view()),
                      queries = component_scores(components, cells);
  const Neighbours near =
      nearest_neighbours(points.view(), queries.view(), k, false, {.distance = Distance::cosine});
  const std::int64_t width = targets[0].width;
  Tensor<float> values = Tensor<float>::zeros({cells.dim(0), width});
  parallel_for(cells.dim(0), 64, [&](std::int64_t begin, std::int64_t end) {
    std::vector<double> sum(static_cast<std::size_t>(width));
    for (std::int64_t i = begin; i < end; ++i) {
      std::fill(sum.begin(), sum.end(), 0.0);
      for (std::int64_t j = 0; j < near.k; ++j) {
        const auto [s, cell] =
            pool.place[static_cast<std::size_t>(near.indices[static_cast<std::size_t>(i * near.k + j)])];
        const SparseRows& rows = targets[s];
        const auto at = static_cast<std::size_t>(cell);
        for (auto e = static_cast<std::size_t>(rows.offsets[at]);
             e < static_cast<std::size_t>(rows.offsets[at + 1]); ++e)
          sum[static_cast<std::size_t>(rows.columns[e])] += static_cast<double>(rows.values[e]);
      }
      for (std::int64_t t = 0; t < width; ++t)
        values.data()[i * width + t] = static_cast<float>(
            sum[static_cast<std::size_t>(t)] / static_cast<double>((std::max<std::int64_t>)(near.k, 1)));
    }
  });
  return values;
}

/// Predictions of all targets of a group for `cells`, and their correlations on held-out cells.
inline Tensor<float> knn_values(std::span<const ImputationSource> sources, const TargetGroup& group,
                                std::span<const SparseRows> targets, TensorView<const float> cells,
                                const GeneImputationOptions& options, CorrelationMeans& means) {
  PooledCells pool = pooled_cells(sources, group, true);
  const PrincipalComponents components =
      principal_components(std::as_const(pool.rows).view(), {.components = options.components});
  if (components.count() < 1)
    throw DataError({"STOFM-4772", "", "[knn imputation]", "features that are the same in every cell",
                     "features that differ", "Give references whose cells differ in the shared genes."});
  Tensor<float> values = neighbour_values(pool, targets, components, cells, options.neighbours);
  pool = pooled_cells(sources, group, false);
  for (std::size_t s = 0; s < group.sources.size(); ++s) {
    const ImputationSource& source = sources[group.sources[s]];
    const std::vector<std::int64_t> listed = cells_for(source, ReferenceCell::held_out);
    if (listed.empty()) continue;
    const Tensor<float> rows = listed_rows(source.features, listed);
    means.add(targets[s], listed,
              neighbour_values(pool, targets, components, rows.view(), options.neighbours));
  }
  return values;
}

}  // namespace stofm::tasks::detail
