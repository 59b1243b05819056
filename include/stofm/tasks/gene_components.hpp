// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Principal components of log-normalised counts, fitted on the genes that several slices share and kept with
/// the names of these genes, so that other slices can be given the same components later.

#include <algorithm>
#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "stofm/core/notice.hpp"
#include "stofm/tasks/shared_genes.hpp"
#include "stofm/tasks/sparse_components.hpp"

namespace stofm::tasks {

/// What a slice needs to get the same components: plain lists and matrices, easily written to a file.
struct GeneComponents {
  GeneNames genes;            ///< [G]
  std::string matched_by;     ///< how the slices of the fit were matched
  double target = 0;          ///< total that the counts of a cell are scaled to
  PrincipalComponents basis;  ///< mean [G], loadings [P, G]

  std::int64_t count() const { return basis.count(); }
};

struct GeneComponentOptions {
  std::int64_t components = 30;  ///< at most
  double target = 0;             ///< 0: median total of the cells of all slices
  double least_share = 0.5;      ///< of the genes, that a slice must have to be given scores
  std::uint64_t seed = 0;        ///< of the iteration for many genes
};

/// Components and the scores of the slices that they were fitted on.
struct FittedGeneComponents {
  GeneComponents components;
  std::vector<Tensor<float>> scores;  ///< by slice: [cells, P]
  Notices notices;
};

namespace detail {
/// Counts of the shared genes of each slice, log-normalised to one target; says what has no counts.
inline std::vector<SparseRows> shared_log_counts(std::span<const io::Slice* const> slices,
                                                 const SharedGenes& shared, double& target, Notices& notices,
                                                 const pipeline::Progress& progress) {
  std::vector<SparseRows> rows;
  for (std::size_t s = 0; s < slices.size(); ++s)
    rows.push_back(gene_counts(*slices[s], shared.gene_of[s], shared.size(), progress));
  if (!(target > 0)) target = median_total(rows);
  for (std::size_t s = 0; s < slices.size(); ++s) {
    const std::int64_t empty = log_normalise(rows[s], target);
    if (empty == rows[s].rows())
      throw DataError(
          {"STOFM-4754", slices[s]->path, slices[s]->counts_source,
           concat("no count of a shared gene in any of ", empty, " cells"), "counts",
           "Choose another matrix (H5adReadOptions::layer, H5adReadOptions::use_raw), or check the file."});
    if (empty > 0)
      notices.push_back(
          {"STOFM-W4750",
           concat(slices[s]->path, ": ", empty, " cells without a count of a shared gene are all zeros"),
           empty});
  }
  return rows;
}
inline void note_shared_genes(std::span<const io::Slice* const> slices, const SharedGenes& shared,
                              Notices& notices) {
  if (slices.size() < 2) return;
  std::string sizes;
  for (const io::Slice* slice : slices) sizes += concat(sizes.empty() ? "" : ", ", slice->genes());
  notices.push_back({"STOFM-W4751",
                     concat(shared.size(), " genes are shared by all ", slices.size(), " slices (of ", sizes,
                            "), matched by ", shared.matched_by),
                     shared.size()});
}
}  // namespace detail

/// Fits components on all cells of all slices together. `model` (may be null) for its gene table alone.
/// \throws as share_genes and gene_counts; UsageError for components < 1 (STOFM-4708); DataError for a slice
/// without counts (4754). *Cost* one pass over the counts, then that of sparse_components; memory 8 bytes a
/// count. *Deterministic* yes, any thread count.
inline FittedGeneComponents fit_gene_components(std::span<const io::Slice* const> slices,
                                                const pipeline::Model* model = nullptr,
                                                const GeneComponentOptions& options = {},
                                                const pipeline::Progress& progress = {}) {
  SharedGenes shared = share_genes(slices, model);
  FittedGeneComponents result;
  detail::note_shared_genes(slices, shared, result.notices);
  GeneComponents& fit = result.components;
  fit.target = options.target;
  const std::vector<SparseRows> rows =
      detail::shared_log_counts(slices, shared, fit.target, result.notices, progress);
  fit.basis = sparse_components(rows, {.components = options.components, .seed = options.seed});
  fit.genes = std::move(shared.genes);
  fit.matched_by = std::move(shared.matched_by);
  for (const SparseRows& one : rows) result.scores.push_back(sparse_component_scores(fit.basis, one));
  return result;
}

/// Scores [cells, P] of any slice. Genes of the fit that it lacks count as their mean, and it is said how
/// many they are. \throws as gene_counts; DataError where fewer than `least_share` of the genes are there
/// (STOFM-4755), or no counts (4754). *Cost* one pass over the counts. *Deterministic* yes, any thread count.
inline Tensor<float> gene_component_scores(const GeneComponents& fit, const io::Slice& slice,
                                           const pipeline::Model* model, Notices& notices,
                                           double least_share = 0.5,
                                           const pipeline::Progress& progress = {}) {
  std::int64_t found = 0;
  const std::vector<std::int32_t> gene_of = match_genes(fit.genes, gene_names(slice, model), found);
  const std::int64_t genes = fit.genes.size();
  if (found < 1 || static_cast<double>(found) < least_share * static_cast<double>(genes))
    throw DataError({"STOFM-4755", slice.path, "genes",
                     concat(found, " of the ", genes, " genes that the components were fitted on"),
                     concat("at least ", least_share * 100, " %"),
                     "Fit components on slices with this panel, or use the model's embedding."});
  SparseRows rows = gene_counts(slice, gene_of, genes, progress);
  const std::int64_t empty = log_normalise(rows, fit.target);
  if (empty == rows.rows())
    throw DataError(
        {"STOFM-4754", slice.path, slice.counts_source,
         concat("no count of a shared gene in any of ", empty, " cells"), "counts",
         "Choose another matrix (H5adReadOptions::layer, H5adReadOptions::use_raw), or check the file."});
  if (found == genes) return sparse_component_scores(fit.basis, rows);
  notices.push_back({"STOFM-W4752",
                     concat(slice.path, ": ", genes - found, " of the ", genes,
                            " genes of the components are missing and count as their mean"),
                     genes - found});
  // A missing gene: neither its loading nor its mean speaks.
  const std::vector<char> there = genes_with_columns(gene_of, genes);
  PrincipalComponents basis = fit.basis;
  for (std::size_t g = 0; g < there.size(); ++g)
    if (!there[g]) basis.mean[g] = 0;
  return sparse_component_scores(basis, rows);
}

}  // namespace stofm::tasks
