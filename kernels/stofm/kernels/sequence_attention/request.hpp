// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Attention over packed sequences as host code asks for it: plain structs and one function per precision
/// class, so that each class compiles in a file of its own (kernels/instantiate/sequence_attention_*.cu).
/// Which block computes what is a host list of tiles, from the offsets, that the device reads. Sequences are
/// never padded, and no block searches for its sequence.

#include <algorithm>
#include <cstdint>
#include <span>
#include <vector>

#include "stofm/backend/cuda/precision.hpp"
#include "stofm/backend/cuda/stream.hpp"
#include "stofm/core/checked.hpp"
#include "stofm/kernels/common/dropout.cuh"
#include "stofm/kernels/gemm/problem.hpp"

namespace stofm::kernels {

/// Up to 64 rows of one sequence that a block owns, queries or keys.
struct AttentionTile {
  std::int64_t query_begin = 0;        ///< row of the sequence's first query
  std::int64_t key_begin = 0;          ///< row of its first key
  std::int64_t first_weight = 0;       ///< number of its first weight, for dropout
  std::int32_t queries = 0, keys = 0;  ///< of the sequence
  std::int32_t first = 0;              ///< first owned row, within the sequence
  std::int32_t sequence = 0;
};

/// Weights are numbered as on the CPU (backend/cpu/varlen_attention.hpp): sequence by sequence,
/// head by head, rows padded to a multiple of 16.
constexpr std::int64_t padded_keys(std::int64_t keys) { return (keys + 15) / 16 * 16; }

struct AttentionPlan {
  std::vector<AttentionTile> of_queries;  ///< for the forward pass and the gradient of queries
  std::vector<AttentionTile> of_keys;     ///< for the gradients of keys and values
};

/// Tiles of `rows` rows, longest sequences first, so that no long one is left for the end.
/// \throws Error if a count overflows; sequences are at most 2^31 - 1 long.
inline AttentionPlan plan_attention(std::span<const std::int64_t> query_offsets,
                                    std::span<const std::int64_t> key_offsets, std::int64_t heads,
                                    std::int64_t rows) {
  AttentionPlan plan;
  std::vector<AttentionTile> sequences;
  std::int64_t next_weight = 0;
  for (std::size_t s = 0; s + 1 < key_offsets.size(); ++s) {
    AttentionTile tile;
    tile.query_begin = query_offsets[s];
    tile.key_begin = key_offsets[s];
    tile.queries = static_cast<std::int32_t>(query_offsets[s + 1] - query_offsets[s]);
    tile.keys = static_cast<std::int32_t>(key_offsets[s + 1] - key_offsets[s]);
    tile.first_weight = next_weight;
    tile.sequence = static_cast<std::int32_t>(s);
    next_weight = checked_add(
        next_weight,
        checked_mul(checked_mul(heads, tile.queries, "weights"), padded_keys(tile.keys), "weights"),
        "weights");
    sequences.push_back(tile);
  }
  std::stable_sort(sequences.begin(), sequences.end(),
                   [](const AttentionTile& a, const AttentionTile& b) { return a.keys > b.keys; });
  for (AttentionTile tile : sequences) {
    for (std::int64_t first = 0; first < tile.queries; first += rows) {
      tile.first = static_cast<std::int32_t>(first);
      plan.of_queries.push_back(tile);
    }
    for (std::int64_t first = 0; first < tile.keys; first += rows) {
      tile.first = static_cast<std::int32_t>(first);
      plan.of_keys.push_back(tile);
    }
  }
  return plan;
}

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
