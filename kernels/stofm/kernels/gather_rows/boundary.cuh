// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Gather and scatter with indices in host memory: they are copied to the device at each call.

#include "stofm/kernels/gather_rows/gather_rows.cuh"
#include "stofm/kernels/runtime/memory.cuh"

namespace stofm::kernels {

inline DeviceArray<std::int32_t> indices_to_device(Cuda device, std::span<const std::int32_t> indices) {
  DeviceArray<std::int32_t> array(device, static_cast<std::int64_t>(indices.size()));
  if (!indices.empty())
    STOFM_CUDA_CHECK(cudaMemcpyAsync(array.data(), indices.data(), indices.size_bytes(),
                                     cudaMemcpyHostToDevice, native(thread_stream(device))));
  return array;
}

template <class Policy = RowPolicy>
void gather_rows(Cuda device, TensorView<float, Cuda> y, TensorView<const float, Cuda> table,
                 std::span<const std::int32_t> indices, bool accumulate) {
  const DeviceArray<std::int32_t> picked = indices_to_device(device, indices);
  launch_rows<Policy>(gather_rows_kernel<Policy>, picked.size(), thread_stream(device), "gather_rows",
                      {rows_of(y), rows_of(table), picked.data(), picked.size(), y.dim(1), accumulate});
}

template <class Policy = RowPolicy>
void scatter_add_rows(Cuda device, TensorView<float, Cuda> table, TensorView<const float, Cuda> x,
                      std::span<const std::int32_t> indices) {
  const RowGroups groups = RowGroups::of(indices);
  const DeviceArray<std::int32_t> targets = indices_to_device(device, groups.targets),
                                  offsets = indices_to_device(device, groups.offsets),
                                  entries = indices_to_device(device, groups.entries);
  launch_rows<Policy>(
      scatter_add_rows_kernel<Policy>, targets.size(), thread_stream(device), "scatter_add_rows",
      {rows_of(table), rows_of(x), targets.data(), offsets.data(), entries.data(), targets.size(), x.dim(1)});
}

}  // namespace stofm::kernels
