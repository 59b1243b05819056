// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// The checked table of the distance bias (model/distance_bias/bias_table.hpp) on its way to a device: plain
/// arrays of the host, and what pair attention reads of them. Host C++.

#include <cstdint>
#include <span>

namespace stofm::backend {

/// A table in host memory: piecewise cubics of all heads over a = round(round(w d) + b). Row `intervals`
/// holds the constant outside the knots, the row after it zeros, Phi(0).
struct BiasTableArrays {
  std::int64_t heads = 0;
  float w = 0.0F, b = 0.0F;
  std::span<const double> knots = {};               ///< [intervals + 1] ascending
  std::span<const double> inverse_widths = {};      ///< [intervals]
  std::span<const std::int32_t> bucket_first = {};  ///< [buckets + 1] interval at the start of each bucket
  double inverse_bucket = 0.0;                      ///< buckets per unit of a
  std::span<const float> coefficients = {};         ///< [intervals + 2, 4, padded], c0 first
  std::int64_t padded = 0;                          ///< heads that a row of coefficients has room for
  std::span<const float> background = {};  ///< [heads] Phi of the distance of pairs that are not listed
  float largest_distance = 0.0F;           ///< the table holds for distances in [0, this)
};

/// Where a distance lies: a row of cubics and the place in it, 0 to 1.
struct BiasPlace {
  std::int32_t row;
  float t;
};

/// What pair attention reads instead of bias values. Device pointers.
struct PairBiasTable {
  const BiasPlace* places = nullptr;    ///< [entries] of the listed pairs
  const float* coefficients = nullptr;  ///< [rows, heads, 4] c0 .. c3, 16-byte aligned
  const float* background = nullptr;    ///< [heads]
};

}  // namespace stofm::backend
