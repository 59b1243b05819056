// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Attention with the carried pair state on a CUDA device, for a batch of sub-slices of any lengths. Per
/// sub-slice and head, in layer l:
///   S_l = B + sum_{j <= l} scale Q_j K_j^T,  A = softmax(S_l),  y_l = (A o M) V_l,
/// B one background value except at listed pairs, M the keep mask of dropout over 1 - p. No [nodes, nodes]
/// array exists. With dA = (dy V^T) o M and G = A o (dA - rowsum(dy o y)) + (gradient of asked pairs):
///   dV_l = (A o M)^T dy,  dQ_j += scale G K_j,  dK_j += scale G^T Q_j for j <= l,  dB += G.
/// *Source* SPEC section 5, identities 1 and 3; the CPU form: ops/pair_attention.hpp.
/// Declared here, defined by the kernel library. Pointers are device memory unless said. Nothing here
/// allocates or waits for the device. *Deterministic*: no atomics; the same bits in every run.
///
/// Use, per layer: `pair_attention_pack` (q, k, v), `pair_attention_forward`; later `pair_attention_backward`
/// from the last layer to the first. Which pairs are where: `PairBatchPlan` (pair_batch.hpp).

#include <cstdint>
#include <span>

#include "stofm/backend/cuda/bias_table.hpp"
#include "stofm/backend/cuda/pair_batch.hpp"
#include "stofm/backend/cuda/precision.hpp"
#include "stofm/backend/cuda/stream.hpp"

namespace stofm::backend {

/// Layers whose products one launch can add up.
inline constexpr std::int64_t max_pair_layers = 32;
/// Widest head; narrower ones are padded with zeros to 16, 32 or 64.
inline constexpr std::int64_t max_pair_head_dim = 64;

/// Sizes of every call of one forward or backward pass.
struct PairAttentionSizes {
  std::int64_t heads = 0;
  std::int64_t head_dim = 0;                    ///< 1 to 64
  Precision precision = Precision::split_bf16;  ///< of operands and of all products
  double scale = 1.0;                           ///< of q k^T; 1 where the queries are already scaled
};

/// What a packed operand is.
enum class PairOperand {
  query,  ///< stored times scale * log2(e): logits are exponents of two
  key,
  value,
};

/// One matrix to pack: [nodes, heads * head_dim] float32, rows `stride` apart -> [parts][heads][nodes][padded
/// head_dim] of float32 (one part) or bfloat16 (one part, or high and low parts).
struct PairPack {
  PairOperand operand = PairOperand::key;
  const float* from = nullptr;
  std::int64_t stride = 0;
  void* to = nullptr;  ///< pair_operand_bytes() bytes, 16-byte aligned
};

/// Bytes of one packed operand of `nodes` nodes. Host only. \throws UsageError STOFM-6050 for sizes without a
/// kernel.
std::int64_t pair_operand_bytes(const PairAttentionSizes& sizes, std::int64_t nodes);

/// Packs up to four operands in one launch. *Cost* reads and writes each once.
void pair_attention_pack(CudaStream stream, const PairAttentionSizes& sizes, std::int64_t nodes,
                         std::span<const PairPack> operands);

/// Dropout of the weights of one layer. Element (head, i, j) of a sub-slice of n nodes is number
///   ((head * g + j / 32) * 32 g + i) * 32 + j % 32,  g = ceil(n / 32),
/// of the mask of that sub-slice: the bits of the CPU.
struct PairDropoutKeys {
  const std::uint32_t* keys = nullptr;  ///< [slices, 4]: DropoutMask::key of each sub-slice; null: no dropout
  std::uint32_t threshold = 0;          ///< DropoutRate::threshold
  float factor = 1.0F;                  ///< DropoutRate::factor
};

/// Inputs of layer `layers` (1-based) that forward and backward share.
struct PairAttentionLayer {
  PairBatch batch;                      ///< of PairBatchPlan::view
  std::int64_t layers = 0;              ///< 1 to max_pair_layers
  const void* q[max_pair_layers] = {};  ///< packed, of layers 1 .. `layers`
  const void* k[max_pair_layers] = {};  ///< packed
  const void* v = nullptr;              ///< packed, of this layer
  const float* bias = nullptr;  ///< [heads, entries] listed bias minus background; null without entries
  PairBiasTable table;          ///< forward: read in place of `bias` where it has places
  PairDropoutKeys dropout;
};

struct PairAttentionForward {
  PairAttentionLayer layer;
  float* y = nullptr;  ///< [nodes, heads * head_dim], rows `y_stride` apart; null: not wanted
  std::int64_t y_stride = 0;
  /// bf16, split_bf16: y dense as the next product reads it, in bfloat16 or rows of high, low, high parts:
  /// what a conversion of y would write, to the bit. Null: not wanted. Other precisions do not write it.
  void* y_operand = nullptr;
  float* log_sums =
      nullptr;  ///< [heads, nodes] log sum exp of the rows of S without background; null: not kept
  /// P_L at the asked pairs, [pairs, heads], background included; null: not wanted.
  float* pair_values = nullptr;
  const float* background = nullptr;  ///< [heads]; only read for pair_values
};

/// *Cost* 2 n^2 heads head_dim (layers + 1) FLOP a sub-slice (three times the products in split_bf16).
void pair_attention_forward(CudaStream stream, const PairAttentionSizes& sizes,
                            const PairAttentionForward& args);

/// Gradients of one layer. Rows of all grad_* matrices are [heads * head_dim], `grad_stride` apart.
struct PairAttentionBackward {
  PairAttentionLayer layer;
  const float* y = nullptr;  ///< of forward
  std::int64_t y_stride = 0;
  const float* log_sums = nullptr;
  const float* grad_y = nullptr;  ///< [nodes, heads * head_dim]
  std::int64_t grad_y_stride = 0;
  const float* grad_pairs = nullptr;    ///< [pairs, heads] gradient of pair_values; null: none
  float* grad_q[max_pair_layers] = {};  ///< of the queries before scaling; of layers 1 .. `layers`
  float* grad_k[max_pair_layers] = {};
  float* grad_v = nullptr;  ///< written, never added to
  std::int64_t grad_stride = 0;
  float* grad_bias = nullptr;  ///< [heads, entries]; null without entries
  /// Whether grad_q, grad_k and grad_bias are added to (true) or written (false: the last layer, which is the
  /// first of a backward pass and reaches all of them).
  bool accumulate = false;
  void* workspace = nullptr;  ///< pair_attention_backward_bytes() bytes, 16-byte aligned
  /// Whether the workspace holds grad_y, packed as a value, and after pair_operand_bytes() its row products
  /// with y, [heads, nodes]; then neither grad_y nor y is read.
  bool prepared = false;
};

/// Bytes of the workspace: packed grad_y and one number per row and head.
std::int64_t pair_attention_backward_bytes(const PairAttentionSizes& sizes, std::int64_t nodes);

/// *Cost* two passes (over rows, then over columns), 2 n^2 heads head_dim (4 layers + 4) FLOP together; more
/// where `layers` * head_dim exceeds 128 (the logits are then computed again for every 128 columns).
void pair_attention_backward(CudaStream stream, const PairAttentionSizes& sizes,
                             const PairAttentionBackward& args);

}  // namespace stofm::backend
