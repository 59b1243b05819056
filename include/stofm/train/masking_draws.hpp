// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Which cells of a piece are hidden and moved, and how far: drawn apart from what is done with the draws, so
/// that the draws of another program can be replayed. *Source* SPEC section 6.

#include <cmath>
#include <cstdint>
#include <numeric>
#include <utility>
#include <vector>

#include "stofm/core/random.hpp"
#include "stofm/core/random_key.hpp"
#include "stofm/core/tensor.hpp"

namespace stofm::train {

/// Shares of the cells of a piece, rounded down to whole cells. Defaults are the published ones (SPEC section
/// 6).
struct MaskingOptions {
  double mcm_masked = 0.12;  ///< hidden and predicted
  double mcm_kept = 0.03;    ///< visible and predicted
  double pdr_moved = 0.12;   ///< moved, their distances predicted; 0 with pdr_kept = 0: no such objective
  double pdr_kept = 0.03;    ///< not moved, their distances predicted
  double sigma_factor = 5;   ///< of sqrt(W H / n), W and H the extents of the piece's cells

  /// \throws UsageError for a share outside [0, 1], two of them above 1, or a negative or non-finite factor.
  void validate() const;
};

/// Whole cells for each share.
struct MaskingCounts {
  std::int64_t masked = 0, mcm_kept = 0, moved = 0, pdr_kept = 0;

  /// Whether an objective that is asked for has no cell to work on (row D37).
  bool starved(const MaskingOptions& options) const {
    return (options.mcm_masked > 0 && masked == 0) || (options.pdr_moved > 0 && moved == 0) ||
           masked + mcm_kept + moved + pdr_kept == 0;
  }
};
/// int(share * cells), as the reference counts.
inline MaskingCounts masking_counts(std::int64_t cells, const MaskingOptions& options = {}) {
  const auto of = [cells](double share) {
    return static_cast<std::int64_t>(share * static_cast<double>(cells));
  };
  return {of(options.mcm_masked), of(options.mcm_kept), of(options.pdr_moved), of(options.pdr_kept)};
}

/// The draws for one piece. The first `masked` (`moved`) entries of a permutation of its cells are hidden
/// (moved), the next ones kept.
struct MaskingDraws {
  std::vector<std::int64_t> mcm_permutation{};  ///< [cells]
  std::vector<std::int64_t> pdr_permutation{};  ///< [cells]
  Tensor<double> pdr_noise{};                   ///< [moved, 2] standard normal
};

namespace detail {

inline constexpr std::uint64_t mcm_purpose = 1, pdr_purpose = 2, noise_purpose = 3;

/// Fisher and Yates.
inline std::vector<std::int64_t> random_permutation(std::int64_t count, Random random) {
  std::vector<std::int64_t> order(static_cast<std::size_t>(count));
  std::iota(order.begin(), order.end(), std::int64_t{0});
  for (std::size_t i = order.size(); i > 1; --i) std::swap(order[i - 1], order[random.below(i)]);
  return order;
}

inline void require_permutation(const std::vector<std::int64_t>& order, std::int64_t count) {
  std::vector<std::uint8_t> seen(static_cast<std::size_t>(count), 0);
  bool good = static_cast<std::int64_t>(order.size()) == count;
  for (const std::int64_t i : order)
    good = good && i >= 0 && i < count && seen[static_cast<std::size_t>(i)]++ == 0;
  if (!good)
    throw ShapeError({"STOFM-4503", "", "[mask_sub_slice] draws", concat(order.size(), " indices"),
                      concat("a permutation of the ", count, " cells of the piece"),
                      "Draw for this very piece."});
}

}  // namespace detail

/// Draws for a piece of `cells` cells: a pure function of the key. \throws UsageError as validate, ShapeError
/// for cells < 0. *Cost* O(cells).
inline MaskingDraws draw_masks(std::int64_t cells, const RandomKey& key, const MaskingOptions& options = {}) {
  options.validate();
  checked_mul(cells, 8, "cells");
  MaskingDraws draws;
  draws.mcm_permutation = detail::random_permutation(cells, key.child(detail::mcm_purpose).generator());
  draws.pdr_permutation = detail::random_permutation(cells, key.child(detail::pdr_purpose).generator());
  draws.pdr_noise = Tensor<double>({masking_counts(cells, options).moved, 2});
  Random random = key.child(detail::noise_purpose).generator();
  for (double& v : draws.pdr_noise.span()) v = random.normal();
  return draws;
}

inline void MaskingOptions::validate() const {
  const auto share = [](double a, double b) { return a >= 0 && b >= 0 && a + b <= 1; };
  if (!share(mcm_masked, mcm_kept) || !share(pdr_moved, pdr_kept))
    throw UsageError({"STOFM-4504", "", "masking",
                      concat("shares ", mcm_masked, " + ", mcm_kept, " and ", pdr_moved, " + ", pdr_kept),
                      "shares >= 0 with sums <= 1", "The published values are 0.12 and 0.03."});
  if (!(sigma_factor >= 0 && sigma_factor < 1e6))
    throw UsageError({"STOFM-4505", "", "masking", concat("sigma factor ", sigma_factor), "0 or more",
                      "The published value is 5."});
}

}  // namespace stofm::train
