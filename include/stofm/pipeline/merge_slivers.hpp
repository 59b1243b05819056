// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Pieces of a slice that are too small to show a cell its surroundings. Squares of a grid that only touch
/// the rim of the tissue hold a handful of cells; the published code embeds them as they are, and so do we
/// unless asked. Joining them to a neighbour is ours, not part of the published method.

#include <algorithm>
#include <cstdint>
#include <iterator>
#include <limits>
#include <tuple>
#include <utility>
#include <vector>

#include "stofm/core/tensor.hpp"

namespace stofm::pipeline {

/// Cells below which a piece of a slice cut into several is a sliver: a tenth of the cells that a piece is
/// meant to have, rounded up.
inline std::int64_t sliver_limit(std::int64_t split_num) { return split_num / 10 + (split_num % 10 != 0); }

/// How many pieces are slivers, and how many cells they hold. None where there is one piece only.
struct Slivers {
  std::int64_t pieces = 0;
  std::int64_t cells = 0;
};
inline Slivers count_slivers(const std::vector<std::vector<std::int64_t>>& pieces, std::int64_t split_num) {
  Slivers found;
  if (pieces.size() < 2) return found;
  for (const auto& piece : pieces)
    if (static_cast<std::int64_t>(piece.size()) < sliver_limit(split_num)) {
      ++found.pieces;
      found.cells += static_cast<std::int64_t>(piece.size());
    }
  return found;
}

namespace detail {
/// Bounding box of the cells of a piece.
struct PieceBox {
  double low[2], high[2];

  PieceBox(TensorView<const double> xy, const std::vector<std::int64_t>& piece) {
    for (int a = 0; a < 2; ++a) low[a] = high[a] = xy.row(piece.front())[a];
    for (const std::int64_t i : piece)
      for (int a = 0; a < 2; ++a) {
        low[a] = (std::min)(low[a], xy.row(i)[a]);
        high[a] = (std::max)(high[a], xy.row(i)[a]);
      }
  }
  void add(const PieceBox& other) {
    for (int a = 0; a < 2; ++a) {
      low[a] = (std::min)(low[a], other.low[a]);
      high[a] = (std::max)(high[a], other.high[a]);
    }
  }
  /// Squared distance of the middle of `other` from this box.
  double squared_distance_of(const PieceBox& other) const {
    double sum = 0;
    for (int a = 0; a < 2; ++a) {
      const double middle = other.low[a] + (other.high[a] - other.low[a]) / 2;
      const double away = (std::max)({low[a] - middle, middle - high[a], 0.0});
      sum += away * away;
    }
    return sum;
  }
  std::tuple<double, double, double, double> corners() const { return {low[0], low[1], high[0], high[1]}; }
};
}  // namespace detail

/// Joins every sliver of `pieces` (as split_cells(xy, split_num) gives them) to the piece whose bounding box
/// is nearest to the middle of its own; of equally near ones the one with more cells, then the one with the
/// lower corner. The smallest sliver goes first. Afterwards no piece has fewer than sliver_limit(split_num)
/// cells, or there is one piece; cells in a piece ascend. *Shapes* `xy` [N, 2], rows dense, finite. *Cost*
/// O(N + slivers x pieces). *Deterministic* yes; which cells go together does not depend on the order of the
/// cells, except through pieces that split_cells cut in index order.
inline void merge_slivers(std::vector<std::vector<std::int64_t>>& pieces, TensorView<const double> xy,
                          std::int64_t split_num) {
  const std::int64_t limit = sliver_limit(split_num);
  const auto size = [&pieces](std::size_t p) { return static_cast<std::int64_t>(pieces[p].size()); };
  if (count_slivers(pieces, split_num).pieces == 0) return;
  std::vector<detail::PieceBox> boxes;
  boxes.reserve(pieces.size());
  for (const auto& piece : pieces) boxes.emplace_back(xy, piece);
  for (std::size_t left = pieces.size(); left > 1; --left) {
    std::size_t sliver = pieces.size();
    for (std::size_t p = 0; p < pieces.size(); ++p)
      if (!pieces[p].empty() && size(p) < limit &&
          (sliver == pieces.size() || std::make_pair(size(p), boxes[p].corners()) <
                                          std::make_pair(size(sliver), boxes[sliver].corners())))
        sliver = p;
    if (sliver == pieces.size()) break;
    const auto rank = [&](std::size_t p) {
      return std::make_tuple(boxes[p].squared_distance_of(boxes[sliver]), -size(p), boxes[p].corners());
    };
    std::size_t nearest = pieces.size();
    for (std::size_t p = 0; p < pieces.size(); ++p)
      if (p != sliver && !pieces[p].empty() && (nearest == pieces.size() || rank(p) < rank(nearest)))
        nearest = p;
    std::vector<std::int64_t> joined;
    joined.reserve(pieces[sliver].size() + pieces[nearest].size());
    std::merge(pieces[sliver].begin(), pieces[sliver].end(), pieces[nearest].begin(), pieces[nearest].end(),
               std::back_inserter(joined));
    pieces[nearest] = std::move(joined);
    boxes[nearest].add(boxes[sliver]);
    pieces[sliver].clear();
  }
  std::erase_if(pieces, [](const auto& piece) { return piece.empty(); });
}

}  // namespace stofm::pipeline
