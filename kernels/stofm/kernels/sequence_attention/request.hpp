// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Attention over packed sequences as host code asks for it: plain structs and one function per precision
/// class, so that each class compiles in a file of its own (kernels/instantiate/sequence_attention_*.cu).

#include "stofm/backend/cuda/precision.hpp"
#include "stofm/backend/cuda/stream.hpp"
#include "stofm/kernels/common/dropout.cuh"
#include "stofm/kernels/gemm/problem.hpp"
#include "stofm/kernels/sequence_attention/plan.hpp"

namespace stofm::kernels {

/// Packed rows on the device: float32 for Precision::float32, else bfloat16. Head h is columns
/// [h head_dim, (h + 1) head_dim). `low`: elements from a high part to its low part, for split_bf16.
struct AttentionMatrix {
  const void* data = nullptr;
  std::int64_t stride = 0, low = 0;
};

struct AttentionForward {
  const AttentionTile* tiles = nullptr;  ///< device; AttentionPlan::of_queries
  std::int64_t tile_count = 0;
  AttentionMatrix q, k, v;
  std::int64_t heads = 1, head_dim = 0;
  std::int64_t rows = 0;  ///< of q and y
  double scale = 1.0;
  DropoutParams dropout;
  OperandForm form = OperandForm::float32;  ///< of y: float32, or left_form(precision)
  void* y = nullptr;                        ///< dense operand [rows, heads head_dim]
  float* log_sums = nullptr;                ///< [heads, rows] for backward, or null
};

/// Gradients, float32, overwritten: head h of row i at [i stride + h head_dim].
struct AttentionGradient {
  float* data = nullptr;
  std::int64_t stride = 0;
};

struct AttentionBackward {
  const AttentionTile* query_tiles = nullptr;  ///< device; AttentionPlan::of_queries
  const AttentionTile* key_tiles = nullptr;    ///< device; AttentionPlan::of_keys
  std::int64_t query_tile_count = 0, key_tile_count = 0;
  AttentionMatrix q, k, v, grad_y;
  std::int64_t heads = 1, head_dim = 0;
  std::int64_t rows = 0;  ///< of q, y and grad_y
  double scale = 1.0;
  DropoutParams dropout;
  const float* log_sums = nullptr;  ///< [heads, rows], from the forward pass
  const float* row_dots = nullptr;  ///< [heads, rows]: <grad_y_i, y_i> of each head
  AttentionGradient grad_q, grad_k, grad_v;
};

void attention_forward_float32(const AttentionForward& request, backend::CudaStream stream);
void attention_forward_split_bf16(const AttentionForward& request, backend::CudaStream stream);
void attention_forward_bf16(const AttentionForward& request, backend::CudaStream stream);
void attention_backward_float32(const AttentionBackward& request, backend::CudaStream stream);
void attention_backward_split_bf16(const AttentionBackward& request, backend::CudaStream stream);
void attention_backward_bf16(const AttentionBackward& request, backend::CudaStream stream);

/// Queues one kernel.
inline void attention_forward(backend::Precision precision, const AttentionForward& request,
                              backend::CudaStream stream) {
  if (precision == backend::Precision::float32) return attention_forward_float32(request, stream);
  if (precision == backend::Precision::bf16) return attention_forward_bf16(request, stream);
  attention_forward_split_bf16(request, stream);
}
/// Queues two kernels: the gradient of queries, and those of keys and values. *Deterministic*: no tile adds
/// into another's rows; scores are computed again in both.
inline void attention_backward(backend::Precision precision, const AttentionBackward& request,
                               backend::CudaStream stream) {
  if (precision == backend::Precision::float32) return attention_backward_float32(request, stream);
  if (precision == backend::Precision::bf16) return attention_backward_bf16(request, stream);
  attention_backward_split_bf16(request, stream);
}

}  // namespace stofm::kernels
