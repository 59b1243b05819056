// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Entries of a sparse matrix in the order in which blocks of 32 rows x groups of 32 columns are worked on.

#include <algorithm>
#include <cstdint>
#include <span>
#include <vector>

namespace stofm::backend {

/// The entries of one 32 x 32 block that has any.
struct SparseRun {
  std::int64_t group;       ///< column / 32
  std::int64_t begin, end;  ///< entries, in the new order
};

/// What is added to the logits of one block of 32 rows of one head.
struct SparseAdditions {
  std::span<const SparseRun> runs;           ///< ascending by group
  const std::uint16_t* positions = nullptr;  ///< per entry: row % 32 * 32 + column % 32
  const float* values = nullptr;             ///< per entry
};

/// The blocks of a CSR matrix. O(entries) memory.
struct SparseRuns {
  std::vector<SparseRun> runs;
  std::vector<std::int64_t> block_offsets;  ///< [row blocks + 1] into runs
  std::vector<std::uint16_t> positions;     ///< see SparseAdditions
  std::vector<std::int64_t> order;          ///< new entry -> entry of the matrix

  std::span<const SparseRun> of_block(std::int64_t block) const {
    const auto first = static_cast<std::size_t>(block_offsets[static_cast<std::size_t>(block)]);
    return std::span(runs).subspan(
        first, static_cast<std::size_t>(block_offsets[static_cast<std::size_t>(block) + 1]) - first);
  }
};

/// By counting: O(entries + blocks * groups) time, once.
inline SparseRuns make_sparse_runs(std::int64_t nodes, std::span<const std::int64_t> row_offsets,
                                   std::span<const std::int32_t> columns) {
  SparseRuns result;
  result.positions.resize(columns.size());
  result.order.resize(columns.size());
  result.block_offsets.push_back(0);
  std::vector<std::int64_t> next(static_cast<std::size_t>((nodes + 31) / 32));
  for (std::int64_t first = 0; first < nodes; first += 32) {
    const std::int64_t last = std::min(nodes, first + 32);
    const std::int64_t begin = row_offsets[static_cast<std::size_t>(first)];
    const std::int64_t end = row_offsets[static_cast<std::size_t>(last)];
    std::ranges::fill(next, 0);
    for (std::int64_t e = begin; e < end; ++e)
      ++next[static_cast<std::size_t>(columns[static_cast<std::size_t>(e)] / 32)];
    std::int64_t position = begin;
    for (std::size_t group = 0; group < next.size(); ++group) {
      const std::int64_t count = next[group];
      if (count > 0) result.runs.push_back({static_cast<std::int64_t>(group), position, position + count});
      next[group] = position;
      position += count;
    }
    for (std::int64_t row = first; row < last; ++row)
      for (std::int64_t e = row_offsets[static_cast<std::size_t>(row)];
           e < row_offsets[static_cast<std::size_t>(row) + 1]; ++e) {
        const std::int64_t column = columns[static_cast<std::size_t>(e)];
        const auto to = static_cast<std::size_t>(next[static_cast<std::size_t>(column / 32)]++);
        result.positions[to] = static_cast<std::uint16_t>((row - first) * 32 + column % 32);
        result.order[to] = e;
      }
    result.block_offsets.push_back(static_cast<std::int64_t>(result.runs.size()));
  }
  return result;
}

}  // namespace stofm::backend
