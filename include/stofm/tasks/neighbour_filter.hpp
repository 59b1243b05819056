// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// A short form of rows whose distances are lower bounds of the true ones, in an order in which near rows lie
/// near. Used by neighbours.hpp.
///
///     z = [leading components of x, |the rest of x|]        |z_a - z_b| <= |x_a - x_b|
///
/// since | |r_a| - |r_b| | <= |r_a - r_b|. Where few components hold most of the variance, z is short.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <numeric>
#include <utility>
#include <vector>

#include "stofm/tasks/distances.hpp"
#include "stofm/tasks/principal_components.hpp"

namespace stofm::tasks::detail {

/// How rows become short: centred, rotated, scaled.
struct NeighbourProjection {
  PrincipalComponents components;  ///< none: all columns are kept as they are, less the mean
  double scale = 1;                ///< a power of two that brings the longest row to length 1 at most

  std::int64_t columns() const {
    return components.count() > 0 ? components.count() + 1
                                  : static_cast<std::int64_t>(components.mean.size());
  }
};

/// Rows in their short form, reordered.
struct ShortRows {
  Tensor<float> z;                  ///< [N, columns]
  std::vector<double> squares;      ///< [N] |z|^2
  std::vector<std::int32_t> order;  ///< [N] row of the caller for each of ours
};

/// Components that hold 85 % of the variance of a sample, 15 to 127 of them; all columns if that is not
/// shorter.
inline NeighbourProjection neighbour_projection(TensorView<const float> points) {
  NeighbourProjection projection;
  const std::int64_t width = points.dim(1);
  PrincipalComponents& pc = projection.components;
  pc = principal_components(
      points, {.components = width > 32 ? (std::min<std::int64_t>)(127, width) : 1, .sample = 4096});
  std::int64_t kept = 0;
  if (width > 32) {
    double held = 0;
    for (std::int64_t k = 0; k < pc.count() && kept == 0; ++k) {
      held += pc.variances[static_cast<std::size_t>(k)];
      if (held >= 0.85 * pc.total_variance) kept = (k + 16) / 16 * 16 - 1;
    }
    kept = (std::min)((std::max<std::int64_t>)(kept, kept > 0 ? 15 : 0), pc.count());
    if (kept + 1 >= width) kept = 0;
  }
  pc.loadings = kept > 0 ? pc.loadings.slice(0, 0, kept).clone() : Tensor<double>({0, width});
  return projection;
}

/// Short form in double before scaling, [N, columns]; \return the largest length.
inline double project_rows(const NeighbourProjection& by, TensorView<const float> rows, Tensor<double>& out) {
  const std::int64_t n = rows.dim(0), width = rows.dim(1), kept = by.components.count(), m = by.columns();
  out = Tensor<double>({n, m});
  std::vector<double> lengths(static_cast<std::size_t>((n + 127) / 128), 0.0);
  parallel_for(n, 128, [&](std::int64_t begin, std::int64_t end) {
    backend::EigenRowMajor<double> block(end - begin, width), product;
    for (std::int64_t i = begin; i < end; ++i)
      for (std::int64_t j = 0; j < width; ++j)
        block(i - begin, j) =
            static_cast<double>(rows.row(i)[j]) - by.components.mean[static_cast<std::size_t>(j)];
    if (kept > 0)
      product.noalias() =
          block *
          backend::eigen_rows<const double>(by.components.loadings.data(), kept, width, width).transpose();
    double longest = 0;
    for (std::int64_t i = begin; i < end; ++i) {
      const double* full = block.data() + (i - begin) * width;
      const double whole = dot_product(full, full, width);
      longest = (std::max)(longest, whole);
      double* z = out.data() + i * m;
      if (kept == 0) {
        std::copy_n(full, width, z);
        continue;
      }
      std::copy_n(product.data() + (i - begin) * kept, kept, z);
      z[kept] = std::sqrt((std::max)(0.0, whole - dot_product(z, z, kept)));
    }
    lengths[static_cast<std::size_t>(begin / 128)] = longest;
  });
  return std::sqrt(*std::max_element(lengths.begin(), lengths.end()));
}

/// Order of rows by splitting at the median of the widest of the first 16 columns down to runs of `leaf`.
inline std::vector<std::int32_t> split_order(const Tensor<double>& z, std::int64_t leaf) {
  const std::int64_t n = z.dim(0), m = z.dim(1), looked_at = (std::min<std::int64_t>)(m, 16);
  std::vector<std::int32_t> order(static_cast<std::size_t>(n));
  std::iota(order.begin(), order.end(), 0);
  std::vector<std::pair<std::int64_t, std::int64_t>> ranges{{0, n}};
  std::vector<double> low(static_cast<std::size_t>(looked_at)), high(low.size());
  while (!ranges.empty()) {
    const auto [begin, end] = ranges.back();
    ranges.pop_back();
    if (end - begin <= leaf) continue;
    std::fill(low.begin(), low.end(), std::numeric_limits<double>::infinity());
    std::fill(high.begin(), high.end(), -std::numeric_limits<double>::infinity());
    for (std::int64_t i = begin; i < end; ++i)
      for (std::size_t j = 0; j < low.size(); ++j) {
        const double value = z.data()[order[static_cast<std::size_t>(i)] * m + static_cast<std::int64_t>(j)];
        low[j] = (std::min)(low[j], value), high[j] = (std::max)(high[j], value);
      }
    std::int64_t widest = 0;
    for (std::size_t j = 1; j < low.size(); ++j)
      if (high[j] - low[j] > high[static_cast<std::size_t>(widest)] - low[static_cast<std::size_t>(widest)])
        widest = static_cast<std::int64_t>(j);
    const std::int64_t middle = begin + ((end - begin) / 2 + leaf - 1) / leaf * leaf;
    std::nth_element(order.begin() + begin, order.begin() + middle, order.begin() + end,
                     [&](std::int32_t a, std::int32_t b) {
                       const double x = z.data()[a * m + widest], y = z.data()[b * m + widest];
                       return x < y || (x == y && a < b);
                     });
    ranges.emplace_back(begin, middle);
    ranges.emplace_back(middle, end);
  }
  return order;
}

/// Rows in runs of `leaf` that lie near each other, scaled and rounded to float.
inline ShortRows short_rows(const Tensor<double>& z, double scale, std::int64_t leaf) {
  const std::int64_t n = z.dim(0), m = z.dim(1);
  ShortRows rows{Tensor<float>({n, m}), std::vector<double>(static_cast<std::size_t>(n)),
                 split_order(z, leaf)};
  parallel_for(n, 1024, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      const double* from = z.data() + rows.order[static_cast<std::size_t>(i)] * m;
      float* to = rows.z.data() + i * m;
      for (std::int64_t j = 0; j < m; ++j) to[j] = static_cast<float>(scale * from[j]);
      rows.squares[static_cast<std::size_t>(i)] = dot_product(to, to, m);
    }
  });
  return rows;
}

/// Centre of rows [begin, end) of `z` and the largest distance to it.
struct Ball {
  std::vector<double> centre;
  double radius = 0;
};
inline Ball ball_around(const Tensor<float>& z, std::int64_t begin, std::int64_t end) {
  const std::int64_t m = z.dim(1);
  Ball ball{std::vector<double>(static_cast<std::size_t>(m), 0.0), 0};
  for (std::int64_t i = begin; i < end; ++i)
    for (std::int64_t j = 0; j < m; ++j)
      ball.centre[static_cast<std::size_t>(j)] += static_cast<double>(z.data()[i * m + j]);
  for (double& c : ball.centre) c /= static_cast<double>(end - begin);
  for (std::int64_t i = begin; i < end; ++i) {
    double sum = 0;
    for (std::int64_t j = 0; j < m; ++j) {
      const double d = static_cast<double>(z.data()[i * m + j]) - ball.centre[static_cast<std::size_t>(j)];
      sum += d * d;
    }
    ball.radius = (std::max)(ball.radius, std::sqrt(sum));
  }
  return ball;
}

}  // namespace stofm::tasks::detail
