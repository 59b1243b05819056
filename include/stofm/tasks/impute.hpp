// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Genes that a slice lacks, predicted from slices or cells that have them.
///
/// Unit of everything: log1p(10,000 count / sum of the counts of the genes learnt from), so that panels of
/// different size have one scale. Features of a cell: these values of the shared genes and, where all sides
/// have positions, what is around it: the model's embedding of the shared genes alone (a reference must not
/// know more than the slice), or the means of the nearest cells. Every gene comes with its correlation on
/// cells of the references that were held out by place: a gene that is not told there is not told here.

#include <algorithm>
#include <cstdint>
#include <memory>
#include <numeric>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "stofm/core/compiled.hpp"
#include "stofm/pipeline/embed.hpp"
#include "stofm/tasks/columns_beside.hpp"
#include "stofm/tasks/imputation_genes.hpp"
#include "stofm/tasks/impute_targets.hpp"
#include "stofm/tasks/neighbour_means.hpp"
#include "stofm/tasks/slice_genes.hpp"
#include "stofm/tasks/slice_scaling.hpp"
#include "stofm/tasks/spatial_blocks.hpp"

namespace stofm::tasks {

/// What a prediction is given of the cells around a cell.
enum class Surroundings {
  none,
  neighbours,  ///< mean of the nearest cells in the shared genes
  model,       ///< X_stofm of the shared genes
};

/// How features of slices are brought together. Predictions keep the level of the references.
enum class FeatureAlignment {
  none,
  centre,  ///< each feature less its mean in the slice
  scale    ///< and divided by its deviation there
};

struct ImputeOptions {
  ImputationGeneOptions genes{};
  GeneImputationOptions imputation{};
  Surroundings surroundings = Surroundings::model;
  FeatureAlignment alignment = FeatureAlignment::none;
  double hold_out = 0.2;           ///< of the cells of each reference, by place; 0: none, no reliability
  std::int64_t max_shared = 1000;  ///< shared genes learnt from at most: those that vary most
  std::int64_t near = 10;          ///< cells of Surroundings::neighbours
  pipeline::EmbedOptions embed{};  ///< of Surroundings::model
};

/// A hidden or asked-for gene that the slice measured: prediction against measurement.
struct MeasuredGeneScore {
  std::int32_t target = 0;
  ColumnScores scores;
};

struct ImputeResult {
  ImputationGenes genes;
  GeneImputation imputation;  ///< rows of cells without a count of a shared gene are NaN
  SparseRows slice_shared;    ///< [cells, G] measured, in the unit above
  SparseRows slice_targets;   ///< [cells, T] measured targets, in the unit above
  std::vector<MeasuredGeneScore> measured;
  std::vector<std::int64_t> empty_cells;           ///< of the slice, without a count of a shared gene
  std::string features;                            ///< in words
  std::int64_t learnt_genes = 0;                   ///< shared genes that were features
  Surroundings surroundings = Surroundings::none;  ///< that were used
  Notices notices;
};

inline constexpr double imputed_scale = 10000;

namespace detail {

/// Shared genes and targets of one slice.
struct ImputationCounts {
  SparseRows shared, targets;
  std::vector<std::uint8_t> empty;  ///< [cells] no count of a shared gene
};
inline ImputationCounts imputation_counts(const io::Slice& slice, std::span<const std::int32_t> shared_of,
                                          std::int64_t shared, std::span<const std::int32_t> target_of,
                                          std::int64_t targets, const pipeline::Progress& progress) {
  ImputationCounts result{gene_counts(slice, shared_of, shared, progress),
                          gene_counts(slice, target_of, targets, progress),
                          std::vector<std::uint8_t>(static_cast<std::size_t>(slice.cells), 0)};
  const std::vector<double> totals = row_totals(result.shared);
  SparseRows& rows = result.targets;
  std::vector<std::int64_t> kept{0};  // targets of empty cells have no scale
  std::int64_t to = 0;
  for (std::size_t i = 0; i < totals.size(); ++i) {
    result.empty[i] = !(totals[i] > 0);
    for (auto e = static_cast<std::size_t>(rows.offsets[i]);
         e < static_cast<std::size_t>(rows.offsets[i + 1]); ++e) {
      if (result.empty[i]) continue;
      rows.columns[static_cast<std::size_t>(to)] = rows.columns[e];
      rows.values[static_cast<std::size_t>(to)] =
          static_cast<float>(std::log1p(imputed_scale * (static_cast<double>(rows.values[e]) / totals[i])));
      ++to;
    }
    kept.push_back(to);
  }
  rows.offsets = std::move(kept);
  rows.columns.resize(static_cast<std::size_t>(to));
  rows.values.resize(static_cast<std::size_t>(to));
  log_normalise(result.shared, imputed_scale);
  return result;
}

/// The genes whose log values vary most over the references, ascending; all if there are no more than `most`.
inline std::vector<std::int32_t> most_varying(std::span<const ImputationCounts> references,
                                              std::int64_t genes, std::int64_t most) {
  std::vector<std::int32_t> listed(static_cast<std::size_t>(genes));
  std::iota(listed.begin(), listed.end(), 0);
  if (genes <= most) return listed;
  std::vector<double> sum(listed.size(), 0.0), square(listed.size(), 0.0);
  double cells = 0;
  for (const ImputationCounts& one : references) {
    cells += static_cast<double>(one.shared.rows());
    for (std::size_t e = 0; e < one.shared.columns.size(); ++e) {
      const auto g = static_cast<std::size_t>(one.shared.columns[e]);
      const double value = static_cast<double>(one.shared.values[e]);
      sum[g] += value, square[g] += value * value;
    }
  }
  for (std::size_t g = 0; g < sum.size(); ++g)
    square[g] = square[g] / cells - (sum[g] / cells) * (sum[g] / cells);
  std::stable_sort(listed.begin(), listed.end(), [&](std::int32_t a, std::int32_t b) {
    return square[static_cast<std::size_t>(a)] > square[static_cast<std::size_t>(b)];
  });
  listed.resize(static_cast<std::size_t>(most));
  std::sort(listed.begin(), listed.end());
  return listed;
}

/// X_stofm of a slice as if it had the shared genes alone.
inline Tensor<float> shared_embedding(const io::Slice& slice, std::span<const std::int32_t> shared_of,
                                      const pipeline::Model& model, const pipeline::EmbedOptions& options,
                                      const pipeline::Progress& progress, Notices& notices) {
  std::vector<std::uint8_t> keep(shared_of.size());
  for (std::size_t g = 0; g < keep.size(); ++g) keep[g] = shared_of[g] >= 0;
  pipeline::EmbedResult whole =
      pipeline::embed_slice(slice_with_genes(slice, keep), model, options, progress);
  pipeline::detail::append_notices(notices, whole.notices);
  return std::move(whole.embeddings);
}

/// Each column less its mean over the cells that are not empty.
inline void centre_columns(Tensor<float>& rows, std::span<const std::uint8_t> empty) {
  const std::int64_t n = rows.dim(0), width = rows.dim(1);
  std::vector<double> mean(static_cast<std::size_t>(width), 0.0);
  double cells = 0;
  for (std::int64_t i = 0; i < n; ++i) {
    if (empty[static_cast<std::size_t>(i)]) continue;
    ++cells;
    for (std::int64_t j = 0; j < width; ++j)
      mean[static_cast<std::size_t>(j)] += static_cast<double>(rows.data()[i * width + j]);
  }
  for (double& m : mean) m /= (std::max)(cells, 1.0);
  for (std::int64_t i = 0; i < n; ++i)
    for (std::int64_t j = 0; j < width; ++j)
      rows.data()[i * width + j] = static_cast<float>(static_cast<double>(rows.data()[i * width + j]) -
                                                      mean[static_cast<std::size_t>(j)]);
}

inline bool has_positions(const io::Slice& slice) { return !slice.coordinates_source.empty(); }

/// Prediction against measurement for the genes that the slice measured.
inline void score_measured(ImputeResult& result, std::span<const std::uint8_t> empty) {
  std::vector<std::int64_t> listed;
  for (std::size_t i = 0; i < empty.size(); ++i)
    if (!empty[i]) listed.push_back(static_cast<std::int64_t>(i));
  std::vector<std::int32_t> columns;  // of the imputation
  for (std::size_t g = 0; g < result.imputation.genes.size(); ++g)
    if (result.genes.measured[static_cast<std::size_t>(result.imputation.genes[g].target)])
      columns.push_back(static_cast<std::int32_t>(g));
  if (columns.empty() || listed.empty()) return;
  const auto n = static_cast<std::int64_t>(listed.size());
  for (const std::int32_t column : columns) {
    const std::int32_t target = result.imputation.genes[static_cast<std::size_t>(column)].target;
    const std::vector<std::int32_t> one{target};
    const std::vector<double> truth = truth_by_target(sparse_columns(result.slice_targets, one), listed);
    std::vector<double> predicted;
    for (const std::int64_t i : listed)
      predicted.push_back(static_cast<double>(result.imputation.values(i, column)));
    const TensorView<const double> t{truth.data(), Shape{n, 1}, {1, 1}, {}},
        p{predicted.data(), Shape{n, 1}, {1, 1}, {}};
    result.measured.push_back({target, column_scores(t, p)[0]});
  }
}

}  // namespace detail

/// Predicts genes of `references` for the cells of `slice`. `model` may be null: genes are then matched by
/// names alone and surroundings are those of the neighbours at most. \throws UsageError for hold_out outside
/// [0, 0.5] (STOFM-4774) or numbers out of range (4773); as imputation_genes, impute_targets, embed_slice and
/// the readers. *Cost* as impute_targets; one embedding of each slice with Surroundings::model; memory 4 F
/// bytes a cell, 8 bytes a count of a reference. *Deterministic* yes for a seed, any thread count.
STOFM_INLINE ImputeResult impute(const io::Slice& slice, std::span<const io::Slice* const> references,
                                 const pipeline::Model* model, const ImputeOptions& options = {},
                                 const pipeline::Progress& progress = {});

}  // namespace stofm::tasks

#if STOFM_BODIES
namespace stofm {

STOFM_INLINE auto tasks::impute(const io::Slice& slice, std::span<const io::Slice* const> references,
                                const pipeline::Model* model, const ImputeOptions& options,
                                const pipeline::Progress& progress) -> ImputeResult {
  if (!(options.hold_out >= 0 && options.hold_out <= 0.5))
    throw UsageError({"STOFM-4774", "", "hold_out", concat(options.hold_out), "a share from 0 to 0.5",
                      "The usual share is 0.2."});
  if (options.max_shared < 2 || options.near < 1)
    throw UsageError({"STOFM-4773", "", "[impute]",
                      concat(options.max_shared, " shared genes, ", options.near, " neighbours"),
                      "at least 2 and 1", "Check the options."});
  ImputeResult result;
  result.genes = imputation_genes(slice, references, model, options.genes);
  const std::int64_t shared = result.genes.shared.size(), targets = result.genes.targets.size();
  std::vector<const io::Slice*> all{&slice};
  all.insert(all.end(), references.begin(), references.end());
  const auto shared_of = [&](std::size_t s) -> const std::vector<std::int32_t>& {
    return s == 0 ? result.genes.slice_shared : result.genes.shared_of[s - 1];
  };
  std::vector<detail::ImputationCounts> counts;
  for (std::size_t s = 0; s < all.size(); ++s)
    counts.push_back(detail::imputation_counts(
        *all[s], shared_of(s), shared, s == 0 ? result.genes.slice_target : result.genes.target_of[s - 1],
        targets, progress));
  const std::vector<std::int32_t> learnt =
      detail::most_varying(std::span(counts).subspan(1), shared, options.max_shared);
  result.learnt_genes = static_cast<std::int64_t>(learnt.size());
  if (result.learnt_genes < shared)
    result.notices.push_back(
        {"STOFM-W4771",
         concat("of ", shared, " shared genes the ", learnt.size(), " that vary most are learnt from"),
         shared - result.learnt_genes});

  result.surroundings = options.surroundings;
  if (result.surroundings == Surroundings::model && (model == nullptr || !model->se2 || !model->cell_encoder))
    result.surroundings = Surroundings::neighbours;
  for (const io::Slice* one : all)
    if (!detail::has_positions(*one) && result.surroundings != Surroundings::none) {
      result.surroundings = Surroundings::none;
      result.notices.push_back({"STOFM-W4770",
                                concat(stofm::quoted(one->path, 120),
                                       " has no positions: surroundings are left out, genes alone are used"),
                                1});
    }
  std::vector<Tensor<float>> features;
  for (std::size_t s = 0; s < all.size(); ++s) {
    Tensor<float> rows = dense_rows(detail::sparse_columns(counts[s].shared, learnt));
    if (result.surroundings == Surroundings::neighbours)
      rows = columns_beside(
          "[impute]", rows,
          neighbour_means(*all[s], std::as_const(rows).view(), std::vector<std::int64_t>{options.near}));
    if (result.surroundings == Surroundings::model)
      rows = columns_beside(
          "[impute]", rows,
          detail::shared_embedding(*all[s], shared_of(s), *model, options.embed, progress, result.notices));
    if (options.alignment == FeatureAlignment::scale)
      rows = standardised_by_slice(std::as_const(rows).view());
    if (options.alignment == FeatureAlignment::centre) detail::centre_columns(rows, counts[s].empty);
    features.push_back(std::move(rows));
  }
  result.features = concat(result.learnt_genes, " shared genes",
                           result.surroundings == Surroundings::model ? ", X_stofm of the shared genes"
                           : result.surroundings == Surroundings::neighbours
                               ? concat(", their means over the ", options.near, " nearest cells")
                               : std::string());

  std::vector<std::vector<ReferenceCell>> use;
  std::vector<ImputationSource> sources;
  for (std::size_t s = 1; s < all.size(); ++s) {
    const auto n = static_cast<std::size_t>(all[s]->cells);
    std::vector<std::uint8_t> held(n, 0);
    if (options.hold_out > 0 && detail::has_positions(*all[s])) {
      const Tensor<double> xy = all[s]->coordinates.contiguous();
      held = hold_out_tiles(std::as_const(xy).view(), {.share = options.hold_out});
    } else if (options.hold_out > 0) {  // dissociated cells have no neighbours to keep apart
      const auto every = static_cast<std::size_t>(std::llround(1 / options.hold_out));
      for (std::size_t i = 0; i < n; i += every) held[i] = 1;
    }
    use.emplace_back(n, ReferenceCell::learn);
    for (std::size_t i = 0; i < n; ++i)
      if (counts[s].empty[i])
        use.back()[i] = ReferenceCell::unused;
      else if (held[i])
        use.back()[i] = ReferenceCell::held_out;
  }
  for (std::size_t s = 1; s < all.size(); ++s)
    sources.push_back(
        {std::as_const(features[s]).view(), &counts[s].targets, use[s - 1], result.genes.has[s - 1]});
  result.imputation =
      impute_targets(sources, std::as_const(features[0]).view(), options.imputation, progress);
  if (result.imputation.left_out > 0)
    result.notices.push_back({"STOFM-W4772",
                              concat(result.imputation.left_out, " of ", targets,
                                     " genes are left out: those that are told worst on held-out cells"),
                              result.imputation.left_out});
  result.slice_targets = std::move(counts[0].targets);
  detail::score_measured(result, counts[0].empty);
  result.slice_shared = std::move(counts[0].shared);
  const std::int64_t width = result.imputation.values.dim(1);
  for (std::int64_t i = 0; i < slice.cells; ++i)
    if (counts[0].empty[static_cast<std::size_t>(i)]) {
      result.empty_cells.push_back(i);
      std::fill_n(result.imputation.values.data() + i * width, width,
                  std::numeric_limits<float>::quiet_NaN());
    }
  if (!result.empty_cells.empty())
    result.notices.push_back(
        {"STOFM-W4773",
         concat(result.empty_cells.size(), " cells without a count of a shared gene get no prediction (NaN)"),
         static_cast<std::int64_t>(result.empty_cells.size())});
  return result;
}

}  // namespace stofm
#endif
