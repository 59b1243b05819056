// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// How sure a score is: intervals by drawing squares of tissue, not cells. Cells beside each other share
/// their surroundings and their mistakes; drawn one by one they would make every score look surer than it is.
/// *Source* block bootstrap (Lahiri, Resampling Methods for Dependent Data, 2003), percentile interval.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <map>
#include <span>
#include <utility>
#include <vector>

#include "stofm/core/parallel.hpp"
#include "stofm/core/random.hpp"
#include "stofm/tasks/checks.hpp"

namespace stofm::tasks {

/// Which square each cell lies in, from 0, squares without cells have no number. `xy` [cells, 2] is cut into
/// squares of one size so that the bounding box has about `squares` of them. \throws ShapeError (STOFM-4704),
/// DataError for a place that is not finite (4703). *Cost* O(N log squares).
inline std::vector<std::int32_t> tissue_squares(TensorView<const double> xy, std::int64_t squares = 64) {
  constexpr const char* op = "[tissue_squares]";
  detail::require_rows(op, xy);
  detail::require_finite_rows(op, xy);
  const std::int64_t n = xy.dim(0), axes = (std::min<std::int64_t>)(2, xy.dim(1));
  double low[2]{}, high[2]{};
  for (std::int64_t a = 0; a < axes; ++a) low[a] = high[a] = n > 0 ? xy.row(0)[a] : 0;
  for (std::int64_t i = 0; i < n; ++i)
    for (std::int64_t a = 0; a < axes; ++a) {
      low[a] = (std::min)(low[a], xy.row(i)[a]);
      high[a] = (std::max)(high[a], xy.row(i)[a]);
    }
  const double width = high[0] - low[0], height = high[1] - low[1], longer = (std::max)(width, height);
  const auto wanted = static_cast<double>((std::max<std::int64_t>)(1, squares));
  double edge = std::sqrt(width * height / wanted);
  edge = (std::max)(edge, longer / wanted);  // a strip of tissue is cut along its length
  std::map<std::pair<std::int64_t, std::int64_t>, std::int32_t> number;
  std::vector<std::pair<std::int64_t, std::int64_t>> place(static_cast<std::size_t>(n));
  for (std::int64_t i = 0; i < n; ++i) {
    auto& at = place[static_cast<std::size_t>(i)];
    if (edge > 0) {
      at.first = static_cast<std::int64_t>((xy.row(i)[0] - low[0]) / edge);
      at.second = axes > 1 ? static_cast<std::int64_t>((xy.row(i)[1] - low[1]) / edge) : 0;
    }
    number.emplace(at, 0);
  }
  std::int32_t next = 0;
  for (auto& [at, name] : number) name = next++;
  std::vector<std::int32_t> squares_of(static_cast<std::size_t>(n));
  for (std::size_t i = 0; i < place.size(); ++i) squares_of[i] = number[place[i]];
  return squares_of;
}

/// Between which two values 95 of 100 draws lie; NaN: not known.
struct ScoreInterval {
  double low = std::numeric_limits<double>::quiet_NaN(), high = std::numeric_limits<double>::quiet_NaN();
};

/// Value at `share` of sorted values, between two of them by proportion (NumPy's default).
inline double quantile_of_sorted(std::span<const double> sorted, double share) {
  const double at = share * static_cast<double>(sorted.size() - 1);
  const auto below = static_cast<std::size_t>(at);
  const double rest = at - static_cast<double>(below);
  return below + 1 < sorted.size() ? sorted[below] + rest * (sorted[below + 1] - sorted[below])
                                   : sorted[below];
}

/// 95 % intervals of several scores. `blocks_of_slice`: blocks of each slice, numbered through; in each draw
/// every slice gets as many of its own blocks as it has, with repetition. `score(times)` returns the scores
/// [scores] where block b counts `times[b]` times, NaN where one is not defined; it is called from several
/// threads. A score has an interval where at least half of the draws define it. No interval with fewer than
/// 8 blocks. *Cost* draws x score. *Deterministic* yes for a seed, any thread count.
template <class Score>
std::vector<ScoreInterval> block_bootstrap(std::span<const std::int64_t> blocks_of_slice, std::size_t scores,
                                           std::int64_t draws, std::uint64_t seed, const Score& score) {
  std::vector<ScoreInterval> intervals(scores);
  std::int64_t blocks = 0;
  for (const std::int64_t count : blocks_of_slice) blocks += count;
  if (draws < 1 || blocks < 8) return intervals;
  std::vector<std::vector<double>> values(static_cast<std::size_t>(draws));
  parallel_for(draws, 1, [&](std::int64_t begin, std::int64_t end) {
    std::vector<std::int64_t> times;
    for (std::int64_t d = begin; d < end; ++d) {
      Random random(seed, 0x626C6F636B000000 + static_cast<std::uint64_t>(d));
      times.assign(static_cast<std::size_t>(blocks), 0);
      std::int64_t first = 0;
      for (const std::int64_t count : blocks_of_slice) {
        for (std::int64_t k = 0; k < count; ++k)
          ++times[static_cast<std::size_t>(
              first + static_cast<std::int64_t>(random.below(static_cast<std::uint64_t>(count))))];
        first += count;
      }
      values[static_cast<std::size_t>(d)] = score(std::span<const std::int64_t>(times));
    }
  });
  for (std::size_t s = 0; s < scores; ++s) {
    std::vector<double> drawn;
    for (const auto& draw : values)
      if (std::isfinite(draw[s])) drawn.push_back(draw[s]);
    if (drawn.size() < 2 || 2 * drawn.size() < values.size()) continue;
    std::sort(drawn.begin(), drawn.end());
    intervals[s] = {quantile_of_sorted(drawn, 0.025), quantile_of_sorted(drawn, 0.975)};
  }
  return intervals;
}

}  // namespace stofm::tasks
