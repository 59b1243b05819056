// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Labelled cells in parts that are held out in turn, so that each is predicted by a head that saw neither it
/// nor most of its neighbours: slice by slice where several slices are labelled, else in tiles all over the
/// slice (tasks/spatial_blocks.hpp). Random parts would leak: a feature that looks at neighbours reads the
/// answer there, and a choice made on such parts favours it.

#include <algorithm>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "stofm/tasks/checks.hpp"
#include "stofm/tasks/spatial_blocks.hpp"

namespace stofm::tasks {

struct LabelFolds {
  std::vector<std::vector<std::int32_t>> of;  ///< by slice: [cells] part, -1: no label
  std::int32_t count = 0;                     ///< parts
  bool by_slice = false;                      ///< a part is a slice
};

namespace detail {

/// Share of the labelled cells whose class has labels in another slice, too.
inline double share_known_elsewhere(std::span<const std::vector<std::int32_t>> labels) {
  std::vector<std::vector<std::int64_t>> count;  // [slice][class]
  std::vector<std::int64_t> slices_with;         // [class]
  for (const auto& one : labels) {
    std::vector<std::int64_t>& here = count.emplace_back();
    for (const std::int32_t label : one) {
      if (label < 0) continue;
      const auto c = static_cast<std::size_t>(label);
      if (c >= here.size()) here.resize(c + 1, 0);
      if (c >= slices_with.size()) slices_with.resize(c + 1, 0);
      slices_with[c] += here[c]++ == 0;
    }
  }
  std::int64_t known = 0, all = 0;
  for (const auto& here : count)
    for (std::size_t c = 0; c < here.size(); ++c) {
      all += here[c];
      if (slices_with[c] > 1) known += here[c];
    }
  return all == 0 ? 0.0 : static_cast<double>(known) / static_cast<double>(all);
}

}  // namespace detail

/// Parts of the cells with a label (-1: none) of slices at `xy` (by slice [cells, 2]). One slice is one part
/// where at least two have labels and nine tenths of these cells have a class that another slice knows; else
/// each slice is cut into five parts of tiles, over its labelled cells. \throws ShapeError (STOFM-4700,
/// 4704). *Cost* O(N log N). *Deterministic* yes, nothing is drawn.
inline LabelFolds fold_labels(std::span<const TensorView<const double>> xy,
                              std::span<const std::vector<std::int32_t>> labels) {
  constexpr const char* op = "[fold_labels]";
  constexpr double most = 0.9;  // ours: a few classes of one slice alone are no reason to stay inside slices
  detail::require_same_count(op, xy.size(), labels.size(), "places and labels");
  LabelFolds folds;
  std::int32_t labelled = 0;
  for (std::size_t s = 0; s < labels.size(); ++s) {
    detail::require_rows(op, xy[s]);
    detail::require_same_count(op, static_cast<std::size_t>(xy[s].dim(0)), labels[s].size(),
                               "places and labels");
    folds.of.emplace_back(labels[s].size(), -1);
    labelled += std::any_of(labels[s].begin(), labels[s].end(), [](std::int32_t l) { return l >= 0; });
  }
  folds.by_slice = labelled > 1 && detail::share_known_elsewhere(labels) >= most;
  for (std::size_t s = 0; s < labels.size(); ++s) {
    std::vector<std::int64_t> cells;
    for (std::size_t i = 0; i < labels[s].size(); ++i)
      if (labels[s][i] >= 0) cells.push_back(static_cast<std::int64_t>(i));
    if (cells.empty()) continue;
    if (folds.by_slice) {
      for (const std::int64_t i : cells) folds.of[s][static_cast<std::size_t>(i)] = folds.count;
      ++folds.count;
      continue;
    }
    Tensor<double> places({static_cast<std::int64_t>(cells.size()), xy[s].dim(1)});
    for (std::size_t k = 0; k < cells.size(); ++k)
      std::copy_n(xy[s].row(cells[k]), xy[s].dim(1),
                  places.data() + static_cast<std::int64_t>(k) * xy[s].dim(1));
    const std::vector<std::int32_t> tiles = tile_folds(std::as_const(places).view());
    for (std::size_t k = 0; k < cells.size(); ++k) {
      folds.of[s][static_cast<std::size_t>(cells[k])] = tiles[k];
      folds.count = (std::max)(folds.count, tiles[k] + 1);
    }
  }
  return folds;
}

}  // namespace stofm::tasks
