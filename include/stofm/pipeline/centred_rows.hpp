// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Cell features about the mean of their slice. What all cells of a slice share (its gene panel most of all)
/// says nothing of one of them, and of a panel that training has not seen it is most of a feature: the SE(2)
/// Transformer takes it for signal. *Source* our own; docs/training.md measures it.

#include <algorithm>
#include <cstdint>
#include <vector>

#include "stofm/core/tensor.hpp"

namespace stofm::pipeline {

/// Subtracts the mean of the rows that are `present` from them, sums in double in the order of the rows; the
/// others stay as they are. *Shapes* `features` [n, C], rows dense; `present` [n], 0 or 1. *Cost* O(n C).
/// *Deterministic* yes.
inline void centre_rows(Tensor<float>& features, const std::vector<std::uint8_t>& present) {
  const std::int64_t width = features.dim(1);
  std::vector<double> mean(static_cast<std::size_t>(width), 0);
  double count = 0;
  for (std::size_t i = 0; i < present.size(); ++i) {
    if (present[i] == 0) continue;
    ++count;
    const float* row = features.data() + static_cast<std::int64_t>(i) * width;
    for (std::int64_t c = 0; c < width; ++c) mean[static_cast<std::size_t>(c)] += static_cast<double>(row[c]);
  }
  for (double& m : mean) m /= (std::max)(count, 1.0);
  for (std::size_t i = 0; i < present.size(); ++i) {
    if (present[i] == 0) continue;
    float* row = features.data() + static_cast<std::int64_t>(i) * width;
    for (std::int64_t c = 0; c < width; ++c)
      row[c] = static_cast<float>(static_cast<double>(row[c]) - mean[static_cast<std::size_t>(c)]);
  }
}

}  // namespace stofm::pipeline
