// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Exact k nearest neighbours in any dimension.
///
/// Every pair is compared by a lower bound of its distance: one float matrix product of the short forms of
/// neighbour_filter.hpp, block by block, with an allowance for its rounding. Pairs whose bound is below the
/// k-th distance so far are measured in double on the rows themselves. So the result is that of a double
/// loop in double: it depends on no kernel, block or thread. Blocks are met nearest first, so that few pairs
/// pass, and blocks that lie too far away (triangle inequality) are not looked at.

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <utility>
#include <vector>

#include "stofm/core/compiled.hpp"
#include "stofm/core/stop_check.hpp"
#include "stofm/ops/linear.hpp"
#include "stofm/tasks/neighbour_filter.hpp"

namespace stofm::tasks {

/// Neighbours of each query, nearest first; at equal distance the lowest index first.
struct Neighbours {
  std::int64_t queries = 0;
  std::int64_t k = 0;
  std::vector<std::int32_t> indices;  ///< [queries, k]
  std::vector<double> distances;      ///< [queries, k], ascending in a row
};

struct NeighbourOptions {
  Distance distance = Distance::euclidean;
  StopCheck stop = {};  ///< asked by all threads, once in 128 queries x 512 points
};

namespace detail {
/// The k best of one query, best first. Values are squared distances or cosine distances.
class BestNeighbours {
 public:
  BestNeighbours(double* values, std::int32_t* indices, std::int64_t k)
      : values_(values), indices_(indices), k_(k) {}
  double worst() const { return count_ < k_ ? std::numeric_limits<double>::infinity() : values_[k_ - 1]; }
  /// \return whether the k-th changed.
  bool offer(double value, std::int32_t index) {
    if (count_ == k_ && !before(value, index, k_ - 1)) return false;
    std::int64_t place = count_ < k_ ? count_++ : k_ - 1;
    for (; place > 0 && before(value, index, place - 1); --place) {
      values_[place] = values_[place - 1];
      indices_[place] = indices_[place - 1];
    }
    values_[place] = value;
    indices_[place] = index;
    return count_ == k_;
  }

 private:
  bool before(double value, std::int32_t index, std::int64_t place) const {
    return value < values_[place] || (value == values_[place] && index < indices_[place]);
  }
  double* values_;
  std::int32_t* indices_;
  std::int64_t k_, count_ = 0;
};

/// Whether any of 16 floats reaches the threshold.
inline bool any_of_16(const float* values, float threshold) {
  int hits = 0;
  for (int l = 0; l < 16; ++l) hits |= static_cast<int>(values[l] >= threshold);
  return hits != 0;
}

/// Rows divided by their lengths (zeros stay), and the lengths.
inline Tensor<float> unit_rows(TensorView<const float> rows, std::vector<double>& lengths) {
  const std::int64_t n = rows.dim(0), width = rows.dim(1);
  Tensor<float> unit({n, width});
  lengths.resize(static_cast<std::size_t>(n));
  parallel_for(n, 1024, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      const double length = std::sqrt(dot_product(rows.row(i), rows.row(i), width));
      lengths[static_cast<std::size_t>(i)] = length;
      for (std::int64_t j = 0; j < width; ++j)
        unit.data()[i * width + j] =
            length > 0 ? static_cast<float>(static_cast<double>(rows.row(i)[j]) / length) : 0.0F;
    }
  });
  return unit;
}

/// A block of points, packed for products: w = z, bias = -|z|^2 (1 - rounding) / 2.
struct PointBlock {
  std::int64_t begin = 0, end = 0;
  ops::PackedLinear<float> packed;
  Ball ball;
};

inline constexpr std::int64_t neighbour_tile = 128, neighbour_block = 512;
}  // namespace detail

/// The k nearest of `points` [N, C] for each of `queries` [M, C] (float, rows dense). `same`: the queries are
/// the points, and none is its own neighbour. k is lowered to the number there are. \throws ShapeError for
/// other layouts (STOFM-4704) or widths (4713); UsageError for k < 1 (4706); DataError for a value that is
/// not finite (4703). *Cost* at most 2 M N min(C, 128) operations in float, the less the more clustered the
/// rows are; memory 12 M k bytes for the result, about 20 (M + N) min(C, 128) while it runs. *Deterministic*
/// yes, at any thread count and kernel level.
STOFM_INLINE Neighbours nearest_neighbours(TensorView<const float> points, TensorView<const float> queries,
                                           std::int64_t k, bool same, const NeighbourOptions& options = {});

/// The k nearest others of each of `points`. As above.
STOFM_INLINE Neighbours nearest_neighbours(TensorView<const float> points, std::int64_t k,
                                           const NeighbourOptions& options = {});

}  // namespace stofm::tasks

#if STOFM_BODIES
namespace stofm {

STOFM_INLINE auto tasks::nearest_neighbours(TensorView<const float> points, TensorView<const float> queries,
                                            std::int64_t k, bool same, const NeighbourOptions& options)
    -> Neighbours {
  constexpr const char* op = "[nearest_neighbours]";
  detail::require_rows(op, points);
  detail::require_rows(op, queries);
  if (points.dim(1) != queries.dim(1))
    throw ShapeError({"STOFM-4713", "", op, concat(queries.dim(1), " columns of the queries"),
                      concat(points.dim(1), " as the points have"), "Give rows of the same kind."});
  if (k < 1)
    throw UsageError({"STOFM-4706", "", op, concat("k = ", k), "k >= 1", "Give a number of neighbours."});
  detail::require_finite_rows(op, points);
  if (!same) detail::require_finite_rows(op, queries);
  const std::int64_t n = points.dim(0), count = queries.dim(0), width = points.dim(1);
  Neighbours result;
  result.queries = count;
  result.k = (std::min)(k, (std::max<std::int64_t>)(0, same ? n - 1 : n));
  const auto size = static_cast<std::size_t>(checked_mul(count, result.k, "neighbours"));
  result.indices.resize(size);
  result.distances.resize(size);
  if (size == 0) return result;

  const bool cosine = options.distance == Distance::cosine;
  std::vector<double> point_lengths, query_lengths;
  Tensor<float> unit_points, unit_queries;
  TensorView<const float> shown_points = points, shown_queries = queries;
  if (cosine) {
    unit_points = detail::unit_rows(points, point_lengths);
    shown_points = std::as_const(unit_points).view();
    if (!same) {
      unit_queries = detail::unit_rows(queries, query_lengths);
      shown_queries = std::as_const(unit_queries).view();
    }
  }
  detail::NeighbourProjection by = detail::neighbour_projection(shown_points);
  Tensor<double> long_points, long_queries;
  double longest = detail::project_rows(by, shown_points, long_points);
  if (!same) longest = (std::max)(longest, detail::project_rows(by, shown_queries, long_queries));
  by.scale = longest > 0 ? std::exp2(-std::ceil(std::log2(longest))) : 1.0;
  const detail::ShortRows p = detail::short_rows(long_points, by.scale, detail::neighbour_tile);
  const detail::ShortRows other =
      same ? detail::ShortRows{} : detail::short_rows(long_queries, by.scale, detail::neighbour_tile);
  const detail::ShortRows& q = same ? p : other;
  long_points = long_queries = Tensor<double>();

  // A pair passes if |a|^2 (1 - e) + |b|^2 (1 - e) - 2 a.b <= d^2 (1 + tiny). e covers the rounding of z to
  // float (4 x 2^-24 of |a|^2 + |b|^2), of the product (2^-24 (columns + 8)) and of the bias and threshold
  // (4 x 2^-24), twice over.
  const std::int64_t m = by.columns();
  const double rounding = 2 * std::ldexp(static_cast<double>(m) + 16, -24), tiny = 1e-30;
  std::vector<detail::PointBlock> blocks(
      static_cast<std::size_t>((n + detail::neighbour_block - 1) / detail::neighbour_block));
  for (std::size_t b = 0; b < blocks.size(); ++b) {
    detail::PointBlock& block = blocks[b];
    block.begin = static_cast<std::int64_t>(b) * detail::neighbour_block;
    block.end = (std::min)(n, block.begin + detail::neighbour_block);
    Tensor<float> bias({block.end - block.begin});
    for (std::int64_t i = block.begin; i < block.end; ++i)
      bias.data()[i - block.begin] =
          static_cast<float>(-0.5 * (1 - rounding) * p.squares[static_cast<std::size_t>(i)]);
    block.packed = ops::PackedLinear<float>(p.z.slice(0, block.begin, block.end), bias);
    block.ball = detail::ball_around(p.z, block.begin, block.end);
  }

  parallel_for(count, detail::neighbour_tile, [&](std::int64_t begin, std::int64_t end) {
    const detail::Ball tile = detail::ball_around(q.z, begin, end);
    std::vector<std::pair<double, std::size_t>> by_distance(blocks.size());
    for (std::size_t b = 0; b < blocks.size(); ++b)
      by_distance[b] = {
          std::sqrt(detail::square_distance(tile.centre.data(), blocks[b].ball.centre.data(), m)), b};
    std::sort(by_distance.begin(), by_distance.end());
    std::vector<detail::BestNeighbours> best;
    std::vector<float> threshold(static_cast<std::size_t>(end - begin),
                                 -std::numeric_limits<float>::infinity());
    for (std::int64_t i = begin; i < end; ++i) {
      const std::int64_t row = q.order[static_cast<std::size_t>(i)];
      best.emplace_back(result.distances.data() + row * result.k, result.indices.data() + row * result.k,
                        result.k);
    }
    // Squared distance of the short forms that the k-th value so far stands for.
    const auto reach = [&](double worst) {
      return (cosine ? 2 * worst + 1e-6 : worst) * by.scale * by.scale * (1 + 1e-12);
    };
    Tensor<float> products({end - begin, detail::neighbour_block});
    for (const auto& [distance, b] : by_distance) {
      options.stop();
      const detail::PointBlock& block = blocks[b];
      double farthest = 0;
      for (const detail::BestNeighbours& row : best) farthest = (std::max)(farthest, reach(row.worst()));
      const double gap = distance - (tile.radius + block.ball.radius) * (1 + 1e-9);
      if (gap > 0 && gap * gap * (1 - 1e-9) - 4 * rounding > farthest) continue;
      const std::int64_t columns = block.end - block.begin;
      const TensorView<float> y{
          products.data(), Shape{end - begin, columns}, {detail::neighbour_block, 1}, {}};
      block.packed.apply_into(y, q.z.slice(0, begin, end).view());
      for (std::int64_t i = begin; i < end; ++i) {
        const std::int64_t row = q.order[static_cast<std::size_t>(i)];
        const float* values = y.row(i - begin);
        float& lowest = threshold[static_cast<std::size_t>(i - begin)];
        detail::BestNeighbours& own = best[static_cast<std::size_t>(i - begin)];
        for (std::int64_t first = 0; first < columns; first += 16) {
          const std::int64_t last = (std::min)(first + 16, columns);
          if (last - first == 16 && !detail::any_of_16(values + first, lowest)) continue;
          for (std::int64_t j = first; j < last; ++j) {
            if (!(values[j] >= lowest)) continue;
            const std::int32_t point = p.order[static_cast<std::size_t>(block.begin + j)];
            if (same && point == row) continue;
            const double value =
                cosine ? detail::cosine_distance(
                             queries.row(row), points.row(point), width,
                             (same ? point_lengths : query_lengths)[static_cast<std::size_t>(row)],
                             point_lengths[static_cast<std::size_t>(point)])
                       : detail::square_distance(queries.row(row), points.row(point), width);
            if (own.offer(value, point))
              lowest = static_cast<float>(
                  0.5 * ((1 - rounding) * q.squares[static_cast<std::size_t>(i)] - reach(own.worst())) -
                  tiny);
          }
        }
      }
    }
    if (!cosine)
      for (std::int64_t i = begin; i < end; ++i) {
        double* row = result.distances.data() + q.order[static_cast<std::size_t>(i)] * result.k;
        for (std::int64_t j = 0; j < result.k; ++j) row[j] = std::sqrt(row[j]);
      }
  });
  return result;
}

STOFM_INLINE auto tasks::nearest_neighbours(TensorView<const float> points, std::int64_t k,
                                            const NeighbourOptions& options) -> Neighbours {
  return nearest_neighbours(points, points, k, true, options);
}

}  // namespace stofm
#endif
