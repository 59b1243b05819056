// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// The distance bias as a table: piecewise cubics over a = w d + b whose knots hold every zero crossing of
/// the ReLU inputs, with one-sided slopes, refined until the error against the network of these very weights
/// is below a tolerance. Where a Gaussian is narrow the cubics are short; where all Gaussians have died out
/// Phi is constant. Cubic through values and slopes at both ends of [p, q], t = (a - p)/(q - p):
///   c0 = Phi(p), c1 = h Phi'(p+), c2 = 3 (Phi(q) - Phi(p)) - h (2 Phi'(p+) + Phi'(q-)),
///   c3 = h (Phi'(p+) + Phi'(q-)) - 2 (Phi(q) - Phi(p)),  h = q - p.
/// *Source* identity 2; prior art: DeePMD-kit's compressed embedding nets (tables of a network of one
/// scalar).

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <span>
#include <vector>

#include "stofm/model/distance_bias/gaussian_network.hpp"

namespace stofm::model {

/// How fine the table is.
struct BiasTableOptions {
  double tolerance = 2e-7;                 ///< refine until below this, relative to the range of the bias
  double accepted = 1e-6;                  ///< usable() if the check ends below this
  std::int64_t max_intervals = 65536;      ///< give up refining beyond (16 MiB at 16 heads)
  std::int64_t scratch_bytes = 256 << 20;  ///< give up when building would take more
};

/// Piecewise cubics of all heads.
class BiasTable {
 public:
  /// Tabulates `network` over [low, high] in `a`; defined in bias_table_builder.hpp. *Cost* some 10^4
  /// evaluations of the network.
  static BiasTable build(const GaussianNetwork& network, double low, double high,
                         const BiasTableOptions& options = {});

  std::int64_t heads() const { return heads_; }
  std::int64_t intervals() const { return static_cast<std::int64_t>(knots_.size()) - 1; }
  std::int64_t kinks() const { return kinks_; }
  double low() const { return low_; }
  double high() const { return high_; }
  /// max - min of the bias over the knots, the largest over heads.
  double range() const { return range_; }
  /// Largest difference to the network found by the final check, absolute.
  double measured_error() const { return measured_error_; }
  /// The check passed: use it. Otherwise evaluate exactly.
  bool usable() const { return usable_; }
  bool covers(float a) const { return a >= low_ && a <= high_; }
  /// What `locate` and `evaluate` read, for a device: [intervals + 1], [intervals], [intervals + 2, 4,
  /// padded_heads] (behind the pieces the constant and zero), [buckets + 1].
  std::span<const double> knots() const { return knots_; }
  std::span<const double> inverse_widths() const { return inverse_width_; }
  std::span<const float> coefficients() const { return coefficients_; }
  std::int64_t padded_heads() const { return padded_; }
  std::span<const std::int32_t> bucket_first() const { return bucket_first_; }
  double inverse_bucket() const { return inverse_bucket_; }

  /// Where an argument lies: a row of coefficients and the place within it.
  struct Place {
    std::int32_t row;
    float t;
  };
  /// The place of each a[i]; outside the knots it is the constant row. *Cost* one search each.
  void locate(std::span<const float> a, Place* places) const;
  /// A place whose value is 0 for every head: Phi(0).
  Place zero_place() const { return {static_cast<std::int32_t>(intervals()) + 1, 0.0F}; }
  /// Phi - subtract at each place: out[h * head_stride + i * entry_stride]. `subtract` is [heads] or null.
  /// *Cost* 6 FLOP a head.
  void evaluate(std::span<const Place> places, const float* subtract, float* out, std::int64_t head_stride,
                std::int64_t entry_stride) const;

 private:
  friend class BiasTableBuilder;
  std::int64_t row_of(double a) const {
    const auto bucket = static_cast<std::size_t>(std::clamp((a - knots_.front()) * inverse_bucket_, 0.0,
                                                            static_cast<double>(bucket_first_.size() - 2)));
    std::int64_t first = bucket_first_[bucket], last = bucket_first_[bucket + 1];
    while (first < last) {  // the last knot that is <= a lies in [first, last]
      const std::int64_t middle = (first + last + 1) >> 1;
      if (knots_[static_cast<std::size_t>(middle)] <= a) {
        first = middle;
      } else {
        last = middle - 1;
      }
    }
    return first;
  }

  std::int64_t heads_ = 0, padded_ = 0, kinks_ = 0;
  double low_ = 0, high_ = 0, range_ = 0, measured_error_ = 0, inverse_bucket_ = 0;
  bool usable_ = false;
  std::vector<double> knots_;          // [intervals + 1], ascending
  std::vector<double> inverse_width_;  // [intervals]
  std::vector<float> coefficients_;    // [intervals + 2, 4, padded]: behind the pieces, constant and zero
  std::vector<std::int32_t> bucket_first_;  // [buckets + 1]: interval that holds the start of the bucket
};

inline void BiasTable::locate(std::span<const float> a, Place* places) const {
  const auto constant = static_cast<std::int32_t>(intervals());
  for (std::size_t i = 0; i < a.size(); ++i) {
    const auto x = static_cast<double>(a[i]);
    if (!(x >= knots_.front() && x < knots_.back())) {
      places[i] = {constant, 0.0F};
      continue;
    }
    const std::int64_t row = row_of(x);
    const auto at = static_cast<std::size_t>(row);
    places[i] = {static_cast<std::int32_t>(row), static_cast<float>((x - knots_[at]) * inverse_width_[at])};
  }
}

namespace detail {

/// Sixteen places, eight heads at a time, turned over so that a head's values are written side by side.
struct CubicBatch {
  static constexpr std::int64_t places = 16, heads = 8;

  static void run(const BiasTable::Place* at, std::int64_t count, const float* coefficients,
                  std::int64_t padded, float* turned) {
    for (std::int64_t i = 0; i < count; ++i) {
      const float* c = coefficients + at[i].row * 4 * padded;
      const float t = at[i].t;
      float value[heads];
      for (std::int64_t k = 0; k < heads; ++k)
        value[k] = c[k] + t * (c[padded + k] + t * (c[2 * padded + k] + t * c[3 * padded + k]));
      for (std::int64_t k = 0; k < heads; ++k) turned[k * places + i] = value[k];
    }
  }
};

}  // namespace detail

inline void BiasTable::evaluate(std::span<const Place> places, const float* subtract, float* out,
                                std::int64_t head_stride, std::int64_t entry_stride) const {
  using Batch = detail::CubicBatch;
  float turned[Batch::heads * Batch::places];
  for (std::int64_t first = 0; first < padded_; first += Batch::heads) {
    for (std::size_t begin = 0; begin < places.size(); begin += Batch::places) {
      const auto count =
          static_cast<std::int64_t>((std::min<std::size_t>)(Batch::places, places.size() - begin));
      Batch::run(places.data() + begin, count, coefficients_.data() + first, padded_, turned);
      for (std::int64_t h = first; h < (std::min)(first + Batch::heads, heads_); ++h) {
        const float background = subtract != nullptr ? subtract[h] : 0.0F;
        const float* values = turned + (h - first) * Batch::places;
        float* to = out + h * head_stride + static_cast<std::int64_t>(begin) * entry_stride;
        for (std::int64_t i = 0; i < count; ++i) to[i * entry_stride] = values[i] - background;
      }
    }
  }
}

}  // namespace stofm::model
