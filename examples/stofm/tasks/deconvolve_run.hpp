// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// What the parts of `stofm deconvolve` share: the reference, one slice of spots, what was found in it.

#include <optional>
#include <string>
#include <vector>

#include "arguments.hpp"
#include "stofm/tasks/composition_scores.hpp"
#include "stofm/tasks/deconvolve.hpp"
#include "stofm/tasks/shared_genes.hpp"
#include "tasks/task_run.hpp"

namespace stofm::program {

/// Labelled cells, or a table of profiles as a slice of genes without cells.
struct DeconvolveReference {
  std::vector<TaskSlice> slices;
  std::vector<std::vector<std::int32_t>> codes;  ///< by slice: [cells] type of each, -1: none
  std::vector<std::string> types;                ///< of all slices, in alphabetical order
  std::vector<std::string> colours;              ///< of each
  Tensor<double> table;                          ///< [types, genes] of a .csv, else empty
  std::vector<std::string> left_out;             ///< types that were named by --leave-out
};

/// \throws Error
DeconvolveReference open_deconvolve_reference(const DeconvolveArguments& a);

/// A composition that the file of the spots has.
struct DeconvolveTruth {
  std::string source;              ///< "obsm/truth_proportions"; empty: none
  std::vector<std::string> types;  ///< names of columns
  Tensor<double> cells;            ///< [spots, types] cells or shares
};
DeconvolveTruth read_deconvolve_truth(const TaskSlice& spots, const std::vector<std::string>& types);

/// One slice of spots.
struct DeconvolveResult {
  std::vector<std::string> types, colours;      ///< those with signatures
  std::vector<std::string> rare, without;       ///< left out: fewer cells than --min-cells; no counts
  std::int64_t genes = 0, reference_cells = 0;  ///< shared genes
  std::string matched_by;
  tasks::Deconvolution found;  ///< on `types`
  bool platform = false;
  double effect_spread = 0;
  std::int64_t few = 0;                                      ///< spots with fewer counts than --min-counts
  std::vector<std::int32_t> dominant;                        ///< [spots], -1: no counts
  std::vector<double> entropy;                               ///< [spots] in bits
  Tensor<float> shares, low, high;                           ///< [spots, types]
  std::optional<tasks::CompositionScores> scores, baseline;  ///< against the truth; of least squares
  std::vector<std::string> judged;                           ///< types of the scores
  std::string truth;                                         ///< where it stands
};

/// Counts of a slice on `genes` shared genes; `gene_of` [genes of the slice], -1: none of them.
io::CountRows deconvolve_counts(const io::Slice& slice, const std::vector<std::int32_t>& gene_of,
                                std::int64_t genes);

/// Genes that the spots and all references have. The gene table of a bundle is asked where names alone bring
/// less than half of the shorter list together.
tasks::SharedGenes deconvolve_genes(const DeconvolveArguments& a, const io::Slice& spots,
                                    const DeconvolveReference& reference);

/// Signatures of all types of the reference on the shared genes.
tasks::CellTypeProfiles deconvolve_profiles(const DeconvolveReference& reference,
                                            const tasks::SharedGenes& shared);

/// Profiles of the types that have enough cells; the others are listed. \throws DataError STOFM-2075 fewer
/// than two
tasks::CellTypeProfiles keep_deconvolve_types(const tasks::CellTypeProfiles& all,
                                              const DeconvolveReference& reference, std::int64_t least,
                                              DeconvolveResult& result);

/// Shares by a head over the model's embedding, learnt from spots of random reference cells: no interval, no
/// misfit, no explained counts. \throws UsageError STOFM-2077 for a table; ResourceError STOFM-2078; as
/// slice_features
tasks::Deconvolution deconvolve_by_head(const DeconvolveArguments& a, const TaskSlice& spots,
                                        const DeconvolveReference& reference,
                                        const tasks::SharedGenes& shared,
                                        const tasks::CellTypeProfiles& profiles, const io::CountRows& counts,
                                        const std::vector<std::string>& types);

/// Columns, report and summary. `results` must live until the output is written.
void fill_deconvolve(const DeconvolveArguments& a, const std::vector<TaskSlice>& slices,
                     const std::vector<DeconvolveResult>& results, std::vector<TaskOutput>& outputs,
                     TaskReport& report, nlohmann::json& summary);

}  // namespace stofm::program
