// SPDX-License-Identifier: MIT
#include "stofm/kernels/pair_index/launch.cuh"

namespace stofm::backend {

void pair_strips_by_row(CudaStream stream, const PairBatch& batch, const ListedPairs& pairs,
                        const PairStripSpace& to) {
  kernels::pair_index::launch_strips_by_row(stream, batch, pairs, to);
}
void pair_strips_by_column(CudaStream stream, const PairBatch& batch, std::int64_t strips,
                           const ListedPairs& pairs, const PairStripSpace& to, std::int64_t* workspace) {
  kernels::pair_index::launch_strips_by_column(stream, batch, strips, pairs, to, workspace);
}
std::int64_t pair_strip_workspace(std::int64_t strips) {
  return kernels::ceil_div(strips, kernels::sub_slices::values_per_block);
}

}  // namespace stofm::backend
