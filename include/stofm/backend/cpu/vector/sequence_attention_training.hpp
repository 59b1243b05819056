// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// One head of one sequence of training attention in float32 on vectors (formulas:
/// ../sequence_attention_training.hpp). All products are small, C = A B with A read at any two strides and B
/// row by row: blocks of `strided_rows` rows and `strided_vectors` vectors of C stay in registers.

#include "stofm/backend/cpu/vector/attention.hpp"
#include "stofm/backend/cpu/vector/dropout_mask.hpp"

namespace stofm::backend {

/// A matrix read at any strides.
struct StridedOperand {
  const float* data;
  std::int64_t row, column;  // strides
};

}  // namespace stofm::backend

#define STOFM_KERNEL_TEXT "stofm/backend/cpu/vector/sequence_attention_training.inc"
#include "stofm/backend/cpu/vector/each_set.inc"
