// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// The distances of one sub-slice, without an N x N matrix: about 86 % of the pairs of a real sub-slice carry
/// one constant ("not neighbours"), so only the others are listed. *Source* SPEC section 4 (what the entries
/// mean) and identity 3 (how many there are).

#include <cstdint>
#include <vector>

#include "stofm/core/pair_list.hpp"
#include "stofm/core/tensor.hpp"

namespace stofm {

/// The distance that stands for "not neighbours": the largest possible in normalised coordinates.
inline constexpr float far_distance = 100.0F;

/// The listed pairs and their distances; a pair that is not listed has distance `far_distance`. Listed values
/// may be anything, 0 and `far_distance` included. What the sub-slice builder makes is symmetric; a matrix
/// from elsewhere need not be.
struct PairDistances : PairList {
  std::vector<float> values;  ///< [entries], normalised coordinates (100 = diagonal of the slice)
};

/// Lists every entry of a dense [N, N] matrix that differs from `far_distance`. *Cost* O(N^2).
inline PairDistances pair_distances_from_dense(TensorView<const float> dense) {
  if (dense.rank() != 2 || dense.dim(0) != dense.dim(1))
    throw ShapeError({"STOFM-1020", "", "[pair_distances_from_dense]", to_string(dense.shape),
                      "a square matrix", "Give distances as [N, N]."});
  PairDistances result;
  result.nodes = dense.dim(0);
  for (std::int64_t i = 0; i < result.nodes; ++i) {
    for (std::int64_t j = 0; j < result.nodes; ++j) {
      const float d = dense.data[i * dense.stride(0) + j * dense.stride(1)];
      if (d == far_distance) continue;
      result.columns.push_back(static_cast<std::int32_t>(j));
      result.values.push_back(d);
    }
    result.row_offsets.push_back(result.entries());
  }
  return result;
}

/// The dense [N, N] matrix, for tests and for looking. *Cost* O(N^2) memory.
inline Tensor<float> to_dense(const PairDistances& distances) {
  auto dense = Tensor<float>::full({distances.nodes, distances.nodes}, far_distance);
  for (std::int64_t i = 0; i < distances.nodes; ++i)
    for (std::int64_t e = distances.row_offsets[static_cast<std::size_t>(i)];
         e < distances.row_offsets[static_cast<std::size_t>(i) + 1]; ++e)
      dense(i, distances.columns[static_cast<std::size_t>(e)]) =
          distances.values[static_cast<std::size_t>(e)];
  return dense;
}

}  // namespace stofm
