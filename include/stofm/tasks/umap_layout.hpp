// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// A plane picture of a neighbour graph by UMAP, for looking at, the same bits in every run.
///
///     q(d) = 1 / (1 + a d^(2 b)), a and b fitted to exp(-(d - min_dist) / spread)
///
/// From principal components, every epoch lets each point be pulled by its edges (an edge of weight w acts in
/// w / w_max of the epochs) and pushed by a few points drawn at random. The reference moves both ends of an
/// edge at once, in place and racing; here each point moves itself, reading the others as they were when its
/// group began (points are in 8 groups that take turns), with random numbers that are a function of seed,
/// epoch and point: so the result does not depend on the number of threads. An edge moves each end once where
/// the reference moves it twice, and the number of points that push is halved with it.
/// *Source* McInnes, Healy, Melville, "UMAP" (2018), algorithm 5, with the constants of umap-learn.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "stofm/cluster/weighted_graph.hpp"
#include "stofm/core/compiled.hpp"
#include "stofm/core/parallel.hpp"
#include "stofm/core/random.hpp"
#include "stofm/tasks/principal_components.hpp"

namespace stofm::tasks {

struct UmapLayoutOptions {
  double min_dist = 0.5;       ///< distance that near points keep, as scanpy's
  double spread = 1.0;         ///< scale of the picture
  std::int64_t epochs = 0;     ///< 0: 500 up to 10,000 points, else 200
  int negative_samples = 5;    ///< points that push, for each edge (both of its ends together)
  double learning_rate = 1.0;  ///< of the first epoch; falls to 0 linearly
  double repulsion = 1.0;      ///< weight of the pushes
  std::uint64_t seed = 0;
};

/// a and b of the curve q.
struct UmapCurve {
  double a = 1, b = 1;
};

/// Least squares over 300 distances in [0, 3 spread], by Levenberg and Marquardt, as umap-learn fits them.
/// \throws UsageError STOFM-4715 unless spread > 0 and 0 <= min_dist <= spread.
inline UmapCurve umap_curve(double min_dist, double spread) {
  if (!(spread > 0) || !(min_dist >= 0) || !(min_dist <= spread) || !std::isfinite(spread))
    throw UsageError({"STOFM-4715", "", "[umap_curve]", concat("min_dist ", min_dist, ", spread ", spread),
                      "spread > 0 and min_dist between 0 and spread", "Give a smaller min_dist."});
  constexpr int points = 300;
  const auto error_at = [&](double a, double b, double* normal, double* slope) {
    double error = 0;
    for (int i = 0; i < points; ++i) {
      const double x = 3 * spread * i / (points - 1);
      const double wanted = x < min_dist ? 1.0 : std::exp(-(x - min_dist) / spread);
      const double power = x > 0 ? std::pow(x, 2 * b) : 0.0, q = 1 / (1 + a * power);
      const double off = q - wanted;
      error += off * off;
      if (normal == nullptr) continue;
      const double by_a = -power * q * q, by_b = x > 0 ? -2 * a * power * std::log(x) * q * q : 0.0;
      normal[0] += by_a * by_a, normal[1] += by_a * by_b, normal[2] += by_b * by_b;
      slope[0] += by_a * off, slope[1] += by_b * off;
    }
    return error;
  };
  UmapCurve curve;
  double damping = 1e-3, error = error_at(curve.a, curve.b, nullptr, nullptr);
  for (int step = 0; step < 500 && damping < 1e12; ++step) {
    double normal[3] = {0, 0, 0}, slope[2] = {0, 0};
    error_at(curve.a, curve.b, normal, slope);
    const double p = normal[0] * (1 + damping), r = normal[2] * (1 + damping);
    const double determinant = p * r - normal[1] * normal[1];
    const double a = curve.a - (r * slope[0] - normal[1] * slope[1]) / determinant;
    const double b = curve.b - (p * slope[1] - normal[1] * slope[0]) / determinant;
    const double there =
        a > 0 && b > 0 ? error_at(a, b, nullptr, nullptr) : std::numeric_limits<double>::infinity();
    if (!(there < error)) {
      damping *= 10;
      continue;
    }
    const bool done = std::abs(a - curve.a) <= 1e-12 * a && std::abs(b - curve.b) <= 1e-12 * b;
    curve = {a, b};
    error = there;
    damping *= 0.1;
    if (done) break;
  }
  return curve;
}

/// First places [N, 2]: the two leading components of `rows` [N, C], the larger extent 10 each way, with a
/// jitter of 1e-4 that parts equal rows. \throws as principal_components. *Deterministic* yes, for a seed.
inline Tensor<float> layout_start(TensorView<const float> rows, std::uint64_t seed) {
  const PrincipalComponents pc = principal_components(rows, {.components = 2});
  const std::int64_t n = rows.dim(0), count = pc.count();
  const Tensor<float> scores = component_scores(pc, rows);
  double largest = 0;
  for (std::int64_t e = 0; e < scores.numel(); ++e)
    largest = (std::max)(largest, std::abs(static_cast<double>(scores.data()[e])));
  Tensor<float> start({n, 2});
  Random random(seed, 0x6C61796F7574ULL);
  for (std::int64_t i = 0; i < n; ++i)
    for (std::int64_t j = 0; j < 2; ++j) {
      const double score = j < count ? 10 * static_cast<double>(scores.data()[i * count + j]) / largest : 0.0;
      start.data()[2 * i + j] = static_cast<float>(score + 1e-4 * random.normal());
    }
  return start;
}

/// Places [N, 2] of the points of `graph` from `start` [N, 2], centred. A point without edges stays where it
/// started. \throws ShapeError for another number of points (STOFM-4700) or layout (4704); UsageError for
/// options out of range (4715); DataError for a start that is not finite (4703). *Cost* about 3 powers an
/// edge and epoch in which it acts; 100,000 points: about 200 epochs x 0.1 s on one core. *Deterministic* yes
/// for a seed, any thread count.
STOFM_INLINE Tensor<float> umap_layout(const cluster::WeightedGraph& graph, TensorView<const float> start,
                                       const UmapLayoutOptions& options = {});

}  // namespace stofm::tasks

#if STOFM_BODIES
namespace stofm {

STOFM_INLINE auto tasks::umap_layout(const cluster::WeightedGraph& graph, TensorView<const float> start,
                                     const UmapLayoutOptions& options) -> Tensor<float> {
  constexpr const char* op = "[umap_layout]";
  detail::require_rows(op, start);
  detail::require_same_count(op, static_cast<std::size_t>(graph.nodes),
                             static_cast<std::size_t>(start.dim(0)), "points");
  detail::require_same_count(op, 2, static_cast<std::size_t>(start.dim(1)), "columns");
  detail::require_finite_rows(op, start);
  if (options.epochs < 0 || options.negative_samples < 0 || !(options.learning_rate > 0) ||
      !(options.repulsion >= 0) || !std::isfinite(options.learning_rate + options.repulsion))
    throw UsageError({"STOFM-4715", "", op,
                      concat("epochs ", options.epochs, ", negative samples ", options.negative_samples,
                             ", learning rate ", options.learning_rate, ", repulsion ", options.repulsion),
                      "numbers >= 0, a rate > 0", "Check the options."});
  const UmapCurve curve = umap_curve(options.min_dist, options.spread);
  const auto a = static_cast<float>(curve.a), b = static_cast<float>(curve.b);
  const auto push = static_cast<float>(2 * options.repulsion) * b;
  const std::int64_t n = graph.nodes;
  const std::int64_t epochs = options.epochs > 0 ? options.epochs : n <= 10000 ? 500 : 200;
  Tensor<float> places({n, 2});
  for (std::int64_t i = 0; i < n; ++i) std::copy_n(start.row(i), 2, places.data() + 2 * i);
  float heaviest = 0;
  for (const float w : graph.weights) heaviest = (std::max)(heaviest, w);
  constexpr std::int64_t groups = 8;
  Tensor<float> moved({n / groups + 1, 2});
  float* y = places.data();
  const auto clipped = [](float v) { return (std::clamp)(v, -4.0F, 4.0F); };
  for (std::int64_t epoch = 0; epoch < epochs && heaviest > 0; ++epoch) {
    const auto rate = static_cast<float>(options.learning_rate *
                                         (1.0 - static_cast<double>(epoch) / static_cast<double>(epochs)));
    for (std::int64_t group = 0; group < groups; ++group) {
      const std::int64_t members = (n - group + groups - 1) / groups;
      parallel_for(members, 256, [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t m = begin; m < end; ++m) {
          const std::int64_t i = group + m * groups;
          float px = y[2 * i], py = y[2 * i + 1];
          Random random(options.seed,
                        (static_cast<std::uint64_t>(epoch + 1) << 32) | static_cast<std::uint64_t>(i));
          int acted = static_cast<int>((epoch + i) % 2);  // so that an odd number of pushes is shared out
          for (auto e = static_cast<std::size_t>(graph.row_offsets[static_cast<std::size_t>(i)]);
               e < static_cast<std::size_t>(graph.row_offsets[static_cast<std::size_t>(i) + 1]); ++e) {
            const double share = static_cast<double>(graph.weights[e]) / static_cast<double>(heaviest);
            if (std::floor(share * static_cast<double>(epoch + 1)) ==
                std::floor(share * static_cast<double>(epoch)))
              continue;
            const std::int64_t j = graph.columns[e];
            float dx = px - y[2 * j], dy = py - y[2 * j + 1];
            float square = dx * dx + dy * dy;
            if (square > 0) {
              const float power = std::pow(square, b);
              const float pull = -2 * a * b * power / (square * (1 + a * power));
              px += rate * clipped(pull * dx);
              py += rate * clipped(pull * dy);
            }
            const int pushes = (options.negative_samples + (acted++ % 2)) / 2;
            for (int s = 0; s < pushes; ++s) {
              const auto other = static_cast<std::int64_t>(
                  (std::uint64_t{random.bits()} * static_cast<std::uint64_t>(n)) >> 32);
              if (other == i) continue;
              dx = px - y[2 * other], dy = py - y[2 * other + 1];
              square = dx * dx + dy * dy;
              if (!(square > 0)) continue;
              const float away = push / ((0.001F + square) * (1 + a * std::pow(square, b)));
              px += rate * clipped(away * dx);
              py += rate * clipped(away * dy);
            }
          }
          moved.data()[2 * m] = px;
          moved.data()[2 * m + 1] = py;
        }
      });
      for (std::int64_t m = 0; m < members; ++m)
        std::copy_n(moved.data() + 2 * m, 2, y + 2 * (group + m * groups));
    }
  }
  double mean[2] = {0, 0};
  for (std::int64_t e = 0; e < 2 * n; ++e) mean[e % 2] += static_cast<double>(y[e]) / static_cast<double>(n);
  for (std::int64_t e = 0; e < 2 * n; ++e) y[e] = static_cast<float>(static_cast<double>(y[e]) - mean[e % 2]);
  return places;
}

}  // namespace stofm
#endif
