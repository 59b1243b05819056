// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Rows of a table picked by index, and their transpose: y_i = table[index_i] (or added to y), table[index_i]
/// += x_i. Gather: a warp owns a row of y. Scatter: the entries of each table row are listed in their order
/// (`RowGroups`, made on the host), a warp owns one table row that is named at all and adds its entries one
/// after the other, so that every sum has the order, and the bits, of the CPU. No atomics. *Limiter* bytes: 8
/// an element; the scatter is bound by latency where few rows are named very often.
/// Indices come from host memory: they are copied to the device at each call.

#include <algorithm>
#include <span>
#include <vector>

#include "stofm/kernels/common/rows.cuh"
#include "stofm/kernels/runtime/memory.cuh"

namespace stofm::kernels {

struct GatherParams {
  Rows<float> y;
  Rows<const float> table;
  const std::int32_t* indices;  ///< [rows]
  std::int64_t rows, columns;
  bool accumulate;
};

template <class Policy>
static __global__ void __launch_bounds__(Policy::threads) gather_rows_kernel(const GatherParams p) {
  const std::int64_t row = row_of_warp<Policy>();
  if (row >= p.rows) return;
  const float* from = p.table.row(p.indices[row]);
  float* to = p.y.row(row);
  for (std::int64_t j = lane(); j < p.columns; j += warp_size)
    to[j] = p.accumulate ? to[j] + from[j] : from[j];
}

/// The entries that go to each table row: group g adds x[entries[offsets[g] .. offsets[g + 1])] to
/// table[targets[g]].
struct RowGroups {
  std::vector<std::int32_t> targets;
  std::vector<std::int32_t> offsets;  ///< [groups + 1]
  std::vector<std::int32_t> entries;  ///< ascending within a group

  /// From the indices, by a stable sort: O(n log n) on the host.
  static RowGroups of(std::span<const std::int32_t> indices) {
    RowGroups groups;
    groups.entries.resize(indices.size());
    for (std::size_t i = 0; i < indices.size(); ++i) groups.entries[i] = static_cast<std::int32_t>(i);
    const auto key = [&](std::int32_t entry) { return indices[static_cast<std::size_t>(entry)]; };
    std::stable_sort(groups.entries.begin(), groups.entries.end(),
                     [&](std::int32_t a, std::int32_t b) { return key(a) < key(b); });
    for (std::size_t i = 0; i < indices.size(); ++i) {
      if (i > 0 && key(groups.entries[i]) == key(groups.entries[i - 1])) continue;
      groups.targets.push_back(key(groups.entries[i]));
      groups.offsets.push_back(static_cast<std::int32_t>(i));
    }
    groups.offsets.push_back(static_cast<std::int32_t>(indices.size()));
    return groups;
  }
};

struct ScatterParams {
  Rows<float> table;
  Rows<const float> x;
  const std::int32_t *targets, *offsets, *entries;  ///< RowGroups on the device
  std::int64_t groups, columns;
};

template <class Policy>
static __global__ void __launch_bounds__(Policy::threads) scatter_add_rows_kernel(const ScatterParams p) {
  const std::int64_t group = row_of_warp<Policy>();
  if (group >= p.groups) return;
  const std::int32_t begin = p.offsets[group], end = p.offsets[group + 1];
  float* to = p.table.row(p.targets[group]);
  for (std::int64_t j = lane(); j < p.columns; j += warp_size) {
    float sum = to[j];
    for (std::int32_t k = begin; k < end; ++k) sum += p.x.row(p.entries[k])[j];
    to[j] = sum;
  }
}

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
  launch(gather_rows_kernel<Policy>, per_row<Policy>(picked.size(), thread_stream(device), "gather_rows"),
                      {rows_of(y), rows_of(table), picked.data(), picked.size(), y.dim(1), accumulate});
}

template <class Policy = RowPolicy>
void scatter_add_rows(Cuda device, TensorView<float, Cuda> table, TensorView<const float, Cuda> x,
                      std::span<const std::int32_t> indices) {
  const RowGroups groups = RowGroups::of(indices);
  const DeviceArray<std::int32_t> targets = indices_to_device(device, groups.targets),
                                  offsets = indices_to_device(device, groups.offsets),
                                  entries = indices_to_device(device, groups.entries);
  launch(scatter_add_rows_kernel<Policy>, per_row<Policy>(targets.size(), thread_stream(device), "scatter_add_rows"),
      {rows_of(table), rows_of(x), targets.data(), offsets.data(), entries.data(), targets.size(), x.dim(1)});
}

}  // namespace stofm::kernels
