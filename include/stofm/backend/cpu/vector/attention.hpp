// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Softmax attention of one head in float32 on vectors, `attention_rows` query rows at a time; the same
/// scheme as amx/attention.hpp with logits in rows: blocks of at most 2048 keys, logits in L2, weights in
/// their place. And a form for one or two queries that reads keys and values where they are.

#include <cmath>
#include <limits>
#include <span>

#include "stofm/backend/cpu/vector/linear.hpp"

namespace stofm::backend {

inline constexpr std::int64_t attention_keys = 2048;  // of a block

/// CSR entries added to the logits of the rows of a block; `row_offsets` starts at its first row.
struct RowAdditions {
  const std::int64_t* row_offsets = nullptr;
  const std::int32_t* columns = nullptr;
  const float* values = nullptr;
};

}  // namespace stofm::backend

#define STOFM_KERNEL_TEXT "stofm/backend/cpu/vector/attention.inc"
#include "stofm/backend/cpu/vector/each_set.inc"
