// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Gradient of a junction, where the parts of a layer meet (encoder_block/row_norm.cuh). With x = (z - mean) /
/// s, s = sqrt(var + eps), g = grad_y gamma:
///   grad_z = (g - mean(g) - x mean(g x)) / s  (or grad_y without a norm)  + grad_stream
///   grad_part = dropout(grad_z);  sums over rows: gamma += grad_y x, beta += grad_y, bias += grad_part
/// A block owns consecutive rows, a warp every eighth of them; the three sums stay in registers per lane, are
/// added over the warps through shared memory in the order of the warps, and over the blocks by
/// `add_partials_kernel`. *Deterministic*. *Limiter* bytes: 8 to 12 read, 4 to 10 written per element.

#include "stofm/kernels/common/block.cuh"
#include "stofm/kernels/encoder_block/row_norm.cuh"
#include "stofm/kernels/model/packed_dropout.cuh"
#include "stofm/kernels/model/policy.hpp"

namespace stofm::kernels::se2 {

struct JunctionBackwardParams {
  const float* grad_y = nullptr;       // [rows, columns]
  const float* grad_stream = nullptr;  // [rows, columns] or null
  const float* z = nullptr;            // [rows, columns], with gamma
  const float* gamma = nullptr;        // [columns]; null: no norm
  float eps = 0.0F;
  PackedDropout dropout;
  float* grad_z = nullptr;   // [rows, columns] or null; may be grad_y or grad_stream
  bool drop_grad_z = false;  // grad_z is written after dropout: where there is no residual
  void* operand = nullptr;   // dense operand [rows, columns] of grad_part, or null
  float* partial = nullptr;  // [blocks, 3, columns]: gamma, beta, bias
  std::int64_t rows = 0, columns = 0, rows_per_block = 0;
};

/// Dynamic shared memory: sums of one kind of all warps.
template <int Chunks>
struct JunctionBackwardStorage {
  float sums[RowPolicy::warps][RowPolicy::columns_per_chunk * Chunks];
};

template <OperandForm Form, int Chunks>
static __global__ void __launch_bounds__(RowPolicy::threads)
    junction_backward_kernel(const JunctionBackwardParams p) {
  const std::int64_t begin = std::int64_t{blockIdx.x} * p.rows_per_block;
  const std::int64_t end = begin + p.rows_per_block < p.rows ? begin + p.rows_per_block : p.rows;
  const float inverse = 1.0F / static_cast<float>(p.columns);
  Quad sums[3][Chunks] = {};
  for (std::int64_t row = begin + warp(); row < end; row += RowPolicy::warps) {
    Quad g[Chunks], x[Chunks];
    float sum = 0.0F, factor = 1.0F, mean_g = 0.0F, mean_gx = 0.0F;
#pragma unroll
    for (int c = 0; c < Chunks; ++c) {
      const int column = column_of_chunk(c);
      g[c] = {};
      x[c] = {};
      if (column >= p.columns) continue;
      g[c] = load_quad(p.grad_y + row * p.columns + column);
      if (p.gamma == nullptr) continue;
      x[c] = load_quad(p.z + row * p.columns + column);
      sum += quad_sum(x[c]);
    }
    if (p.gamma != nullptr) {
      factor = centre_row(x, sum, p.columns, p.eps);
#pragma unroll
      for (int c = 0; c < Chunks; ++c) {
        const int column = column_of_chunk(c);
        if (column >= p.columns) continue;
        const Quad gamma = load_quad(p.gamma + column);
#pragma unroll
        for (int i = 0; i < 4; ++i) {
          x[c].v[i] *= factor;
          sums[0][c].v[i] += g[c].v[i] * x[c].v[i];
          sums[1][c].v[i] += g[c].v[i];
          g[c].v[i] *= gamma.v[i];
          mean_g += g[c].v[i];
          mean_gx += g[c].v[i] * x[c].v[i];
        }
      }
      mean_g = warp_sum(mean_g) * inverse;
      mean_gx = warp_sum(mean_gx) * inverse;
    }
#pragma unroll
    for (int c = 0; c < Chunks; ++c) {
      const int column = column_of_chunk(c);
      if (column >= p.columns) continue;
      const std::int64_t at = row * p.columns + column;
      if (p.gamma != nullptr) {
#pragma unroll
        for (int i = 0; i < 4; ++i) g[c].v[i] = factor * (g[c].v[i] - mean_g - x[c].v[i] * mean_gx);
      }
      if (p.grad_stream != nullptr) {
        const Quad stream = load_quad(p.grad_stream + at);
#pragma unroll
        for (int i = 0; i < 4; ++i) g[c].v[i] += stream.v[i];
      }
      if (p.grad_z != nullptr && !p.drop_grad_z) store_quad(p.grad_z + at, g[c]);
      drop_quad(p.dropout, row, p.columns, column, g[c]);
      if (p.grad_z != nullptr && p.drop_grad_z) store_quad(p.grad_z + at, g[c]);
      if (p.operand != nullptr) store_operand<Form>(p.operand, row, p.columns, column, g[c]);
#pragma unroll
      for (int i = 0; i < 4; ++i) sums[2][c].v[i] += g[c].v[i];
    }
  }

  // ---- sums of the block, one kind at a time
  auto& shared = shared_memory<JunctionBackwardStorage<Chunks>>();
#pragma unroll
  for (int kind = 0; kind < 3; ++kind) {
    block_sync();  // whoever still reads the kind before
#pragma unroll
    for (int c = 0; c < Chunks; ++c) store_quad(shared.sums[warp()] + column_of_chunk(c), sums[kind][c]);
    block_sync();
    for (std::int64_t column = threadIdx.x; column < p.columns; column += RowPolicy::threads) {
      float sum = 0.0F;
#pragma unroll
      for (int w = 0; w < RowPolicy::warps; ++w) sum += shared.sums[w][column];
      p.partial[(std::int64_t{blockIdx.x} * 3 + kind) * p.columns + column] = sum;
    }
  }
}

}  // namespace stofm::kernels::se2
