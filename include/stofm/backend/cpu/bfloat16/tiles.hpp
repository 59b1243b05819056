// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Products of bfloat16 operands on AMX tiles. A panel of 32 columns is already two right tiles side by side:
/// 16 words down, each a pair of numbers. A left tile is 16 words of 16 rows. Limiter: the tile multiplier
/// (16 cycles a product), as long as the panel stays in L1 for all rows of a task.

#include "stofm/backend/cpu/bfloat16/forms.hpp"

#if defined(STOFM_X86_KERNELS)
STOFM_KERNELS_BEGIN
namespace stofm::backend::amx_bfloat16 {

/// The sums of 32 rows (16 if not `both`) by a panel of 32 columns in tiles 0 to 3. `ahead`: floats to the
/// panel that comes next, brought towards L1 meanwhile, since the hardware does not see it coming; 0: none.
STOFM_INLINE_AMX void multiply_block(const PanelProduct& product, std::int64_t row, bool both,
                                     std::int64_t ahead) {
  const std::int64_t left_stride = product.x_stride * 4;
  amx::zero_sums();
  for (const PanelSegment& segment : product.segments) {
    const float* left = segment.x + row * product.x_stride;
    const float* right = segment.panels + product.offset;
    for (std::int64_t w = 0; w < product.k; w += 16) {
      STOFM_TILE_LOAD(4, left + w, left_stride);
      STOFM_TILE_LOAD(6, right + w * 32, 128);
      STOFM_TILE_DOT(0, 4, 6);
      if (ahead != 0) {
        const auto* next = reinterpret_cast<const std::uint8_t*>(right + w * 32 + ahead);
        amx::fetch_tile(next);
        amx::fetch_tile(next + amx::tile_bytes);
      }
      STOFM_TILE_LOAD(7, right + w * 32 + 16, 128);
      STOFM_TILE_DOT(1, 4, 7);
      if (!both) continue;
      STOFM_TILE_LOAD(5, left + 16 * product.x_stride + w, left_stride);
      STOFM_TILE_DOT(2, 5, 6);
      STOFM_TILE_DOT(3, 5, 7);
    }
  }
}

/// From 32 x 32 sums to `rows` x `columns` of y.
STOFM_TARGET_AMX inline void finish_block(float* y, std::int64_t y_stride, const float* sums,
                                          std::int64_t rows, std::int64_t columns,
                                          const PanelEpilogue& after) {
  const Vector scale = splat(after.scale);
  for (std::int64_t v = 0; v < 32 && v < columns; v += 16) {
    const Lanes lanes = first_lanes(columns - v);
    const Vector bias = after.bias != nullptr ? load(lanes, after.bias + v) : zero();
    for (std::int64_t r = 0; r < rows; ++r) {
      float* out = y + r * y_stride + v;
      const Vector sum = load(sums + r * 32 + v);
      store(out, lanes,
            after.accumulate ? add(sum, load(lanes, out)) : epilogue(sum, bias, scale, after.activation));
    }
  }
}

/// y [rows, columns] = or += sum over segments of x [rows, k words] panels. Reads whole tiles of 16 rows of
/// x.
STOFM_TARGET_AMX inline void multiply_panels(float* y, std::int64_t y_stride, PanelProduct product,
                                             std::int64_t rows, std::int64_t columns, PanelEpilogue after) {
  alignas(64) float sums[1024];
  const bool plain = !after.accumulate && after.bias == nullptr && after.scale == 1.0F &&
                     after.activation == Activation::identity;
  for (std::int64_t column = 0; column < columns; column += 32) {
    for (std::int64_t row = 0; row < rows; row += 32) {
      multiply_block(product, row, rows - row > 16, row == 0 ? 32 * product.k : 0);
      float* out = y + row * y_stride + column;
      if (plain && rows - row >= 32 && columns - column >= 32) {
        amx::store_sums(out, y_stride * 4);
      } else {
        amx::store_sums(sums, 128);
        finish_block(out, y_stride, sums, (std::min<std::int64_t>)(rows - row, 32), columns - column, after);
      }
    }
    product.offset += 32 * product.k;
    if (after.bias != nullptr) after.bias += 32;
  }
}

}  // namespace stofm::backend::amx_bfloat16
STOFM_KERNELS_END
#endif
