// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Cell features about the mean of their slice. What all cells of a slice share (its gene panel most of all)
/// says nothing of one of them, and of a panel that training has not seen it is most of a feature: the SE(2)
/// Transformer takes it for signal. *Source* our own; docs/training.md measures it.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "stofm/core/parallel.hpp"
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

/// Rows of length 1; rows of zeros stay zeros. *Cost* O(n C). *Deterministic* yes, any thread count.
inline void normalise_rows(Tensor<float>& features) {
  const std::int64_t width = features.dim(1);
  parallel_for(features.dim(0), 256, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      float* row = features.data() + i * width;
      double squares = 0;
      for (std::int64_t c = 0; c < width; ++c)
        squares += static_cast<double>(row[c]) * static_cast<double>(row[c]);
      const double factor = squares > 0 ? 1 / std::sqrt(squares) : 0;
      for (std::int64_t c = 0; c < width; ++c)
        row[c] = static_cast<float>(static_cast<double>(row[c]) * factor);
    }
  });
}

}  // namespace stofm::pipeline
