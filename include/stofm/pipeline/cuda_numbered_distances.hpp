// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// The listed distances of a sub-slice as training on a device takes them: the network of the distance bias
/// reads each number once and gets the gradients of all its pairs.

#include <cstddef>
#include <cstdint>
#include <limits>
#include <utility>
#include <vector>

#include "stofm/model/distance_bias/distance_bias_training.hpp"
#include "stofm/ops/pair_distances.hpp"

namespace stofm::pipeline {

/// Numbers of distances, and which one each listed pair has.
struct NumberedDistances {
  std::vector<float> distances;           ///< [numbers]
  std::vector<std::int32_t> distance_of;  ///< [entries]
  std::vector<std::int32_t> offsets;      ///< [numbers + 1] into `entries`
  std::vector<std::int32_t> entries;      ///< [entries] by number, else in their order
};

namespace detail {
/// One number for each pair (i, j) and its mirror (j, i), in one walk over those with i <= j: the mirrors in
/// a row come in its order. \return whether each pair has a mirror of the same finite distance >= 0; if not,
/// `result` is of no use.
inline bool number_mirrored(const PairDistances& list, NumberedDistances& result) {
  const std::size_t entries = list.columns.size(), rows = list.row_offsets.size() - 1;
  if (entries > static_cast<std::size_t>((std::numeric_limits<std::int32_t>::max)())) return false;
  result.distance_of.resize(entries);
  result.entries.resize(entries);
  result.distances.resize(entries / 2 + rows);
  result.offsets.resize(result.distances.size() + 1);
  std::size_t numbers = 0, placed = 0;
  const auto start = [&](std::size_t p, float distance) {
    result.distances[numbers] = distance;
    result.offsets[numbers] = static_cast<std::int32_t>(placed);
    result.distance_of[p] = static_cast<std::int32_t>(numbers);
    result.entries[placed++] = static_cast<std::int32_t>(p);
  };
  // Of each row the first pair whose mirror has not come: once its turn comes, the first that is not below
  // the diagonal.
  std::vector<std::int64_t> next(list.row_offsets.begin(), list.row_offsets.end() - 1);
  for (std::size_t i = 0; i < rows; ++i) {
    auto p = static_cast<std::size_t>(next[i]);
    const auto end = static_cast<std::size_t>(list.row_offsets[i + 1]);
    const auto own = static_cast<std::int32_t>(i);
    for (; p < end; ++p) {
      const std::int32_t column = list.columns[p];
      const float distance = list.values[p];
      if (column < own || !(distance >= 0.0F && distance <= (std::numeric_limits<float>::max)()) ||
          numbers == result.distances.size() || placed == entries)
        return false;
      start(p, distance);
      if (column != own) {
        const auto j = static_cast<std::size_t>(column);
        const auto mirror = static_cast<std::size_t>(next[j]++);
        if (mirror >= static_cast<std::size_t>(list.row_offsets[j + 1]) || list.columns[mirror] != own ||
            !(list.values[mirror] == distance) || placed == entries)
          return false;
        result.distance_of[mirror] = static_cast<std::int32_t>(numbers);
        result.entries[placed++] = static_cast<std::int32_t>(mirror);
      }
      ++numbers;
    }
  }
  result.distances.resize(numbers);
  result.offsets.resize(numbers + 1);
  result.offsets[numbers] = static_cast<std::int32_t>(placed);
  return true;
}
}  // namespace detail

/// Where each pair (i, j) has a mirror (j, i) of the same distance, as sub-slices have, the two share a
/// number: 2 ns a pair, against 15 for sorting. Else each distance has one number, ascending, as in
/// model::distinct_distances. \throws DataError STOFM-1330 for a distance that is negative or not finite,
/// ResourceError STOFM-1342 for more than 2^31 - 1 pairs.
inline NumberedDistances number_distances(const PairDistances& distances) {
  NumberedDistances result;
  if (detail::number_mirrored(distances, result)) return result;
  model::DistinctDistances distinct = model::distinct_distances(distances);
  result.distance_of.resize(distances.columns.size());
  for (std::size_t d = 0; d < distinct.values.size(); ++d)
    for (std::int32_t i = distinct.offsets[d]; i < distinct.offsets[d + 1]; ++i)
      result.distance_of[static_cast<std::size_t>(distinct.entries[static_cast<std::size_t>(i)])] =
          static_cast<std::int32_t>(d);
  result.distances = std::move(distinct.values);
  result.offsets = std::move(distinct.offsets);
  result.entries = std::move(distinct.entries);
  return result;
}

}  // namespace stofm::pipeline
