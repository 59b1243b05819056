// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Counts of cells from a table.

#include <cstdint>
#include <vector>

#include "stofm/io/slice.hpp"

namespace stofm::test {

/// Cells [begin, end) of a table with a row a cell, as a reader hands them on.
inline io::CountRows counts_of(const std::vector<std::vector<double>>& rows, std::int64_t begin,
                               std::int64_t end) {
  io::CountRows counts;
  counts.first_row = begin;
  for (std::int64_t i = begin; i < end; ++i) {
    const auto& row = rows[static_cast<std::size_t>(i)];
    for (std::size_t g = 0; g < row.size(); ++g)
      if (row[g] > 0) {
        counts.columns.push_back(static_cast<std::int32_t>(g));
        counts.values.push_back(row[g]);
      }
    counts.offsets.push_back(static_cast<std::int64_t>(counts.columns.size()));
  }
  return counts;
}
inline io::CountRows counts_of(const std::vector<std::vector<double>>& rows) {
  return counts_of(rows, 0, static_cast<std::int64_t>(rows.size()));
}

}  // namespace stofm::test
