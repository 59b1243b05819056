// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// A slice as if its panel had fewer genes: for embeddings of panels that differ on what they share, and for
/// genes that are hidden to see how well they are predicted.

#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "stofm/core/checked.hpp"
#include "stofm/io/slice.hpp"

namespace stofm::tasks {

/// `slice` with the columns where `keep` [genes] is not 0. Counts are still streamed from the same reader.
/// \throws ShapeError STOFM-4752 for another number of columns. *Cost* O(genes); a copy of each block of
/// counts while it is read.
inline io::Slice slice_with_genes(const io::Slice& slice, std::span<const std::uint8_t> keep) {
  if (static_cast<std::int64_t>(keep.size()) != slice.genes())
    throw ShapeError({"STOFM-4752", slice.path, "[slice_with_genes]", concat(keep.size(), " columns"),
                      concat(slice.genes(), ", one per gene of the slice"),
                      "Say of each gene whether it stays."});
  io::Slice result = slice;
  std::vector<std::int32_t> number(keep.size(), -1);
  std::int32_t kept = 0;
  for (std::size_t g = 0; g < keep.size(); ++g)
    if (keep[g]) number[g] = kept++;
  const auto choose = [&keep](auto& names) {
    if (names.empty()) return;
    std::size_t to = 0;
    for (std::size_t g = 0; g < keep.size(); ++g)
      if (keep[g]) {
        if (to != g) names[to] = std::move(names[g]);
        ++to;
      }
    names.resize(to);
  };
  choose(result.gene_ids);
  choose(result.gene_symbols);
  for (io::GeneNameList& list : result.other_gene_names) choose(list.names);
  if (result.file_columns.empty())
    for (std::int64_t g = 0; g < slice.genes(); ++g) result.file_columns.push_back(g);
  choose(result.file_columns);
  result.read_counts = [read = slice.read_counts, number = std::move(number)](std::int64_t begin,
                                                                              std::int64_t end) {
    const io::CountRows all = read(begin, end);
    io::CountRows rows;
    rows.first_row = all.first_row;
    for (std::size_t r = 0; r + 1 < all.offsets.size(); ++r) {
      for (auto e = static_cast<std::size_t>(all.offsets[r]);
           e < static_cast<std::size_t>(all.offsets[r + 1]); ++e) {
        const std::int32_t column = number.at(static_cast<std::size_t>(all.columns[e]));
        if (column < 0) continue;
        rows.columns.push_back(column);
        rows.values.push_back(all.values[e]);
      }
      rows.offsets.push_back(static_cast<std::int64_t>(rows.columns.size()));
    }
    return rows;
  };
  return result;
}

}  // namespace stofm::tasks
