// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Spots of known composition, made of labelled cells: the cells of the squares of a grid laid over a slice,
/// or cells drawn at random from a reference without positions. For measuring how well mixtures are taken
/// apart.
///
/// Two things make them harder, as real spots are. Depth: each count is kept with that probability. Platform
/// noise: each gene is kept with the probability depth e_g / max e, with log e normal; counts of a Poisson
/// stay counts of a Poisson so, which multiplying them would not give.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <map>
#include <numeric>
#include <span>
#include <utility>
#include <vector>

#include "stofm/core/parallel.hpp"
#include "stofm/core/random.hpp"
#include "stofm/io/slice.hpp"
#include "stofm/tasks/checks.hpp"

namespace stofm::tasks {

struct PseudospotOptions {
  double size = 0;             ///< side of a square in the unit of the positions; 0: by cells_per_spot
  double cells_per_spot = 10;  ///< mean, over the squares that have cells
  std::int64_t min_cells = 3;  ///< squares with fewer cells are left out
  std::int64_t random = 0;     ///< this many spots of random cells in place of squares; 0: squares
  double depth = 1;            ///< share of the counts that is kept, in (0, 1]
  double platform_noise = 0;   ///< standard deviation of the log of a gene's effect
  std::uint64_t seed = 0;
};

/// Which cells make up which spot.
struct PseudospotPlan {
  std::vector<std::int64_t> offsets{0};  ///< [spots + 1]
  std::vector<std::int64_t> cells;       ///< those of each spot; random spots may have one twice
  Tensor<double> composition;            ///< [spots, types] cells of each type
  Tensor<double> xy;                     ///< [spots, 2] middle of the square; random spots: a grid
  double size = 0;                       ///< side of a square
  std::int64_t unlabelled = 0;           ///< cells without a label, left out
  std::int64_t sparse = 0;               ///< cells of squares with fewer than min_cells

  std::int64_t spots() const { return static_cast<std::int64_t>(offsets.size()) - 1; }
};

namespace detail {

inline void check_pseudospots(const PseudospotOptions& o) {
  constexpr const char* op = "[pseudospots]";
  if (!(o.size >= 0 && std::isfinite(o.size)) || !(o.cells_per_spot >= 1 && o.cells_per_spot <= 1e6) ||
      o.min_cells < 1 || o.random < 0 || !(o.depth > 0 && o.depth <= 1) ||
      !(o.platform_noise >= 0 && o.platform_noise <= 10))
    throw UsageError({"STOFM-4760", "", op,
                      concat("size ", o.size, ", ", o.cells_per_spot, " cells a spot, at least ", o.min_cells,
                             ", ", o.random, " random spots, depth ", o.depth, ", noise ", o.platform_noise),
                      "a size >= 0, at least one cell, a depth in (0, 1], noise from 0 to 10",
                      "Check the options."});
}

/// Spots of a list of cells each.
inline PseudospotPlan plan_of(const std::vector<std::vector<std::int64_t>>& spots,
                              std::span<const std::int32_t> labels, std::int64_t types) {
  PseudospotPlan plan;
  const auto n = static_cast<std::int64_t>(spots.size());
  plan.composition = Tensor<double>::zeros({n, types});
  plan.xy = Tensor<double>::zeros({n, 2});
  for (std::int64_t s = 0; s < n; ++s) {
    for (const std::int64_t cell : spots[static_cast<std::size_t>(s)]) {
      plan.cells.push_back(cell);
      plan.composition(s, labels[static_cast<std::size_t>(cell)]) += 1;
    }
    plan.offsets.push_back(static_cast<std::int64_t>(plan.cells.size()));
  }
  return plan;
}

/// How many of `count` things happen that each have probability `share`. *Cost* O(count).
inline double thinned(double count, double share, Random& random) {
  if (share >= 1) return count;
  double kept = 0;
  for (double i = 0; i < count; ++i) kept += random.uniform() < share;
  return kept;
}

}  // namespace detail

/// Squares of a grid over the places `xy` [cells, 2] of cells with these labels (-1: left out), rows of
/// squares from below, in each from the left. Where no size is given it is found by bisection, so that
/// squares with cells have `cells_per_spot` of them on the mean. \throws UsageError for options out of range
/// (STOFM-4760); ShapeError for other numbers of places and labels (4700); DataError for a label out of range
/// (4702), a place that is not finite (4703), no square with enough cells (4761). *Cost* O(cells log cells) a
/// size, 60 sizes.
inline PseudospotPlan plan_pseudospots(TensorView<const double> xy, std::span<const std::int32_t> labels,
                                       std::int64_t types, const PseudospotOptions& options = {}) {
  constexpr const char* op = "[pseudospots]";
  detail::check_pseudospots(options);
  detail::require_rows(op, xy);
  detail::require_same_count(op, static_cast<std::size_t>(xy.dim(0)), labels.size(), "places and labels");
  detail::require_finite_rows(op, xy);
  std::vector<std::int64_t> labelled;
  double low[2] = {0, 0}, high[2] = {0, 0};
  for (std::int64_t i = 0; i < xy.dim(0); ++i) {
    const std::int32_t label = labels[static_cast<std::size_t>(i)];
    if (label < -1 || label >= types)
      throw DataError({"STOFM-4702", "", concat(op, " cell ", i), concat("label ", label),
                       concat("a label in [0, ", types, "), or -1 for none"), "Number the types from 0."});
    if (label < 0) continue;
    for (int d = 0; d < 2; ++d) {
      low[d] = labelled.empty() ? xy.row(i)[d] : (std::min)(low[d], xy.row(i)[d]);
      high[d] = labelled.empty() ? xy.row(i)[d] : (std::max)(high[d], xy.row(i)[d]);
    }
    labelled.push_back(i);
  }
  using Square = std::pair<std::int64_t, std::int64_t>;  // row, column
  const auto square_of = [&](std::int64_t i, double size) {
    return Square{static_cast<std::int64_t>(std::floor((xy.row(i)[1] - low[1]) / size)),
                  static_cast<std::int64_t>(std::floor((xy.row(i)[0] - low[0]) / size))};
  };
  const auto cells_a_square = [&](double size) {
    std::vector<Square> squares;
    for (const std::int64_t i : labelled) squares.push_back(square_of(i, size));
    std::sort(squares.begin(), squares.end());
    const auto filled = std::unique(squares.begin(), squares.end()) - squares.begin();
    return static_cast<double>(labelled.size()) / static_cast<double>(filled);
  };
  const double extent = (std::max)(high[0] - low[0], high[1] - low[1]);
  double size = options.size;
  if (!(size > 0)) {
    double least = extent * 1e-6, most = extent * 2;
    for (int step = 0; step < 60 && extent > 0; ++step) {
      size = std::sqrt(least * most);
      (cells_a_square(size) < options.cells_per_spot ? least : most) = size;
    }
    if (!(size > 0)) size = 1;
  }
  // A square has an index that fits: no more than 2^40 of them to a side.
  size = (std::max)(size, extent * 0x1p-40);
  std::map<Square, std::vector<std::int64_t>> squares;
  for (const std::int64_t i : labelled) squares[square_of(i, size)].push_back(i);
  std::vector<std::vector<std::int64_t>> spots;
  std::vector<Square> places;
  std::int64_t sparse = 0;
  for (const auto& [square, cells] : squares) {
    if (static_cast<std::int64_t>(cells.size()) < options.min_cells) {
      sparse += static_cast<std::int64_t>(cells.size());
      continue;
    }
    spots.push_back(cells);
    places.push_back(square);
  }
  if (spots.empty())
    throw DataError({"STOFM-4761", "", op,
                     concat("no square of ", size, " with ", options.min_cells, " labelled cells"),
                     "at least one",
                     "Ask for larger squares (PseudospotOptions::size, PseudospotOptions::cells_per_spot), "
                     "or for fewer cells "
                     "in them (PseudospotOptions::min_cells)."});
  PseudospotPlan plan = detail::plan_of(spots, labels, types);
  for (std::int64_t s = 0; s < plan.spots(); ++s) {
    const Square& place = places[static_cast<std::size_t>(s)];
    plan.xy(s, 0) = low[0] + (static_cast<double>(place.second) + 0.5) * size;
    plan.xy(s, 1) = low[1] + (static_cast<double>(place.first) + 0.5) * size;
  }
  plan.size = size;
  plan.sparse = sparse;
  plan.unlabelled = xy.dim(0) - static_cast<std::int64_t>(labelled.size());
  return plan;
}

/// `options.random` spots of cells drawn with replacement: as many cells as a Poisson number of mean
/// `cells_per_spot` says, `min_cells` at least, of one to six types, each as likely as any other. Rare types
/// are as frequent as common ones, so that all can be judged. \throws as above.
inline PseudospotPlan plan_random_pseudospots(std::span<const std::int32_t> labels, std::int64_t types,
                                              const PseudospotOptions& options) {
  constexpr const char* op = "[pseudospots]";
  detail::check_pseudospots(options);
  std::vector<std::vector<std::int64_t>> of_type(
      static_cast<std::size_t>((std::max<std::int64_t>)(types, 0)));
  std::int64_t unlabelled = 0;
  for (std::size_t i = 0; i < labels.size(); ++i) {
    if (labels[i] < -1 || labels[i] >= types)
      throw DataError({"STOFM-4702", "", concat(op, " cell ", i), concat("label ", labels[i]),
                       concat("a label in [0, ", types, "), or -1 for none"), "Number the types from 0."});
    if (labels[i] < 0)
      ++unlabelled;
    else
      of_type[static_cast<std::size_t>(labels[i])].push_back(static_cast<std::int64_t>(i));
  }
  std::vector<std::size_t> present;
  for (std::size_t t = 0; t < of_type.size(); ++t)
    if (!of_type[t].empty()) present.push_back(t);
  if (present.empty() || options.random < 1)
    throw DataError({"STOFM-4761", "", op,
                     concat(present.size(), " types with cells, ", options.random, " spots"),
                     "at least one of each", "Give labelled cells and a number of spots."});
  std::vector<std::vector<std::int64_t>> spots;
  for (std::int64_t s = 0; s < options.random; ++s) {
    Random random(options.seed, 1 + static_cast<std::uint64_t>(s));
    std::vector<std::size_t> chosen = present;
    const std::size_t kinds = (std::min)(present.size(), static_cast<std::size_t>(1 + random.below(6)));
    for (std::size_t k = 0; k < kinds; ++k)
      std::swap(chosen[k], chosen[k + static_cast<std::size_t>(random.below(chosen.size() - k))]);
    std::vector<double> share(kinds);  // uniform on the simplex
    double sum = 0;
    for (double& x : share) sum += x = -std::log(1.0 - random.uniform());
    // A Poisson number: events of a unit rate until the mean is reached.
    std::int64_t cells = 0;
    for (double time = -std::log(1.0 - random.uniform()); time < options.cells_per_spot;
         time -= std::log(1.0 - random.uniform()))
      ++cells;
    cells = (std::max)(cells, options.min_cells);
    spots.emplace_back();
    for (std::int64_t c = 0; c < cells; ++c) {
      double left = random.uniform() * sum;
      std::size_t k = 0;
      while (k + 1 < kinds && left >= share[k]) left -= share[k++];
      const auto& pool = of_type[chosen[k]];
      spots.back().push_back(pool[static_cast<std::size_t>(random.below(pool.size()))]);
    }
  }
  PseudospotPlan plan = detail::plan_of(spots, labels, types);
  const auto side = static_cast<std::int64_t>(std::ceil(std::sqrt(static_cast<double>(plan.spots()))));
  for (std::int64_t s = 0; s < plan.spots(); ++s) {
    plan.xy(s, 0) = static_cast<double>(s % side);
    plan.xy(s, 1) = static_cast<double>(s / side);
  }
  plan.size = 1;
  plan.unlabelled = unlabelled;
  return plan;
}

/// What every gene of the spots is kept with: depth and platform effects. [genes]
inline std::vector<double> pseudospot_shares(std::int64_t genes, const PseudospotOptions& options) {
  detail::check_pseudospots(options);
  std::vector<double> share(static_cast<std::size_t>((std::max<std::int64_t>)(genes, 0)), 1.0);
  if (options.platform_noise > 0) {
    Random random(options.seed, 0);
    for (double& s : share) s = std::exp(options.platform_noise * random.normal());
    const double largest = share.empty() ? 1.0 : *std::max_element(share.begin(), share.end());
    for (double& s : share) s /= largest;
  }
  for (double& s : share) s *= options.depth;
  return share;
}

/// Counts of the spots: sums over their cells, thinned. Cells are streamed in blocks of `block`. \throws as
/// io::read_count_rows; DataError for thinning counts that are not whole numbers (STOFM-4762). *Cost* one
/// pass over the counts; memory: entries of the spots, or a block of cells if that is more. *Deterministic*
/// yes; a spot's counts depend on the seed, its number and its genes.
inline io::CountRows sum_pseudospots(const io::Slice& slice, const PseudospotPlan& plan,
                                     const PseudospotOptions& options = {}, std::int64_t block = 4096) {
  const std::vector<double> share = pseudospot_shares(slice.genes(), options);
  const bool whole = options.depth >= 1 && !(options.platform_noise > 0);
  std::vector<std::vector<std::int64_t>> spots_of(static_cast<std::size_t>(slice.cells));
  for (std::int64_t s = 0; s < plan.spots(); ++s)
    for (auto c = static_cast<std::size_t>(plan.offsets[static_cast<std::size_t>(s)]);
         c < static_cast<std::size_t>(plan.offsets[static_cast<std::size_t>(s) + 1]); ++c)
      spots_of[static_cast<std::size_t>(plan.cells[c])].push_back(s);
  std::vector<std::map<std::int32_t, double>> sums(static_cast<std::size_t>(plan.spots()));
  for (std::int64_t begin = 0; begin < slice.cells; begin += block) {
    const io::CountRows rows = io::read_count_rows(slice, begin, (std::min)(slice.cells, begin + block));
    for (std::int64_t i = 0; i < rows.rows(); ++i)
      for (const std::int64_t s : spots_of[static_cast<std::size_t>(begin + i)])
        for (auto e = static_cast<std::size_t>(rows.offsets[static_cast<std::size_t>(i)]);
             e < static_cast<std::size_t>(rows.offsets[static_cast<std::size_t>(i) + 1]); ++e) {
          if (!whole && rows.values[e] != std::floor(rows.values[e]))
            throw DataError({"STOFM-4762", slice.path, concat("[pseudospots] cell ", begin + i),
                             concat("a count of ", rows.values[e]), "whole numbers, to keep a part of them",
                             "Leave out PseudospotOptions::depth and PseudospotOptions::platform_noise, or "
                             "give raw counts."});
          sums[static_cast<std::size_t>(s)][rows.columns[e]] += rows.values[e];
        }
  }
  std::vector<std::vector<std::pair<std::int32_t, double>>> kept(sums.size());
  parallel_for(plan.spots(), 16, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t s = begin; s < end; ++s) {
      Random random(options.seed, (std::uint64_t{1} << 40) + static_cast<std::uint64_t>(s));
      for (const auto& [gene, count] : sums[static_cast<std::size_t>(s)]) {
        const double value = detail::thinned(count, share[static_cast<std::size_t>(gene)], random);
        if (value > 0) kept[static_cast<std::size_t>(s)].emplace_back(gene, value);
      }
    }
  });
  io::CountRows counts;
  for (const auto& row : kept) {
    for (const auto& [gene, value] : row) {
      counts.columns.push_back(gene);
      counts.values.push_back(value);
    }
    counts.offsets.push_back(static_cast<std::int64_t>(counts.columns.size()));
  }
  return counts;
}

}  // namespace stofm::tasks
