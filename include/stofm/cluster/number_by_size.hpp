// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Numbering of clusters.

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <vector>

namespace stofm::cluster {

/// Renumbers labels (any numbers >= 0) from 0, the largest cluster first; of equal sizes the one with the
/// earlier first cell. \return sizes by new number. *Cost* O(N + largest label).
inline std::vector<std::int64_t> number_by_size(std::vector<std::int32_t>& labels) {
  std::int32_t largest = -1;
  for (const std::int32_t label : labels) largest = (std::max)(largest, label);
  std::vector<std::int64_t> size(static_cast<std::size_t>(largest) + 1, 0), first(size.size(), 0);
  for (std::size_t i = 0; i < labels.size(); ++i) {
    const auto c = static_cast<std::size_t>(labels[i]);
    if (size[c]++ == 0) first[c] = static_cast<std::int64_t>(i);
  }
  std::vector<std::size_t> order;
  for (std::size_t c = 0; c < size.size(); ++c)
    if (size[c] > 0) order.push_back(c);
  std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return size[a] > size[b] || (size[a] == size[b] && first[a] < first[b]);
  });
  std::vector<std::int32_t> number(size.size(), -1);
  std::vector<std::int64_t> sizes;
  for (const std::size_t c : order) {
    number[c] = static_cast<std::int32_t>(sizes.size());
    sizes.push_back(size[c]);
  }
  for (std::int32_t& label : labels) label = number[static_cast<std::size_t>(label)];
  return sizes;
}

}  // namespace stofm::cluster
