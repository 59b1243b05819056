// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Sums over rows (gradients of biases, norms and heads) that passes leave in parts: a row of sums a block.
/// They wait in one buffer until a single launch adds many of them, in the order of the blocks.
/// *Deterministic*. *Limiter* latency: a thread walks the blocks of its column.

#include <algorithm>

#include "stofm/core/error.hpp"
#include "stofm/kernels/common/launch.cuh"

namespace stofm::kernels::se2 {

/// Partial sums of one pass over rows.
struct PartialSum {
  const float* partial = nullptr;  // [blocks, width]
  std::int64_t blocks = 0, width = 0;
  /// Columns [kind * columns, (kind + 1) * columns) of `partial` are added to into[kind]; null: left out.
  float* into[3] = {nullptr, nullptr, nullptr};
  std::int64_t columns = 0;
};

struct AddPartialsParams {
  static constexpr int most = 32;
  PartialSum sums[most];  // blockIdx.y chooses
};

/// A thread owns a column and adds the blocks in their order.
static __global__ void __launch_bounds__(256) add_partials_kernel(const AddPartialsParams params) {
  const PartialSum& p = params.sums[blockIdx.y];
  const std::int64_t at = std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (at >= p.width) return;
  float* const into = p.into[at / p.columns];
  if (into == nullptr) return;
  float sum = 0.0F;
  for (std::int64_t b = 0; b < p.blocks; ++b) sum += p.partial[b * p.width + at];
  into[at % p.columns] += sum;
}

/// Sums over rows that wait until they are added over their blocks, several in one launch. Host side; what is
/// taken from `room` is free again after flush(), which is queued on the same stream.
class PartialSums {
 public:
  PartialSums(CudaStream stream, float* room, std::int64_t floats)
      : stream_(stream), room_(room), floats_(floats) {}

  /// Room for [blocks, width] sums, whose columns are added to into[0], into[1], ... (null: left out),
  /// `columns` each.
  float* take(std::int64_t blocks, std::int64_t width, std::int64_t columns, float* first,
              float* second = nullptr, float* third = nullptr) {
    const std::int64_t count = blocks * width;
    if (used_ + count > floats_ || waiting_ == AddPartialsParams::most) flush();
    if (count > floats_)
      throw DeviceError({"STOFM-6008", "", "[se2_add_partials]", concat(count, " sums"),
                         concat("at most ", floats_), "Please report this."});
    float* const partial = room_ + used_;
    used_ += count;
    params_.sums[waiting_++] = {partial, blocks, width, {first, second, third}, columns};
    widest_ = (std::max)(widest_, width);
    return partial;
  }
  /// Queues the additions. Call it before gradients are read, and at the end.
  void flush() {
    if (waiting_ > 0)
      launch(add_partials_kernel,
             {.grid = {blocks(widest_, 256), static_cast<unsigned>(waiting_)},
              .block = {256},
              .stream = stream_,
              .name = "se2_add_partials"},
             params_);
    params_ = {};
    waiting_ = 0;
    used_ = widest_ = 0;
  }

 private:
  CudaStream stream_;
  float* room_;
  std::int64_t floats_, used_ = 0, widest_ = 0;
  int waiting_ = 0;
  AddPartialsParams params_;
};

}  // namespace stofm::kernels::se2
