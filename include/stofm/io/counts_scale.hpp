// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Whole counts out of what normalising made of them, one cell at a time.
///
/// Tokens are ranks inside a cell, so a factor that all values of a cell share does not matter. Of a cell's
/// values x_g = f * n_g with whole n_g the unit f is searched for: the smallest value is k units for some
/// k = 1, 2, ..., and every other value must be a whole number of them. The n_g come out exactly (up to a
/// divisor that all share, which changes no quotient n_g / sum n: IEEE division rounds the same quotient
/// alike), so that ties are those of the counts.
///
/// Tolerances. With u = 2^-24 (computed in float32) and s half an ulp of the stored type:
///   linear: count / total and * target are one rounding each, writing one: |dx| <= (3 u + s) x. The total is
///     common to the cell, its error as well: it is part of f.
///   log1p:  x as above with 2 u; log1p to 2 ulp (4 u), division by ln(base) and ln(base) itself (2 u), hence
///     |dv| <= (6 u + s) v, and for y = v ln(base) exp(y) - 1 is increasing: [expm1(y - dy), expm1(y + dy)]
///     widened by 2 u, which is dx = (1 + x) dy for small dy. At 10,000 a cell that is x (50 u + ...) for the
///     largest values: counts up to about 5e4 are told apart for certain. Values rounded to d decimals: |dv|
///     grows by 10^-d / 2. float16: s = 2^-11, and 2^-25 absolute for its subnormals.
/// The interval that f must lie in shrinks with every value, so that large counts are compared with a unit
/// known from all smaller ones, not from the smallest alone.

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "stofm/core/error.hpp"

namespace stofm::io {

/// What the values of a matrix are.
enum class CountsScale {
  automatic,  ///< found out
  counts,     ///< whole numbers
  linear,     ///< any values >= 0, in proportion to counts within a cell
  log1p,      ///< ln(1 + linear)
  log2,       ///< log2(1 + linear)
  log10,      ///< log10(1 + linear)
};

inline constexpr std::array<const char*, 6> counts_scale_names{"auto",  "counts", "linear",
                                                               "log1p", "log2",   "log10"};

/// "auto", "counts", "linear", "log1p", "log2", "log10".
inline std::string to_string(CountsScale scale) {
  return counts_scale_names[static_cast<std::size_t>(scale)];
}

/// \throws UsageError (STOFM-3550) for another word.
inline CountsScale parse_counts_scale(const std::string& word) {
  for (std::size_t i = 0; i < counts_scale_names.size(); ++i)
    if (word == counts_scale_names[i]) return static_cast<CountsScale>(i);
  throw UsageError({"STOFM-3550", "", "counts scale", stofm::quoted(word, 60),
                    "auto, counts, linear, log1p, log2 or log10", "Name one of them."});
}

/// How exactly values are stored: |error| <= relative * value + absolute.
struct StoredPrecision {
  double relative = 0x1p-24;
  double absolute = 0;
};

/// The unit of one cell.
struct CellUnit {
  bool found = false;
  bool exact = false;      ///< every value is one whole number and no other
  double unit = 0;         ///< the value of one count, or of as many as all counts are multiples of
  double log_chance = 0;   ///< log of (about) the chance that values at random would have a unit as well
  int smallest = 0;        ///< the smallest value, in units
  std::size_t values = 0;  ///< distinct values above 0
};

namespace detail {

inline constexpr double largest_count = 9007199254740992.0;  // 2^53: integers above are not exact
inline constexpr double float32_error = 0x1p-24;
inline constexpr int largest_smallest_count = 1000;  ///< k tried: the smallest count of a cell

inline bool is_log(CountsScale scale) {
  return scale == CountsScale::log1p || scale == CountsScale::log2 || scale == CountsScale::log10;
}
inline double log_of_base(CountsScale scale) {
  return scale == CountsScale::log2    ? 0.69314718055994530942
         : scale == CountsScale::log10 ? 2.30258509299404568402
                                       : 1.0;
}
/// exp(y) - 1 of what was log1p, or the value itself.
inline double linear_value(CountsScale scale, double value) {
  return is_log(scale) ? std::expm1(value * log_of_base(scale)) : value;
}

/// Between which numbers the linear value of a stored one is.
struct ValueRange {
  double low, high;
};

inline ValueRange range_of(CountsScale scale, StoredPrecision precision, double value) {
  constexpr double u = float32_error;
  if (!is_log(scale)) {
    const double error = value * (3 * u + precision.relative) + precision.absolute;
    return {value - error, value + error};
  }
  const double y = value * log_of_base(scale);
  const double error = y * (6 * u + precision.relative) + precision.absolute * log_of_base(scale);
  return {std::expm1(y - error) * (1 - 2 * u), std::expm1(y + error) * (1 + 2 * u)};
}

/// \param ranges ascending, all above 0
/// *Cost* O(values) where a unit is found, mostly O(1000) where there is none.
inline CellUnit find_unit(std::span<const ValueRange> ranges) {
  CellUnit result;
  result.values = ranges.size();
  if (ranges.empty() || !(ranges.front().low > 0)) return result;
  for (int k = 1; k <= largest_smallest_count; ++k) {
    ValueRange unit{ranges.front().low / k, ranges.front().high / k};
    double log_chance = std::log(static_cast<double>(k));
    bool exact = true;
    bool fits = true;
    for (std::size_t i = 1; i < ranges.size() && fits; ++i) {
      const double from = ranges[i].low / unit.high;
      const double to = ranges[i].high / unit.low;
      const double first = std::ceil(from);
      const double last = std::floor(to);
      fits = last >= first;
      if (first == last) {
        unit = {(std::max)(unit.low, ranges[i].low / first), (std::min)(unit.high, ranges[i].high / first)};
        log_chance += std::log((std::min)(1.0, to - from));
      } else {
        exact = false;
      }
    }
    if (!fits) continue;
    const bool likely = log_chance < std::log(exact ? 1e-2 : 1e-3);
    if (!likely && !(exact && (k == 1 || ranges.size() == 1))) continue;
    result.found = true;
    result.exact = exact;
    result.smallest = k;
    result.unit = 0.5 * (unit.low + unit.high);
    result.log_chance = (std::min)(0.0, log_chance);
    break;
  }
  return result;
}

}  // namespace detail

/// The unit of the cell with these stored values (>= 0; zeros do not count; any order). `sorted` and `ranges`
/// are room to work in. A value that is no logarithm of a count (above 2^53) makes it "none".
inline CellUnit cell_unit(std::span<const double> values, CountsScale scale, StoredPrecision precision,
                          std::vector<double>& sorted, std::vector<detail::ValueRange>& ranges) {
  sorted.clear();
  for (const double value : values)
    if (value > 0) sorted.push_back(value);
  std::sort(sorted.begin(), sorted.end());
  sorted.erase(std::unique(sorted.begin(), sorted.end()), sorted.end());
  CellUnit none;
  none.values = sorted.size();
  if (sorted.empty() || !(detail::linear_value(scale, sorted.back()) <= detail::largest_count)) return none;
  ranges.clear();
  for (const double value : sorted) ranges.push_back(detail::range_of(scale, precision, value));
  return detail::find_unit(ranges);
}

}  // namespace stofm::io
