// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Targets of references predicted for the cells of a slice, by either method.

#include "stofm/tasks/neighbour_imputation.hpp"
#include "stofm/tasks/ridge_imputation.hpp"

namespace stofm::tasks {

/// Predicts the targets for `cells` [N, F]. Genes that other references have are fitted apart. \throws
/// UsageError for no sources (STOFM-4750), penalties or numbers out of range (4773); ShapeError where sizes
/// do not fit (4700, 4704, 4713); DataError for fewer than `fewest_reference_cells` cells to learn from
/// (4772) or values that are not finite. *Cost* ridge F^2 + F times the genes of a cell for each cell, F^3
/// for each penalty, F^2 for each target; memory 16 F targets bytes. *Deterministic* yes, any thread count.
inline constexpr std::int64_t fewest_reference_cells = 20;
inline GeneImputation impute_targets(std::span<const ImputationSource> sources, TensorView<const float> cells,
                                     const GeneImputationOptions& options = {},
                                     const pipeline::Progress& progress = {}) {
  constexpr const char* op = "[impute_targets]";
  if (sources.empty())
    throw UsageError({"STOFM-4750", "", op, "no references", "at least one", "Give references."});
  if (options.penalties.empty() || options.max_genes < 1 || options.neighbours < 1 || options.components < 1)
    throw UsageError({"STOFM-4773", "", op,
                      concat(options.penalties.size(), " penalties, ", options.max_genes, " genes, ",
                             options.neighbours, " neighbours, ", options.components, " components"),
                      "at least one of each", "Check the options."});
  detail::require_rows(op, cells);
  const std::int64_t count = sources[0].targets->width;
  GeneImputation result;
  for (const ImputationSource& source : sources) {
    detail::require_rows(op, source.features);
    detail::require_same_count(op, source.cells.size(), static_cast<std::size_t>(source.features.dim(0)),
                               "cells and rows");
    detail::require_same_count(op, source.cells.size(), static_cast<std::size_t>(source.targets->rows()),
                               "cells and targets");
    detail::require_same_count(op, source.has.size(), static_cast<std::size_t>(count), "targets");
    if (source.features.dim(1) != cells.dim(1))
      throw ShapeError({"STOFM-4713", "", op, concat(source.features.dim(1), " features"),
                        concat(cells.dim(1), ", as the slice has"), "Give rows of the same kind."});
    result.learnt_cells += std::count(source.cells.begin(), source.cells.end(), ReferenceCell::learn);
    result.held_out_cells += std::count(source.cells.begin(), source.cells.end(), ReferenceCell::held_out);
  }
  if (result.learnt_cells < fewest_reference_cells)
    throw DataError({"STOFM-4772", "", op, concat(result.learnt_cells, " cells to learn from"),
                     concat("at least ", fewest_reference_cells, " with a count of a shared gene"),
                     "Give references with more cells."});

  std::vector<std::int64_t> expressed(static_cast<std::size_t>(count), 0);
  for (const ImputationSource& source : sources)
    for (const std::int32_t t : source.targets->columns) ++expressed[static_cast<std::size_t>(t)];
  std::vector<detail::TargetGroup> groups = detail::target_groups(sources, count);
  std::vector<detail::RidgeGroup> ridge;
  std::vector<std::pair<double, std::int32_t>> order;  // best first
  for (const detail::TargetGroup& group : groups) {
    std::vector<double> pearson;
    if (options.method == ImputeMethod::ridge) {
      ridge.push_back(detail::ridge_group(sources, group, options, progress));
      pearson = ridge.back().pearson;
    } else {
      pearson.assign(group.targets.size(), std::numeric_limits<double>::quiet_NaN());
    }
    for (std::size_t t = 0; t < group.targets.size(); ++t) {
      // Where nothing says how well a gene is told, genes that more cells have come first.
      const auto cells_with = static_cast<double>(expressed[static_cast<std::size_t>(group.targets[t])]);
      const bool known = options.method == ImputeMethod::ridge && ridge.back().held.cells() > 0;
      order.emplace_back(known ? (std::isnan(pearson[t]) ? -2.0 : pearson[t]) : cells_with, group.targets[t]);
    }
  }
  std::sort(order.begin(), order.end(), [](const auto& a, const auto& b) {
    return a.first > b.first || (a.first == b.first && a.second < b.second);
  });
  const auto kept_count = (std::min)(order.size(), static_cast<std::size_t>(options.max_genes));
  result.left_out = static_cast<std::int64_t>(order.size() - kept_count);
  std::vector<std::int32_t> column(static_cast<std::size_t>(count), -1);
  for (std::size_t i = 0; i < kept_count; ++i) column[static_cast<std::size_t>(order[i].second)] = 0;
  std::int32_t next = 0;
  for (std::size_t t = 0; t < column.size(); ++t)
    if (column[t] == 0) {
      column[t] = next++;
      result.genes.push_back({.target = static_cast<std::int32_t>(t), .expressed = expressed[t]});
    }

  const auto kept_genes = static_cast<std::int64_t>(kept_count);
  checked_mul(checked_mul(cells.dim(0), kept_genes, "imputed values"), 4, "bytes");
  result.values = Tensor<float>({cells.dim(0), kept_genes});
  std::size_t largest = 0;
  for (std::size_t g = 0; g < groups.size(); ++g) {
    std::vector<std::int32_t> kept;  // numbers within the group
    for (std::size_t t = 0; t < groups[g].targets.size(); ++t)
      if (column[static_cast<std::size_t>(groups[g].targets[t])] >= 0)
        kept.push_back(static_cast<std::int32_t>(t));
    if (kept.empty()) continue;
    progress.check();
    detail::CorrelationMeans means(kept.size());
    Tensor<float> values;
    if (options.method == ImputeMethod::ridge) {
      values = detail::ridge_values(sources, ridge[g], kept, cells, means);
      if (kept.size() > largest) largest = kept.size(), result.penalty = ridge[g].penalty;
    } else {
      std::vector<std::int32_t> listed;
      for (const std::int32_t t : kept) listed.push_back(groups[g].targets[static_cast<std::size_t>(t)]);
      std::vector<SparseRows> targets;
      for (const std::size_t s : groups[g].sources)
        targets.push_back(detail::sparse_columns(*sources[s].targets, listed));
      values = detail::knn_values(sources, groups[g], targets, cells, options, means);
    }
    for (std::size_t t = 0; t < kept.size(); ++t) {
      const auto target = static_cast<std::size_t>(groups[g].targets[static_cast<std::size_t>(kept[t])]);
      ImputedGene& gene = result.genes[static_cast<std::size_t>(column[target])];
      gene.pearson = means.pearson_of(t);
      gene.spearman = means.spearman_of(t);
      gene.told = gene.pearson >= options.told_from;
      for (std::int64_t i = 0; i < cells.dim(0); ++i)
        result.values.data()[i * kept_genes + column[target]] =
            values.data()[i * values.dim(1) + static_cast<std::int64_t>(t)];
    }
  }
  return result;
}

}  // namespace stofm::tasks
