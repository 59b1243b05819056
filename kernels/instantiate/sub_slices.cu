// SPDX-License-Identifier: MIT
#include "stofm/kernels/sub_slices/launch.cuh"

namespace stofm::backend {

SlicePieces split_cells(Cuda device, TensorView<const double> xy, std::int64_t split_num) {
  if (xy.rank() != 2 || xy.dim(1) != 2 || xy.stride(1) != 1 || xy.dim(0) > 0x7fffffff)
    throw ShapeError({"STOFM-4204", "", "[split_cells]", to_string(xy.shape),
                      "[cells, 2], rows dense, below 2^31", "Give x and y of each cell."});
  if (split_num < 1)
    throw UsageError({"STOFM-4203", "", "split", std::to_string(split_num), "at least 1 cell per piece",
                      "The published value is 1000."});
  return kernels::sub_slices::run_split(device, xy, split_num);
}

DeviceSubSlices build_sub_slices_on_device(Cuda device, std::span<const std::int64_t> offsets,
                                           std::span<const std::int64_t> cells, TensorView<const double> xy,
                                           TensorView<const double> virtual_xy,
                                           const SubSliceSettings& settings) {
  return kernels::sub_slices::run_build(device, {offsets, cells, xy, virtual_xy, settings});
}

SubSliceArrays build_sub_slices(Cuda device, std::span<const std::int64_t> offsets,
                                std::span<const std::int64_t> cells, TensorView<const double> xy,
                                TensorView<const double> virtual_xy, const SubSliceSettings& settings) {
  return kernels::sub_slices::to_host_arrays(
      build_sub_slices_on_device(device, offsets, cells, xy, virtual_xy, settings));
}

}  // namespace stofm::backend
