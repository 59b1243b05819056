// SPDX-License-Identifier: MIT
/// \file
/// Genes and signatures of `stofm deconvolve`, from labelled cells or a table.

#include <algorithm>

#include "console.hpp"
#include "resources.hpp"
#include "slice_run.hpp"
#include "stofm/tasks/log_counts.hpp"
#include "tasks/deconvolve_run.hpp"

namespace stofm::program {

io::CountRows deconvolve_counts(const io::Slice& slice, const std::vector<std::int32_t>& gene_of,
                                std::int64_t genes) {
  const tasks::SparseRows rows = tasks::gene_counts(slice, gene_of, genes);
  io::CountRows counts;
  counts.offsets = rows.offsets;
  counts.columns = rows.columns;
  counts.values.assign(rows.values.begin(), rows.values.end());
  return counts;
}

tasks::SharedGenes deconvolve_genes(const DeconvolveArguments& a, const io::Slice& spots,
                                    const DeconvolveReference& reference) {
  std::vector<const io::Slice*> slices{&spots};
  std::int64_t fewest = spots.genes();
  for (const TaskSlice& one : reference.slices) {
    slices.push_back(&one.slice);
    fewest = (std::min)(fewest, one.slice.genes());
  }
  tasks::SharedGenes shared;
  try {
    shared = tasks::share_genes(slices);
  } catch (const DataError&) {  // by the gene table then
  }
  if (shared.size() * 2 >= fewest) return shared;
  std::string weights = a.task.weights;
  try {
    weights = find_weights(weights);
  } catch (const UsageError&) {  // no bundle: as far as names go
    return shared.size() > 0 ? shared : tasks::share_genes(slices);
  }
  const LoadedModel loaded = load_task_model(a.task);
  return tasks::share_genes(slices, &loaded.model);
}

tasks::CellTypeProfiles deconvolve_profiles(const DeconvolveReference& reference,
                                            const tasks::SharedGenes& shared) {
  const auto types = static_cast<std::int64_t>(reference.types.size());
  if (reference.table.numel() == 0) {
    tasks::CellTypeSums sums(types, shared.size());
    for (std::size_t r = 0; r < reference.slices.size(); ++r) {
      const io::Slice& slice = reference.slices[r].slice;
      sums.add(deconvolve_counts(slice, shared.gene_of[r + 1], shared.size()), reference.codes[r]);
      if (slice.stream_notices) say_notices(slice.stream_notices(), slice.path);
    }
    return sums.profiles();
  }
  tasks::CellTypeProfiles profiles;
  profiles.rates = Tensor<double>::zeros({types, shared.size()});
  for (std::int64_t t = 0; t < types; ++t) {
    double sum = 0;
    for (std::size_t g = 0; g < shared.gene_of[1].size(); ++g) {
      if (shared.gene_of[1][g] < 0) continue;
      const double value = reference.table(t, static_cast<std::int64_t>(g));
      profiles.rates(t, shared.gene_of[1][g]) += value;
      sum += value;
    }
    for (std::int64_t g = 0; g < shared.size() && sum > 0; ++g) profiles.rates(t, g) /= sum;
    profiles.cell_counts.push_back(sum);
    profiles.cells.push_back(sum > 0 ? 1 : 0);
    profiles.cell_spread.push_back(0);
  }
  return profiles;
}

tasks::CellTypeProfiles keep_deconvolve_types(const tasks::CellTypeProfiles& all,
                                              const DeconvolveReference& reference, std::int64_t least,
                                              DeconvolveResult& result) {
  std::vector<std::size_t> kept;
  const bool table = reference.table.numel() > 0;
  for (std::size_t t = 0; t < reference.types.size(); ++t) {
    if (all.cells[t] == 0)
      result.without.push_back(reference.types[t]);
    else if (!table && all.cells[t] < least)
      result.rare.push_back(reference.types[t]);
    else
      kept.push_back(t);
  }
  if (kept.size() < 2)
    throw DataError({"STOFM-2075", reference.slices.front().slice.path, "cell types",
                     concat(kept.size(), " with ", table ? 1 : least, " cells and counts on shared genes"),
                     "at least two", "Give more labelled cells, or lower --min-cells."});
  tasks::CellTypeProfiles profiles;
  profiles.rates = Tensor<double>::zeros({static_cast<std::int64_t>(kept.size()), all.genes()});
  for (std::size_t k = 0; k < kept.size(); ++k) {
    const std::size_t t = kept[k];
    std::copy_n(all.rates.data() + static_cast<std::int64_t>(t) * all.genes(), all.genes(),
                profiles.rates.data() + static_cast<std::int64_t>(k) * all.genes());
    profiles.cell_counts.push_back(all.cell_counts[t]);
    profiles.cells.push_back(all.cells[t]);
    profiles.cell_spread.push_back(all.cell_spread[t]);
    result.types.push_back(reference.types[t]);
    result.colours.push_back(reference.colours[t]);
    result.reference_cells += all.cells[t];
  }
  return profiles;
}

}  // namespace stofm::program
