// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Principal components in the place of cell embeddings: what the SE(2) Transformer is given of panels that
/// the cell encoder does not know. Cell embeddings are unit vectors about a mean near 0
/// (train/cell_features.hpp); so are these.

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

#include "stofm/core/tensor.hpp"
#include "stofm/ops/l2_normalize.hpp"
#include "stofm/pipeline/centred_rows.hpp"

namespace stofm::tasks {

/// Rows [cells, width] from scores [cells, P] of one slice: the first `width` components, centred over the
/// slice, each row of length 1 (zeros stay zeros); columns beyond P are 0. *Cost* O(cells width).
/// *Deterministic* yes, any thread count.
inline Tensor<float> component_cells(const Tensor<float>& scores, std::int64_t width) {
  const std::int64_t n = scores.dim(0), p = scores.dim(1), kept = (std::min)(p, width);
  auto cells = Tensor<float>::zeros({n, width});
  for (std::int64_t i = 0; i < n; ++i) std::copy_n(scores.data() + i * p, kept, cells.data() + i * width);
  pipeline::centre_rows(cells, std::vector<std::uint8_t>(static_cast<std::size_t>(n), 1));
  ops::l2_normalize_rows_into(cells.view(), std::as_const(cells).view());
  return cells;
}

}  // namespace stofm::tasks
