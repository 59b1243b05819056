// SPDX-License-Identifier: MIT
#include "stofm/backend/cuda/varlen_attention.hpp"

#include "stofm/kernels/common/launch.cuh"
#include "stofm/kernels/runtime/memory.cuh"
#include "stofm/kernels/sequence_attention/policy.hpp"
#include "stofm/kernels/sequence_attention/request.hpp"

namespace stofm::backend {

/// In float32 for either grade: operands that a caller wants in bfloat16 are kept as such by the encoders.
void varlen_attention(Cuda device, TensorView<float, Cuda> y, TensorView<const float, Cuda> q,
                      TensorView<const float, Cuda> k, TensorView<const float, Cuda> v,
                      std::span<const std::int64_t> query_offsets, std::span<const std::int64_t> key_offsets,
                      AttentionOptions options) {
  using namespace kernels;
  if (y.numel() == 0) return;
  const CudaStream stream = current_stream(device);
  const AttentionPlan plan =
      plan_attention(query_offsets, key_offsets, options.heads, sequence_attention::TilePolicy::rows);
  const auto count = static_cast<std::int64_t>(plan.of_queries.size());
  const std::int64_t width = y.dim(1), row_bytes = width * 4;
  DeviceArray<AttentionTile> tiles(device, count);
  // Pageable memory: the copy has left it when this returns.
  STOFM_CUDA_CHECK(cudaMemcpyAsync(tiles.data(), plan.of_queries.data(),
                                   plan.of_queries.size() * sizeof(AttentionTile), cudaMemcpyHostToDevice,
                                   native(stream)));
  const bool dense = y.stride(0) == width;
  DeviceArray<float> result(device, dense ? 0 : y.dim(0) * width);
  AttentionForward request;
  request.tiles = tiles.data();
  request.tile_count = count;
  request.q = {q.data, q.stride(0), 0};
  request.k = {k.data, k.stride(0), 0};
  request.v = {v.data, v.stride(0), 0};
  request.heads = options.heads;
  request.head_dim = width / options.heads;
  request.rows = y.dim(0);
  request.scale = options.scale;
  request.y = dense ? y.data : result.data();
  attention_forward(Precision::float32, request, stream);
  if (!dense)
    STOFM_CUDA_CHECK(
        cudaMemcpy2DAsync(y.data, static_cast<std::size_t>(y.stride(0) * 4), result.data(),
                          static_cast<std::size_t>(row_bytes), static_cast<std::size_t>(row_bytes),
                          static_cast<std::size_t>(y.dim(0)), cudaMemcpyDeviceToDevice, native(stream)));
}

}  // namespace stofm::backend
