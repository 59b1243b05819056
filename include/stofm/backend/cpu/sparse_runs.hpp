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

/// Cost: O(entries log) once.
inline SparseRuns make_sparse_runs(std::int64_t nodes, std::span<const std::int64_t> row_offsets,
                                   std::span<const std::int32_t> columns) {
  SparseRuns result;
  result.positions.resize(columns.size());
  result.order.resize(columns.size());
  result.block_offsets.push_back(0);
  struct Entry {
    std::int32_t column;
    std::int32_t row;
    std::int64_t index;
  };
  std::vector<Entry> block;
  std::size_t next = 0;
  for (std::int64_t first = 0; first < nodes; first += 32) {
    block.clear();
    for (std::int64_t i = first; i < std::min(nodes, first + 32); ++i)
      for (std::int64_t e = row_offsets[static_cast<std::size_t>(i)];
           e < row_offsets[static_cast<std::size_t>(i) + 1]; ++e)
        block.push_back({columns[static_cast<std::size_t>(e)], static_cast<std::int32_t>(i - first), e});
    std::ranges::stable_sort(block, {}, [](const Entry& entry) { return entry.column / 32; });
    for (const Entry& entry : block) {
      const std::int64_t group = entry.column / 32;
      const auto position = static_cast<std::int64_t>(next);
      if (static_cast<std::int64_t>(result.runs.size()) == result.block_offsets.back() ||
          result.runs.back().group != group)
        result.runs.push_back({group, position, position});
      result.runs.back().end = position + 1;
      result.positions[next] = static_cast<std::uint16_t>(entry.row * 32 + entry.column % 32);
      result.order[next++] = entry.index;
    }
    result.block_offsets.push_back(static_cast<std::int64_t>(result.runs.size()));
  }
  return result;
}

}  // namespace stofm::backend
