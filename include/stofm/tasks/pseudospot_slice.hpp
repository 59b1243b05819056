// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Spots of known composition as a slice in memory, so that whatever is done with a file can be done with
/// them.

#include <memory>
#include <string>
#include <utility>

#include "stofm/tasks/pseudospots.hpp"

namespace stofm::tasks {

/// The spots of `plan`, with counts of sum_pseudospots on the genes of `cells`. Positions are those of the
/// plan: random spots lie on a grid that means nothing. \throws as sum_pseudospots. *Cost* that of it.
inline io::Slice pseudospot_slice(const io::Slice& cells, const PseudospotPlan& plan,
                                  const PseudospotOptions& options = {}) {
  io::Slice spots;
  spots.path = cells.path;
  spots.counts_source = cells.counts_source;
  spots.counts_scale = cells.counts_scale;
  spots.gene_ids = cells.gene_ids;
  spots.gene_symbols = cells.gene_symbols;
  spots.gene_id_column = cells.gene_id_column;
  spots.gene_symbol_column = cells.gene_symbol_column;
  spots.gene_column_chosen = cells.gene_column_chosen;
  spots.file_genes = cells.genes();
  spots.cells = spots.file_cells = plan.spots();
  spots.coordinates = plan.xy.clone();
  spots.coordinates_source = "spots";
  spots.read_counts = [counts = std::make_shared<const io::CountRows>(sum_pseudospots(cells, plan, options))](
                          std::int64_t begin, std::int64_t end) {
    io::CountRows rows;
    rows.first_row = begin;
    const auto first = counts->offsets[static_cast<std::size_t>(begin)];
    for (auto i = static_cast<std::size_t>(begin); i < static_cast<std::size_t>(end); ++i)
      rows.offsets.push_back(counts->offsets[i + 1] - first);
    const auto last = first + rows.offsets.back();
    rows.columns.assign(counts->columns.begin() + first, counts->columns.begin() + last);
    rows.values.assign(counts->values.begin() + first, counts->values.begin() + last);
    return rows;
  };
  return spots;
}

}  // namespace stofm::tasks
