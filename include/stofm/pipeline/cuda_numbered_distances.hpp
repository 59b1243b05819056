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

#include "stofm/backend/cuda/pair_strips.hpp"
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
/// One number for each pair (i, j) and its mirror (j, i). \return whether each pair has a mirror of the same
/// finite distance >= 0; if not, `result` is of no use.
inline bool number_mirrored(const PairDistances& list, NumberedDistances& result) {
  const std::size_t entries = list.columns.size();
  if (entries > static_cast<std::size_t>((std::numeric_limits<std::int32_t>::max)())) return false;
  std::vector<std::int32_t> mirrors(entries);
  if (!backend::detail::find_mirrors(list.row_offsets, list.columns, mirrors)) return false;
  std::size_t numbers = 0;
  for (std::size_t p = 0; p < entries; ++p) numbers += static_cast<std::size_t>(mirrors[p]) >= p ? 1 : 0;
  result.distances.resize(numbers);
  result.offsets.resize(numbers + 1);
  result.distance_of.resize(entries);
  result.entries.resize(entries);
  std::size_t number = 0, placed = 0;
  for (std::size_t p = 0; p < entries; ++p) {
    const auto mirror = static_cast<std::size_t>(mirrors[p]);
    if (mirror < p) continue;
    const float distance = list.values[p];
    if (!(distance >= 0.0F && distance <= (std::numeric_limits<float>::max)()) ||
        list.values[mirror] != distance)
      return false;
    result.distance_of[p] = result.distance_of[mirror] = static_cast<std::int32_t>(number);
    result.distances[number] = distance;
    result.offsets[number++] = static_cast<std::int32_t>(placed);
    result.entries[placed++] = static_cast<std::int32_t>(p);
    if (mirror != p) result.entries[placed++] = mirrors[p];
  }
  result.offsets[number] = static_cast<std::int32_t>(entries);
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
