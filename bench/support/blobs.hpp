// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Points to cluster, the same in every run.

#include <cstddef>
#include <cstdint>
#include <vector>

#include "stofm/core/random.hpp"
#include "stofm/core/tensor.hpp"

namespace stofm::bench {

/// [n, d]: in turn around 100 places in a cube of edge `spread`, within a cube of edge 1.
inline Tensor<float> blobs(std::int64_t n, std::int64_t d, double spread) {
  Random random(1, 2);
  std::vector<float> places(static_cast<std::size_t>(100 * d));
  for (float& p : places) p = static_cast<float>(spread * random.uniform());
  Tensor<float> rows({n, d});
  for (std::int64_t i = 0; i < n; ++i)
    for (std::int64_t j = 0; j < d; ++j)
      rows.data()[i * d + j] =
          places[static_cast<std::size_t>(i % 100 * d + j)] + static_cast<float>(random.uniform());
  return rows;
}

}  // namespace stofm::bench
