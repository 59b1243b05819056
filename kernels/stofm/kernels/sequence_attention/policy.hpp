// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Tiles of attention over packed sequences, and the shared memory they take; host C++, tested without a
/// device.

#include <cstddef>
#include <cstdint>

#include "stofm/backend/cuda/precision.hpp"

namespace stofm::kernels::sequence_attention {

/// A warp owns 16 rows, a block 64; the other side streams by in tiles of 64 rows.
struct TilePolicy {
  static constexpr int warps = 4;
  static constexpr int threads = 32 * warps;
  static constexpr int rows = 16 * warps;   ///< owned by a block
  static constexpr int streamed_rows = 64;  ///< of one tile
  static constexpr int stages = 2;          ///< one tile is read while the next arrives

  /// 64 rows of a head of (padded) width D: rows 16 bytes longer, against bank conflicts
  /// (common/tile_product.cuh).
  static constexpr std::size_t tile_bytes(backend::Precision precision, int head_dim) {
    const std::size_t element = precision == backend::Precision::float32 ? 4 : 2,
                      parts = precision == backend::Precision::split_bf16 ? 2 : 1;
    return 64 * (static_cast<std::size_t>(head_dim) * element + 16) * parts;
  }
  /// float32 hands weights from lane to lane through a strip [16, 72] a warp.
  static constexpr std::size_t strip_bytes(backend::Precision precision) {
    return precision == backend::Precision::float32 ? std::size_t{4} * 16 * 72 * warps : 0;
  }
  /// Queries; keys and values of each stage.
  static constexpr std::size_t forward_bytes(backend::Precision precision, int head_dim) {
    return (1 + 2 * stages) * tile_bytes(precision, head_dim) + strip_bytes(precision);
  }
  /// Least blocks of backward a multiprocessor that registers leave: 3 fit into 227 KB in bf16 at heads of
  /// 64, but the compiler would take registers for 2. Elsewhere its own choice.
  static constexpr int backward_blocks(backend::Precision precision, int head_dim) {
    return precision == backend::Precision::bf16 && head_dim == 64 ? 3 : 0;
  }
  /// Two owned tiles; two streamed ones and two sums a streamed row, of each stage.
  static constexpr std::size_t backward_bytes(backend::Precision precision, int head_dim) {
    return (2 + 2 * stages) * tile_bytes(precision, head_dim) + strip_bytes(precision) +
           std::size_t{2} * stages * streamed_rows * 4;
  }
};

/// One query per head over whole tokens (the folded last layer): a block is one sequence and up to four
/// heads.
struct FirstRowPolicy {
  static constexpr int warps = 8;
  static constexpr int threads = 32 * warps;
  static constexpr int heads = 4;  ///< of one block
  static constexpr std::int64_t widest_row = 1024;
  /// Registers of four columns per lane: 1, 2, 4 or 8.
  static constexpr int chunks(std::int64_t width) {
    const std::int64_t needed = (width + 127) / 128;
    return needed <= 1 ? 1 : needed <= 2 ? 2 : needed <= 4 ? 4 : 8;
  }
  /// Per warp: maximum and sum of each head, and one head's row.
  static constexpr std::size_t bytes(int chunks) {
    return std::size_t{warps} * (2 * heads + 128 * static_cast<std::size_t>(chunks)) * 4;
  }
};

/// Widths of a head that have a kernel; narrower ones are padded with zeros in shared memory.
constexpr int padded_head_dim(std::int64_t head_dim) {
  return head_dim <= 16 ? 16 : head_dim <= 32 ? 32 : 64;
}
constexpr bool supports_head_dim(std::int64_t head_dim) {
  return head_dim >= 4 && head_dim <= 64 && head_dim % 4 == 0;
}

}  // namespace stofm::kernels::sequence_attention
