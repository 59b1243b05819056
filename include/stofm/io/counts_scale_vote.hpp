// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Which scale a sample of whole cells is on (counts_scale.hpp): linear or log1p of base e, 2 or 10.
///
/// A cell speaks for a scale if it has a unit there that values at random would have with a chance below
/// 1e-3, against it if it has none. A scale is taken if three quarters of those that speak are for it and the
/// chance of all together is below 1e-6. Where none is and all values are rounded to decimals, once more with
/// that error.

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <utility>
#include <vector>

#include "stofm/io/counts_scale.hpp"

namespace stofm::io {

/// What a vote came to.
struct ScaleVerdict {
  bool carried = false;
  CountsScale scale = CountsScale::linear;
  StoredPrecision precision;
  std::int64_t whole = 0;  ///< cells that come out whole on `scale`
  /// Where nothing was carried: some cells are surely on `scale`, the others on this one. automatic: no.
  CountsScale other = CountsScale::automatic;
};

namespace detail {

/// The number of decimals that all values were rounded to as an error, or 0: 1 to 6, and few enough that the
/// stored type shows it.
inline double rounding_of(const std::vector<std::vector<double>>& cells, StoredPrecision precision) {
  double largest = 0;
  for (const auto& cell : cells)
    for (const double value : cell) largest = (std::max)(largest, value);
  for (double power = 10; power <= 1e6 && largest * power * 2 * precision.relative < 0.05; power *= 10) {
    const auto rounded = [power, &precision](double value) {
      return std::abs(value * power - std::nearbyint(value * power)) <=
             value * power * (2 * precision.relative + 0x1p-50);
    };
    if (std::all_of(cells.begin(), cells.end(),
                    [&](const auto& cell) { return std::all_of(cell.begin(), cell.end(), rounded); }))
      return 0.5 / power;
  }
  return 0;
}

/// How many cells have a unit on a scale.
struct ScaleVotes {
  std::int64_t for_it = 0, against = 0, whole = 0;
  double log_chance = 0;
  /// Linear, and a step of rounding or of quantising is the unit, of which values on any scale are multiples.
  bool step = false;
  bool several = false;  ///< some cell has more than one value
  /// Enough cells, and not by chance.
  bool carried() const { return for_it > 0 && for_it >= 3 * against && log_chance < std::log(1e-6) && !step; }
};

/// Whether one number is the unit of more than a quarter of the cells and is more likely a step than a count:
/// most of these have no value that small, or it is 0.1, 0.01, ... or 1/8, 1/16, ...
inline bool is_step(std::vector<std::pair<double, int>> units) {
  std::sort(units.begin(), units.end());
  for (std::size_t i = 0, end = 0; i < units.size(); i = end) {
    const double unit = units[i].first;
    std::size_t above = 0;
    for (end = i; end < units.size() && units[end].first - unit <= 1e-5 * unit; ++end)
      above += units[end].second > 1 ? 1 : 0;
    if (4 * (end - i) <= units.size()) continue;
    const auto is_power = [unit](double base, double least) {
      const double exponent = -std::log(unit) / std::log(base);
      return exponent > least - 0.5 && std::abs(exponent - std::nearbyint(exponent)) < 1e-4;
    };
    if (2 * above > end - i || is_power(10, 1) || is_power(2, 3)) return true;
  }
  return false;
}

inline ScaleVotes count_votes(const std::vector<std::vector<double>>& cells, CountsScale scale,
                              StoredPrecision precision) {
  ScaleVotes votes;
  std::vector<double> sorted;
  std::vector<ValueRange> ranges;
  std::vector<std::pair<double, int>> units;  // with the smallest value
  for (const auto& cell : cells) {
    const CellUnit unit = cell_unit(cell, scale, precision, sorted, ranges);
    votes.several = votes.several || unit.values > 1;
    votes.whole += unit.exact ? 1 : 0;
    if (unit.found && unit.log_chance < std::log(1e-3)) {
      ++votes.for_it;
      votes.log_chance += unit.log_chance;
      units.emplace_back(unit.unit, unit.smallest);
    } else if (!unit.found && unit.values > 1) {
      ++votes.against;
    }
  }
  votes.step = scale == CountsScale::linear && is_step(std::move(units));
  return votes;
}

}  // namespace detail

/// \param cells values above 0 of each, as stored \param forced a scale that was asked for: `whole` is of it
/// where nothing is carried. *Cost* four scales, or eight, of one unit a cell.
inline ScaleVerdict vote_on_scale(const std::vector<std::vector<double>>& cells, StoredPrecision precision,
                                  CountsScale forced = CountsScale::automatic) {
  static constexpr std::array scales{CountsScale::linear, CountsScale::log1p, CountsScale::log2,
                                     CountsScale::log10};
  ScaleVerdict verdict;
  std::vector<StoredPrecision> precisions{precision};
  if (const double rounding = detail::rounding_of(cells, precision); rounding > 0)
    precisions.push_back({precision.relative, precision.absolute + rounding});
  for (const StoredPrecision tried : precisions) {
    std::int64_t most = 0;
    std::array<detail::ScaleVotes, scales.size()> votes;
    for (std::size_t i = 0; i < scales.size(); ++i) {
      votes[i] = detail::count_votes(cells, scales[i], tried);
      const bool any_scale = !votes[i].several && i == 0;  // one value a cell: equal on all of them
      if ((!votes[i].carried() && !any_scale) || (verdict.carried && votes[i].for_it <= most)) continue;
      most = votes[i].for_it;
      verdict = {true, any_scale && detail::is_log(forced) ? forced : scales[i], tried, votes[i].whole};
    }
    if (verdict.carried) return verdict;
    if (tried.absolute != precision.absolute) break;
    for (std::size_t i = 0; i < scales.size(); ++i)
      for (std::size_t j = i + 1; j < scales.size(); ++j)
        if (!votes[i].step && votes[i].for_it > 1 && votes[j].for_it > 1 &&
            4 * (votes[i].for_it + votes[j].for_it) >= 3 * static_cast<std::int64_t>(cells.size()))
          verdict = {false, scales[i], precision, 0, scales[j]};
  }
  verdict.precision = precision;
  if (!detail::is_log(forced)) return verdict;
  verdict.scale = forced;
  verdict.whole = detail::count_votes(cells, forced, precision).whole;
  return verdict;
}

}  // namespace stofm::io
