// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Entries of a sparse matrix in the order in which blocks of 32 rows x groups of 32 columns are worked on.

#include <algorithm>
#include <array>
#include <cstdint>
#include <span>
#include <vector>

namespace stofm::backend {

/// The entries of one 32 x 32 block that has any. A block at least a quarter full is kept whole: all 1024
/// slots in order, zeros where nothing is listed, so that it is added with vector instructions.
struct SparseRun {
  std::int64_t group;                       ///< column / 32
  std::int64_t begin, end;                  ///< slots, ascending by row, then column
  std::array<std::uint16_t, 9> quads = {};  ///< slots before rows 0, 4, .. 32 of the block
  bool whole() const { return end - begin == 1024; }
  /// The first slot of a row that is a multiple of 4.
  std::int64_t slot(std::int64_t row) const { return begin + quads[static_cast<std::size_t>(row / 4)]; }
};

/// What is added to the logits of one block of 32 rows of one head.
struct SparseAdditions {
  std::span<const SparseRun> runs;           ///< ascending by group
  const std::uint16_t* positions = nullptr;  ///< per slot: row % 32 * 32 + column % 32
  const float* values = nullptr;             ///< per slot
};

/// The blocks of a CSR matrix. O(entries) memory.
struct SparseRuns {
  std::vector<SparseRun> runs;
  std::vector<std::int64_t> block_offsets;  ///< [row blocks + 1] into runs
  std::vector<std::uint16_t> positions;     ///< see SparseAdditions
  std::vector<std::int64_t> order;          ///< slot -> entry of the matrix, -1 for a zero

  std::span<const SparseRun> of_block(std::int64_t block) const {
    const auto first = static_cast<std::size_t>(block_offsets[static_cast<std::size_t>(block)]);
    return std::span(runs).subspan(
        first, static_cast<std::size_t>(block_offsets[static_cast<std::size_t>(block) + 1]) - first);
  }
};

/// By counting: O(entries + blocks * groups) time, once.
inline SparseRuns make_sparse_runs(std::int64_t nodes, std::span<const std::int64_t> row_offsets,
                                   std::span<const std::int32_t> columns) {
  constexpr std::int64_t whole = 1024, enough = 256;
  SparseRuns result;
  result.block_offsets.push_back(0);
  const auto groups = static_cast<std::size_t>((nodes + 31) / 32);
  std::vector<std::int64_t> count(groups), next(groups);
  std::int64_t slots = 0;
  for (std::int64_t first = 0; first < nodes; first += 32) {
    const std::int64_t last = (std::min)(nodes, first + 32);
    std::fill(count.begin(), count.end(), 0);
    for (std::int64_t e = row_offsets[static_cast<std::size_t>(first)];
         e < row_offsets[static_cast<std::size_t>(last)]; ++e)
      ++count[static_cast<std::size_t>(columns[static_cast<std::size_t>(e)] / 32)];
    for (std::size_t group = 0; group < groups; ++group) {
      next[group] = slots;
      if (count[group] == 0) continue;
      const std::int64_t size = count[group] >= enough ? whole : count[group];
      result.runs.push_back({static_cast<std::int64_t>(group), slots, slots + size, {}});
      slots += size;
      result.positions.resize(static_cast<std::size_t>(slots));
      result.order.resize(static_cast<std::size_t>(slots), -1);
      if (size == whole)
        for (std::int64_t k = 0; k < whole; ++k)
          result.positions[static_cast<std::size_t>(next[group] + k)] = static_cast<std::uint16_t>(k);
    }
    for (std::int64_t row = first; row < last; ++row)
      for (std::int64_t e = row_offsets[static_cast<std::size_t>(row)];
           e < row_offsets[static_cast<std::size_t>(row) + 1]; ++e) {
        const std::int64_t column = columns[static_cast<std::size_t>(e)];
        const auto group = static_cast<std::size_t>(column / 32);
        const std::int64_t position = (row - first) * 32 + column % 32;
        const auto slot =
            static_cast<std::size_t>(count[group] >= enough ? next[group] + position : next[group]++);
        result.positions[slot] = static_cast<std::uint16_t>(position);
        result.order[slot] = e;
      }
    for (auto run = static_cast<std::size_t>(result.block_offsets.back()); run < result.runs.size(); ++run) {
      SparseRun& here = result.runs[run];
      for (std::int64_t e = here.begin; e < here.end; ++e)
        ++here.quads[static_cast<std::size_t>(result.positions[static_cast<std::size_t>(e)] / 128 + 1)];
      for (std::size_t q = 1; q < here.quads.size(); ++q)
        here.quads[q] = static_cast<std::uint16_t>(here.quads[q] + here.quads[q - 1]);
    }
    result.block_offsets.push_back(static_cast<std::int64_t>(result.runs.size()));
  }
  return result;
}

}  // namespace stofm::backend
