// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Launches of the kernels that sort listed pairs into strips.

#include "stofm/backend/cuda/pair_index.hpp"
#include "stofm/kernels/pair_index/pair_index_forward.cuh"
#include "stofm/kernels/sub_slices/running_sums.cuh"

namespace stofm::kernels::pair_index {

inline StripParams strip_params(const backend::PairBatch& batch, const backend::ListedPairs& pairs,
                                const backend::PairStripSpace& to) {
  return {batch, pairs.row_offsets, pairs.columns, to.offsets, to.positions, to.entries};
}
/// A block per tile of 64 nodes.
inline LaunchConfig per_tile(const backend::PairBatch& batch, CudaStream stream, const char* name) {
  return {.grid = {blocks(batch.tiles)},
          .block = {PairIndexPolicy::warps * warp_size},
          .shared_bytes = 0,
          .stream = stream,
          .name = name};
}

inline void launch_strips_by_row(CudaStream stream, const backend::PairBatch& batch,
                                 const backend::ListedPairs& pairs, const backend::PairStripSpace& to) {
  launch(list_strips_by_row<PairIndexPolicy>, per_tile(batch, stream, "list_strips_by_row"),
         strip_params(batch, pairs, to));
}
inline void launch_strips_by_column(CudaStream stream, const backend::PairBatch& batch, std::int64_t strips,
                                    const backend::ListedPairs& pairs, const backend::PairStripSpace& to,
                                    std::int64_t* workspace) {
  const StripParams params = strip_params(batch, pairs, to);
  launch(count_strips_by_column<PairIndexPolicy>, per_tile(batch, stream, "count_strips_by_column"), params);
  if (strips > 0) sub_slices::launch_sums(to.offsets, workspace, strips, stream);
  launch(list_strips_by_column<PairIndexPolicy>, per_tile(batch, stream, "list_strips_by_column"), params);
}

}  // namespace stofm::kernels::pair_index
