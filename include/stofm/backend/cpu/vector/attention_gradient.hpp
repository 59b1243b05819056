// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Gradient of softmax attention of one head of one sequence in float32 on vectors. Query rows come in
/// blocks of `task_rows` (half of it beyond 1024 keys); per block, with all keys:
///     P = softmax(scale q k^T), S = scale P * (grad_y v^T - <grad_y, y>)      [rows, keys], in rows
///     grad_q = S k;   P and S transposed: grad_v += P^T grad_y, grad_k += S^T q
/// All five products run on the register tiles of linear.hpp. Scratch: three times rows x keys floats
/// and four packed copies of k and v. Limiter: the two FMA ports.

#include "stofm/backend/cpu/vector/attention.hpp"
#include "stofm/backend/cpu/vector/linear_gradient.hpp"

namespace stofm::backend {

/// Pointers to column 0 of one head at the first row of one sequence, and the distances between rows.
struct AttentionGradientHead {
  const float *q, *k, *v, *y, *grad_y;
  std::int64_t q_stride, k_stride, v_stride, y_stride, grad_y_stride;
  float *grad_q, *grad_k, *grad_v;
  std::int64_t grad_q_stride, grad_k_stride, grad_v_stride;
};

}  // namespace stofm::backend

#define STOFM_KERNEL_TEXT "stofm/backend/cpu/vector/attention_gradient.inc"
#include "stofm/backend/cpu/vector/each_set.inc"
