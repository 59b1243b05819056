// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Tiles and shared memory of the product whose end is ours, and which products it takes: host C++.

#include <cstdint>

#include "stofm/kernels/gemm/problem.hpp"

namespace stofm::kernels {

/// A block has 64 x 64 numbers of the result, a warp 32 x 32 of them (2 x 4 fragments of mma.sync); operands
/// stream in steps of 32 terms through three buffers.
struct RowProductPolicy {
  static constexpr int threads = 128;
  static constexpr int rows = 64, columns = 64, depth = 32, stages = 3;
  /// Elements between rows in shared memory: 16 bytes more than a row, so that the eight rows that ldmatrix
  /// reads together lie in different banks.
  static constexpr int stride = depth + 8, turned_stride = columns + 8;
  static constexpr int tile_stride = columns + 4;  ///< floats between rows of the result

  /// Blocks over `rows` rows: partial sums of Store::sums have one row of each.
  static constexpr std::int64_t row_tiles(std::int64_t rows_of_result) {
    return (rows_of_result + rows - 1) / rows;
  }
  static constexpr std::int64_t column_tiles(std::int64_t columns_of_result) {
    return (columns_of_result + columns - 1) / columns;
  }
};

/// Whether D [*, columns] with `depth` terms may be a row product: operands in bfloat16 parts whose rows
/// begin at multiples of 16 bytes. \param turned B lies as [depth, columns], not as [columns, depth]
constexpr bool row_product_takes(OperandForm form, std::int64_t depth, std::int64_t columns, bool turned) {
  return form != OperandForm::float32 && depth % 8 == 0 && columns % (turned ? 8 : 4) == 0;
}

/// Elements from a dense operand's high parts to its low parts.
constexpr std::int64_t low_part_offset(const Operand& operand) {
  switch (operand.form) {
    case OperandForm::split_left:
    case OperandForm::split_pair:
      return operand.columns;
    case OperandForm::split_right:
      return 2 * operand.columns;
    case OperandForm::split_stack:
      return operand.rows * operand.columns;
    default:
      return 0;
  }
}

}  // namespace stofm::kernels
