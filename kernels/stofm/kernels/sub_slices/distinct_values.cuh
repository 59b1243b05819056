// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// The different values of each piece, ascending, and which of them each entry has: entries sorted by (piece,
/// value), a mark where a value differs from the one before, running sums of the marks. Limiter: bytes of the
/// sort, 24 an entry and pass.

#include "stofm/kernels/sub_slices/sub_slices_forward.cuh"

namespace stofm::kernels::sub_slices {

struct DistinctParams {
  const std::uint64_t* keys;    // [entries] piece and value, ascending
  const std::uint32_t* order;   // [entries] entry of each key
  std::int64_t* marks;          // [entries + 1] 1 where a new value begins; then: how many begin before
  std::int64_t* piece_offsets;  // [pieces + 1] into the different values
  float* distinct;              // [different values]
  std::int32_t* value_number;   // [entries]
  std::int64_t entries, pieces;
};
__device__ __forceinline__ std::int64_t piece_of_key(std::uint64_t key) {
  return static_cast<std::int64_t>(key >> 32);
}

/// Grid: a thread per entry.
template <class T>
static __global__ void mark_values(const DistinctParams p) {
  const std::int64_t e = std::int64_t(blockIdx.x) * blockDim.x + threadIdx.x;
  if (e < p.entries) p.marks[e] = e == 0 || p.keys[e] != p.keys[e - 1] ? 1 : 0;
}
/// Grid: a thread per entry. Every piece has entries: CLS is at distance 0 of itself.
template <class T>
static __global__ void place_pieces(const DistinctParams p) {
  const std::int64_t e = std::int64_t(blockIdx.x) * blockDim.x + threadIdx.x;
  if (e >= p.entries) return;
  const std::int64_t piece = piece_of_key(p.keys[e]);
  if (e == 0 || piece != piece_of_key(p.keys[e - 1])) p.piece_offsets[piece] = p.marks[e];
  if (e == 0) p.piece_offsets[p.pieces] = p.marks[p.entries];
}
/// Grid: a thread per entry.
template <class T>
static __global__ void number_values(const DistinctParams p) {
  const std::int64_t e = std::int64_t(blockIdx.x) * blockDim.x + threadIdx.x;
  if (e >= p.entries) return;
  const std::int64_t number = p.marks[e + 1] - 1;  // values that begin up to here
  if (e == 0 || p.keys[e] != p.keys[e - 1])        // one writer
    p.distinct[number] = float_of(static_cast<std::uint32_t>(p.keys[e]));
  p.value_number[p.order[e]] = static_cast<std::int32_t>(number - p.piece_offsets[piece_of_key(p.keys[e])]);
}

}  // namespace stofm::kernels::sub_slices
