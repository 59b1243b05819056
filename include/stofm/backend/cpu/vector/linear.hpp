// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// float32 matrix products on vectors: blocks of `row_tile` rows by one panel of columns whose sums stay in
/// registers, the right operand packed in panels of `panel_columns` columns, the left one read by broadcasts.
/// Limiter: the two FMA ports. A sum runs over k in ascending order, whatever the tile.

#include <algorithm>
#include <span>

#include "stofm/backend/cpu/scratch.hpp"
#include "stofm/backend/cpu/vector/math.hpp"
#include "stofm/core/parallel.hpp"

namespace stofm::backend {

/// What happens to sums before they are stored. `accumulate`: they are added to what y holds, and nothing
/// else.
struct PanelEpilogue {
  const float* bias = nullptr;
  float scale = 1.0F;
  Activation activation = Activation::identity;
  bool accumulate = false;
};

/// One product of the sum that makes a block: rows of x against panels [k, panel_columns].
struct PanelSegment {
  const float* x;
  const float* panels;
};

/// The sum: rows of x `x_stride` apart, panels from `offset` floats on.
struct PanelProduct {
  std::span<const PanelSegment> segments;
  std::int64_t x_stride, k, offset = 0;
};

}  // namespace stofm::backend

#define STOFM_KERNEL_TEXT "stofm/backend/cpu/vector/product_tile.inc"
#include "stofm/backend/cpu/vector/each_set.inc"
#define STOFM_KERNEL_TEXT "stofm/backend/cpu/vector/linear.inc"
#include "stofm/backend/cpu/vector/each_set.inc"
