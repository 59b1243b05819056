// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Checking the nodes of a sub-slice, leaving some out and putting their rows back, and the dense distance
/// bias for comparisons.

#include <algorithm>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "stofm/model/config.hpp"
#include "stofm/model/distance_bias/distance_bias.hpp"
#include "stofm/ops/pair_distances.hpp"

namespace stofm::model::detail {

/// \throws ShapeError (STOFM-1326) a list of other nodes; DataError (STOFM-1331) a type that is none
inline void check_nodes(const char* op, const PairDistances& distances,
                        std::span<const std::int32_t> token_types) {
  const auto nodes = static_cast<std::int64_t>(token_types.size());
  const auto offsets = static_cast<std::int64_t>(distances.row_offsets.size());
  if (distances.nodes != nodes || offsets != nodes + 1 ||
      distances.row_offsets.back() != distances.entries() ||
      distances.values.size() != distances.columns.size())
    throw ShapeError({"STOFM-1326", "", concat(op, " distances"),
                      concat(distances.nodes, " nodes, ", offsets, " row offsets, ", distances.columns.size(),
                             " columns, ", distances.values.size(), " values"),
                      concat("a list over ", nodes, " nodes"), "Build it with build_sub_slice()."});
  for (std::size_t i = 0; i < token_types.size(); ++i)
    if (token_types[i] < 0 || token_types[i] >= node_types)
      throw DataError({"STOFM-1331", "", concat(op, " token_types, node ", i), std::to_string(token_types[i]),
                       "0 cell, 1 CLS, 2 virtual cell or 3 padding", "Check the node list."});
}

/// The listed entries between the nodes in `kept` (ascending), renumbered.
inline PairDistances restrict_to(const PairDistances& distances, std::span<const std::int64_t> kept) {
  std::vector<std::int32_t> position(static_cast<std::size_t>(distances.nodes), -1);
  for (std::size_t i = 0; i < kept.size(); ++i)
    position[static_cast<std::size_t>(kept[i])] = static_cast<std::int32_t>(i);
  PairDistances result;
  result.nodes = static_cast<std::int64_t>(kept.size());
  for (const std::int64_t row : kept) {
    const auto at = static_cast<std::size_t>(row);
    for (std::int64_t e = distances.row_offsets[at]; e < distances.row_offsets[at + 1]; ++e) {
      const std::int32_t column =
          position[static_cast<std::size_t>(distances.columns[static_cast<std::size_t>(e)])];
      if (column < 0) continue;
      result.columns.push_back(column);
      result.values.push_back(distances.values[static_cast<std::size_t>(e)]);
    }
    result.row_offsets.push_back(result.entries());
  }
  return result;
}

/// Rows of a dense [M, C] at `kept` of a zero [N, C].
template <Real T>
Tensor<T> spread_rows(const Tensor<T>& rows, std::span<const std::int64_t> kept, std::int64_t nodes) {
  auto result = Tensor<T>::zeros({nodes, rows.dim(1)});
  for (std::size_t i = 0; i < kept.size(); ++i)
    std::copy_n(rows.data() + static_cast<std::int64_t>(i) * rows.dim(1), rows.dim(1),
                result.data() + kept[i] * rows.dim(1));
  return result;
}

/// Phi(D) of every pair, [H, N, N].
template <Real T>
Tensor<T> dense_bias(const DistanceBias<T>& bias, const PairDistances& distances) {
  const std::int64_t n = distances.nodes, h = bias.heads();
  Tensor<T> result({h, n, n});
  std::vector<T> listed(static_cast<std::size_t>(checked_mul(distances.entries(), h)));
  const std::vector<T> values(distances.values.begin(), distances.values.end());
  bias.evaluate(values, listed.data());
  for (std::int64_t k = 0; k < h; ++k) {
    T* plane = result.data() + k * n * n;
    std::fill_n(plane, n * n, bias.background()[static_cast<std::size_t>(k)]);
    for (std::int64_t i = 0; i < n; ++i)
      for (std::int64_t e = distances.row_offsets[static_cast<std::size_t>(i)];
           e < distances.row_offsets[static_cast<std::size_t>(i) + 1]; ++e)
        plane[i * n + distances.columns[static_cast<std::size_t>(e)]] =
            listed[static_cast<std::size_t>(e * h + k)];
  }
  return result;
}

}  // namespace stofm::model::detail
