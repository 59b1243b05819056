// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Global norm of all gradients, sqrt(sum g^2).
/// First kernel: a block sums the squares of one piece in double (a square of a float is exact there), thread
/// t its elements t, t + 256, ..., then the block in a fixed tree. Second: one block adds the pieces, thread
/// t every 256th, then the same tree. *Deterministic*; the CPU adds in another order (relative difference
/// below 1e-14). *Limiter* bytes: 4 read an element. Shared memory: 8 bytes a warp; two barriers.

#include "stofm/kernels/common/block.cuh"
#include "stofm/kernels/optimizer/adamw.cuh"

namespace stofm::kernels {

struct GlobalNormParams {
  const ParameterPiece* pieces;  ///< [piece_count]
  double* squares;               ///< [piece_count] workspace
  double* norm;
  std::int64_t piece_count;
};

template <class Policy>
struct GlobalNormStorage {
  double per_warp[Policy::threads / warp_size];
};

template <class Policy>
static __global__ void __launch_bounds__(Policy::threads) gradient_squares(const GlobalNormParams p) {
  auto& shared = shared_memory<GlobalNormStorage<Policy>>();
  const ParameterPiece piece = p.pieces[blockIdx.x];
  double sum = 0.0;
  for (std::int64_t i = threadIdx.x; i < piece.count; i += Policy::threads) {
    const double g = static_cast<double>(piece.grad[i]);
    sum += g * g;
  }
  sum = block_sum(sum, shared.per_warp);
  if (threadIdx.x == 0) p.squares[blockIdx.x] = sum;
}

template <class Policy>
static __global__ void __launch_bounds__(Policy::threads) finish_global_norm(const GlobalNormParams p) {
  auto& shared = shared_memory<GlobalNormStorage<Policy>>();
  double sum = 0.0;
  for (std::int64_t i = threadIdx.x; i < p.piece_count; i += Policy::threads) sum += p.squares[i];
  sum = block_sum(sum, shared.per_warp);
  if (threadIdx.x == 0) *p.norm = sqrt(sum);
}

/// Queues two kernels and waits.
inline double global_norm(Cuda device, std::span<const backend::CudaParameter> parameters) {
  std::vector<ParameterPiece> pieces;
  for (const backend::CudaParameter& parameter : parameters)
    append_pieces(pieces, {nullptr, nullptr, nullptr, parameter.grad, parameter.count, 0});
  const DeviceArray<ParameterPiece> table = pieces_to_device(device, pieces);
  DeviceArray<double> squares(device, static_cast<std::int64_t>(pieces.size())), result(device, 1);
  const CudaStream stream = thread_stream(device);
  const GlobalNormParams params{table.data(), squares.data(), result.data(), table.size()};
  LaunchConfig config{.grid = {blocks(table.size())},
                      .block = {OptimizerPolicy::threads},
                      .shared_bytes = sizeof(GlobalNormStorage<OptimizerPolicy>),
                      .stream = stream,
                      .name = "global_norm"};
  launch(gradient_squares<OptimizerPolicy>, config, params);
  config.grid = {1};
  launch(finish_global_norm<OptimizerPolicy>, config, params);
  double norm = 0.0;
  STOFM_CUDA_CHECK(
      cudaMemcpyAsync(&norm, result.data(), sizeof(norm), cudaMemcpyDeviceToHost, native(stream)));
  STOFM_CUDA_CHECK(cudaStreamSynchronize(native(stream)));
  return norm;
}

}  // namespace stofm::kernels
